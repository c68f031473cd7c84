"""What SEARCH looks for (RFC 3501 6.4.4), as a small algebra.

No recursion: what is open, a parenthesis, NOT or OR, lies on a stack of its own, so that sixty thousand
parentheses are a BAD and not the end of the interpreter. The result is at most MAX_SEARCH_DEPTH keys
deep, because And in And, Or in Or and Not of Not are written flat; so a chain of ORs as clients build
them for many addresses may be long.

An extension's key is a row in KEYS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from mailstore.index.rows import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN
from mailstore.message import charsets
from proxy.imap.grammar.search_returns import read_returns
from proxy.imap.grammar.search_syntax import (
    MAX_SEARCH_DEPTH,
    All,
    And,
    Body,
    Dated,
    Flag,
    Header,
    Modseq,
    Not,
    NumberSet,
    ObjectId,
    Or,
    Recent,
    Saved,
    Search,
    SearchKey,
    Size,
    Text,
    UidSet,
    When,
    Within,
)
from proxy.imap.grammar.syntax import BadCharset, BadSyntax
from proxy.imap.grammar.tokens import Cursor

MAX_KEYS: Final = 2_000  # words of one SEARCH: keys, ORs, NOTs and parentheses together
ANY_NUMBER: Final = -1
KNOWN_CHARSETS: Final = ("US-ASCII", "UTF-8", "GB18030", "GBK", "GB2312", "BIG5", "ISO-2022-JP", "KOI8-R")

_OBJECT_ID: Final = re.compile(rb"[A-Za-z0-9_-]{1,255}")
_ASCII: Final = frozenset({"US-ASCII", "ASCII"})


@dataclass(slots=True)
class Strings:
    """Reads search strings in the charset that the command declared. `codec` is Python's name of it."""

    cursor: Cursor
    codec: str = "utf-8"
    by_modseq: bool = False  # MODSEQ was among the keys

    def text(self) -> str:
        self.cursor.space()
        octets = self.cursor.astring()
        try:
            return octets.decode(charsets.with_byte_order(self.codec, octets))
        except UnicodeError:
            raise BadSyntax("a search string is not in the charset of this command") from None


def search(cursor: Cursor) -> Search:
    """search = "SEARCH" [search-return-opts] [SP "CHARSET" SP astring] 1*(SP search-key)

    Without a charset, and with US-ASCII, strings are read as UTF-8, of which ASCII is a part.
    """
    cursor.space()
    returns = read_returns(cursor)
    charset = None
    strings = Strings(cursor)
    if cursor.next_is_word("CHARSET"):
        cursor.word()
        cursor.space()
        name = cursor.astring()
        cursor.space()
        strings.codec = _codec(name, saves=returns is not None and returns.save)
        charset = name.decode("ascii").upper()
    key = _Keys(cursor, strings).read()
    return Search(charset, key, returns, strings.by_modseq)


def search_program(cursor: Cursor) -> Search:
    """search-criteria = charset 1*(SP search-key): as SORT and THREAD have it (RFC 5256 5)"""
    strings = Strings(cursor)
    name = cursor.astring()
    cursor.space()
    strings.codec = _codec(name, saves=False)
    key = _Keys(cursor, strings).read()
    return Search(name.decode("ascii").upper(), key, None, strings.by_modseq)


def _codec(name: bytes, *, saves: bool) -> str:
    codec = "utf-8" if name.decode("latin-1").upper() in _ASCII else charsets.codec(name)
    if codec is None or not name.isascii():
        raise BadCharset(KNOWN_CHARSETS, saves=saves)
    return codec


# --- The shape: parentheses, OR, NOT ---


