"""The few fields of a header that a move wants of every message, found in one pass over it.

A move has microseconds for a message: to look for each field by itself takes several times as long. Nothing here
raises.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# Glanced names → the first field's value, raw: folding included, and the CR of its last line end.
Glanced = Mapping[bytes, bytes]

# As `mailstore.message.headers` reads any field. The line end before the name is what makes the search fast.
_FIELD = re.compile(
    rb"\n(received|date|from|subject|message-id|status|x-status)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*)", re.IGNORECASE
)


def glance(header: bytes) -> Glanced:
    """By name, in lower case: `received`, `date`, `from`, `subject`, `message-id`, `status`, `x-status`."""
    found: dict[bytes, bytes] = {}
    for name, value in _FIELD.findall(b"\n" + header):
        found.setdefault(name.lower(), value)
    return found
