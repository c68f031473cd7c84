"""Courier's files: courierimapuiddb, courierpop3dsizelist, courierimapsubscribed, courierimapkeywords.

uiddb:      "1" SP uidvalidity SP uidnext
            uid SP file                                       without flags
sizelist:   "/2" or "/3" SP next SP uidvalidity
            file SP octets SP number ":" uidvalidity [":" …]   UIDL is "UID" number "-" uidvalidity; with 0 the file
subscribed: a folder a line, "INBOX." before it, levels apart by "."
keywords:   courierimapkeywords/:list has keywords, an empty line, then file ":" numbers; a file beside it that is
            called as a message is has that message's keywords, since then, a line each; so has one that is called
            "." number "." and then as the message is, of which the highest number counts, and none beside the former
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from mailstore.inheritance.dovecot import HIGHEST_UID, _number, _text, key_of
from mailstore.inheritance.values import Numbered, UidList

UIDDB, SIZELIST = "courierimapuiddb", "courierpop3dsizelist"
SUBSCRIBED, KEYWORDS, LIST = "courierimapsubscribed", "courierimapkeywords", ":list"

_SIZE: Final = re.compile(r"(.+) (\d+) (\d+):(\d+)(?::\d+)?")
_NUMBERED: Final = re.compile(r"\.(\d{1,18})\.(.+)")


def parse_uiddb(data: bytes) -> UidList:
    """Raises ValueError where it is none."""
    header, *lines = _text(data)
    fields = header.split(" ")
    if len(fields) != 3 or fields[0] != "1":
        raise ValueError("it is of a version that is not known here")
    found = UidList(_number(fields[1]), _number(fields[2]))
    if not 0 < found.uidvalidity <= HIGHEST_UID:
        raise ValueError("it has no UIDVALIDITY")
    for line in filter(None, lines):
        number, _, name = line.partition(" ")
        if name and 0 < _number(number) <= HIGHEST_UID:
            found.by_file[key_of(name)] = Numbered(_number(number))
        else:
            found.broken += 1
    found.uidnext = max([found.uidnext, *(each.uid + 1 for each in found.by_file.values())])
    return found


def parse_sizelist(data: bytes) -> dict[str, str]:
    """UIDLs by files' names. Raises ValueError where it is none."""
    header, *lines = _text(data)
    if not re.match(r"/[23] ", header):
        raise ValueError("it is of a version that is not known here")
    found = {}
    for line in lines:
        entry = _SIZE.fullmatch(line)
        if entry is not None:
            name, _, number, uidvalidity = entry.groups()
            file = name.partition(":")[0]
            found[key_of(name)] = f"UID{number}-{uidvalidity}" if int(uidvalidity) else file
    return found


def parse_subscribed(data: bytes) -> list[list[str]]:
    """Each folder's levels, as they are written."""
    names = [line for line in _text(data) if line]
    return [line.removeprefix("INBOX.").split(".") for line in names]


def latest_keywords(names: Iterable[str]) -> dict[str, str]:
    """Of the files beside `:list`, the one that counts, by message."""
    latest: dict[str, tuple[bool, int, str]] = {}
    for name in names:
        if name.startswith(":"):
            continue
        numbered = _NUMBERED.fullmatch(name)
        message = numbered[2] if numbered is not None else name
        found = (numbered is None, int(numbered[1]) if numbered is not None else 0, name)
        latest[message] = max(latest.get(message, found), found)
    return {message: name for message, (_, _, name) in latest.items()}


def parse_keywords(listed: bytes, single: Mapping[str, bytes]) -> dict[str, frozenset[str]]:
    """Keywords by files' names; `single` are messages' own files, by message."""
    known, _, entries = listed.decode("utf-8", "surrogateescape").partition("\n\n")
    names = known.split("\n") if known else []
    found = {}
    for line in entries.split("\n"):
        file, colon, numbers = line.rpartition(":")
        if colon:
            chosen = [int(number) for number in numbers.split() if number.isascii() and number.isdigit()]
            found[key_of(file)] = frozenset(names[number] for number in chosen if number < len(names))
    for file, data in single.items():
        found[key_of(file)] = frozenset(filter(None, _text(data)))
    return found
