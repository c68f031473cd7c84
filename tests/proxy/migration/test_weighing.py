"""Which messages are believed: by their lengths, and by what came around them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from mailstore.entries import Entry, Landed, Outcome
from mailstore.index.rows import NO_FLAGS
from mailstore.landing import Written
from proxy.migration.weighing import FEW, Exactness, Scales

LENGTHS = st.lists(st.sampled_from([10, 20, 30]), min_size=2, max_size=40)  # few, so that neighbours are often alike


def came(row: int, announced: int, length: int, content: object = None) -> Written:
    """A message that is written. What it holds is told by `content`."""
    entry = Entry(row, row, f"u{row}", announced, Outcome.LISTED, row, 0, 0)
    digest = hashlib.sha256(repr((row if content is None else content, length)).encode()).digest()
    return Written(f"{row}.passing", Landed(entry, length, digest, 0, NO_FLAGS, f"{row}"))


def rows(written: Iterable[Written]) -> list[int]:
    return [each.landed.entry.id for each in written]


def exact(lengths: Sequence[int]) -> list[Written]:
    return [came(row, length, length) for row, length in enumerate(lengths)]


@given(LENGTHS)
def test_what_fits_is_believed_at_once(lengths: list[int]) -> None:
    scales = Scales()
    for each in exact(lengths):
        assert scales.weigh([each]) == [each]
    assert scales.in_step() == [] == list(scales.doubtful())


@given(LENGTHS, st.data())
@settings(max_examples=300)
def test_behind_a_shift_nothing_wrong_is_believed(lengths: list[int], data: st.DataObject) -> None:
    """The server broke off in one answer, or said one twice: what follows is one too early, or one too late. The
    connection is lost in the end, since the number of answers is wrong."""
    at = data.draw(st.integers(0, len(lengths) - 1))
    by = data.draw(st.sampled_from([1, -1]))
    scales = Scales()
    believed: list[Written] = []
    for row, length in enumerate(lengths):
        if row < at:
            each = came(row, length, length)
        elif row == at:
            each = came(row, length, 7, "torn")
        elif 0 <= row + by < len(lengths):
            each = came(row, length, lengths[row + by], row + by)
        else:
            break
        if scales.out_of_step:
            break
        believed += scales.weigh([each])
    right = {each.landed.sha256 for each in exact(lengths)}
    assert all(each.landed.sha256 in right for each in believed)


@given(LENGTHS, st.data())
def test_one_that_is_damaged_holds_nothing_up_for_long(lengths: list[int], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(lengths) - 1))
    scales = Scales()
    stream = exact(lengths)
    stream[at] = came(at, lengths[at], 7, "damaged")
    believed = [each for one in stream for each in scales.weigh([one])]
    believed += scales.in_step()
    assert rows(believed) == [row for row in range(len(lengths)) if row != at]
    assert [entry.id for entry in scales.doubtful()] == [at]
    again = came(at, lengths[at], lengths[at])
    assert scales.weigh([again]) == [again]
    assert [entry.id for entry in scales.mended] == [at]


def test_the_same_twice_is_believed_though_it_does_not_fit() -> None:
    scales = Scales()
    assert scales.weigh([came(1, 10, 12)]) == []
    scales.begin()
    assert scales.did_not_fit(came(1, 10, 12).landed.entry)
    assert rows(scales.weigh([came(1, 10, 12)])) == [1]
    assert not scales.mended


def test_another_one_each_time_is_not() -> None:
    scales = Scales()
    for content in range(5):
        assert scales.weigh([came(1, 10, 12, content)]) == []
    scales.leave_out(came(1, 10, 12).landed.entry)
    assert list(scales.doubtful()) == []


def test_a_few_in_a_row_that_do_not_fit_are_the_connection_s_fault_until_they_come_again() -> None:
    shared = Exactness()
    scales = Scales(shared)
    for row in range(FEW + 1):
        assert not scales.out_of_step
        scales.weigh([came(row, 10, 12)])
    assert scales.out_of_step
    scales.begin()
    for row in range(FEW + 1):
        assert rows(scales.weigh([came(row, 10, 12)])) == [row]
    assert shared.approximate
    assert rows(Scales(shared).weigh([came(50, 10, 12), came(51, 0, 9)])) == [50, 51]


def test_without_an_announced_length_there_is_nothing_to_weigh() -> None:
    assert rows(Scales().weigh([came(1, 0, 12)])) == [1]
