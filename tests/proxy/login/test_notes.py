"""Logins written down: the first at once, those soon after it together, all of them before the end."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from mailstore.errors import StorageFailed
from proxy.login.notes import PATIENCE, TOGETHER_SECONDS, LoginNotes
from tests.proxy.migration.scripted import direct, folder
from tests.proxy.recording import RecordingLog

NOW = 1_700_000_000


class Notes(SynchronousTestCase):
    def setUp(self) -> None:
        database = AccountsDatabase(folder(self) / "accounts.db")
        self.addCleanup(database.close)
        self.clock, self.log = Clock(), RecordingLog()
        self.accounts = Accounts(database, clock=lambda: NOW + self.clock.seconds())
        self.people = [self.accounts.add(name, "123.com") for name in ("ann", "bob", "cat")]
        self.notes = LoginNotes(self.accounts, clock=self.clock, in_thread=direct, log=self.log)

    def seen(self) -> list[int | None]:
        return [self.accounts.get(account.id).last_login for account in self.people]

    def note(self, who: int) -> None:
        self.successResultOf(self.notes.note(self.people[who]))

    def slow(self) -> tuple[LoginNotes, list[Deferred[None]]]:
        """Notes whose writes take until the test says so, and these writes."""
        waiting: list[Deferred[None]] = []

        def begun(*_: Any) -> Deferred[None]:
            waiting.append(Deferred())
            return waiting[-1]

        return LoginNotes(self.accounts, clock=self.clock, in_thread=begun, log=self.log), waiting

    def test_the_first_is_written_at_once_and_the_next_together(self) -> None:
        self.note(0)
        self.assertEqual(self.seen(), [NOW, None, None])
        self.clock.advance(0.5)
        self.note(1)
        self.note(2)
        self.note(1)
        self.assertEqual(self.seen(), [NOW, None, None])
        self.clock.advance(TOGETHER_SECONDS)
        self.assertEqual(self.seen(), [NOW, NOW + 2, NOW + 2])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_is_left_is_written_at_the_end(self) -> None:
        self.note(0)
        self.note(1)
        self.successResultOf(self.notes.flush())
        self.assertEqual(self.seen(), [NOW, NOW, None])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.successResultOf(self.notes.flush())

    def test_after_a_quiet_moment_it_is_at_once_again(self) -> None:
        self.note(0)
        self.clock.advance(TOGETHER_SECONDS)
        self.note(1)
        self.assertEqual(self.seen(), [NOW, NOW + 2, None])

    def test_what_cannot_be_written_is_said_and_keeps_nobody_out(self) -> None:
        def broken(*_: Any) -> None:
            raise StorageFailed("the database refused: database or disk is full")

        self.patch(self.accounts, "logged_in", broken)
        self.note(0)
        self.assertEqual(self.log.events("error"), ["login not noted"])

    def test_a_database_that_others_hold_keeps_no_login_waiting_for_long_and_one_thread_at_most(self) -> None:
        notes, waiting = self.slow()
        first = notes.note(self.people[0])
        self.assertNoResult(first)
        self.clock.advance(PATIENCE)
        self.successResultOf(first)
        for _ in range(5):
            self.clock.advance(TOGETHER_SECONDS)
            self.successResultOf(notes.note(self.people[1]))
        self.assertEqual(len(waiting), 1)
        last = notes.flush()
        waiting[0].callback(None)
        self.assertEqual(len(waiting), 2)  # all that came meanwhile, together
        waiting[1].callback(None)
        self.successResultOf(last)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_database_that_others_hold_for_long_does_not_keep_the_process_from_its_end(self) -> None:
        notes, waiting = self.slow()
        notes.note(self.people[0])
        for number in range(1_000):  # more than Python calls within one another
            self.clock.advance(TOGETHER_SECONDS / 10)
            self.successResultOf(notes.note(self.people[number % 3]))
        self.clock.advance(TOGETHER_SECONDS)
        last = notes.flush()
        waiting[0].errback(StorageFailed("the database refused: database is locked"))
        self.assertEqual(len(waiting), 2)
        waiting[1].callback(None)
        self.successResultOf(last)
        self.assertEqual(self.log.events("error"), ["login not noted"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_those_that_come_while_it_is_written_are_written_a_moment_later_together(self) -> None:
        notes, waiting = self.slow()
        notes.note(self.people[0])
        notes.note(self.people[1])
        waiting[0].callback(None)
        self.successResultOf(notes.note(self.people[2]))
        self.assertEqual(len(waiting), 1)
        self.clock.advance(TOGETHER_SECONDS)
        self.assertEqual(len(waiting), 2)
        waiting[1].callback(None)
        self.assertEqual(self.clock.getDelayedCalls(), [])
