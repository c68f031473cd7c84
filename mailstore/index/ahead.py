"""Numbers of an index that may have been given out, and of which it does not know: those that come next are raised
beyond them, so that no UID comes to mean another message, and every message counts as changed, so that clients ask for
its flags, not for its text.

For an index that is brought back, made again from its record, or found to be a copy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

AHEAD: Final = 1_000_000  # UIDs and changes that a folder may have had since
_HIGH: Final = 2**31  # of UIDs: from here on there is no room for more than a few thousand such steps

_RAISE: Final = f"""
    UPDATE folders SET
        recent_from = CASE WHEN recent_from = uidnext THEN uidnext + {AHEAD} ELSE recent_from END,
        uidnext = uidnext + {AHEAD},
        highestmodseq = highestmodseq + {AHEAD}
    WHERE uidnext < {_HIGH} AND {{whose}}
"""  # noqa: S608 - ours
_CHANGED: Final = """
    UPDATE messages SET modseq = (
        SELECT f.highestmodseq FROM folders AS f WHERE f.account_id = messages.account_id AND f.id = messages.folder_id
    )
    WHERE {whose}
"""


def look_ahead(execute: Callable[[str], object], account_id: int | None = None) -> None:
    """Within a transaction, which `execute` runs statements in. Without an account: of whichever are there."""
    whose = "true" if account_id is None else f"account_id = {account_id:d}"
    execute(_RAISE.format(whose=whose))
    execute(_CHANGED.format(whose=whose))
