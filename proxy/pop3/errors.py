"""What can go wrong in a POP3 session here, each kind one type. `session` alone turns them into replies."""

from __future__ import annotations


class Refused(Exception):
    """A command that cannot be done. `text` is fit for the client; `code` is a response code (RFC 2449 8)."""

    def __init__(self, text: str, code: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


class BadCommand(Refused):
    """A command that is none, has wrong arguments or comes in the wrong state: a client has few of them."""


class Ended(Exception):
    """The session is over: the client left, time ran out, or the daemon stops. Nobody is to be told."""
