"""Which software a legacy server is, where it says so: in IMPLEMENTATION (RFC 2449 6.9), or in its greeting.

Greetings are what the products say as they are installed; whoever runs one may have it say something else, or nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_GREETINGS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), name)
    for pattern, name in (
        (r"\bdovecot\b", "Dovecot"),
        (r"\bcyrus\b", "Cyrus"),
        (r"\bcourier-imap\b|^hello there\.?( <[^>]*>)?$", "Courier"),  # its pop3d says just that
        (r"\bmicrosoft exchange\b", "Microsoft Exchange"),
        (r"\bqpop\b|\bqpopper\b", "qpopper"),
        (r"\bsolid pop3\b", "solid-pop3d"),
        (r"\bhmailserver\b", "hMailServer"),
        (r"\bmdaemon\b", "MDaemon"),
        (r"\bzimbra\b", "Zimbra"),
        (r"\bkerio\b", "Kerio Connect"),
        (r"\b(lotus|hcl|ibm) (notes|domino)\b|\bdomino\b", "Domino"),
        (r"\bgpop ready\b|\bgimap ready\b", "Gmail"),
        (r"\bqqmail\b", "QQ Mail"),
        (r"\bcoremail\b", "Coremail"),
        (r"\bwdpop\b|\bwildduck\b", "WildDuck"),
    )
)
_IMPLEMENTATION: Final = "IMPLEMENTATION "


def software(greeting: str, capabilities: Sequence[str]) -> str:
    """Its name, "" where it keeps it to itself. Capabilities are a line each, in capitals."""
    for line in capabilities:
        if line.startswith(_IMPLEMENTATION):
            return line.removeprefix(_IMPLEMENTATION)
    return next((name for pattern, name in _GREETINGS if pattern.search(greeting)), "")
