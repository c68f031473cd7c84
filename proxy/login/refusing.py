"""What a user is told who cannot be let in now: which of several reasons it is, and whether to wait or to ask.

Mail programs show the text as it is. It is ASCII (RFC 3501 7.1), and says nothing of passwords, hosts or disks.
"""

from __future__ import annotations

from typing import Final

from proxy.wire.door import Because, LoginRefused, Refusal

_TEXTS: Final = {
    Because.DOWN: "the old mail server does not answer, so the password cannot be checked; try again later",
    Because.BUSY: "the old mail server is busy; try again later",
    Because.NOT_POSSIBLE: "the old mail server does not let this account in; ask the administrator",
    Because.PAUSED: "the administrator has paused the move of this mailbox; try again later",
    Because.TOO_MANY: "too many wrong passwords for this account, try again later",
    Because.HELD: "your old mail is still being carried over",
    Because.BROKEN: "this mailbox cannot be stored here at the moment, which the administrator sees; try again later",
}


def unavailable(because: Because, more: str = "") -> LoginRefused:
    """To be raised. `more` goes behind the text."""
    return LoginRefused(Refusal.UNAVAILABLE, _TEXTS[because] + more, because)


def wrong() -> LoginRefused:
    """To be raised. The same whatever is wrong."""
    return LoginRefused(Refusal.WRONG, "wrong user name or password")
