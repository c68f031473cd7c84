"""What users are told of the move by mail, and the telling.

Reading order: `facts` (what there is to say), `texts` (the administrator's templates, filled in), `message` (from texts
to a mail), `relay` (one connection to the mail server that takes them), `sending` (all of them, at a rate, each written
down: see `mailstore.notices`); `written` makes files of them; `reminding` sends in the background, for a daemon.

Invariants: what cannot be rendered for one user is sent to nobody. Nobody is sent the same notice twice unless it is
asked for. Plain synchronous Python: a console runs it in a thread.
"""