@dataclass(slots=True)
class _Open:
    """Something that waits for keys: a parenthesis or the command itself, OR, or NOT."""

    kind: type[And | Or | Not]
    missing: int  # keys still to come; ANY_NUMBER up to the closing parenthesis
    keys: list[SearchKey] = field(default_factory=list)
    depth: int = 0  # of the deepest of its keys

    def take(self, key: SearchKey, depth: int) -> None:
        """One more key; And in And and Or in Or are taken apart."""
        if isinstance(key, And | Or) and isinstance(key, self.kind):
            self.keys.extend(key.keys)
            depth -= 1
        else:
            self.keys.append(key)
        self.depth = max(self.depth, depth)
        self.missing -= 1

    def joined(self) -> tuple[SearchKey, int]:
        """The key that these make together, and its depth. Raises BadSyntax when that is too deep."""
        first = self.keys[0]
        if isinstance(first, Not) and self.kind is Not:
            return first.key, self.depth - 1
        if len(self.keys) == 1 and self.kind is not Not:
            return first, self.depth
        if self.depth >= MAX_SEARCH_DEPTH:
            raise BadSyntax("this SEARCH is nested too deep")
        keys = tuple(self.keys)
        joined = Not(first) if self.kind is Not else Or(keys) if self.kind is Or else And(keys)
        return joined, self.depth + 1


class _Keys:
    """Reads `1*(SP search-key)` to the end of the command."""

    def __init__(self, cursor: Cursor, strings: Strings) -> None:
        self._cursor = cursor
        self._strings = strings
        self._open = [_Open(And, ANY_NUMBER)]

    def read(self) -> SearchKey:
        """search-key = … / "NOT" SP search-key / "OR" SP search-key SP search-key / "(" search-key *(SP …) ")" """
        cursor = self._cursor
        for _ in range(MAX_KEYS):
            if cursor.skip(b"("):
                self._open.append(_Open(And, ANY_NUMBER))
                cursor.more()  # a space is free here
                continue
            self._key()
            if not self._go_on():
                return self._result()
        raise BadSyntax("this SEARCH is too long")

    def _key(self) -> None:
        """One key, or the beginning of NOT or OR; then the space before the next one is the caller's."""
        cursor = self._cursor
        if cursor.next_is_sequence_set():
            self._add(NumberSet(cursor.sequence_set()), 1)
            return
        word = cursor.word()
        if word in {"NOT", "OR"}:
            self._open.append(_Open(Not, 1) if word == "NOT" else _Open(Or, 2))
            return
        read = KEYS.get(word)
        if read is None:
            raise BadSyntax("there is no such search key")
        key = read(self._strings)
        self._add(key, 2 if isinstance(key, And) else 1)  # NEW is two keys

    def _go_on(self) -> bool:
        """Behind a key: closing parentheses and the space before the next key. False at the end."""
        cursor = self._cursor
        while True:
            if cursor.skip(b")"):
                self._close()
            elif not cursor.more():
                return False
            elif not cursor.next_is(b")"):
                return True

    def _close(self) -> None:
        """A closing parenthesis."""
        innermost = self._open[-1]
        if len(self._open) == 1 or innermost.missing >= 0 or not innermost.keys:
            raise BadSyntax('there is a ")" too many')
        self._open.pop()
        self._add(*innermost.joined())

    def _add(self, key: SearchKey, depth: int) -> None:
        """Give a key to what waits for it, and what is complete thereby to what waits for that."""
        while True:
            innermost = self._open[-1]
            innermost.take(key, depth)
            if innermost.missing:
                return
            self._open.pop()
            key, depth = innermost.joined()

    def _result(self) -> SearchKey:
        if len(self._open) > 1 or not self._open[0].keys:
            raise BadSyntax("a search key or a parenthesis is missing")
        return self._open[0].joined()[0]


# --- The keys ---


def _always(key: SearchKey) -> Callable[[Strings], SearchKey]:
    """A key without arguments."""
    return lambda _strings: key


def _keyword(strings: Strings, *, present: bool) -> Flag:
    """ "KEYWORD" SP flag-keyword / "UNKEYWORD" SP flag-keyword; flag-keyword = atom"""
    strings.cursor.space()
    return Flag(strings.cursor.atom().decode("ascii"), present)


def _address(strings: Strings, *, name: str) -> Header:
    """ "BCC" SP astring and its like"""
    return Header(name, strings.text())


def _header(strings: Strings) -> Header:
    """ "HEADER" SP header-fld-name SP astring"""
    name = strings.text().lower()
    return Header(name, strings.text())


