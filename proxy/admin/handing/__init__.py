"""Mailboxes are handed over to Dovecot, in place, and taken back: for `mailferry handoff dovecot`.

    choosing → run (one account after the other) → filed (users, after.sh, the configuration)

Whose a mailbox is meanwhile, and how a crash is gone on from, is `mailstore.custody`'s; what is written into a Maildir
is `mailstore.handover`'s.
"""
