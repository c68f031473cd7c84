"""Mail that arrived here is put back to an IMAP server, for a company that changes its mind: for
`mailferry restore-legacy`. Nothing is deleted anywhere, here or there.

    choosing → run → (record, as it goes)
"""
