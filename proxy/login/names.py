"""From what a client sends as its user name to an account's name.

`user@123.com`, or `user` where one domain is served; in any case of letters. Nothing that could not be a
mailbox's name at the legacy server, or a directory's here, gets further.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

_LOCAL = re.compile(r"[^\x00-\x20\x7f@]{1,64}")  # RFC 5321 4.5.3.1.1; more than its grammar, less than harm


@dataclass(frozen=True, slots=True)
class Name:
    """An account's name, in lower case."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"


def parse(username: bytes, domains: Collection[str]) -> Name | None:
    """The account meant, or None if it cannot be one of ours."""
    try:
        text = username.decode()
    except UnicodeDecodeError:
        return None
    local, at, domain = text.strip().rpartition("@")
    if not at:
        local = domain
        if len(domains) != 1:
            return None
        (domain,) = domains
    name = Name(local.lower(), domain.lower().rstrip("."))
    if name.domain not in domains or not _LOCAL.fullmatch(name.local):
        return None
    return name
