"""The id that all lines of the log have in common which come of one thing that somebody did: a session, from its
connection over the login and the move that this begins to its end; an act of an administrator, and the moves that were
asked for with it; a look at a mailbox that nobody asked for.

It is a variable of the context, not an argument handed through everything: what runs as a coroutine by
`Deferred.fromCoroutine` keeps the context in which it was begun, whoever wakes it, and what it changes there nobody
else sees. Callbacks are called in the context of whoever calls them; what is begun by one for somebody else says for
whom (`follow`). `proxy.daemon.logs` puts the id into each line.
"""

from __future__ import annotations

import base64
import os
from contextvars import ContextVar
from typing import Final

_OCTETS: Final = 8  # of chance
_LENGTH: Final = 12  # characters of five bits each: sixty bits do not come twice in any log that is ever searched

_current: ContextVar[str] = ContextVar("trace", default="")


def new() -> str:
    """Another one, unique over all processes and starts: twelve small letters and digits."""
    return base64.b32encode(os.urandom(_OCTETS))[:_LENGTH].decode().lower()


def current() -> str:
    """What this is part of; "" where that is nothing that somebody did."""
    return _current.get()


def follow(trace: str) -> None:
    """From here to the end of this coroutine, and in what it begins, it is part of this."""
    _current.set(trace)


def begin() -> str:
    """It is part of something that has an id already, or of something new. Gives that back."""
    if not current():
        follow(new())
    return current()
