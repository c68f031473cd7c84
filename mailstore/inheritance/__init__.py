"""What other mail servers keep beside a Maildir, read: UIDs, keywords, subscriptions, POP3's names.

Pure but for `tree`, which reads directories: bytes in, values out. What cannot be understood is said (`Remark`), and
stops nothing. `mailstore.inheriting` brings it into an index.
"""
