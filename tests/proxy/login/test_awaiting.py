"""Operations that need messages which are not here yet: they wait for those, run again, and give up in the end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mailstore.entries import Entry, Listed
from mailstore.errors import StillAway
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import NO_FLAGS, SEEN, StoreMode
from mailstore.landing import Landing
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome
from proxy.login import awaiting
from proxy.login.awaiting import PATIENCE
from proxy.login.homes import Handle, Homes
from tests.proxy.migration.scripted import NOW, direct, folder, mail


class WaitingTestCase(SynchronousTestCase):
    """Ten messages are listed, and none is here."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.path = folder(self) / "Maildir"
        self.homes = Homes(MailboxEngine(), in_thread=direct, from_thread=lambda call: call(), clock=self.clock)
        self.hurried: list[tuple[list[int], bool]] = []
        self.homes.hurry = self.note
        self.handle = self.open()
        self.entries = self.now(self.list)

    def tearDown(self) -> None:
        self.handle.close()
        self.successResultOf(Deferred.fromCoroutine(self.homes.closed()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def note(self, account: int, uids: Collection[int], whole: bool) -> None:
        self.hurried.append((sorted(uids), whole))

    def open(self) -> Handle:
        return self.successResultOf(Deferred.fromCoroutine(self.homes.open(1, "user@123.com", self.path)))

    def list(self, home: MailHome) -> list[Entry]:
        made = home.ledger.record_listing([Listed(n, f"u{n}", len(mail(n))) for n in range(1, 11)], (), hold_uids=True)
        home.ledger.show(NO_FLAGS)
        return made

    def run_on(self, operation: Callable[[MailHome], Any], *, briefly: bool = False) -> Deferred[Any]:
        run = self.handle.run_briefly if briefly else self.handle.run
        return Deferred.fromCoroutine(run(operation))

    def now(self, operation: Callable[[MailHome], Any]) -> Any:
        return self.successResultOf(self.run_on(operation))

    def arrive(self, *uids: int, home: MailHome | None = None) -> None:
        entries = [entry for entry in self.entries if entry.uid in uids]
        if home is not None:
            land(home, entries)
        else:
            self.now(lambda home: land(home, entries))


def land(home: MailHome, entries: Sequence[Entry]) -> None:
    landing = Landing(home.maildir, home.token, seen="headers", clock=lambda: NOW)
    written = landing.write([(entry, mail(entry.position)) for entry in entries])
    landing.settle(written)
    landing.close()
    home.enter([each.landed for each in written])


def read(*uids: int) -> Callable[[MailHome], list[bytes]]:
    def operation(home: MailHome) -> list[bytes]:
        found = home.open_many(INBOX_ID, uids)
        texts = [bytes(found[uid].whole()) for uid in uids]
        for content in found.values():
            content.close()
        return texts

    return operation


class Waiting(WaitingTestCase):
    def test_until_all_that_it_needs_is_here(self) -> None:
        for briefly in (False, True):
            first, second = (2, 3) if not briefly else (4, 5)
            waiting = self.run_on(read(first, second), briefly=briefly)
            self.assertEqual(self.hurried, [([first, second], True)])
            self.arrive(first)
            self.assertNoResult(waiting)
            self.arrive(second)
            self.assertEqual(self.successResultOf(waiting), [mail(first), mail(second)])
            self.assertEqual(self.hurried, [([first, second], True)])
            self.hurried.clear()

    def test_others_go_on_meanwhile(self) -> None:
        waiting = self.run_on(read(2))
        self.arrive(7)
        self.assertEqual(self.now(read(7)), [mail(7)])
        self.now(lambda home: home.store_flags(INBOX_ID, [2], StoreMode.ADD, [SEEN]))
        self.assertNoResult(waiting)
        self.arrive(2)
        self.assertEqual(self.successResultOf(waiting), [mail(2)])

    def test_what_comes_in_another_process(self) -> None:
        waiting = self.run_on(read(2))
        other = MailHome(MailboxEngine(), 1, self.path)
        self.arrive(2, home=other)
        other.close()
        self.assertNoResult(waiting)
        self.homes.tell(1, INBOX_ID)
        self.assertEqual(self.successResultOf(waiting), [mail(2)])

    def test_what_came_while_it_looked(self) -> None:
        """The news was here before the operation said what it needs: there will be no other."""
        other = MailHome(MailboxEngine(), 1, self.path)

        def looks(home: MailHome) -> list[bytes]:
            try:
                return read(2)(home)
            finally:
                if not came:
                    came.append(True)
                    self.arrive(2, home=other)
                    self.homes.tell(1, INBOX_ID)

        came: list[bool] = []
        self.assertEqual(self.successResultOf(self.run_on(looks)), [mail(2)])
        other.close()

    def test_in_vain_where_nothing_comes(self) -> None:
        waiting, header = self.run_on(read(2, 3)), self.run_on(header_of(5))
        self.assertEqual(self.hurried[1], ([5], False))
        self.homes.in_vain(1)
        self.failureResultOf(waiting, StillAway)
        self.failureResultOf(header, StillAway)

    def test_in_vain_while_it_looked_again(self) -> None:
        """It was said between two looks, and will not be said again."""
        looks: list[bool] = []

        def looking(home: MailHome) -> list[bytes]:
            looks.append(True)
            try:
                return read(2, 3)(home)
            finally:
                if len(looks) == 2:
                    self.homes.in_vain(1)

        waiting = self.run_on(looking)
        self.arrive(2)
        self.failureResultOf(waiting, StillAway)

    def test_asked_for_anew_where_another_node_goes_on(self) -> None:
        waiting, other = self.run_on(read(2, 3)), self.run_on(read(5))
        self.arrive(2)
        self.hurried.clear()
        self.homes.ask_anew("somebody@123.com")
        self.assertEqual(self.hurried, [])
        self.homes.ask_anew("user@123.com")
        self.assertEqual(sorted(self.hurried), [([3], True), ([5], True)])
        self.homes.ask_anew(None)
        self.assertEqual(len(self.hurried), 4)
        self.arrive(3, 5)
        self.assertEqual(self.successResultOf(waiting), [mail(2), mail(3)])
        self.successResultOf(other)
        self.homes.ask_anew("user@123.com")
        self.assertEqual(len(self.hurried), 4)

    def test_who_is_handed_to_another_node_waits_on_for_its_patience(self) -> None:
        waiting = self.run_on(read(2))
        self.clock.advance(PATIENCE - 1)
        self.homes.ask_anew("user@123.com")
        self.clock.advance(PATIENCE - 1)
        self.assertNoResult(waiting)
        self.clock.advance(2)
        self.failureResultOf(waiting, StillAway)

    def test_in_vain_where_nobody_fetches(self) -> None:
        self.homes.hurry = self.homes._nobody_fetches
        self.failureResultOf(self.run_on(read(2)), StillAway)

    def test_patience_ends_and_begins_anew_with_each_that_comes(self) -> None:
        waiting = self.run_on(read(2, 3, 4))
        self.clock.advance(PATIENCE - 1)
        self.arrive(2)
        self.clock.advance(PATIENCE - 1)
        self.arrive(7)  # nobody waits for that one
        self.assertNoResult(waiting)
        self.clock.advance(2)
        self.failureResultOf(waiting, StillAway)

    def test_a_large_message_is_waited_for_as_long_as_it_takes_on_a_slow_line(self) -> None:
        self.patch(awaiting, "SLOW", len(mail(2)) / 10)
        waiting = self.run_on(read(2))
        self.clock.advance(PATIENCE + 9)
        self.assertNoResult(waiting)
        self.clock.advance(2)
        self.failureResultOf(waiting, StillAway)

    def test_one_that_is_given_up_is_told_at_once(self) -> None:
        waiting = self.run_on(read(2))
        self.now(lambda home: home.ledger.quarantine(self.entries[1].id, "no"))
        self.assertIn("could not be fetched", str(self.failureResultOf(waiting).value))

    def test_a_home_without_a_clock(self) -> None:
        homes = Homes(MailboxEngine(), in_thread=direct, from_thread=lambda call: call())
        handle = self.successResultOf(Deferred.fromCoroutine(homes.open(1, "user@123.com", self.path)))
        self.failureResultOf(Deferred.fromCoroutine(handle.run(read(2))), StillAway)
        handle.close()


def header_of(uid: int) -> Callable[[MailHome], bytes]:
    def operation(home: MailHome) -> bytes:
        away = home.away(INBOX_ID, [uid])
        header = away[uid].header
        if header is None:
            raise home.absent(uid, away, header=True)
        return header

    return operation
