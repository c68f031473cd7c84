"""Is everything here that the legacy server has? Ledger, index, files and the legacy server, held against each other.

Reading order: `kinds` (what can be found), `matching` and `listing` (what the legacy server lists, against the ledger),
`local` (ledger, index and files), `sample` and `contents` (what the legacy server gives, against the ledger),
`account` (one account from beginning to end), `run` (all that were asked for), and `outcome` (what is reported; its
forms are in `report`, `tables` and `told`).

Invariants: nothing is changed, here or there. An account is logged in once at its legacy server, and again only where
its connection broke. No byte of mail, and no password, is in a finding.
"""
