"""An old mailbox with which anything may happen, and moves that may be interrupted anywhere: every message that was
listed and could be fetched is here once, or was deleted here once, with its bytes, in the order in which they came.

MAILFERRY_MANY is for a longer run: so many examples.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from twisted.internet.defer import Deferred

from mailstore.entries import Sums
from mailstore.errors import StorageFailed
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import FLAGGED, StoreMode
from mailstore.ledger import Ledger
from proxy.migration import pull
from proxy.migration.source import SourceError, SourceUnusable
from tests.proxy.migration.later_rig import letter
from tests.proxy.migration.scripted import MigrationTestCase, Old, OldMailbox, ScriptedSource

MANY = int(os.environ.get("MAILFERRY_MANY", "0"))
PICK = st.integers(0, 30)


def content(number: int) -> bytes:
    """Letters and notes, all of two sizes as long as there are fewer than a thousand."""
    if number % 3:
        return letter(1000 + number)
    return b"Subject: disk %04d\r\n\r\nfull\r\n" % number


@dataclass
class Wandering(OldMailbox):
    """A mailbox whose messages may have other names on each connection."""

    numbers: list[int] = field(default_factory=list)  # of all that it has, in order
    hidden: set[int] = field(default_factory=set)  # what it does not list
    names: str = "own"
    epoch: int = 0
    sessions: int = 0
    counted: int | None = 0  # what is added to each size that LIST tells; None: it tells none

    def visible(self) -> list[int]:
        return [number for number in self.numbers if number not in self.hidden]

    def name(self, number: int, position: int, of: int) -> str:
        match self.names:
            case "none":
                return ""
            case "numbers":
                return str(position)
            case "same" if of > 1:
                return "same"
            case "changing":
                return f"{self.sessions}.{number}"
            case "some" if number % 4 == 0:
                return ""
        return f"{self.epoch}-{number}"

    def arrange(self) -> None:
        visible = self.visible()
        self.box = []
        for position, number in enumerate(visible, 1):
            data = content(number)
            octets = 0 if self.counted is None else len(data) + self.counted
            self.box.append(Old(self.name(number, position, len(visible)), data, octets))

    def connect(self) -> ScriptedSource:
        self.sessions += 1
        self.arrange()
        return super().connect()


class TwoEnds(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.case = MigrationTestCase()
        self.case.setUp()
        self.old = self.case.old = Wandering()
        self.next = 1
        self.first = True  # has no move come to its end yet?
        self.wanted: set[int] = set()  # listed when a move came to its end
        self.asked: set[int] = set()  # listed at any time
        self.deleted: set[int] = set()  # here, by the user
        self.ordered: list[list[int]] = []  # what came first with one undisturbed move each, in its order
        self.seen: dict[int, tuple[int, str]] = {}  # in the INBOX: UID and UIDL

    def teardown(self) -> None:
        self.case.doCleanups()

    # There

    @initialize(count=st.integers(0, 6))
    def begin(self, count: int) -> None:
        self.arrive(count, None)

    @rule(count=st.integers(1, 4), at=st.one_of(st.none(), PICK))
    def arrive(self, count: int, at: int | None) -> None:
        """At the end, as mail does, or somewhere."""
        new = list(range(self.next, self.next + count))
        self.next += count
        place = len(self.old.numbers) if at is None else min(at, len(self.old.numbers))
        self.old.numbers[place:place] = new

    @precondition(lambda self: self.old.numbers)
    @rule(at=PICK, count=st.integers(1, 3))
    def go(self, at: int, count: int) -> None:
        at %= len(self.old.numbers)
        del self.old.numbers[at : at + count]

    @rule()
    def turn_round(self) -> None:
        self.old.numbers.reverse()

    @rule(names=st.sampled_from(["own", "none", "numbers", "same", "changing", "some"]))
    def name(self, names: str) -> None:
        self.old.names = names

    @rule()
    def rename(self) -> None:
        self.old.epoch += 1

    @precondition(lambda self: self.old.numbers)
    @rule(at=PICK, count=st.integers(1, 6))
    def show_a_part(self, at: int, count: int) -> None:
        at %= len(self.old.numbers)
        self.old.hidden = set(self.old.numbers) - set(self.old.numbers[at : at + count])

    @rule()
    def show_all(self) -> None:
        self.old.hidden = set()

    @rule(counted=st.sampled_from([0, 0, 7, None]), top=st.booleans())
    def serve_otherwise(self, counted: int | None, top: bool) -> None:
        self.old.counted, self.old.top = counted, top

    # Here

    def here(self) -> dict[int, int]:
        """What is in the INBOX: number to UID."""
        found = {self.case.bytes_of(uid): uid for uid in self.case.uids()}
        return {number: found[data] for number in range(1, self.next) if (data := content(number)) in found}

    @rule(at=PICK)
    def delete(self, at: int) -> None:
        here = sorted(self.here().items())
        if here:
            number, uid = here[at % len(here)]
            self.case.mail.remove([uid])
            self.deleted.add(number)
            self.seen.pop(number, None)

    @rule(at=PICK)
    def put_away(self, at: int) -> None:
        here = sorted(self.here().items())
        if here:
            number, uid = here[at % len(here)]
            if "kept" not in [folder.name for folder in self.case.mail.folders()]:
                self.case.mail.create("kept")
            self.case.mail.move(INBOX_ID, [uid], "kept")
            self.seen.pop(number, None)

    @rule(at=PICK)
    def mark(self, at: int) -> None:
        uids = self.case.uids()
        if uids:
            self.case.mail.store_flags(INBOX_ID, [uids[at % len(uids)]], StoreMode.ADD, [FLAGGED])

    @rule()
    def restart(self) -> None:
        self.case.mail.close()
        self.case.mail = self.case.open_mail()
        self.case.home.mail = self.case.mail

    @rule(seconds=st.sampled_from([1, 3600, 7 * 24 * 3600]))
    def wait(self, seconds: int) -> None:
        self.case.later(seconds)

    # Moves

    @rule()
    def carry(self) -> None:
        self.run_move()

    @rule(at=st.integers(1, 3), after=st.booleans())
    def carry_and_be_killed(self, at: int, after: bool) -> None:
        """Where a batch is entered, before the ledger has it or before anything is done about it."""
        entered = Ledger.enter
        left = at

        def entering(ledger: Ledger, *arguments: Any) -> Sums:
            nonlocal left
            left -= 1
            if left or not after:
                if not left:
                    raise StorageFailed("killed before")
                return entered(ledger, *arguments)
            entered(ledger, *arguments)
            raise StorageFailed("killed after")

        with mock.patch.object(Ledger, "enter", entering), mock.patch.object(pull, "BATCH_MESSAGES", 2):
            self.run_move(troubled=True)
        self.restart()

    @rule(at=PICK, fault=st.sampled_from(["breaks", "breaks for good", "refused", "list", "stopped"]))
    def carry_in_trouble(self, at: int, fault: str) -> None:
        visible = self.old.visible()
        number = visible[at % len(visible)] if visible else 0
        self.old.sessions += 1
        name = self.old.name(number, at % len(visible) + 1, len(visible)) if visible else ""
        self.old.sessions -= 1
        match fault:
            case "breaks":
                self.old.breaks = {name: 1}
            case "breaks for good":
                self.old.breaks = {name: 1}
                self.old.no_way_in.append(SourceUnusable("the password was changed"))
            case "refused":
                self.old.refusals = {name: 1}
            case "list":
                self.old.lists_broken = 1
            case "stopped":
                self.old.held = {name: Deferred()}
        self.run_move(troubled=True)
        self.old.breaks, self.old.refusals, self.old.held, self.old.lists_broken = {}, {}, {}, 0
        self.old.no_way_in.clear()

    def run_move(self, *, troubled: bool = False) -> None:
        new = [number for number in self.old.visible() if number not in self.asked]
        self.asked.update(new)
        self.case.mail.ledger.retry()
        move = self.case.move(first=self.first)
        running = self.case.begin(move)
        self.case.let_pass(60)
        if not running.called:
            move.stop()
        if not self.came_to_its_end(running):
            return
        self.first = False
        if self.case.mail.ledger.quarantined():
            return  # the next one asks for it again
        self.wanted.update(self.old.visible())
        if new and not troubled:
            self.ordered.append(new)
        self.check()

    @staticmethod
    def came_to_its_end(running: Deferred[object]) -> bool:
        results: list[object] = []
        running.addErrback(lambda failure: failure.trap(SourceError, StorageFailed) and None)
        running.addCallback(results.append)
        return results != [None]

    def check(self) -> None:
        case = self.case
        kept = [folder for folder in case.mail.folders() if folder.name == "kept"]
        stored = case.stored()
        for folder in kept:
            for uid in case.mail.select("kept", writable=False).uids:
                with case.mail.open(folder.id, uid) as message:
                    stored.append(bytes(message.whole()))
        numbers = {content(number): number for number in range(1, self.next)}
        found = [numbers[data] for data in stored]  # no other bytes than theirs
        assert len(found) == len(set(found)), "a message is here twice"
        assert not set(found) & self.deleted, "a message that the user deleted came back"
        assert self.wanted - self.deleted <= set(found), "a message is lost"
        assert set(found) <= self.asked
        rows = {number: (row.uid, row.uidl) for row in case.mail.maildrop() if (number := self.number_of(row.uid))}
        assert len({uidl for _, uidl in rows.values()}) == len(rows), "POP3 clients see one name twice"
        assert all(rows[number] == known for number, known in self.seen.items()), "what clients know has changed"
        self.seen = rows
        uids = [rows[number][0] for batch in self.ordered for number in batch if number in rows]
        assert uids == sorted(uids), "the order is another one"
        assert case.files("tmp") == []
        sums = case.mail.ledger.sums()
        assert (sums.quarantined, sums.messages_done) == (0, sums.messages_total)

    def number_of(self, uid: int) -> int:
        data = self.case.bytes_of(uid)
        return next(number for number in range(1, self.next) if content(number) == data)


TestTwoEnds = TwoEnds.TestCase
TestTwoEnds.settings = settings(
    max_examples=MANY or 40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
