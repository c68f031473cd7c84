"""A look at a legacy server with a test account: how it wants to be spoken to, what it can do, how long a move takes.

Reading order: `run` (from the first connection to the last word), `ways` (how it may be reached), `attempts` (who is
logged in, and when a refusal is the end of it), `maildrop` (what is asked of a POP3 server) and `folders` (of an IMAP
server), `sampling` (how fast it gives), `finding` (all that is found), `estimate`, `advice` and `outcome` (what follows
from it); `exported` is its form for programs. `known` and `refused` say whether an account may be tried at all.

Called by `proxy.cli.probe` and `proxy.web.console.legacy`.

Invariants: at most two logins are tried, and a second one only where the first was refused as a wrong password and with
nothing that smells of a limit: an account that is locked there is worse than a question that stays open. Nothing is
changed there: no DELE, and where messages were fetched no QUIT, so that a server that hides or removes what was fetched
has seen nothing. No password, and no byte of mail, is in what is found.
"""
