"""A message without what servers write into it at their own will: is it the same message all the same?

mbox servers keep their notes in the message, and give them out with it: after a session has read it the same message
comes with another `Status:` (RFC 4155 names no such field; UW imapd, qpopper and Dovecot's mbox write the ones below).
Two digests are the same where two copies differ in such fields alone.
"""

from __future__ import annotations

import hashlib
from typing import Final

from mailstore.message.arrival import header_end

FIELDS: Final = (
    b"status",
    b"x-status",
    b"x-keywords",
    b"x-uid",
    b"x-uidl",
    b"x-imap",
    b"x-imapbase",
    b"content-length",
)
_HEADER_LIMIT: Final = 256 * 1024  # a longer header is taken as it is


class Essence:
    """The SHA-256 of a message's octets without those fields. `feed` it in pieces."""

    __slots__ = ("_digest", "_head")

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._head: bytearray | None = bytearray()  # until the header's end has come

    def feed(self, data: bytes) -> None:
        head = self._head
        if head is None:
            self._digest.update(data)
            return
        head += data
        if len(head) > _HEADER_LIMIT:
            self._close()

    def digest(self) -> bytes:
        """After the last piece."""
        if self._head is not None:
            self._close()
        return self._digest.digest()

    def _close(self) -> None:
        whole, self._head = bytes(self._head or b""), None
        end = header_end(whole[:_HEADER_LIMIT])  # however the pieces were cut
        longer = end == _HEADER_LIMIT < len(whole)
        self._digest.update(whole[:end] if longer else _without(whole[:end]))
        self._digest.update(whole[end:])


def essence(data: bytes) -> bytes:
    """Of a whole message."""
    taken = Essence()
    taken.feed(data)
    return taken.digest()


def _without(header: bytes) -> bytes:
    """Fields go with their continuation lines (RFC 5322 2.2.3)."""
    kept, dropping = [], False
    for line in header.splitlines(keepends=True):
        if line[:1] not in (b" ", b"\t"):
            dropping = line.partition(b":")[0].rstrip().lower() in FIELDS
        if not dropping:
            kept.append(line)
    return b"".join(kept)
