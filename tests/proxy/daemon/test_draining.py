"""A node goes out of service and comes back: the wish, what is told, what is ended, and when."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailstore.accounts import State
from proxy.daemon import drain_file, easing
from proxy.daemon.drain_file import GRACE, WITHIN, Wish, Word
from proxy.daemon.draining import Draining
from proxy.daemon.easing import IDLE_SECONDS, SPREAD_SECONDS, Easing
from tests.proxy.daemon.test_daemon import LOGIN, DaemonTestCase
from tests.proxy.daemon.test_workers import WithWorkers
from tests.proxy.login.login_rig import PASSWORD
from tests.proxy.recording import RecordingLog

# The wish


def test_a_wish_is_there_until_it_is_undone(tmp_path: Path) -> None:
    assert not drain_file.wished(tmp_path) and drain_file.wish_of(tmp_path) is None
    drain_file.wish(tmp_path, Wish(1_700_000_000, 5, 60))
    assert drain_file.wished(tmp_path) and drain_file.wish_of(tmp_path) == Wish(1_700_000_000, 5, 60)
    assert drain_file.undo(tmp_path) and not drain_file.undo(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b"{", b"\xff", b'{"grace": -1, "within": "1m", "since": true, "x": 1}']
)
def test_whatever_is_in_it_it_counts(tmp_path: Path, text: bytes) -> None:
    """Somebody may have made it by hand."""
    (tmp_path / drain_file.WISH).write_bytes(text)
    wish = drain_file.wish_of(tmp_path)
    assert wish is not None and (wish.grace, wish.within) == (GRACE, WITHIN)


def test_a_daemon_s_word_counts_while_it_lives(tmp_path: Path) -> None:
    drain_file.say(tmp_path, Word(os.getpid(), 0, 0, True))
    word = drain_file.word_of(tmp_path)
    assert word is not None and word.drained
    drain_file.say(tmp_path, Word(2**30, 0, 0, True))
    assert drain_file.word_of(tmp_path) is None
    drain_file.say(tmp_path, None)
    drain_file.say(tmp_path, None)
    assert list(tmp_path.iterdir()) == []


def test_without_sessions_it_is_drained_only_when_the_grace_is_over() -> None:
    """Until then HAProxy sends more."""
    assert not Word(1, 0, 0, False).drained and not Word(1, 1, 0, True).drained and not Word(1, 0, 1, True).drained


# What the daemon does


@dataclass
class Node:
    """Everybody who has a part in it."""

    state: Path
    clock: Clock = field(default_factory=Clock)
    log: RecordingLog = field(default_factory=RecordingLog)
    connections: int = 2
    running: int = 1
    did: list[object] = field(default_factory=list)

    def ease(self, within: float | None) -> None:
        self.did.append(("ease", within))

    def rest(self) -> None:
        self.did.append("rest")

    def hand_on(self, *, all_: bool) -> None:
        if ("hand on", all_) not in self.did:
            self.did.append(("hand on", all_))

    def go_on(self) -> None:
        self.did.append("go on")

    def pages(self) -> None:
        if "pages" not in self.did:
            self.did.append("pages")

    def word(self) -> dict[str, object] | None:
        path = self.state / drain_file.WORD
        return json.loads(path.read_text()) if path.exists() else None


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.fixture
def draining(node: Node) -> Draining:
    made = Draining(node.state, node, node, ease_pages=node.pages, clock=node.clock, log=node.log)
    made.start()
    return made


def test_nothing_is_ended_in_the_grace_and_everything_in_the_end(node: Node, draining: Draining) -> None:
    node.clock.pump([1.0] * 3)
    assert (node.did, node.word(), draining.wished) == ([], None, False)
    drain_file.wish(node.state, Wish(0, 5, 20))
    assert draining.wished  # a health check is told before anybody looks
    node.clock.pump([1.0] * 5)
    assert (node.did, node.log.events()) == (["rest"], ["draining"])
    assert node.word() == {"process": os.getpid(), "sessions": 2, "moves": 1, "ending": False}
    node.clock.advance(1)
    assert node.did == ["rest", ("ease", 20), ("hand on", False), "pages"]
    node.clock.pump([1.0] * 20)
    assert node.did[4:] == [("hand on", True)]
    assert node.log.events() == ["draining"]
    node.connections = node.running = 0
    node.clock.pump([1.0] * 3)
    assert node.log.events() == ["draining", "drained"]
    assert node.word() == {"process": os.getpid(), "sessions": 0, "moves": 0, "ending": True}
    draining.stop()
    assert node.word() is None and draining.wished and node.clock.getDelayedCalls() == []


def test_all_of_it_can_be_taken_back(node: Node, draining: Draining) -> None:
    drain_file.wish(node.state, Wish(0, 0, 20))
    node.clock.advance(1)
    node.did.clear()
    drain_file.undo(node.state)
    assert not draining.wished
    node.clock.pump([1.0] * 3)
    assert (node.did, node.word()) == ([("ease", None), "go on"], None)
    assert node.log.events() == ["draining", "not drained any more"]
    drain_file.wish(node.state, Wish(9, 100, 20))
    node.clock.advance(1)
    drain_file.undo(node.state)
    node.clock.advance(1)
    assert node.did[2:] == ["rest", "go on"]  # nobody had been told to go
    draining.stop()


def test_asked_again_with_other_times_it_begins_again(node: Node, draining: Draining) -> None:
    drain_file.wish(node.state, Wish(0, 0, 20))
    node.clock.advance(1)
    drain_file.wish(node.state, Wish(5, 0, 3))
    node.clock.advance(1)
    assert node.did.count(("ease", 3)) == 1
    draining.stop()


# Which sessions are ended when


class Client:
    def __init__(self, quiet: float) -> None:
        self.quiet, self.left = quiet, 0

    def quiet_for(self) -> float:
        return self.quiet

    def leave(self) -> None:
        self.left += 1


def test_those_that_idle_go_first_a_few_at_a_time_and_the_others_at_the_end() -> None:
    clock = Clock()
    clients = [*(Client(IDLE_SECONDS) for _ in range(120)), *(Client(0.0) for _ in range(3))]
    here = set(clients)
    made = Easing(lambda: here, clock, RecordingLog())
    made.begin(300)
    gone = []
    for _ in range(int(SPREAD_SECONDS)):
        clock.advance(1)
        gone.append(sum(bool(client.left) for client in clients))
        here -= {client for client in clients if client.left}
    assert gone[-1] == 120 and max(b - a for a, b in pairwise(gone)) <= 3
    clients[-1].quiet = IDLE_SECONDS
    clock.advance(1)
    assert [client.left for client in clients[-3:]] == [0, 0, 1]
    clock.pump([1.0] * 240)
    assert all(client.left for client in clients)
    made.end()
    made.end()
    assert clock.getDelayedCalls() == []


def test_a_client_that_comes_when_the_time_is_over_is_ended_too_and_none_behind_the_end() -> None:
    clock, client = Clock(), Client(0.0)
    made = Easing(lambda: [client], clock, RecordingLog())
    made.begin(1)
    clock.pump([1.0] * 3)
    assert client.left
    made.end()
    left = client.left
    clock.pump([1.0] * 3)
    assert client.left == left


# A daemon


class Drained(DaemonTestCase):
    timeout = 300

    def test_sessions_end_when_they_idle_and_who_comes_is_served(self) -> Deferred[None]:
        async def test() -> None:
            self.patch(easing, "IDLE_SECONDS", 0.0)  # and workers wait for theirs
            daemon = await self.daemon(self.legacy().port)
            idle, silent = await self.imap(daemon), await self.imap(daemon)
            for client in (idle, silent):
                await client.ask(b"a " + LOGIN, b"a OK")
            await idle.ask(b"b SELECT INBOX", b"b OK")
            await idle.ask(b"c IDLE", b"+")
            drain_file.wish(self.state, Wish(0, 0, 300))
            await self.until(lambda: daemon.status().startswith("draining, "))
            for client in (idle, silent):
                await client.expect(b"* BYE Server is going out of service, connect again.")
                await client.gone
            pop3 = await self.pop3(daemon)
            await pop3.ask(b"USER user", b"+OK")
            await pop3.ask(b"PASS " + PASSWORD, b"+OK")
            await pop3.gone
            await self.until(lambda: "drained" in self.log.events())
            drain_file.undo(self.state)
            await self.until(lambda: "not drained any more" in self.log.events())
            imap = await self.imap(daemon)
            await imap.ask(b"a " + LOGIN, b"a OK")
            await self.stop(daemon)

        return self.run_async(test())


class DrainedWithWorkers(WithWorkers, Drained):
    timeout = 300


class MovesDrained(DaemonTestCase):
    timeout = 300

    def test_a_first_login_under_way_is_not_refused(self) -> Deferred[None]:
        async def test() -> None:
            legacy = self.legacy(pieces=300)
            daemon = await self.daemon(legacy.port)
            imap = await self.imap(daemon)
            answer = imap.ask(b"a " + LOGIN, b"a ")
            await self.until(lambda: legacy.asked(b"RETR") > 0)
            drain_file.wish(self.state, Wish(0, 0, 300))
            await self.until(lambda: "draining" in self.log.events())
            self.assertIn(b"a OK", await answer)
            await imap.ask(b"b SELECT INBOX", b"* 20 EXISTS")
            await self.stop(daemon)

        return self.run_async(test())

    def test_a_move_that_nobody_waits_for_is_handed_on_and_none_is_begun_until_it_is_undone(self) -> Deferred[None]:
        async def test() -> None:
            legacy = self.legacy(stop_in=15)
            daemon = await self.daemon(legacy.port)
            imap = await self.imap(daemon)
            answer = imap.ask(b"a " + LOGIN, b"a ")
            await self.until(lambda: legacy.asked(b"RETR") > 0 and self.account_state(daemon) is State.MOVING)
            drain_file.wish(self.state, Wish(0, 0, 1))  # this one is waited for, but not for ever
            self.assertIn(b"NO [UNAVAILABLE]", await answer)
            await self.until(lambda: "drained" in self.log.events())
            legacy.behaviour.stop_in = 0
            connections = legacy.connections
            daemon._moving.rounds.look()
            await self.until(lambda: not daemon._moving.rounds._looking)
            self.assertEqual((daemon._moving.running, legacy.connections), (0, connections))
            drain_file.undo(self.state)
            await self.until(lambda: self.account_state(daemon) is State.MOVED)
            await self.stop(daemon)

        return self.run_async(test())
