"""What every connection to a legacy server needs, whatever protocol it speaks there: how it is to be spoken to
(`settings`), what can go wrong (`errors`), the transport with its TLS and its time limits (`wire`, `tls`, `patience`),
how it is reached (`dialling`), and what a migration does with it in any protocol (`connection`). Used by
`proxy.pop3.client` and `proxy.imap.client`.
"""
