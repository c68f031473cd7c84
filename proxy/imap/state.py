"""The states of an IMAP session (RFC 3501 3); logout is no state here, it is the end."""

from __future__ import annotations

import enum


class State(enum.Flag):
    """A session is in exactly one; a command may be legal in several."""

    NOT_AUTHENTICATED = enum.auto()
    AUTHENTICATED = enum.auto()
    SELECTED = enum.auto()


NOBODY = State.NOT_AUTHENTICATED
SOMEBODY = State.AUTHENTICATED | State.SELECTED
SELECTED = State.SELECTED
ANY = NOBODY | SOMEBODY
