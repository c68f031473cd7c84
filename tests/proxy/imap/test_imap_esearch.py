"""What ESEARCH says of a result, against a plain reading of RFC 4731, RFC 5182 and RFC 9394."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.imap import esearch
from proxy.imap.grammar.search_syntax import Returns

found = st.lists(st.integers(0, 40), unique=True, max_size=20).map(sorted)
page = st.tuples(st.integers(1, 25), st.integers(1, 25)).map(lambda ends: (min(ends), max(ends)))


@given(found, page)
def test_pages_from_either_end(result: list[int], places: tuple[int, int]) -> None:
    near, far = places
    assert list(esearch.part(result, places)) == [each for place, each in enumerate(result, 1) if near <= place <= far]
    backwards = [each for place, each in enumerate(reversed(result), 1) if near <= place <= far]
    assert list(esearch.part(result, (-near, -far))) == backwards[::-1]


@given(found, page, st.booleans(), st.booleans())
def test_only_what_was_asked_for_is_kept(result: list[int], places: tuple[int, int], low: bool, high: bool) -> None:
    returns = Returns(min=low, max=high, save=True, partial=places)
    few = set(esearch.part(result, places))
    few |= {result[0]} if low and result else set()
    few |= {result[-1]} if high and result else set()
    assert set(esearch.of_interest(result, returns)) == few
    assert esearch.of_interest(result, Returns(min=low, max=high, count=True)) == result
    assert esearch.of_interest(result, Returns(save=True)) == result


def test_nothing_is_said_where_only_save_is_asked_for() -> None:
    assert esearch.extended(b"a", [1], lambda place: place, Returns(save=True), uid=False, modseq=None) == b""


def test_a_tag_that_needs_quoting() -> None:
    line = esearch.extended(b"a\\", [], lambda place: place, Returns(count=True), uid=True, modseq=None)
    assert line == b'* ESEARCH (TAG "a\\\\") UID COUNT 0\r\n'
