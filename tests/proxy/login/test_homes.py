"""Open homes: one for each account, shared, in order, and closed behind the last who leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mailstore.errors import StorageCorrupt, StorageFailed
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import SEEN, StoreMode
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome
from proxy.login import homes as opening
from proxy.login.homes import Handle, Homes
from tests.proxy.migration.scripted import Threads, folder


class HomesTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = folder(self)
        self.threads = Threads()
        self.from_thread: list[Callable[[], None]] = []
        self.homes = Homes(MailboxEngine(), in_thread=self.threads, from_thread=self.from_thread.append)
        self.addCleanup(self.threads.work_off)

    def opening(self, account: int = 1) -> Deferred[Handle]:
        path = self.root / str(account) / "Maildir"
        return Deferred.fromCoroutine(self.homes.open(account, f"user{account}@123.com", path))

    def open(self, account: int = 1) -> Handle:
        opened = self.opening(account)
        self.threads.work_off()
        return self.successResultOf(opened)

    def run_in(self, handle: Handle, operation: Callable[[MailHome], Any]) -> Deferred[Any]:
        return Deferred.fromCoroutine(handle.run(operation))

    def hear(self) -> None:
        calls, self.from_thread[:] = list(self.from_thread), []
        for call in calls:
            call()


class OpeningAndClosing(HomesTestCase):
    def test_one_account_has_one_home_and_accounts_have_their_own(self) -> None:
        first, second, other = self.open(), self.open(), self.open(2)
        self.assertIs(first._opened.home, second._opened.home)
        self.assertIsNot(first._opened.home, other._opened.home)
        self.assertEqual((first.account, other.account), ("user1@123.com", "user2@123.com"))
        for handle in (first, second, other):
            handle.close()

    def test_it_is_closed_behind_the_last(self) -> None:
        first, second = self.open(), self.open()
        first.close()
        first.close()
        self.threads.work_off()
        self.assertIsNotNone(second._opened.home)
        second.close()
        self.threads.work_off()
        self.assertIsNone(second._opened.home)
        self.assertEqual(self.homes._open, {})

    def test_who_comes_while_it_is_being_closed_finds_it_open(self) -> None:
        self.open().close()
        self.assertEqual(self.threads.names, ["<lambda>"])
        coming = self.opening()
        self.threads.work_off()
        handle = self.successResultOf(coming)
        self.assertEqual(self.successResultOf_(self.run_in(handle, lambda home: home.maildrop())), [])
        handle.close()
        self.threads.work_off()
        self.assertEqual(self.homes._open, {})

    def successResultOf_(self, deferred: Deferred[Any]) -> Any:
        self.threads.work_off()
        return self.successResultOf(deferred)

    def test_who_leaves_while_it_is_being_opened(self) -> None:
        coming = self.opening()
        coming.cancel()
        self.failureResultOf(coming, CancelledError)
        self.threads.work_off()
        self.assertEqual(self.homes._open, {})

    def test_one_of_two_leaves_while_it_is_being_opened(self) -> None:
        leaving, staying = self.opening(), self.opening()
        leaving.cancel()
        self.failureResultOf(leaving, CancelledError)
        self.threads.work_off()
        self.successResultOf(staying).close()

    def test_a_home_that_cannot_be_opened_is_tried_again_by_the_next(self) -> None:
        def broken(*_: object, **__: object) -> None:
            raise StorageFailed("the disk refused: Input/output error")

        patch = self.patch(opening, "MailHome", broken)
        first, second = self.opening(), self.opening()
        self.threads.work_off()
        self.failureResultOf(first, StorageFailed)
        self.failureResultOf(second, StorageFailed)
        self.assertEqual(self.homes._open, {})
        patch.restore()
        self.open().close()

    def test_a_home_whose_index_is_damaged_is_given_to_nobody_else(self) -> None:
        """And it is not kept open: the next opening mends it."""

        def damaged(_home: MailHome) -> None:
            raise StorageCorrupt("the database is damaged")

        first = self.open()
        failing = self.run_in(first, damaged)
        self.threads.work_off()
        self.failureResultOf(failing, StorageCorrupt)
        second = self.open()
        self.assertIsNot(second._opened.home, first._opened.home)
        third = self.open()
        self.assertIs(third._opened.home, second._opened.home)
        for handle in (first, second, third):
            handle.close()
            self.threads.work_off()
            self.assertIsNone(handle._opened.home if handle is not second else None)
        self.assertEqual(self.homes._open, {})

    def test_closed_waits_for_those_that_nobody_uses(self) -> None:
        self.open().close()
        waiting = Deferred.fromCoroutine(self.homes.closed())
        self.assertNoResult(waiting)
        self.threads.work_off()
        self.successResultOf(waiting)
        self.assertEqual(self.homes._open, {})


class Lanes(HomesTestCase):
    def test_operations_of_one_account_run_in_order_one_at_a_time(self) -> None:
        first, second = self.open(), self.open()
        done: list[int] = []
        waiting = [
            self.run_in(handle, lambda _home, n=n: done.append(n)) for n, handle in enumerate([first, second] * 3)
        ]
        self.assertEqual(len(self.threads.waiting), 1)
        self.threads.work_off()
        self.assertEqual(done, [0, 1, 2, 3, 4, 5])
        for deferred in waiting:
            self.successResultOf(deferred)
        first.close()
        second.close()

    def test_accounts_run_side_by_side(self) -> None:
        one, two = self.open(1), self.open(2)
        a, b = self.run_in(one, lambda _home: "a"), self.run_in(two, lambda _home: "b")
        self.assertEqual(len(self.threads.waiting), 2)
        self.threads.work(1)
        self.assertEqual(self.successResultOf(b), "b")
        self.threads.work(0)
        self.assertEqual(self.successResultOf(a), "a")
        one.close()
        two.close()

    def test_one_that_fails_does_not_hold_up_the_next(self) -> None:
        handle = self.open()
        failing, next_one = self.run_in(handle, lambda _home: 1 / 0), self.run_in(handle, lambda _home: "next")
        self.threads.work_off()
        self.failureResultOf(failing, ZeroDivisionError)
        self.assertEqual(self.successResultOf(next_one), "next")
        handle.close()

    def test_who_stops_waiting_does_not_stop_what_runs(self) -> None:
        handle = self.open()
        done: list[str] = []
        running, waiting, after = (self.run_in(handle, lambda _home, n=n: done.append(n)) for n in ("a", "b", "c"))
        running.cancel()
        waiting.cancel()
        self.failureResultOf(running, CancelledError)
        self.failureResultOf(waiting, CancelledError)
        self.threads.work_off()
        self.assertEqual(done, ["a", "c"])  # what was not begun is not done
        self.successResultOf(after)
        handle.close()

    def test_what_was_asked_for_is_done_before_the_home_is_closed(self) -> None:
        handle = self.open()
        asked = self.run_in(handle, lambda home: len(home.folders()))
        handle.close()
        self.threads.work_off()
        self.assertEqual(self.successResultOf(asked), 1)

    def test_a_closed_handle_is_of_no_use(self) -> None:
        handle = self.open()
        handle.close()
        self.failureResultOf(self.run_in(handle, lambda home: home.folders()), AssertionError)


class Watching(HomesTestCase):
    def append(self, home: MailHome) -> None:
        path = self.root / "message"
        path.write_bytes(b"Subject: x\r\n\r\n")
        with path.open("rb") as file:
            home.append("INBOX", file, (), None)

    def test_all_who_watch_are_told_in_the_reactor_s_thread(self) -> None:
        first, second, other = self.open(), self.open(), self.open(2)
        heard: list[tuple[str, int]] = []
        first.watch(lambda folder, _: heard.append(("first", folder)))
        second.watch(lambda folder, _: heard.append(("second", folder)))
        other.watch(lambda folder, _: heard.append(("other", folder)))
        self.run_in(first, self.append)
        self.threads.work_off()
        self.assertEqual(heard, [])
        self.hear()
        self.assertEqual(heard, [("first", INBOX_ID), ("second", INBOX_ID)])
        for handle in (first, second, other):
            handle.close()

    def test_nobody_is_told_after_the_end_of_the_watch(self) -> None:
        handle = self.open()
        heard: list[int] = []
        end = handle.watch(lambda folder, _: heard.append(folder))
        self.run_in(handle, self.append)
        self.threads.work_off()
        end()
        end()
        self.hear()
        self.assertEqual(heard, [])
        handle.close()
        end()

    def test_close_ends_the_watch_and_ending_it_afterwards_does_no_harm(self) -> None:
        handle, other = self.open(), self.open()
        heard: list[int] = []
        end = handle.watch(lambda folder, _: heard.append(folder))
        handle.close()
        end()
        self.run_in(other, self.append)
        self.threads.work_off()
        self.hear()
        self.assertEqual((heard, other._opened.watchers), ([], []))
        other.close()

    def test_a_watcher_that_ends_another_s_watch(self) -> None:
        first, second = self.open(), self.open()
        heard: list[int] = []
        first.watch(lambda *_: second.close())
        second.watch(lambda folder, _: heard.append(folder))
        self.run_in(first, self.append)
        self.threads.work_off()
        self.hear()
        self.assertEqual(heard, [])
        first.close()

    def test_one_function_may_watch_twice(self) -> None:
        handle = self.open()
        heard: list[int] = []

        def watch(folder: int, _modseq: int | None = None) -> None:
            heard.append(folder)

        ends = [handle.watch(watch), handle.watch(watch)]
        ends[0]()
        self.run_in(handle, self.append)
        self.threads.work_off()
        self.hear()
        self.assertEqual(heard, [INBOX_ID])
        handle.close()

    def test_a_change_of_flags_is_told_too(self) -> None:
        handle = self.open()
        self.run_in(handle, self.append)
        self.threads.work_off()
        self.hear()
        heard: list[int] = []
        handle.watch(lambda folder, _: heard.append(folder))
        self.run_in(handle, lambda home: home.store_flags(INBOX_ID, [1], StoreMode.ADD, [SEEN]))
        self.threads.work_off()
        self.hear()
        self.assertEqual(heard, [INBOX_ID])
        handle.close()


class Attending(HomesTestCase):
    def test_each_is_let_go_once(self) -> None:
        attended: list[int] = []

        class Attention:
            def attend(self, folder_id: int) -> Callable[[], None]:
                attended.append(folder_id)
                return lambda: attended.remove(folder_id)

        handle = self.open()
        handle._opened.attention = Attention()  # type: ignore[assignment]
        ends = [handle.attend(1), handle.attend(1), handle.attend(2)]
        ends[0]()
        ends[0]()
        self.assertEqual(attended, [1, 2])
        handle.close()
        ends[1]()
        self.assertEqual((attended, handle._attending), ([], []))


class MaildropLock(HomesTestCase):
    def locks(self, handle: Handle) -> bool:
        return self.successResultOf(Deferred.fromCoroutine(handle.lock_maildrop()))

    def test_one_session_at_a_time_until_it_closes(self) -> None:
        first, second = self.open(), self.open()
        self.assertTrue(self.locks(first))
        self.assertTrue(self.locks(first))  # it has it
        self.assertFalse(self.locks(second))
        second.close()
        third = self.open()
        self.assertFalse(self.locks(third))
        first.close()
        self.assertTrue(self.locks(third))
        third.close()

    def test_accounts_do_not_lock_each_other(self) -> None:
        one, two = self.open(1), self.open(2)
        self.assertTrue(self.locks(one) and self.locks(two))
        one.close()
        two.close()


class Kept(HomesTestCase):
    """Homes that nobody uses stay open for a while."""

    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.homes = Homes(
            MailboxEngine(), in_thread=self.threads, from_thread=self.from_thread.append, clock=self.clock
        )

    def test_who_comes_back_soon_finds_it_open_at_once(self) -> None:
        first = self.open()
        home = first._opened.home
        first.close()
        self.clock.advance(opening.KEPT_SECONDS - 1)
        second = self.successResultOf(self.opening())
        self.assertEqual(list(self.threads.waiting), [])
        self.assertIs(second._opened.home, home)
        self.clock.advance(opening.KEPT_SECONDS)
        self.assertIsNotNone(second._opened.home)
        second.close()
        self.clock.advance(opening.KEPT_SECONDS)
        self.threads.work_off()
        self.assertIsNone(second._opened.home)
        self.assertEqual((self.homes._open, self.clock.getDelayedCalls()), ({}, []))

    def test_each_is_closed_when_its_own_time_is_over(self) -> None:
        one, two = self.open(1), self.open(2)
        one.close()
        self.clock.advance(10)
        two.close()
        self.clock.advance(opening.KEPT_SECONDS - 10)
        self.threads.work_off()
        self.assertIsNone(one._opened.home)
        self.assertIsNotNone(two._opened.home)
        self.clock.advance(10)
        self.threads.work_off()
        self.assertIsNone(two._opened.home)

    def test_of_too_many_the_one_unused_longest_is_closed(self) -> None:
        self.patch(opening, "KEPT_MOST", 2)
        handles = [self.open(number) for number in (1, 2, 3)]
        for handle in handles:
            handle.close()
        self.threads.work_off()
        self.assertEqual([handle._opened.home is None for handle in handles], [True, False, False])

    def test_who_comes_while_it_is_being_closed(self) -> None:
        self.open().close()
        self.clock.advance(opening.KEPT_SECONDS)
        coming = self.opening()
        self.threads.work_off()
        handle = self.successResultOf(coming)
        asked = self.run_in(handle, lambda home: len(home.folders()))
        self.threads.work_off()
        self.assertEqual(self.successResultOf(asked), 1)
        handle.close()

    def test_who_comes_and_leaves_while_it_is_being_closed(self) -> None:
        self.open().close()
        self.clock.advance(opening.KEPT_SECONDS)
        coming = self.opening()
        coming.cancel()
        self.failureResultOf(coming, CancelledError)
        self.threads.work_off()
        self.assertEqual((self.homes._open, list(self.homes._kept)), ({}, []))
        self.open().close()

    def test_the_end_closes_all(self) -> None:
        handle = self.open()
        handle.close()
        waiting = Deferred.fromCoroutine(self.homes.closed())
        self.threads.work_off()
        self.successResultOf(waiting)
        self.assertIsNone(handle._opened.home)
        self.assertEqual((self.homes._open, self.clock.getDelayedCalls()), ({}, []))
