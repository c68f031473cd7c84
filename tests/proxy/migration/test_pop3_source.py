"""A POP3 connection as a move sees it: listings, windows, what a failure means, and who is told of the end."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mailstore.entries import Entry, Listed, Outcome
from proxy.legacy.settings import CAREFUL, FURTHEST, PROMISED, TRIED
from proxy.migration.listing import UIDL_LIMIT
from proxy.migration.pop3_source import DISTRUST, Manners, Pop3Source, source_error
from proxy.migration.source import SourceError, SourceLost, SourceUnusable
from proxy.pop3.client import (
    ONE_AT_A_TIME,
    CommandRefused,
    LegacyBusy,
    LegacyError,
    LegacyProtocolError,
    LegacyTimeout,
    LegacyUnreachable,
    LoginNotPossible,
    LoginRejected,
    MaildropInUse,
    Pace,
    Pipelining,
    Sink,
    TlsFailed,
    Window,
)


class ScriptedConnection:
    """Stands for `proxy.pop3.client.Connection`."""

    def __init__(self) -> None:
        self.sizes: Deferred[dict[int, int | None]] = succeed({})
        self.uidls: Deferred[list[tuple[int, bytes]] | None] = succeed([])
        self.counted: Deferred[int | None] = succeed(None)
        self.greeting = "ready"
        self.capabilities: dict[str, tuple[str, ...]] = {}
        self.expires = False
        self.able: Deferred[Pipelining] = succeed(Pipelining.ABLE)
        self.retrieved: list[tuple[list[int], dict[int, int | None], Window]] = []
        self.retrieval: Deferred[None] | None = None
        self.quitting: Deferred[None] = succeed(None)
        self.sink: Sink | None = None
        self.began_with = 0
        self.calls: list[str] = []

    async def list_sizes(self) -> dict[int, int | None]:
        self.calls.append("list")
        return await self.sizes

    async def uidl(self) -> list[tuple[int, bytes]] | None:
        self.calls.append("uidl")
        return await self.uidls

    async def count(self) -> int | None:
        self.calls.append("stat")
        return await self.counted

    async def prove_pipelining(self) -> Pipelining:
        self.calls.append("prove")
        return await self.able

    def begin_retrieving(
        self, numbers: Sequence[int], sizes: Mapping[int, int | None], sink: Sink, pace: Pace
    ) -> ScriptedConnection:
        self.calls.append("retrieve")
        self.retrieved.append((list(numbers), dict(sizes), pace.limits))
        self.began_with = pace.messages
        self.sink = sink
        return self

    def pending(self) -> Deferred[None]:
        return self.retrieval or succeed(None)

    def taken(self) -> None:
        self.calls.append("taken")

    async def noop(self) -> None:
        self.calls.append("noop")

    def pause(self, why: object = None) -> None:
        self.calls.append("pause")

    def resume(self, why: object = None) -> None:
        self.calls.append("resume")

    async def quit(self) -> None:
        self.calls.append("quit")
        await self.quitting

    def abort(self) -> None:
        self.calls.append("abort")


class Taken:
    """A `Receiver` that notes what it is given."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def message(self, entry: Entry, data: bytes) -> None:
        self.seen.append(("message", entry.id, data))

    def begin(self, entry: Entry) -> None:
        self.seen.append(("begin", entry.id))

    def piece(self, data: bytes) -> None:
        self.seen.append(("piece", data))

    def end(self) -> None:
        self.seen.append(("end",))

    def refused(self, entry: Entry, text: str) -> None:
        self.seen.append(("refused", entry.id, text))


def entry(number: int, octets: int = 100) -> Entry:
    return Entry(number, number, f"u{number}", octets, Outcome.LISTED, number, 0, 0)


