"""The lines that whoever delivers a message puts before it (RFC 5321 4.4).

    Return-Path: <wang@example.com>
    Received: from mx.123.com by mail.123.com with LMTP id 3f9c1a7be2d04c55
        for <anna@123.com>; Thu, 26 Nov 2026 21:48:43 +0000

Whom it is for stands there only where that is one: of others nobody is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import formatdate

from proxy.lmtp.grammar import Path, Sender


def trace(
    sender: Sender, recipients: Sequence[Path], *, client: str, peer: str, hostname: str, number: str, now: float
) -> bytes:
    """`client` is what it calls itself, `peer` its address where it has one, `number` the message's here."""
    address = f" ([{_literal(peer)}])" if peer else ""
    protocol = "UTF8LMTP" if sender.utf8 else "LMTP"
    to = f"\r\n\tfor {recipients[0].text}" if len(recipients) == 1 else ""
    return (
        f"Return-Path: {sender.path.text}\r\n"
        f"Received: from {client}{address}\r\n"
        f"\tby {hostname} with {protocol} id {number}{to}; {formatdate(now, localtime=True)}\r\n"
    ).encode()


def _literal(peer: str) -> str:
    return f"IPv6:{peer}" if ":" in peer else peer
