"""One cell to what it means: an address, a size, a department's path, a name.

Full-width letters, non-breaking spaces and characters without width come from input methods and web pages, and mean
what the plain ones do. Every Unfit says what would be right; the row and the column are put before it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from proxy.admin.spreadsheet import mangled
from proxy.admin.spreadsheet.formulas import undefused, unmarked
from proxy.config.mistakes import Unfit, meant, shown
from proxy.login.names import WIDTHLESS, Name, parse

_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")  # those that are no spaces

_LONGEST: Final = 200  # characters of a name, a department's level and a login
_LEVELS: Final = 20
_SPECIALS: Final = '"(),:;<>[\\]'  # RFC 5321 has them in quotes, and nobody in names of accounts
_SPECIAL = re.compile(f"[{re.escape(_SPECIALS)}]")
_BRACKETED = re.compile(r"[^<>]*<([^<>]+)>")
_ADDRESS = re.compile(r'[^\s@()<>,;:"]+@[^\s@()<>,;:"]+\.[^\s@()<>,;:"]+')
_UNLIMITED: Final = frozenset(
    {"0", "-1", "无限制", "无限", "不限", "不限制", "无限大", "无限容量", "无上限", "無限制", "無限", "無上限"}
    | {"unlimited", "none", "nolimit", "infinite", "∞"}
)
_SIZE = re.compile(r"([0-9]{1,16}(?:\.[0-9]{1,6})?)([kmgt]?)(i?b|bytes?|octets?|)")
_POWER: Final = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_IN_OCTETS_TOO = re.compile(r"\([\d,.]+(?:bytes|字节|字節|位元組)\)$")  # "2 GB (2,147,483,648 bytes)": Exchange
_LARGEST_QUOTA: Final = 1 << 50
_IN_MEGABYTES_MOST: Final = 1 << 40  # beyond it a number without a unit is taken to be in something else
_HASH = re.compile(r"\{[A-Za-z0-9.-]{2,24}\}.+|\$[0-9a-z]{1,12}\$.+")
_APART = re.compile(r"[;,，；、|\s]+")
_LEVELS_APART = re.compile(r"\s*[/\\>＞／＼→»]+\s*")
# A hyphen parts levels unless it is within a Latin word, such as "E-commerce".
_HYPHENS_APART = re.compile(r"\s+[-–—－]+\s+|(?<![A-Za-z0-9])\s*[-–—－]+\s*|\s*[-–—－]+\s*(?![A-Za-z0-9])")


def words(text: str) -> str:
    """A name, or a title: plain spaces, one between words, none around them; no control characters, which would play
    tricks on whoever's terminal shows it."""
    return _tidy(undefused(text))


def _tidy(text: str) -> str:
    plain = text if text.isascii() else unicodedata.normalize("NFC", text).translate(WIDTHLESS)
    return " ".join(_CONTROL.sub("", plain).split())


def _compact(text: str) -> str:
    """Something that has no space in it: as `words`, and with full-width characters made plain."""
    return _narrow(_tidy(unmarked(text)))


def _narrow(plain: str) -> str:
    return plain if plain.isascii() else unicodedata.normalize("NFKC", plain).strip()


def address(text: str, served: Mapping[str, str], domain: str | None, *, cell: bool = True) -> Name:
    """An account's address. `served`: the domains by their spellings; `domain`: of what has none; `cell`: is `text` all
    of one, or part of what `several` gave? Raises Unfit."""
    plain = (_compact(text) if cell else _narrow(_tidy(text))).strip(";,").strip()
    within = _BRACKETED.fullmatch(plain)
    plain = (within[1].strip() if within else plain).removeprefix("mailto:").removeprefix("smtp:").removeprefix("SMTP:")
    local, at, host = plain.rpartition("@")
    if not at:
        local, host = plain, domain or ""
        if doubt := mangled.doubt(local):
            raise Unfit(f"{shown(plain)} {doubt}")
        if not local.isascii():
            raise Unfit(f"{shown(plain)} is no account: write its address, such as zhang@{domain or '123.com'}")
    if mangled.is_shortened(local):
        raise Unfit(f"{shown(plain)} {mangled.why_not(local)}")
    if not at and domain is None:
        raise Unfit(f"{shown(plain)} has no domain: write the whole address, or say --domain")
    if host.lower().rstrip(".") not in served:
        known = meant(host.lower(), served) or f"; served here: {', '.join(sorted(set(served.values()))[:5])}"
        raise Unfit(f'{shown(plain)}: "{shown(host)[1:-1]}" is not served here{known}')
    name = parse(f"{local}@{host}".encode(), served)
    if name is None or not name.local.isprintable() or _SPECIAL.search(name.local):
        raise Unfit(f"{shown(plain)} cannot be an address: {_why_not(local)}")
    return name


