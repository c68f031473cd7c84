"""The SASL mechanisms that hand over a password, which is what an old server has to be asked with: PLAIN and LOGIN.

With the others (CRAM-MD5, SCRAM, …) a client proves that it has the password and does not show it.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

from proxy.wire.door import Secret

MECHANISMS: Final = (b"PLAIN", b"LOGIN")


class Malformed(Exception):
    """A response is none of the mechanism's. The text is for the client, in ASCII."""


@dataclass(frozen=True, slots=True)
class Given:
    """What came of an exchange."""

    username: bytes
    password: Secret


_Run = Generator[bytes, bytes, Given]


class Exchange:
    """One run of a mechanism, one of MECHANISMS: responses in, challenges out, until the password is there."""

    def __init__(self, mechanism: bytes) -> None:
        self._run = _plain() if mechanism == b"PLAIN" else _login()
        self._challenge = next(self._run)

    def begin(self, initial: bytes | None) -> bytes | Given:
        """With the client's initial response, if it has sent one (RFC 4954 4). Raises Malformed."""
        return self._challenge if initial is None else self.take(initial)

    def take(self, response: bytes) -> bytes | Given:
        """The next challenge, or the end. Raises Malformed."""
        try:
            return self._run.send(response)
        except StopIteration as end:
            given: Given = end.value
            return given


def _plain() -> _Run:
    """RFC 4616 2: [authzid] NUL authcid NUL passwd. Nobody may act for another here."""
    parts = (yield b"").split(b"\0")
    if len(parts) != 3:
        raise Malformed("not a PLAIN response")
    authorize, username, password = parts
    if authorize not in {b"", username}:
        raise Malformed("nobody may log in for another user")
    return _given(username, password)


def _login() -> _Run:
    username = yield b"Username:"
    password = yield b"Password:"
    return _given(username, password)


def _given(username: bytes, password: bytes) -> Given:
    if not username or b"\0" in username + password:
        raise Malformed("no user name")
    return Given(username, Secret(password))
