"""Is everything here that the legacy server has? Ledger, index, files and the legacy server, held against each other.

Reading order: `run` (all accounts that were asked for), `account` (one of them, from beginning to end), `asking` (its
mailbox at the legacy server), `matching` (which listed message is which row of the ledger), `sample` and `contents`
(what the legacy server is asked to give, and gives), `judging` with `listing`, `local` and `given` (what that means),
`kinds` and `outcome` (what is found); `text` and `exported` are its forms. `mailstore.audit` is the half that is here.
`background` is a verification that a daemon makes: `comparing` has how it shares the daemon's connections and threads
with its users, `shelf` and `seen` what is kept of it, `filed` the forms of its report.

Invariants: nothing is changed, here or there. An account is logged in once at its legacy server, and again only where
its connection broke. No byte of mail, and no password, is in a finding.
"""
