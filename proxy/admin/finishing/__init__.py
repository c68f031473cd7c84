"""The end of a domain's move: who would be left behind, accounts made final, and the report that is filed.

Reading order: `run` (all of it, step by step), `behind` (what each account would leave behind, and what can be done),
`ending` (accounts become final, and sealed passwords are wiped), `report` with its forms `text` and `exported`, kept by
`filed`; `course` (the run in a daemon) and `summary` (what is shown of it); `reopening` (the way back). The last round
is `migrate`'s, and the comparison with the legacy server `verify`'s; whoever calls `run` has both done.

Invariants: nobody is made final who would leave something behind, unless an administrator says so. What a crash
interrupts, a second run goes on with. An account whose password is known keeps it.
"""
