"""The legacy side over IMAP: a client that checks a user's password at the old server, and over the same connection
carries all folders over as fast as the line allows.

Reading order: `connection` (what a migration calls), `retrieval` (ranges ahead of their answers), `opening` and
`login`, `replies` (answers as values), `protocol` and `responses` (bytes in, answers out, no I/O); the transport under
it is `proxy.legacy.wire`. Used by `proxy.migration` and `proxy.login`. It shares its grammar of dates with the server
in `proxy.imap`, and nothing else: what a server must refuse, a client had better read.
"""