class Pop3SourceTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.manners = Manners(self.clock.seconds)
        self.left = 0
        self.connect()

    def connect(self) -> None:
        self.connection = ScriptedConnection()

        def left() -> None:
            self.left += 1

        client: Any = self.connection
        self.source = Pop3Source(client, self.manners, left)

    def listing(self) -> Deferred[Sequence[Listed]]:
        return Deferred.fromCoroutine(self.source.list())

    def fetch(self, *wanted: tuple[int, Entry], one_by_one: bool = False) -> Deferred[None]:
        self.taken = Taken()
        return Deferred.fromCoroutine(self.source.fetch(wanted, self.taken, one_by_one=one_by_one))


class Listings(Pop3SourceTestCase):
    def test_numbers_sizes_and_names_are_put_together_in_the_server_s_order(self) -> None:
        self.connection.sizes = succeed({2: 20, 1: None, 3: 30})
        self.connection.uidls = succeed([(3, b"c"), (1, b"a"), (9, b"of UIDL alone")])
        expected = [Listed(1, "a", 0), Listed(2, "", 20), Listed(3, "c", 30), Listed(9, "of UIDL alone", 0)]
        self.assertEqual(self.successResultOf(self.listing()), expected)

    def test_without_uidl(self) -> None:
        self.connection.sizes = succeed({1: 10})
        self.connection.uidls = succeed(None)
        self.assertEqual(self.successResultOf(self.listing()), [Listed(1, "", 10)])

    def test_names_that_are_no_text_and_names_without_end(self) -> None:
        self.connection.sizes = succeed({1: 1, 2: 1})
        self.connection.uidls = succeed([(1, b"\xff\x80"), (2, b"x" * 10_000)])
        first, second = self.successResultOf(self.listing())
        self.assertEqual(first.uidl.encode("latin-1"), b"\xff\x80")
        self.assertEqual(len(second.uidl), UIDL_LIMIT)

    def test_a_refusal_cannot_be_worked_with_a_lost_connection_can(self) -> None:
        for error, kind in ((CommandRefused("no"), SourceUnusable), (LegacyTimeout("silent"), SourceLost)):
            for name in ("sizes", "uidls"):
                with self.subTest(error=error, name=name):
                    self.connect()
                    setattr(self.connection, name, fail(error))
                    self.failureResultOf(self.listing(), kind)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_server_that_loses_the_second_of_two_commands_is_asked_one_after_the_other(self) -> None:
        self.connection.sizes = succeed({1: 10})
        self.connection.uidls = fail(LegacyTimeout("silent"))
        self.failureResultOf(self.listing(), SourceLost)
        self.connect()
        self.connection.sizes = Deferred()
        listing = self.listing()
        self.assertEqual(self.connection.calls, ["list"])
        self.connection.sizes.callback({1: 10})
        self.assertEqual(self.successResultOf(listing), [Listed(1, "", 10)])

    def test_a_server_that_is_silent_at_list_loses_no_trust(self) -> None:
        self.connection.sizes = fail(LegacyTimeout("silent"))
        self.failureResultOf(self.listing(), SourceLost)
        self.assertFalse(self.manners.one_at_a_time)


