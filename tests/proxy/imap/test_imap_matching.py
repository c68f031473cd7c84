"""SEARCH keys: cheap answers first, and the same answer in the end as asking everything at once."""

from __future__ import annotations

from array import array
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from mailstore.index.rows import Folder, Row, Snapshot, shared_flags
from proxy.imap.grammar.search_syntax import (
    All,
    And,
    Body,
    Dated,
    Flag,
    Header,
    Not,
    NumberSet,
    Or,
    SearchKey,
    Size,
    UidSet,
    When,
)
from proxy.imap.grammar.sequences import SequenceSet
from proxy.imap.matching import Candidate, compiled
from proxy.imap.view import View

VIEW = View(Snapshot(Folder(1, "INBOX", 1), 9, 1, 1, array("I", [3, 5, 8]), [shared_flags(())] * 3, ()), writable=True)
DAY = 1_700_000_000  # 14-Nov-2023 22:13:20 +0000


def row(size: int = 100, internal_date: int = DAY) -> Row:
    return Row(3, 1, shared_flags(()), size, internal_date, "u", "f")


def candidate(*flags: str, index: int = 0, with_row: Row | None = None) -> Candidate:
    return Candidate(index, VIEW.uids[index], shared_flags(flags), False, with_row)


leaves = st.sampled_from(
    [
        All(),
        Flag("\\Seen", True),
        Flag("\\Seen", False),
        Flag("$work", True),
        Size(True, 50),
        Size(False, 50),
        Dated(When.ON, date(2023, 11, 14), False),
        Dated(When.SINCE, date(2023, 11, 15), False),
        NumberSet(SequenceSet(((1, 1),))),
        UidSet(SequenceSet(((5, 0),))),
    ]
)
keys = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda terms: And(tuple(terms))),
        st.lists(inner, min_size=2, max_size=3).map(lambda terms: Or(tuple(terms))),
        inner.map(Not),
    ),
    max_leaves=8,
)


def truth(key: SearchKey, message: Candidate) -> bool:
    """The plain definition, for messages of which everything is known."""
    if isinstance(key, And):
        return all(truth(each, message) for each in key.keys)
    if isinstance(key, Or):
        return any(truth(each, message) for each in key.keys)
    if isinstance(key, Not):
        return not truth(key.key, message)
    return bool(compiled(key, VIEW).test(message))


@given(keys, st.sampled_from([(), ("\\Seen",), ("\\Seen", "$Work")]), st.integers(0, 2), st.sampled_from([10, 50, 51]))
def test_what_the_view_says_is_never_taken_back(key: SearchKey, flags: tuple[str, ...], index: int, size: int) -> None:
    test = compiled(key, VIEW).test
    early = test(candidate(*flags, index=index))
    whole = candidate(*flags, index=index, with_row=row(size))
    assert test(whole) is truth(key, whole)
    assert early in (None, truth(key, whole))


def test_cheap_keys_rule_a_message_out_before_it_is_opened() -> None:
    key = compiled(And((Body("x"), Header("subject", "y"), Flag("\\Seen", True))), VIEW)
    assert key.test(candidate()) is False
    assert key.test(candidate("\\Seen")) is None


def test_keywords_in_any_case() -> None:
    assert compiled(Flag("$WORK", True), VIEW).test(candidate("$Work"))


def test_dates_are_days_in_utc() -> None:
    late, early = candidate(with_row=row(internal_date=DAY)), candidate(with_row=row(internal_date=DAY + 6_399))
    for when, expected in ((When.BEFORE, (False, False)), (When.ON, (True, True)), (When.SINCE, (True, True))):
        key = compiled(Dated(when, date(2023, 11, 14), False), VIEW)
        assert (key.test(late), key.test(early)) == expected
    assert compiled(Dated(When.ON, date(2023, 11, 15), False), VIEW).test(
        candidate(with_row=row(internal_date=DAY + 6_400))
    )
