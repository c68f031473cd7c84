"""What stays the same of a message when a mail server is exchanged, or writes its notes into the mail it keeps.

The next version of a server puts fields of its own into a header or leaves some out, and mbox servers give a message
out with another `Status:` once it was read. The bytes are others then and so is their SHA-256, while the fields below
and the body are what they were. A *likeness* is made of both: `MARK` octets for the fields, which is all that TOP
shows of a message, and as many for the body's length and its beginning.

Two messages of one likeness have the same Message-ID, date, author and subject and bodies of one length that begin
alike. A message without a Message-ID that could be unique has none: it is known by all its bytes or not at all. Nor is
a message whose body was rewritten known again (an antivirus program's footer, another transfer encoding).
"""

from __future__ import annotations

import hashlib
from typing import Final

from mailstore.message.glance import Glanced, glance
from mailstore.message.headers import unfold

MARK: Final = 16  # octets of a likeness that are made of the header
BODY: Final = 1024  # octets of a body that are looked at: the move asks for every message, and has microseconds

_FIELDS: Final = (b"date", b"from", b"subject")
_SHORTEST: Final = 8  # octets of a Message-ID that can be unique, angle brackets and all


def header_mark(header: bytes) -> bytes | None:
    """Of a header. None for one without a Message-ID."""
    return _mark(glance(header))


def likeness(beginning: bytes, header: int, size: int) -> bytes | None:
    """Of a message of `size` octets: its beginning, of which the first `header` octets are its header."""
    return likeness_by(glance(beginning[:header]), beginning, header, size)


def likeness_by(fields: Glanced, beginning: bytes, header: int, size: int) -> bytes | None:
    """The same, where the header's fields were found already."""
    mark = _mark(fields)
    if mark is None:
        return None
    body = b"%d\n%b" % (size - header, beginning[header : header + BODY])
    return mark + hashlib.sha256(body).digest()[:MARK]


def _mark(fields: Glanced) -> bytes | None:
    name = _line(fields.get(b"message-id", b""))
    if len(name) < _SHORTEST or b"@" not in name:
        return None
    values = b"\n".join([name, *[_line(fields.get(field, b"")) for field in _FIELDS]])
    return hashlib.sha256(values).digest()[:MARK]


def _line(value: bytes) -> bytes:
    """A value on one line (RFC 5322 2.2.3)."""
    return (unfold(value) if b"\n" in value else value).strip()
