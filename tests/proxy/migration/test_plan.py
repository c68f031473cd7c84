"""A listing held against the ledger."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailstore.entries import Entry, Listed, Outcome
from proxy.migration import matching, plan
from proxy.migration.plan import Identified, Plan

NOW = 1_700_000_000


def make(listed: list[Listed], entries: list[Entry], now: float = NOW) -> Plan:
    """Of what names and order tell, as if every supposition proved true."""
    found = matching.by_name(listed, entries)
    rows = matching.rows_of(found.nameless, found.left, names=True)
    nameless = matching.aligned(found.nameless, rows)
    known = {row.id for _, row in nameless}
    positions = {message.position for message, _ in nameless}
    unknown = [*found.strangers, *(message for message in found.nameless if message.position not in positions)]
    unknown.sort(key=lambda message: message.position)
    left = [row for row in found.left if row.id not in known]
    return plan.conclude(Identified([*found.pairs, *found.doubtful], nameless, unknown, left), now)


def entry(
    number: int,
    uidl: str,
    outcome: Outcome = Outcome.STORED,
    *,
    attempts: int = 0,
    position: int = 0,
    octets: int = 9,
    updated: int = NOW,
) -> Entry:
    return Entry(number, position or number, uidl, octets, outcome, number, attempts, updated)


def listing(*uidls: str) -> list[Listed]:
    return [Listed(n, uidl, 9) for n, uidl in enumerate(uidls, 1)]


def test_a_first_listing_is_all_new() -> None:
    made = make(listing("a", "b"), [], NOW)
    assert (made.new, made.owed, made.gone) == (listing("a", "b"), [], [])


def test_what_is_stored_or_deleted_is_left_alone() -> None:
    made = make(listing("a", "b"), [entry(1, "a"), entry(2, "b", Outcome.DELETED)], NOW)
    assert (made.new, made.owed, made.gone) == ([], [], [])


def test_what_is_owed_is_asked_for_where_it_is_now() -> None:
    owed = [entry(n, uidl, outcome) for n, (uidl, outcome) in enumerate(_OWED, 1)]
    made = make(listing("x", "l", "q", "g"), owed, NOW)
    assert [(position, known.uidl) for position, known in made.owed] == [(2, "l"), (3, "q"), (4, "g")]
    assert [message.uidl for message in made.new] == ["x"]


_OWED = (("l", Outcome.LISTED), ("q", Outcome.QUARANTINED), ("g", Outcome.GONE))


def test_what_is_owed_and_no_longer_listed_is_gone() -> None:
    entries = [entry(n, uidl, outcome) for n, (uidl, outcome) in enumerate(_OWED, 1)]
    assert make([], [*entries, entry(9, "stored")], NOW).gone == [1, 2]


def test_what_failed_too_often_is_left_in_quarantine_and_is_not_gone() -> None:
    made = make(listing("q"), [entry(1, "q", Outcome.QUARANTINED, attempts=plan.ATTEMPTS)], NOW)
    assert (made.new, made.owed, made.gone) == ([], [], [])


def test_what_is_in_quarantine_is_asked_for_again_after_a_while() -> None:
    bad = entry(1, "q", Outcome.QUARANTINED, attempts=plan.ATTEMPTS, updated=NOW - plan.AGAIN)
    assert [known.uidl for _, known in make(listing("q"), [bad], NOW).owed] == ["q"]


def test_the_smallest_of_what_the_server_gave_before() -> None:
    entries = [entry(1, "a", octets=9), entry(2, "b", octets=3), entry(3, "c", Outcome.LISTED, octets=1)]
    assert [position for position, _ in make(listing("a", "b", "c"), entries, NOW).given] == [2]


def test_the_same_uidl_several_times_is_matched_in_order() -> None:
    made = make(listing("s", "s", "s"), [entry(1, "s"), entry(2, "s", Outcome.LISTED)], NOW)
    assert [(position, known.id) for position, known in made.owed] == [(2, 2)]
    assert [message.position for message in made.new] == [3]


def test_without_uidl_position_and_octets_tell() -> None:
    entries = [entry(1, "", octets=9), entry(2, "", octets=7)]
    made = make([Listed(1, "", 9), Listed(2, "", 9)], entries, NOW)
    assert [message.position for message in made.new] == [2]


def test_a_name_that_looks_like_none() -> None:
    assert make([Listed(1, "", 0)], [entry(1, "0", octets=0)], NOW).new == [Listed(1, "", 0)]


def test_suspects_come_last_and_both_by_position() -> None:
    owed = [(5, entry(1, "a")), (2, entry(2, "b", attempts=1)), (1, entry(3, "c", attempts=2))]
    wanted, suspects = plan.in_order(owed, [(3, entry(4, "d"))])
    assert [position for position, _ in wanted] == [3, 5]
    assert [position for position, _ in suspects] == [1, 2]


_uidls = st.sampled_from(["", "a", "b", "c"])
_listings = st.lists(st.tuples(_uidls, st.integers(0, 2))).map(
    lambda rows: [Listed(n, uidl, octets) for n, (uidl, octets) in enumerate(rows, 1)]
)
_entries = st.lists(
    st.tuples(_uidls, st.integers(0, 2), st.sampled_from(Outcome), st.integers(0, 3), st.integers(1, 6))
).map(lambda rows: [Entry(n, p, u, o, out, None, a, NOW) for n, (u, o, out, a, p) in enumerate(rows, 1)])


@given(_listings, _entries)
def test_every_message_is_accounted_for_once(listed: list[Listed], entries: list[Entry]) -> None:
    made = make(listed, entries, NOW)
    positions = [message.position for message in made.new] + [position for position, _ in made.owed]
    assert len(positions) == len(set(positions))
    owed = {known.id for _, known in made.owed}
    assert len(owed) == len(made.owed)
    assert not owed & set(made.gone)
    by_id = {known.id: known for known in entries}
    assert all(by_id[i].outcome in {Outcome.LISTED, Outcome.QUARANTINED} for i in made.gone)
    assert all(by_id[i].outcome not in {Outcome.STORED, Outcome.DELETED} for i in owed)


@given(_listings)
def test_a_listing_that_was_recorded_brings_nothing_new(listed: list[Listed]) -> None:
    entries = [Entry(n, m.position, m.uidl, m.octets, Outcome.STORED, n, 0, NOW) for n, m in enumerate(listed, 1)]
    made = make(listed, entries, NOW)
    assert (made.new, made.owed, made.gone) == ([], [], [])