def _size(strings: Strings, *, larger: bool) -> Size:
    """ "LARGER" SP number / "SMALLER" SP number"""
    strings.cursor.space()
    return Size(larger, strings.cursor.number())


def _dated(strings: Strings, *, when: When, sent: bool) -> Dated:
    """ "BEFORE" SP date and its like"""
    strings.cursor.space()
    return Dated(when, strings.cursor.date(), sent)


def _within(strings: Strings, *, older: bool) -> Within:
    """ "OLDER" SP nz-number / "YOUNGER" SP nz-number (RFC 5032 4)"""
    strings.cursor.space()
    seconds = strings.cursor.number()
    if not seconds:
        raise BadSyntax("an interval is at least one second")
    return Within(older, seconds)


def _saved(strings: Strings, *, when: When) -> Saved:
    """ "SAVEDBEFORE" SP date and its like (RFC 8514 5)"""
    strings.cursor.space()
    return Saved(when, strings.cursor.date())


def _object_id(strings: Strings, *, thread: bool) -> ObjectId:
    """ "EMAILID" SP objectid / "THREADID" SP objectid; objectid = 1*255(ALPHA / DIGIT / "_" / "-") (RFC 8474 7)"""
    strings.cursor.space()
    value = strings.cursor.astring()
    if _OBJECT_ID.fullmatch(value) is None:
        raise BadSyntax("not an object id")
    return ObjectId(thread, value.decode("ascii"))


def _uid(strings: Strings) -> UidSet:
    """ "UID" SP sequence-set"""
    strings.cursor.space()
    return UidSet(strings.cursor.sequence_set())


def _modseq(strings: Strings) -> Modseq:
    """ "MODSEQ" [SP entry-name SP entry-type-req] SP mod-sequence-valzer (RFC 7162 7)"""
    cursor = strings.cursor
    cursor.space()
    if cursor.next_is(b'"'):
        if not cursor.string().lower().startswith(b"/flags/"):
            raise BadSyntax("MODSEQ knows the modification of flags only")
        cursor.space()
        if cursor.word() not in {"PRIV", "SHARED", "ALL"}:
            raise BadSyntax("MODSEQ: neither priv, shared nor all")
        cursor.space()
    strings.by_modseq = True
    return Modseq(cursor.modseq())


_FLAGS: Final = {
    "ANSWERED": ANSWERED,
    "DELETED": DELETED,
    "DRAFT": DRAFT,
    "FLAGGED": FLAGGED,
    "SEEN": SEEN,
}

KEYS: Final[Mapping[str, Callable[[Strings], SearchKey]]] = {
    "ALL": _always(All()),
    **{word: _always(Flag(flag, True)) for word, flag in _FLAGS.items()},
    **{f"UN{word}": _always(Flag(flag, False)) for word, flag in _FLAGS.items()},
    "RECENT": _always(Recent(True)),
    "OLD": _always(Recent(False)),
    "NEW": _always(And((Recent(True), Flag(SEEN, False)))),
    "KEYWORD": partial(_keyword, present=True),
    "UNKEYWORD": partial(_keyword, present=False),
    **{name.upper(): partial(_address, name=name) for name in ("bcc", "cc", "from", "subject", "to")},
    "HEADER": _header,
    "TEXT": lambda strings: Text(strings.text()),
    "BODY": lambda strings: Body(strings.text()),
    "LARGER": partial(_size, larger=True),
    "SMALLER": partial(_size, larger=False),
    **{when.value: partial(_dated, when=when, sent=False) for when in When},
    **{f"SENT{when.value}": partial(_dated, when=when, sent=True) for when in When},
    **{f"SAVED{when.value}": partial(_saved, when=when) for when in When},
    "SAVEDATESUPPORTED": _always(All()),
    "EMAILID": partial(_object_id, thread=False),
    "THREADID": partial(_object_id, thread=True),
    "OLDER": partial(_within, older=True),
    "YOUNGER": partial(_within, older=False),
    "UID": _uid,
    "MODSEQ": _modseq,
}
