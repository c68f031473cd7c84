"""SEARCH RETURN (…): which figures of a result a client wants (RFC 4731, RFC 5182, RFC 9394)."""

from __future__ import annotations

from typing import Final

from proxy.imap.grammar.search_syntax import Returns
from proxy.imap.grammar.sequences import LAST_NUMBER
from proxy.imap.grammar.syntax import BadSyntax
from proxy.imap.grammar.tokens import Cursor

MAX_OPTIONS: Final = 20
_OPTIONS: Final = frozenset({"MIN", "MAX", "ALL", "COUNT", "SAVE"})


def read_returns(cursor: Cursor) -> Returns | None:
    """search-return-opts = "RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")", and the space behind.

    None where there is none. `RETURN ()` asks for ALL (RFC 4731 3.1).
    """
    if not cursor.next_is_word("RETURN"):
        return None
    cursor.word()
    cursor.space()
    options = cursor.listed(lambda: _option(cursor), MAX_OPTIONS)
    cursor.space()
    words = {word for word, _ in options}
    ranges = [span for _, span in options if span is not None]
    if len(ranges) > 1 or (ranges and "ALL" in words):
        raise BadSyntax("PARTIAL goes neither with ALL nor with another PARTIAL")  # RFC 9394 3.1
    return Returns(
        min="MIN" in words,
        max="MAX" in words,
        all="ALL" in words or not words,
        count="COUNT" in words,
        save="SAVE" in words,
        partial=ranges[0] if ranges else None,
    )


def _option(cursor: Cursor) -> tuple[str, tuple[int, int] | None]:
    word = cursor.word()
    if word == "PARTIAL":
        cursor.space()
        return word, partial_range(cursor)
    if word not in _OPTIONS:
        raise BadSyntax("there is no such SEARCH return option")
    return word, None


def partial_range(cursor: Cursor) -> tuple[int, int]:
    """partial-range = nz-number ":" nz-number / "-" nz-number ":" "-" nz-number (RFC 9394 4).

    The end nearer to where counting starts comes first.
    """
    first = _place(cursor)
    cursor.expect(b":")
    last = _place(cursor)
    if (first < 0) is not (last < 0):
        raise BadSyntax("a range counts from one end only")
    return (first, last) if abs(first) <= abs(last) else (last, first)


def _place(cursor: Cursor) -> int:
    sign = -1 if cursor.skip(b"-") else 1
    number = cursor.number()
    if not 0 < number <= LAST_NUMBER:
        raise BadSyntax("a place is 0 or too large")
    return sign * number