class Ahead(Pop3SourceTestCase):
    """What the server does while the move is not there yet."""

    def setUp(self) -> None:
        super().setUp()
        self.connection.sizes = Deferred()
        self.connection.uidls = succeed([(1, b"a"), (2, b"b")])
        self.connection.capabilities = {"PIPELINING": ()}
        self.retrieval: Deferred[None] = Deferred()
        self.connection.retrieval = self.retrieval

    def listed(self) -> None:
        self.connection.sizes.callback({1: 10, 2: 20})

    def begun(self) -> None:
        """Up to where the move has the listing."""
        self.source.begin(whole=True)
        self.listed()
        self.assertEqual(len(self.successResultOf(self.listing())), 2)

    def test_the_listing_is_asked_for_once(self) -> None:
        self.source.begin()
        self.source.begin()
        self.assertEqual(self.connection.calls, ["list", "uidl", "stat"])
        listing = self.listing()
        self.assertNoResult(listing)
        self.listed()
        self.assertEqual(self.successResultOf(listing), [Listed(1, "a", 10), Listed(2, "b", 20)])
        self.assertEqual(self.connection.calls, ["list", "uidl", "stat"])

    def test_a_listing_that_fails_is_nobody_s_business_before_it_is_wanted(self) -> None:
        self.source.begin(whole=True)
        self.connection.sizes.errback(LegacyTimeout("silent"))
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])
        self.failureResultOf(self.listing(), SourceLost)

    def test_all_messages_are_asked_for_and_nothing_is_read_before_somebody_takes_them(self) -> None:
        self.begun()
        self.assertEqual(self.connection.calls[3:], ["retrieve", "pause"])
        self.assertEqual(self.connection.retrieved, [([1, 2], {1: 10, 2: 20}, FURTHEST)])
        fetching = self.fetch((1, entry(1)), (2, entry(2)))
        self.assertEqual(self.connection.calls[5:], ["taken", "resume"])
        assert self.connection.sink is not None
        self.connection.sink.message(1, b"x" * 10)
        self.connection.sink.message(2, b"y" * 20)
        self.retrieval.callback(None)
        self.successResultOf(fetching)
        self.assertEqual(self.taken.seen, [("message", 1, b"x" * 10), ("message", 2, b"y" * 20)])

    def test_nothing_is_asked_for_ahead_that_may_not_be_wanted_or_might_be_lost(self) -> None:
        def connected(*, whole: bool, capable: bool = True) -> list[str]:
            self.connect()
            self.connection.sizes = succeed({1: 10})
            self.connection.capabilities = {"PIPELINING": ()} if capable else {}
            self.source.begin(whole=whole)
            return self.connection.calls

        self.assertNotIn("retrieve", connected(whole=False))
        self.assertNotIn("retrieve", connected(whole=True, capable=False))
        self.assertIn("retrieve", connected(whole=True))
        self.manners.unable()
        self.assertNotIn("retrieve", connected(whole=True))

    def test_an_empty_mailbox(self) -> None:
        self.connection.uidls = succeed([])
        self.source.begin(whole=True)
        self.connection.sizes.callback({})
        self.assertNotIn("retrieve", self.connection.calls)

    def test_what_else_is_wanted_is_for_another_connection(self) -> None:
        def fetch(*wanted: tuple[int, Entry]) -> None:
            self.failureResultOf(self.fetch(*wanted), SourceLost)

        def header() -> None:
            asked = Deferred.fromCoroutine(self.source.headers([1], lambda _n, _data: None))
            self.failureResultOf(asked, SourceLost)

        for otherwise in (lambda: fetch((2, entry(2))), lambda: fetch((1, entry(1))), header):
            self.setUp()
            self.begun()
            otherwise()
            self.assertEqual(self.connection.calls[-1], "abort")

    def test_a_connection_that_is_lost_meanwhile(self) -> None:
        self.begun()
        self.retrieval.errback(LegacyUnreachable("reset", message=2))
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])
        fetching = self.fetch((1, entry(1)), (2, entry(2)))
        self.assertEqual(self.failureResultOf(fetching, SourceLost).value.entry, entry(2))


