"""ENVELOPE."""

from __future__ import annotations

from dataclasses import dataclass

from mailstore.message.addresses import Address


@dataclass(frozen=True, slots=True)
class Envelope:
    date: bytes | None
    subject: bytes | None
    from_: tuple[Address, ...]
    sender: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    in_reply_to: bytes | None
    message_id: bytes | None


def envelope(header: bytes) -> Envelope:
    raise NotImplementedError
