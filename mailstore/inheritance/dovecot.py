"""Dovecot's files: dovecot-uidlist of versions 1 and 3, dovecot-keywords, subscriptions of versions 1 and 2.

uidlist 3:  "3" *(SP key value)              V: UIDVALIDITY, N: UIDNEXT, G: the folder's GUID
            uid *(SP key value) SP ":" file   P: POP3's UIDL, S and W: sizes, G: the message's GUID
uidlist 1:  "1" SP uidvalidity SP uidnext
            uid SP file
keywords:   number SP keyword                 0 is the letter "a" in files' names, 25 is "z"
subscriptions 2:  "V" TAB "2", an empty line, then a folder a line, its levels apart by TABs
subscriptions 1:  a folder a line
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from mailstore.inheritance.values import Numbered, UidList

UIDLIST, KEYWORDS, SUBSCRIPTIONS = "dovecot-uidlist", "dovecot-keywords", "subscriptions"
UIDVALIDITY: Final = "dovecot-uidvalidity"
LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
POP3_FORMAT: Final = "%08Xu%08Xv"  # Dovecot's own default
HIGHEST_UID: Final = 2**32 - 1

_SIZES: Final = re.compile(r",[SW]=\d*")
_VARIABLE: Final = re.compile(r"%(?:(0?)(\d*)(X?))([a-zA-Z%])")


def key_of(name: str) -> str:
    """What tells a file's name from others': without flags, and without sizes, which get corrected."""
    return _SIZES.sub("", name.partition(":")[0])


def _text(data: bytes) -> list[str]:
    return data.decode("utf-8", "surrogateescape").split("\n")


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0


def parse_uidlist(data: bytes) -> UidList:
    """Raises ValueError where it is of another version, or none. Lines that are broken are counted."""
    header, *lines = _text(data)
    version, *fields = header.split(" ")
    found = UidList()
    if version == "3":
        values = {field[:1]: field[1:] for field in fields}
        found.uidvalidity, found.uidnext = _number(values.get("V", "")), _number(values.get("N", ""))
    elif version == "1" and len(fields) == 2:
        found.uidvalidity, found.uidnext = map(_number, fields)
    else:
        raise ValueError("it is of a version that is not known here")
    if not 0 < found.uidvalidity <= HIGHEST_UID:
        raise ValueError("it has no UIDVALIDITY")
    for line in lines:
        if line:
            _take(found, line, extended=version == "3")
    found.uidnext = max([found.uidnext, *(each.uid + 1 for each in found.by_file.values())])
    return found


def _take(found: UidList, line: str, *, extended: bool) -> None:
    before, colon, name = line.partition(" :") if extended else (line.partition(" ")[0], " ", line.partition(" ")[2])
    number, *fields = before.split(" ")
    uid = _number(number)
    if not (colon and name and 0 < uid <= HIGHEST_UID):
        found.broken += 1
        return
    uidl = next((field[1:] for field in fields if field.startswith("P")), None)
    found.by_file[key_of(name)] = Numbered(uid, uidl)


def parse_keywords(data: bytes) -> dict[str, str]:
    """Keywords by their letters."""
    found = {}
    for line in _text(data):
        number, _, keyword = line.partition(" ")
        if number.isascii() and number.isdigit() and int(number) < len(LETTERS) and keyword:
            found[LETTERS[int(number)]] = keyword
    return found


def parse_subscriptions(data: bytes) -> list[list[str]]:
    """Each folder's levels, as they are written."""
    lines = _text(data)
    if lines[0].startswith("V\t"):
        return [[_untabbed(level) for level in line.split("\t")] for line in lines[1:] if line]
    return [re.split(r"[./]", line) for line in lines if line]


def _untabbed(text: str) -> str:
    """Dovecot's str_tabunescape."""
    return re.sub(
        "\x01([0tnr1])", lambda found: {"0": "\0", "1": "\x01", "t": "\t", "r": "\r", "n": "\n"}[found[1]], text
    )


def _tabbed(text: str) -> str:
    return text.replace("\x01", "\x011").replace("\t", "\x01t").replace("\r", "\x01r").replace("\n", "\x01n")


def check_format(pattern: str) -> None:
    """A pop3_uidl_format. Raises ValueError where it has what cannot be known of a Maildir."""
    for found in _VARIABLE.finditer(pattern):
        if found[4] not in "uvfg%":
            raise ValueError(
                f"%{found[4]} in a pop3_uidl_format cannot be told from a Maildir; it may have %u, %v and %f"
            )


def uidl(pattern: str, uid: int, uidvalidity: int, file: str) -> str:
    """A message's UIDL by a `pop3_uidl_format` of Dovecot 2.3: %u, %v, %f and %g, with a width, and X for hex."""

    def value(found: re.Match[str]) -> str:
        zero, width, base, variable = found.groups()
        if variable == "%":
            return "%"
        if variable in "fg":
            return file
        number = uid if variable == "u" else uidvalidity
        text = f"{number:x}" if base else str(number)
        return text.rjust(int(width or 0), "0" if zero else " ")

    return _VARIABLE.sub(value, pattern)


# The other way


def uidlist(uidvalidity: int, uidnext: int, guid: str, messages: Iterable[tuple[int, str, str]]) -> bytes:
    """`messages` are (UID, UIDL, file without flags), by ascending UID. A UIDL is of 0x21 to 0x7E (RFC 1939 7)."""
    lines = [f"3 V{uidvalidity} N{uidnext} G{guid}"]
    lines += [f"{uid} P{name} :{file}" for uid, name, file in messages]
    return "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape")


def guid_in(data: bytes) -> str | None:
    """The folder's GUID that a uidlist has."""
    found = re.match(rb"3(?: [^\n ]+)*? G([0-9a-f]{32})(?: |\n)", data)
    return found[1].decode("ascii") if found else None


def keywords(used: Sequence[str]) -> bytes:
    return "".join(f"{number} {keyword}\n" for number, keyword in enumerate(used)).encode()


def subscriptions(names: Iterable[Sequence[str]]) -> bytes:
    """Of folders' levels, as their directories have them."""
    lines = ["V\t2", "", *("\t".join(map(_tabbed, levels)) for levels in names)]
    return "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape")


def letters(keywords_of: Iterable[str], given: Mapping[str, str]) -> str:
    """The letters of a message's keywords, in the order that they stand in a name."""
    return "".join(sorted(given[keyword] for keyword in keywords_of if keyword in given))
