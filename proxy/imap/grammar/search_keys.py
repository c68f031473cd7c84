"""What SEARCH looks for (RFC 3501 6.4.4), as a small algebra.

No recursion: what is open, a parenthesis, NOT or OR, lies on a stack of its own, so that sixty thousand
parentheses are a BAD and not the end of the interpreter. The result is at most MAX_SEARCH_DEPTH keys
deep, because And in And, Or in Or and Not of Not are written flat; so a chain of ORs as clients build
them for many addresses may be long.

An extension's key is a row in KEYS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from mailstore.index.rows import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN
from mailstore.message import charsets
from proxy.imap.grammar.syntax import (
    MAX_SEARCH_DEPTH,
    All,
    And,
    BadCharset,
    BadSyntax,
    Body,
    Dated,
    Flag,
    Header,
    Not,
    NumberSet,
    Or,
    Recent,
    Search,
    SearchKey,
    Size,
    Text,
    UidSet,
    When,
)
from proxy.imap.grammar.tokens import Cursor

MAX_KEYS: Final = 2_000  # words of one SEARCH: keys, ORs, NOTs and parentheses together
KNOWN_CHARSETS: Final = ("US-ASCII", "UTF-8", "GB18030", "GBK", "GB2312", "BIG5", "ISO-2022-JP", "KOI8-R")

_ASCII: Final = frozenset({"US-ASCII", "ASCII"})


@dataclass(slots=True)
class Strings:
    """Reads search strings in the charset that the command declared. `codec` is Python's name of it."""

    cursor: Cursor
    codec: str = "utf-8"

    def text(self) -> str:
        self.cursor.space()
        octets = self.cursor.astring()
        try:
            return octets.decode(charsets.with_byte_order(self.codec, octets))
        except UnicodeError:
            raise BadSyntax("a search string is not in the charset of this command") from None


def search(cursor: Cursor) -> Search:
    """search = "SEARCH" [SP "CHARSET" SP astring] 1*(SP search-key)

    Without a charset, and with US-ASCII, strings are read as UTF-8, of which ASCII is a part.
    """
    cursor.space()
    charset = None
    strings = Strings(cursor)
    if cursor.next_is_word("CHARSET"):
        cursor.word()
        cursor.space()
        name = cursor.astring()
        cursor.space()
        strings.codec = _codec(name)
        charset = name.decode("ascii").upper()
    return Search(charset, _Keys(cursor, strings).read())


def _codec(name: bytes) -> str:
    codec = "utf-8" if name.decode("latin-1").upper() in _ASCII else charsets.codec(name)
    if codec is None or not name.isascii():
        raise BadCharset(KNOWN_CHARSETS)
    return codec


# --- The shape: parentheses, OR, NOT ---


@dataclass(slots=True)
class _Open:
    """Something that waits for keys: a parenthesis or the command itself (any number), OR (two), NOT (one)."""

    kind: type[And | Or | Not]
    wanted: int  # 0: any number, up to the closing parenthesis
    keys: list[SearchKey] = field(default_factory=list)
    depth: int = 0  # of the deepest of its keys


class _Keys:
    """Reads `1*(SP search-key)` to the end of the command."""

    def __init__(self, cursor: Cursor, strings: Strings) -> None:
        self._cursor = cursor
        self._strings = strings
        self._open = [_Open(And, 0)]

    def read(self) -> SearchKey:
        """search-key = … / "NOT" SP search-key / "OR" SP search-key SP search-key / "(" search-key *(SP …) ")" """
        cursor = self._cursor
        for _ in range(MAX_KEYS):
            if cursor.skip(b"("):
                self._open.append(_Open(And, 0))
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
        self._add(read(self._strings), 1)

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
        if len(self._open) == 1 or innermost.wanted or not innermost.keys:
            raise BadSyntax('there is a ")" too many')
        self._open.pop()
        self._add(*_joined(innermost))

    def _add(self, key: SearchKey, depth: int) -> None:
        """Give a key to what waits for it, and what is complete thereby to what waits for that."""
        while True:
            innermost = self._open[-1]
            innermost.keys.append(key)
            innermost.depth = max(innermost.depth, depth)
            if not innermost.wanted or len(innermost.keys) < innermost.wanted:
                return
            self._open.pop()
            key, depth = _joined(innermost)

    def _result(self) -> SearchKey:
        if len(self._open) > 1 or not self._open[0].keys:
            raise BadSyntax("a search key or a parenthesis is missing")
        return _joined(self._open[0])[0]


def _joined(done: _Open) -> tuple[SearchKey, int]:
    """The key that these keys make together, and how deep it is. Raises BadSyntax when that is too deep."""
    if done.kind is Not:
        key = done.keys[0]
        if isinstance(key, Not):
            return key.key, done.depth - 1
        return Not(key), _deeper(done.depth)
    if len(done.keys) == 1:
        return done.keys[0], done.depth
    return _flat(done)
