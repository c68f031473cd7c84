"""Why an account is blocked whose mailbox is another program's, or on its way from or to one (`mailstore.custody`).

The note beside the Maildir keeps everybody out whatever an account's state is; these are for the administrator, and for
commands that let blocked accounts go on: not these.
"""

from __future__ import annotations

from typing import Final

HANDED: Final = "handed over to Dovecot; `mailferry handoff dovecot --undo` takes it back"
GOING: Final = "being handed over to Dovecot; `mailferry handoff dovecot` goes on with it, --undo takes it back"
COMING: Final = "being taken back from Dovecot; `mailferry handoff dovecot --undo` goes on with it"
ADOPTING: Final = "being adopted; the same `mailferry adopt` goes on with it"

ALL: Final = frozenset({HANDED, GOING, COMING, ADOPTING})
