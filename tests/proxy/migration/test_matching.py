"""What names, sizes and headers tell of a listing, and that it takes time in proportion."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mailstore.entries import Entry, Listed, Outcome
from proxy.migration import matching, plan
from proxy.migration.plan import Identified
from tests.proxy.test_linear_time import is_linear


def row(number: int, uidl: str, *, octets: int = 9, outcome: Outcome = Outcome.STORED) -> Entry:
    return Entry(number, number, uidl, octets, outcome, number, 0, 0)


def listing(*uidls: str, octets: int = 9) -> list[Listed]:
    return [Listed(position, uidl, octets) for position, uidl in enumerate(uidls, 1)]


def numbers(pairs: list[matching.Pair]) -> list[tuple[int, int]]:
    return [(listed.position, entry.id) for listed, entry in pairs]


def test_names() -> None:
    found = matching.by_name(listing("b", "x", "", "a"), [row(1, "a"), row(2, "b"), row(3, "c")])
    assert numbers(found.pairs) == [(1, 2), (4, 1)]
    assert [listed.position for listed in found.strangers] == [2]
    assert [listed.position for listed in found.nameless] == [3]
    assert [entry.id for entry in found.left] == [3]


@pytest.mark.parametrize("uidls", [("a", "a"), ("", ""), ("1", "2"), ("", "a")])
def test_what_is_no_name(uidls: tuple[str, str]) -> None:
    """None, one for two, the message's number; and a name that two have had."""
    found = matching.by_name(listing(*uidls), [row(n, uidl) for n, uidl in enumerate((*uidls, "a"), 1)])
    assert not found.pairs
    assert len(found.nameless) == 2


def test_sizes_are_doubtful_where_both_are_told_and_the_message_is_here() -> None:
    rows = [row(1, "a"), row(2, "b", octets=0), row(3, "c", outcome=Outcome.LISTED), row(4, "d")]
    found = matching.by_name([*listing("a", "b", "c", octets=8), Listed(4, "d", 0)], rows)
    assert numbers(found.doubtful) == [(1, 1)]
    assert numbers(found.pairs) == [(2, 2), (3, 3), (4, 4)]


def test_renumbered() -> None:
    rows = [row(n, f"u{n}") for n in range(1, 11)]
    assert matching.renumbered(matching.by_name(listing(*(f"v{n}" for n in range(10))), rows), 3)
    assert not matching.renumbered(matching.by_name(listing(*(f"v{n}" for n in range(10))), []), 3)
    assert not matching.renumbered(matching.by_name([], rows), 3)
    kept = [f"u{n}" for n in range(1, 7)] + [f"v{n}" for n in range(4)]
    assert not matching.renumbered(matching.by_name(listing(*kept), rows), 3)


def test_headers_in_the_order_of_the_last_listing() -> None:
    rows = [row(1, ""), row(2, ""), row(3, "", octets=8)]
    one, two = b"1" * 16, b"2" * 16
    pairs = matching.by_header(listing("", "", ""), rows, {1: two, 2: one, 3: one}, {1: one, 2: one, 3: two})
    assert numbers(pairs) == [(2, 1), (3, 2)]  # 1 is of another size than row 3


def test_order_ends_at_the_first_size_that_differs() -> None:
    rows = [row(1, ""), row(2, ""), row(3, "", octets=8), row(4, "")]
    assert numbers(matching.aligned(listing("", "", "", ""), rows)) == [(1, 1), (2, 2)]


@pytest.mark.parametrize("name", ["u{}", "v{}", "", "same"])
def test_time(name: str) -> None:
    """Nothing new, everything renamed, nothing has a name, everything has the same one."""
    is_linear(work(name), 1_000)


def work(name: str) -> Callable[[int], object]:
    def plan_for(size: int) -> object:
        rows = [row(n, name.format(n) if name != "v{}" else f"u{n}", octets=n % 50) for n in range(1, size + 1)]
        listed = [Listed(n, name.format(n), n % 50) for n in range(1, size + 1)]
        found = matching.by_name(listed, rows)
        matching.renumbered(found, 3)
        likely = matching.rows_of(found.nameless, found.left, names=True) if found.nameless else []
        marks = {n: b"%016d" % n for n in range(1, size + 1)}
        pairs = matching.by_header(found.nameless, likely, marks, marks)
        assert len(pairs) in {0, size}
        matching.aligned(found.nameless, likely)
        left = [] if pairs else found.left
        return plan.conclude(Identified(found.pairs, pairs, found.strangers, left), 0)

    return plan_for
