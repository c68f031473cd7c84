"""SORT and THREAD: in what order, and by what rule, a client wants what it searches for (RFC 5256, RFC 5957)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from proxy.imap.grammar.search_keys import search_program
from proxy.imap.grammar.search_syntax import Search, SearchKey
from proxy.imap.grammar.syntax import Arguments, BadSyntax
from proxy.imap.grammar.tokens import Cursor

MAX_CRITERIA: Final = 50  # twenty would say all that can be said
_REVERSE: Final = "REVERSE"


class SortKey(enum.Enum):
    """What messages are compared by (RFC 5256 3, RFC 5957 3)."""

    ARRIVAL = "ARRIVAL"
    CC = "CC"
    DATE = "DATE"
    FROM = "FROM"
    SIZE = "SIZE"
    SUBJECT = "SUBJECT"
    TO = "TO"
    DISPLAYFROM = "DISPLAYFROM"
    DISPLAYTO = "DISPLAYTO"


@dataclass(frozen=True, slots=True)
class Criterion:
    """One key, and whether it counts downwards."""

    key: SortKey
    reverse: bool


class Threading(enum.Enum):
    """The two algorithms of RFC 5256 3."""

    ORDEREDSUBJECT = "ORDEREDSUBJECT"
    REFERENCES = "REFERENCES"


@dataclass(frozen=True, slots=True)
class Sort(Arguments):
    """SORT. `criteria` from the most important on; a key that stands there a second time decides nothing."""

    criteria: tuple[Criterion, ...]
    search: Search

    @property
    def key(self) -> SearchKey:
        return self.search.key


@dataclass(frozen=True, slots=True)
class ThreadBy(Arguments):
    """THREAD."""

    threading: Threading
    search: Search

    @property
    def key(self) -> SearchKey:
        return self.search.key


def sort(cursor: Cursor) -> Sort:
    """sort = "SORT" SP "(" sort-criterion *(SP sort-criterion) ")" SP search-criteria"""
    cursor.space()
    criteria = cursor.listed(lambda: _criterion(cursor), MAX_CRITERIA)
    if not criteria:
        raise BadSyntax("SORT has to say by what")
    cursor.space()
    first = {criterion.key: criterion for criterion in reversed(criteria)}
    kept = tuple(dict.fromkeys(first[criterion.key] for criterion in criteria))
    return Sort(kept, search_program(cursor))


def _criterion(cursor: Cursor) -> Criterion:
    """sort-criterion = ["REVERSE" SP] sort-key"""
    word = cursor.word()
    reverse = word == _REVERSE
    if reverse:
        cursor.space()
        word = cursor.word()
    try:
        return Criterion(SortKey(word), reverse)
    except ValueError:
        raise BadSyntax("there is no such sort key") from None


def thread(cursor: Cursor) -> ThreadBy:
    """thread = "THREAD" SP thread-alg SP search-criteria"""
    cursor.space()
    try:
        threading = Threading(cursor.word())
    except ValueError:
        raise BadSyntax("there is no such threading algorithm") from None
    cursor.space()
    return ThreadBy(threading, search_program(cursor))
