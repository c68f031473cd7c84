"""What can go wrong in an LMTP session, each kind one type. `session` alone turns them into replies.

    reply = code SP enhanced-code SP text      (RFC 5321 4.2, RFC 2034 4)

The first digit of both is the same: 4 asks the sender to come again, 5 to give the message back to who wrote it.
"""

from __future__ import annotations


class Refused(Exception):
    """Something that cannot be done. `text` is fit for whoever is told: ASCII, no secrets, no paths."""

    def __init__(self, code: int, enhanced: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.enhanced = enhanced
        self.text = text

    def anew(self) -> Refused:
        """Another one, to be raised: an exception keeps what it has come through, each time it is raised."""
        return Refused(self.code, self.enhanced, self.text)


class BadCommand(Refused):
    """A command that is none, has wrong arguments or comes in the wrong order: a client has few of them."""

    def __init__(self, text: str, code: int = 501, enhanced: str = "5.5.4") -> None:
        super().__init__(code, enhanced, text)


class Ended(Exception):
    """The session is over: the client left, time ran out, or the daemon stops. Nobody is to be told."""
