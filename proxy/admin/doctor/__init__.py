"""What whoever helps would ask for, gathered without asking anybody and without a secret: `mailferry doctor`.

A module a source: `machine` (what it runs on), `settings` (the configuration), `store` and `mailboxes` (what is kept,
read without changing anything), `processes`, `log`, `certificate`, `outside` (what was last known of DNS and the old
servers). Each gives plain values, and may fail without the others (`gathering`). `hiding` stands between all of them
and the archive: what is not known to be harmless is left out, not what is known to be a secret. `judging` says what
looks wrong, `archive` makes one file of it.
"""
