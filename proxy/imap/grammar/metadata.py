"""GETMETADATA, SETMETADATA (RFC 5464 5), GETQUOTA and GETQUOTAROOT (RFC 9208 6)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from proxy.imap.grammar.syntax import Arguments, BadSyntax
from proxy.imap.grammar.tokens import Cursor

MAX_ENTRIES: Final = 100  # in one command
MAX_ENTRY: Final = 256  # octets of a name

# RFC 5464 3.2: components apart by "/", the first of them private or shared; neither "*" nor "%" nor controls
_ENTRY = re.compile(rb"/(?:private|shared)(?:/[^\x00-\x1f\x7f-\xff/*%]+)*", re.IGNORECASE)
_TOPS: Final = frozenset({"/private", "/shared"})  # have entries below them, and no value


@dataclass(frozen=True, slots=True)
class GetMetadata(Arguments):
    """`folder` is "" for the account. `depth` is 0, 1 or None for infinity. Entries are in lower case."""

    folder: str
    entries: tuple[str, ...]
    depth: int | None = 0
    maxsize: int | None = None


@dataclass(frozen=True, slots=True)
class SetMetadata(Arguments):
    """A value of None takes the entry away."""

    folder: str
    values: tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class QuotaRoot(Arguments):
    """GETQUOTA."""

    root: bytes


def get_metadata(cursor: Cursor) -> GetMetadata:
    """getmetadata = "GETMETADATA" [SP getmetadata-options] SP mailbox SP entries

    The options are taken behind the mailbox as well, where the examples of RFC 5464 have them.
    """
    cursor.space()
    options: dict[str, int | None] = {}
    if cursor.next_is(b"("):
        _options(cursor, options)
        cursor.space()
    folder = cursor.folder()
    cursor.space()
    if not options and (cursor.next_is(b"(DEPTH ") or cursor.next_is(b"(MAXSIZE ")):
        _options(cursor, options)
        cursor.space()
    if cursor.next_is(b"("):
        entries = cursor.listed(lambda: _entry(cursor), MAX_ENTRIES)
        if not entries:
            raise BadSyntax("GETMETADATA has to ask for something")
    else:
        entries = [_entry(cursor)]
    return GetMetadata(folder, tuple(dict.fromkeys(entries)), options.get("DEPTH", 0), options.get("MAXSIZE"))


def _options(cursor: Cursor, options: dict[str, int | None]) -> None:
    """ "(" getmetadata-option *(SP getmetadata-option) ")" """
    for name, value in cursor.listed(lambda: _option(cursor), 2):
        if name in options:
            raise BadSyntax("an option is there twice")
        options[name] = value


def _option(cursor: Cursor) -> tuple[str, int | None]:
    """ "MAXSIZE" SP number / "DEPTH" SP ("0" / "1" / "infinity")"""
    name = cursor.word()
    cursor.space()
    if name == "MAXSIZE":
        return name, cursor.number()
    if name != "DEPTH":
        raise BadSyntax("GETMETADATA knows no such option")
    depth = cursor.word()
    if depth not in {"0", "1", "INFINITY"}:
        raise BadSyntax("DEPTH is 0, 1 or infinity")
    return name, None if depth == "INFINITY" else int(depth)


def set_metadata(cursor: Cursor) -> SetMetadata:
    """setmetadata = "SETMETADATA" SP mailbox SP "(" entry SP value *(SP entry SP value) ")" """
    cursor.space()
    folder = cursor.folder()
    cursor.space()
    values = cursor.listed(lambda: _entry_value(cursor), MAX_ENTRIES)
    if not values:
        raise BadSyntax("SETMETADATA has to set something")
    return SetMetadata(folder, tuple(dict(values).items()))


def _entry_value(cursor: Cursor) -> tuple[str, bytes | None]:
    """entry SP value; value = nstring / literal8"""
    entry = _entry(cursor)
    if entry in _TOPS:
        raise BadSyntax("this cannot be the name of an entry")
    cursor.space()
    return entry, cursor.nstring()


def _entry(cursor: Cursor) -> str:
    """entry = astring, case insensitive"""
    name = cursor.astring()
    if len(name) > MAX_ENTRY or _ENTRY.fullmatch(name) is None:
        raise BadSyntax("this cannot be the name of an entry")
    return name.decode("ascii").lower()


def quota_root(cursor: Cursor) -> QuotaRoot:
    """getquota = "GETQUOTA" SP quota-root-name; quota-root-name = astring"""
    cursor.space()
    return QuotaRoot(cursor.astring())
