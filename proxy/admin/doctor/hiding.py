"""Names and texts, as a stranger may see them.

Behind the local part of an address, a user's address on the network and an administrator's name stands a pseudonym: the
same for the same name in every archive of an installation, and of no use to who has not its sealing key. Free text
keeps what mailferry wrote itself; what stands in quotes or behind a colon is another's (an old server's words, a value
of the configuration), and goes, unless it is one of the system's own messages.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import ipaddress
import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from proxy.legacy.errors import LegacyError

GONE: Final = "…"
_ADDRESS: Final = re.compile(r"[^\s\"'<>(),;:=\[\]]+@[^\s\"'<>(),;:=\[\]]+")
_SYSTEM: Final = frozenset(
    {os.strerror(number) for number in errno.errorcode}
    | {"database is locked", "disk I/O error", "database or disk is full", "unable to open database file"}
    | {"database disk image is malformed", "file is not a database", "attempt to write a readonly database"}
)
_OF_THE_STORE: Final = ("the disk refused", "the database refused", "the database is damaged")
_REMEDIES: Final = sorted({each.usual_remedy for each in LegacyError.__subclasses__()} - {""}, key=len, reverse=True)


def key_of(file: Path) -> bytes:
    """What pseudonyms are made with; without the sealing key they are of this archive alone."""
    try:
        secret = file.read_bytes()
    except OSError:
        secret = b""
    return hashlib.sha256(b"mailferry doctor\0" + (secret or os.urandom(32))).digest()


def _without_quoted(text: str) -> str:
    """From the first quote to the last, for what is quoted may have quotes in it."""
    first, last = text.find('"'), text.rfind('"')
    return text if first < 0 else f'{text[:first]}"{GONE}"{text[last + 1 :] if last > first else ""}'


def _own_words(text: str) -> str:
    """Up to the first colon, for what follows may be anybody's and have semicolons in it; and a remedy at the end."""
    head, colon, tail = text.partition(": ")
    if not colon or tail in _SYSTEM:
        return text
    if head.endswith(_OF_THE_STORE):
        for known in _SYSTEM:
            if tail.startswith(f"{known}; "):
                return f"{head}: {known}{_own_words(tail[len(known) :])}"
    remedy = next((f"; {each}" for each in _REMEDIES if tail.endswith(f"; {each}")), "")
    return f"{head}: {GONE}{remedy}"


class Hiding:
    """One archive's. `names`: nothing is hidden but what is a secret."""

    def __init__(
        self, key: bytes, domains: Collection[str] = (), places: Iterable[Path] = (), *, names: bool = False
    ) -> None:
        """`domains` are served here, and keep their names; below `places` directories are called by accounts."""
        self._key = key
        self._domains = frozenset(domains)
        self._places = [re.compile(re.escape(str(place)) + r"/[^\s;,)\"']+") for place in places]
        self.names = names

    def _pseudonym(self, what: str, name: str) -> str:
        digest = hmac.digest(self._key, f"{what}\0{name}".encode("utf-8", "surrogatepass"), hashlib.sha256)
        return f"{what}-{digest.hex()[:10]}"

    def person(self, name: str) -> str:
        """A user of the machine, or of the console."""
        return name if self.names or not name else self._pseudonym("person", name.lower())

    def account(self, name: str) -> str:
        """An address."""
        if self.names:
            return name
        local, at, domain = name.lower().rpartition("@")
        if not at:
            return self._pseudonym("user", name.lower())
        return f"{self._pseudonym('user', local)}@{domain if domain in self._domains else 'elsewhere.invalid'}"

    def peer(self, address: str) -> str:
        """Where somebody connects from. This machine is nobody."""
        if self.names or address in {"", "local", "unix"}:
            return address
        try:
            if ipaddress.ip_address(address).is_loopback:
                return address
        except ValueError:
            pass
        return self._pseudonym("peer", address)

    def text(self, text: str) -> str:
        """A reason, or what else was written for a person."""
        if self.names:
            return text
        for place in self._places:
            text = place.sub(f"{GONE}", text)
        text = _without_quoted(text)
        text = _own_words(text)
        return _ADDRESS.sub(lambda found: self.account(found[0]), text)