class Fetching(Pop3SourceTestCase):
    def test_what_comes_by_number_goes_on_by_entry(self) -> None:
        self.connection.retrieval = Deferred()
        fetching = self.fetch((5, entry(1)), (7, entry(2)), (9, entry(3)))
        sink = self.connection.sink
        assert sink is not None
        sink.message(5, b"five")
        sink.begin(7)
        sink.piece(b"sev")
        sink.end()
        sink.missing(9, "gone")
        self.connection.retrieval.callback(None)
        self.successResultOf(fetching)
        expected = [("message", 1, b"five"), ("begin", 2), ("piece", b"sev"), ("end",), ("refused", 3, "gone")]
        self.assertEqual(self.taken.seen, expected)

    def test_nothing_wanted_asks_nothing(self) -> None:
        self.successResultOf(self.fetch())
        self.assertEqual((self.connection.calls, self.connection.retrieved), ([], []))

    def test_many_at_once_where_the_server_is_able(self) -> None:
        self.successResultOf(self.fetch((1, entry(1)), (2, entry(2))))
        ((numbers, _, window),) = self.connection.retrieved
        self.assertEqual((numbers, window), ([1, 2], FURTHEST))
        self.assertEqual(self.connection.began_with, TRIED.messages)

    def test_more_at_first_where_the_server_announces_it_and_as_learnt_afterwards(self) -> None:
        self.connection.capabilities = {"PIPELINING": ()}
        self.successResultOf(self.fetch((1, entry(1)), (2, entry(2))))
        self.assertEqual(self.connection.began_with, PROMISED.messages)
        self.manners.pace(announced=True).answered(30.0)
        self.successResultOf(self.fetch((1, entry(1)), (2, entry(2))))
        self.assertEqual(self.connection.began_with, PROMISED.messages // 8)

    def test_a_size_that_is_not_known_is_not_taken_for_none(self) -> None:
        self.successResultOf(self.fetch((1, entry(1, octets=0)), (2, entry(2, octets=7))))
        self.assertEqual(self.connection.retrieved[0][1], {1: None, 2: 7})

    def test_suspects_one_by_one_and_without_a_proof(self) -> None:
        self.successResultOf(self.fetch((1, entry(1)), one_by_one=True))
        self.successResultOf(self.fetch((1, entry(1))))
        self.assertEqual([window for _, _, window in self.connection.retrieved], [ONE_AT_A_TIME] * 2)
        self.assertNotIn("prove", self.connection.calls)

    def test_one_at_a_time_where_it_is_not_able_and_it_is_not_tried_again(self) -> None:
        self.connection.able = succeed(Pipelining.UNABLE)
        for _ in range(2):
            self.successResultOf(self.fetch((1, entry(1)), (2, entry(2))))
        self.assertEqual([window for _, _, window in self.connection.retrieved], [ONE_AT_A_TIME] * 2)
        self.clock.advance(DISTRUST * 100)
        self.connect()
        self.successResultOf(self.fetch((1, entry(1)), (2, entry(2))))
        self.assertNotIn("prove", self.connection.calls)

    def test_a_proof_that_spoils_the_connection(self) -> None:
        self.connection.able = succeed(Pipelining.UNABLE_REOPEN)
        error = self.failureResultOf(self.fetch((1, entry(1)), (2, entry(2))), SourceLost).value
        self.assertIsNone(error.entry)
        self.connect()
        self.successResultOf(self.fetch((1, entry(1)), (2, entry(2))))
        self.assertEqual(self.connection.retrieved[0][2], ONE_AT_A_TIME)

    def test_a_proof_that_fails(self) -> None:
        self.connection.able = fail(LegacyUnreachable("reset"))
        self.failureResultOf(self.fetch((1, entry(1)), (2, entry(2))), SourceLost)

    def test_the_message_under_way_is_named(self) -> None:
        self.connection.retrieval = fail(LegacyUnreachable("reset", message=7))
        error = self.failureResultOf(self.fetch((5, entry(1)), (7, entry(2))), SourceLost).value
        self.assertEqual(error.entry, entry(2))

    def break_off(self) -> None:
        self.connect()
        self.connection.retrieval = fail(LegacyTimeout("silent", message=1))
        self.failureResultOf(self.fetch((1, entry(1)), (2, entry(2))), SourceLost)

    def test_a_server_that_breaks_off_gets_few_for_a_while(self) -> None:
        self.break_off()
        for seconds, window in ((0, CAREFUL), (DISTRUST, FURTHEST)):
            self.clock.advance(seconds)
            self.connect()
            self.successResultOf(self.fetch((1, entry(1)), (2, entry(2))))
            self.assertEqual(self.connection.retrieved[0][2], window)

    def test_and_one_at_a_time_if_it_does_so_again(self) -> None:
        self.break_off()
        self.break_off()
        for seconds, window in ((0, ONE_AT_A_TIME), (DISTRUST, FURTHEST)):
            self.clock.advance(seconds)
            self.connect()
            self.successResultOf(self.fetch((1, entry(1)), (2, entry(2))))
            self.assertEqual(self.connection.retrieved[0][2], window)
        self.break_off()
        self.assertFalse(self.manners.one_at_a_time)

    def test_a_connection_that_is_reset_says_nothing_of_pipelining(self) -> None:
        for _ in range(3):
            self.connect()
            self.connection.retrieval = Deferred()
            fetching = self.fetch((1, entry(1)), (2, entry(2)))
            assert self.connection.sink is not None
            self.connection.sink.message(1, b"x" * 100)
            self.connection.retrieval.errback(LegacyUnreachable("reset", message=2))
            self.failureResultOf(fetching, SourceLost)
        self.assertFalse(self.manners.one_at_a_time)

    def test_one_that_is_reset_before_anything_came_may_have_had_too_much_at_once(self) -> None:
        for one_at_a_time in (False, True):
            self.connect()
            self.connection.retrieval = fail(LegacyUnreachable("reset", message=1))
            self.failureResultOf(self.fetch((1, entry(1)), (2, entry(2))), SourceLost)
            self.assertEqual(self.manners.one_at_a_time, one_at_a_time)

    def test_what_a_receiver_raises_is_raised(self) -> None:
        self.connection.retrieval = fail(ZeroDivisionError())
        self.failureResultOf(self.fetch((1, entry(1))), ZeroDivisionError)

    def test_pause_and_resume_reach_the_connection(self) -> None:
        self.source.pause()
        self.source.resume()
        self.assertEqual(self.connection.calls, ["pause", "resume"])


class Ending(Pop3SourceTestCase):
    def test_nobody_waits_for_the_answer_to_quit_but_the_slot_does(self) -> None:
        self.connection.quitting = Deferred()
        self.successResultOf(Deferred.fromCoroutine(self.source.close()))
        self.assertEqual(self.left, 0)
        self.connection.quitting.callback(None)
        self.assertEqual((self.connection.calls, self.left), (["quit"], 1))

    def test_a_quit_that_fails_is_the_end_too(self) -> None:
        self.connection.quitting = fail(LegacyTimeout("silent"))
        self.successResultOf(Deferred.fromCoroutine(self.source.close()))
        self.assertEqual((self.connection.calls, self.left), (["quit", "abort"], 1))

    def test_abort(self) -> None:
        self.source.abort()
        self.assertEqual((self.connection.calls, self.left), (["abort"], 1))


class WhatFailuresMean(SynchronousTestCase):
    def test_would_another_connection_do_better(self) -> None:
        lost = [LegacyUnreachable, LegacyTimeout, LegacyProtocolError, LegacyBusy, MaildropInUse, LegacyError]
        for kind in lost:
            self.assertIsInstance(source_error(kind("text"), entry(1)), SourceLost)
        self.assertIsInstance(source_error(TlsFailed("expired", "renew it")), SourceLost)
        for kind in (LoginRejected, LoginNotPossible, CommandRefused):
            self.assertIsInstance(source_error(kind("text"), entry(1)), SourceUnusable)

    def test_the_text_is_kept_and_says_what_can_be_done(self) -> None:
        error: SourceError = source_error(LegacyTimeout("was silent for 60 s"))
        cause, _, remedy = str(error).partition("; ")
        self.assertEqual(cause, "was silent for 60 s")
        self.assertIn("lower `connections`", remedy)
