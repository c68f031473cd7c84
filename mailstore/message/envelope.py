"""What an IMAP ENVELOPE says (RFC 3501 7.4.2), from a header block.

Strings are unfolded and trimmed, encoded words left raw; a field that is there and empty is an empty string. Of a
field that stands there twice the last is taken, of address fields all of them, as Dovecot does.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailstore.message.addresses import Address, addresses
from mailstore.message.headers import fields, unfold


@dataclass(frozen=True, slots=True)
class Envelope:
    """The ten members in their order. An empty tuple is NIL."""

    date: bytes | None
    subject: bytes | None
    from_: tuple[Address, ...]
    sender: tuple[Address, ...]  # From when it is missing or empty, like reply_to
    reply_to: tuple[Address, ...]
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    in_reply_to: bytes | None
    message_id: bytes | None


def envelope(header: bytes) -> Envelope:
    """Raises nothing, whatever the header is."""
    values: dict[bytes, list[bytes]] = {}
    for name, value in fields(header):
        values.setdefault(name.lower(), []).append(value)

    def string(name: bytes) -> bytes | None:
        return unfold(values[name][-1]) if name in values else None

    def people(name: bytes) -> tuple[Address, ...]:
        return tuple(address for value in values.get(name, ()) for address in addresses(value))

    from_ = people(b"from")
    return Envelope(
        date=string(b"date"),
        subject=string(b"subject"),
        from_=from_,
        sender=people(b"sender") or from_,
        reply_to=people(b"reply-to") or from_,
        to=people(b"to"),
        cc=people(b"cc"),
        bcc=people(b"bcc"),
        in_reply_to=string(b"in-reply-to"),
        message_id=string(b"message-id"),
    )
