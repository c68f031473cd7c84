"""Barriers taken for several mailboxes at once, and what waits for them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from mailstore.barrier import LOOKED_AT, QUICK, Barriers
from mailstore.errors import StorageFailed
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import SEEN, StoreMode
from mailstore.mailhome import MailHome
from proxy.login import payments
from proxy.login.payments import Payments
from tests.proxy.login.test_homes import HomesTestCase


class Joined(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(payments, "AT_ONCE", 1)
        self.clock = Clock()
        self.under_way: list[tuple[set[Path], Deferred[float]]] = []
        self.barriers = Barriers()
        self.payments = Payments(self.in_thread, self.barriers, self.clock.seconds)

    def in_thread(self, _function: Any, paths: set[Path]) -> Deferred[float]:
        done: Deferred[float] = Deferred()
        self.under_way.append((paths, done))
        return done

    def test_what_comes_while_one_is_under_way_is_in_the_next_together(self) -> None:
        first = self.payments.pay(Path("/a"))
        later = [self.payments.pay(Path(name)) for name in ("/b", "/c", "/b")]
        self.assertEqual([paths for paths, _ in self.under_way], [{Path("/a")}])
        self.under_way[0][1].callback(0.001)
        self.successResultOf(first)
        self.assertEqual(self.under_way[1][0], {Path("/b"), Path("/c")})
        for paid in later:
            self.assertNoResult(paid)
        self.under_way[1][1].callback(0.001)
        for paid in later:
            self.successResultOf(paid)
        self.assertEqual(len(self.under_way), 2)

    def test_a_disk_that_fails_is_told_to_those_who_waited_for_it(self) -> None:
        first, second = self.payments.pay(Path("/a")), self.payments.pay(Path("/b"))
        self.under_way[0][1].errback(Failure(OSError(5, "Input/output error")))  # type: ignore[no-untyped-call]
        self.failureResultOf(first, OSError)
        self.under_way[1][1].callback(0.0)
        self.successResultOf(second)

    def test_it_is_measured(self) -> None:
        for _ in range(LOOKED_AT):
            self.payments.pay(Path("/a"))
            self.under_way.pop()[1].callback(QUICK * 2)
        self.assertFalse(self.barriers.quick)

    def test_what_is_timed_is_the_sync(self) -> None:
        self.patch(payments, "sync_logs", lambda _paths: self.clock.advance(2))
        self.assertEqual(self.payments._timed({Path("/a")}), 2)


def set_seen(home: MailHome) -> None:
    home.store(INBOX_ID, [1], StoreMode.ADD, [SEEN])


class Owed(HomesTestCase):
    """A home on a disk that is not quick."""

    def setUp(self) -> None:
        super().setUp()
        self.told: list[int] = []
        self.homes.also_tell = lambda account, folder: self.told.append(folder)

    def slow(self) -> None:
        for _ in range(LOOKED_AT):
            self.homes.barriers.took(QUICK * 2)

    def briefly(self, handle: Any, operation: Any) -> Deferred[Any]:
        return Deferred.fromCoroutine(handle.run_briefly(operation))

    def with_a_message(self) -> Any:
        handle = self.open()
        handle._opened.home.append("INBOX", io.BytesIO(b"a: b\r\n\r\n"), (), None)
        self.hear()
        self.told.clear()
        return handle

    def test_nobody_hears_of_a_change_before_it_is_on_stable_storage(self) -> None:
        handle = self.with_a_message()
        self.slow()
        done = self.briefly(handle, set_seen)
        self.assertNoResult(done)
        self.assertEqual(self.told, [])
        behind = self.briefly(handle, lambda home: home.status("INBOX").unseen)
        self.assertNoResult(behind)
        self.threads.work_off()
        self.successResultOf(done)
        self.assertEqual(self.told, [INBOX_ID])
        self.assertEqual(self.successResultOf(behind), 0)

    def test_on_a_quick_disk_it_is_done_at_once(self) -> None:
        handle = self.with_a_message()
        for _ in range(LOOKED_AT):
            self.homes.barriers.took(0.0)
        self.successResultOf(self.briefly(handle, set_seen))
        self.assertEqual(self.told, [INBOX_ID])

    def test_where_others_could_see_it_before_it_is_waited_for(self) -> None:
        handle = self.with_a_message()
        self.slow()
        self.homes.shared.add(1)
        self.successResultOf(self.briefly(handle, set_seen))

    def test_what_reads_waits_for_nobody(self) -> None:
        handle = self.with_a_message()
        self.slow()
        self.assertEqual(self.successResultOf(self.briefly(handle, lambda home: home.status("INBOX").messages)), 1)

    def test_a_disk_that_fails_refuses(self) -> None:
        handle = self.with_a_message()
        self.slow()

        def failing(_paths: object) -> None:
            raise OSError(5, "Input/output error")

        self.patch(payments, "sync_logs", failing)
        done = self.briefly(handle, set_seen)
        self.threads.work_off()
        self.failureResultOf(done, StorageFailed)

    def test_settled_waits_for_what_is_owed(self) -> None:
        handle = self.with_a_message()
        self.slow()
        done = self.briefly(handle, set_seen)
        settled = self.homes.settled(1)
        self.assertNoResult(settled)
        self.threads.work_off()
        self.successResultOf(done)
        self.successResultOf(settled)
        self.successResultOf(self.homes.settled(99))
