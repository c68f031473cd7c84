"""From what a client sends as its user name to an account's name.

`user@123.com`, or `user` where one domain is served; in any case of letters. Nothing that could not be a
mailbox's name at the legacy server, or a directory's here, gets further.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_LOCAL = re.compile(r"[^\x00-\x20\x7f@]{1,64}")  # RFC 5321 4.5.3.1.1; more than its grammar, less than harm

# Characters that nobody sees; they come along when something is copied from a web page.
WIDTHLESS: Final = dict.fromkeys(
    [0xAD, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF]
)


@dataclass(frozen=True, slots=True)
class Name:
    """An account's name, in lower case."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"


def parse(username: bytes, domains: Mapping[str, str]) -> Name | None:
    """The account meant, or None if it cannot be one of ours.

    `domains` are those served, by each spelling that a client may send: an internationalised one also as DNS has it.
    """
    try:
        text = username.decode()
    except UnicodeDecodeError:
        return None
    local, at, domain = text.strip().rpartition("@")
    if not at:
        local = domain
        served = set(domains.values())
        if len(served) != 1:
            return None
        (domain,) = served
    name = domains.get(domain.lower().rstrip("."))
    local = local.lower()
    return Name(local, name) if name is not None and _LOCAL.fullmatch(local) else None


def typed(text: str) -> str:
    """A name as a person has typed or copied it, without what input methods and web pages do to it."""
    return unicodedata.normalize("NFKC", text.translate(WIDTHLESS)).strip()
