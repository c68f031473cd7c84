"""What is fetched next while users are in: what they wait for, then headers, then messages, newest first."""

from __future__ import annotations

from collections.abc import Collection
from unittest import TestCase

from hypothesis import given, settings
from hypothesis import strategies as st

from mailstore.entries import Entry, Outcome
from proxy.legacy.settings import Window
from proxy.migration.agenda import SMALL, Agenda, Item

LARGE = SMALL + 1


def items(*octets: int) -> list[Item]:
    """At positions 1, 2, … with the ledger rows 101, 102, …"""
    return [(n, Entry(100 + n, n, f"u{n}", size, Outcome.LISTED, n, 0, 0)) for n, size in enumerate(octets, 1)]


def agenda(wanted: list[Item], headers: Collection[int] | None = None, *, ahead: bool = True) -> Agenda:
    known = [entry.id for _, entry in wanted] if headers is None else headers
    return Agenda(wanted, headers=known, headers_ahead=ahead, window=Window)


def spelled(made: Agenda, most: int = 1000) -> str:
    """`t` is a header and `r` a message, each with its number."""
    found = []
    while len(found) < most and (errand := made.next()) is not None:
        found.append(f"{'t' if errand.header else 'r'}{errand.number}")
    return " ".join(found)


class AgendaTests(TestCase):
    def test_headers_first_then_messages_newest_first(self) -> None:
        self.assertEqual(spelled(agenda(items(LARGE, LARGE, LARGE))), "t3 t2 t1 r3 r2 r1")

    def test_headers_that_are_here_are_not_asked_for(self) -> None:
        self.assertEqual(spelled(agenda(items(LARGE, LARGE, LARGE), [102])), "t2 r3 r2 r1")

    def test_a_small_message_is_fetched_whole_at_once(self) -> None:
        self.assertEqual(spelled(agenda(items(SMALL, LARGE, SMALL))), "r3 t2 r1 r2")

    def test_what_somebody_waits_for_comes_next_in_the_order_asked(self) -> None:
        made = agenda(items(*[LARGE] * 6))
        self.assertEqual(spelled(made, 2), "t6 t5")
        made.hurry([102, 101], whole=True)
        made.hurry([103], whole=False)
        self.assertTrue(made.urgent)
        self.assertEqual(spelled(made), "t3 r2 r1 t4 r6 r5 r4 r3")
        self.assertFalse(made.urgent)

    def test_nothing_is_asked_for_twice(self) -> None:
        made = agenda(items(LARGE, LARGE))
        made.hurry([101], whole=False)
        made.hurry([101], whole=True)
        made.hurry([101, 102, 999], whole=True)
        self.assertEqual(spelled(made), "r1 r2")
        made.hurry([101, 102], whole=True)
        made.hurry([101, 102], whole=False)
        self.assertEqual(spelled(made), "")

    def test_a_header_that_is_on_its_way_or_here_is_no_reason_to_fetch_the_message(self) -> None:
        made = agenda(items(LARGE, LARGE), [102])
        self.assertEqual(spelled(made, 1), "t2")
        made.hurry([101, 102], whole=False)
        self.assertEqual(spelled(made), "r2 r1")

    def test_a_server_without_headers(self) -> None:
        made = agenda(items(LARGE, LARGE, LARGE))
        self.assertEqual(spelled(made, 1), "t3")
        made.without_headers()
        made.hurry([101], whole=False)
        self.assertEqual(spelled(made), "r1 r3 r2")

    def test_one_header_that_is_refused(self) -> None:
        made = agenda(items(LARGE, LARGE, LARGE))
        self.assertEqual(spelled(made, 2), "t3 t2")
        made.no_header(102)
        self.assertEqual(spelled(made), "r2 t1 r3 r1")

    def test_one_command_at_a_time_is_too_slow_for_headers_that_nobody_asks_for(self) -> None:
        made = agenda(items(LARGE, LARGE, LARGE), ahead=False)
        made.hurry([102], whole=False)
        self.assertEqual(spelled(made), "t2 r3 r2 r1")

    def test_what_is_not_wanted_any_more(self) -> None:
        made = agenda(items(*[LARGE] * 4))
        made.hurry([101], whole=True)
        self.assertEqual(spelled(made, 1), "r1")
        self.assertEqual(made.drop([101, 103]), {103})
        self.assertEqual(spelled(made), "t4 t2 r4 r2")
        self.assertEqual([made.asked(100 + n) for n in range(1, 5)], [True] * 4)

    @settings(max_examples=50, deadline=None, derandomize=True)
    @given(
        sizes=st.lists(st.sampled_from([0, SMALL, LARGE]), max_size=12),
        moves=st.lists(
            st.tuples(st.sampled_from(["whole", "header", "next", "drop"]), st.integers(101, 113)), max_size=40
        ),
    )
    def test_whatever_happens_each_message_is_asked_for_once_or_dropped(
        self, sizes: list[int], moves: list[tuple[str, int]]
    ) -> None:
        made = agenda(items(*sizes))
        asked: list[tuple[int, bool]] = []
        dropped: set[int] = set()
        for move, row in [*moves, *[("next", 0)] * (2 * len(sizes) + 1)]:
            if move == "drop":
                dropped |= made.drop([row])
            elif move != "next":
                made.hurry([row], whole=move == "whole")
            elif (errand := made.next()) is not None:
                asked.append((100 + errand.number, errand.header))
        self.assertEqual(len(asked), len(set(asked)))
        messages = {row for row, header in asked if not header}
        self.assertEqual(messages | dropped, {100 + n for n in range(1, len(sizes) + 1)})
        self.assertFalse(messages & dropped)
