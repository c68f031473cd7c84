"""What users are told of the move by mail, and the telling.

Reading order: `facts` (what there is to say), `texts` (the administrator's templates, filled in), `message` and
`fields` (from texts to a mail), `relay` (one connection to the mail server that takes them), `sending` (all of them, at
a rate, each written down: see `mailstore.notices`); `written` and `archive` make files of them. For a console: `letter`
(what one user would get), `planning` (whom it would reach), `orders` and `dispatch` (the sending in the background of a
daemon).

Invariants: what cannot be rendered for one user is sent to nobody. Nobody is sent the same notice twice unless it is
asked for. Plain synchronous Python: a console runs it in a thread.
"""