def _why_not(local: str) -> str:
    if not local:
        return "nothing is before the @"
    if len(local) > 64:
        return "more than 64 characters are before the @"
    if any(c.isspace() for c in local):
        return "there is a space in it; several aliases belong into the column of aliases"
    found = next((c for c in local if c in _SPECIALS + "@" and c.isprintable()), None)
    return f'there is "{found}" in it' if found else "there is a control character in it"


def looks_like_address(text: str, served: Mapping[str, str]) -> bool:
    """Is it whole, and of a domain that is served here?"""
    try:
        return "@" in _compact(text) and bool(address(text, served, None))
    except Unfit:
        return False


def has_address(text: str) -> bool:
    """Could it be somebody's whole address, of whatever domain?"""
    return _ADDRESS.fullmatch(_compact(text)) is not None


def several(text: str) -> list[str]:
    """Aliases in one cell."""
    plain = unicodedata.normalize("NFKC", unmarked(text)).translate(WIDTHLESS)
    return [part for part in _APART.split(plain) if part]


def quota(text: str, unit: str = "") -> int | None:
    """Octets; 0: no limit; None: nothing is said. A plain number is in megabytes, or in what the title says. Raises
    Unfit."""
    plain = "".join(_compact(text).split()).replace("兆", "m").casefold()
    if not plain:
        return None
    if plain in _UNLIMITED:
        return 0
    plain = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", _IN_OCTETS_TOO.sub("", plain))
    found = _SIZE.fullmatch(plain)
    if found is None:
        raise Unfit(f"{shown(words(text))} is no size: write 500M, 2G, a number of megabytes, or 0 for no limit")
    said = bool(found[2] or found[3])
    power = _POWER[found[2]] if said else _POWER[unit.lower() or "m"]
    octets = int(Decimal(found[1]) * 1024**power)
    if not said and not unit and octets >= _IN_MEGABYTES_MOST:
        text = f"{shown(words(text))} would be more than a terabyte, in megabytes: write its unit, such as {plain}B"
        raise Unfit(text)
    if octets > _LARGEST_QUOTA:
        raise Unfit(f"{shown(words(text))} is more than any mailbox: write 500M, 2G, or 0 for no limit")
    if octets == 0 and Decimal(found[1]) != 0:
        raise Unfit(f"{shown(words(text))} is less than an octet")
    return octets


def spelled_quota(octets: int | None) -> str:
    """As `quota` reads it: "500M"."""
    if octets is None:
        return ""
    if octets == 0:
        return "0"
    for power, unit in ((4, "T"), (3, "G"), (2, "M"), (1, "K")):
        if octets % 1024**power == 0:
            return f"{octets // 1024**power}{unit}"
    return f"{octets}B"


def levels(text: str, *, hyphens: bool = True) -> list[str]:
    """A department's path, from the top: apart by / \\ or >, or, where there is none of them and `hyphens` may, by
    those."""
    plain = words(text)
    apart = _HYPHENS_APART if hyphens and not _LEVELS_APART.search(plain) else _LEVELS_APART
    return [level for part in apart.split(plain) if (level := part.strip())]


def path(parts: list[str]) -> str:
    """The path of these levels. Raises Unfit."""
    if len(parts) > _LEVELS or any(len(part) > _LONGEST for part in parts):
        raise Unfit(f"has more than {_LEVELS} levels, or one of more than {_LONGEST} characters")
    return "/".join(parts)


def spelled_path(department: str) -> str:
    """As `levels` reads it: a path of one level that has a hyphen in it is written so that it stays one."""
    return department if levels(department) == department.split("/") else f"/{department}"


def person(text: str) -> str:
    """A person's name. Raises Unfit."""
    plain = words(text)
    if len(plain) > _LONGEST:
        raise Unfit(f"{shown(plain)} has more than {_LONGEST} characters")
    return plain


def full_name(surname: str, given: str) -> str:
    """Both together, as they are written in the name's own script. Raises Unfit."""
    parts = person(surname), person(given)
    if all(part == "" or not part.isascii() for part in parts):
        return "".join(parts)
    return f"{parts[1]} {parts[0]}".strip()


def login(text: str) -> str:
    """A name at the legacy server. Raises Unfit."""
    plain = _tidy(unmarked(text))
    if len(plain) > _LONGEST:
        raise Unfit(f"{shown(plain)} is no login: it has more than {_LONGEST} characters")
    return plain


def password(text: str) -> bytes | None:
    """As it stands there, with its spaces; None where there is none. Raises Unfit, which does not tell it."""
    if not text.strip():
        return None
    if "\r" in text or "\n" in text or "\0" in text:
        raise Unfit("the password has a line end in it")
    if len(text) > 1_000:
        raise Unfit("the password is too long")
    if set(text.strip()) <= set("*•●·"):
        raise Unfit("the password is only masked, not told: leave the cell empty, or the column out")
    if _HASH.fullmatch(text):
        raise Unfit("this is a password's hash, which nobody can log in with: leave the cell empty, or the column out")
    return text.encode()
