"""Sessions that all work at the same time: whatever order it came to, no message is lost or doubled, no UID is given
twice, no modseq stands for two things, and in the end all know the same."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from tests.legacy.dovecot import Dovecot
from tests.peers.daemon import Daemon
from tests.peers.sessions import DaemonStage
from tests.sessions.hearing import Exists, Expunged, Fetched, Heard, Tagged, numbers_of, understood

pytestmark = pytest.mark.peers
SESSIONS, STEPS = 4, 60
FOLDERS = ("INBOX", "Other")
_users = count(1)

Place = tuple[str, int]  # a folder and a UID


class Worker:
    """One session. It moves, flags and adds messages, and notes what it was told of UIDs and modseqs."""

    def __init__(self, stage: DaemonStage, seed: int) -> None:
        self.wire = stage.connect("imap")
        self.wire.response()
        self.random = random.Random(seed)
        self.added: list[bytes] = []
        self.given: list[Place] = []  # UIDs that were given to new messages
        self.facts: dict[tuple[str, int, int], frozenset[str]] = {}  # folder, UID, modseq → flags
        self.folder = ""
        self.uids: list[int | None] = []
        self.ask(b"LOGIN %b %b" % stage.credentials())
        self.ask(b"ENABLE CONDSTORE")
        self.select("INBOX")

    def ask(self, command: bytes) -> Tagged:
        """Takes in what comes before the tagged reply."""
        self.wire.send(b"t " + command + b"\r\n")
        while True:
            heard = understood(self.wire.response())
            if isinstance(heard, Tagged) and heard.tag == b"t":
                assert heard.status == b"OK" or heard.code == b"EXPUNGEISSUED", (command, heard)
                self._hear(heard)
                return heard
            self._hear(heard)

    def _hear(self, heard: Heard) -> None:
        match heard:
            case Exists():
                self.uids.extend([None] * (heard.count - len(self.uids)))
            case Expunged():
                del self.uids[heard.number - 1]
            case Fetched(uid=uid, flags=flags, modseq=modseq) if uid is not None:
                assert self.uids[heard.number - 1] in (None, uid), "a number means another message than before"
                self.uids[heard.number - 1] = uid
                if flags is not None and modseq is not None:
                    flags -= {"\\Recent"}
                    assert self.facts.setdefault((self.folder, uid, modseq), flags) == flags
            case Tagged():
                if words := heard.coded(b"APPENDUID"):
                    self.given += [(self.target, uid) for uid in numbers_of(words[1])]
                if words := heard.coded(b"COPYUID"):
                    self.given += [(self.target, uid) for uid in numbers_of(words[2])]

    def select(self, folder: str) -> None:
        self.folder, self.uids = folder, []
        self.ask(b"SELECT " + folder.encode())
        self.ask(b"UID FETCH 1:* (FLAGS MODSEQ)")

    def work(self) -> None:
        for step in range(STEPS):
            self.target = self.random.choice(FOLDERS)
            known = [uid for uid in self.uids if uid is not None]
            some = b",".join(b"%d" % uid for uid in self.random.sample(known, min(3, len(known)))) or b"1"
            kind = self.random.choice(("append", "move", "move", "store", "silent", "seen", "select", "fetch"))
            if kind == "append" or not known:
                body = b"Subject: %d of %d\r\n\r\nx\r\n" % (step, id(self))
                self.added.append(body)
                self.ask(b"APPEND %b {%d+}\r\n%b" % (self.target.encode(), len(body), body))
            elif kind == "move":
                self.ask(b"UID MOVE %b %b" % (some, self.target.encode()))
            elif kind == "select":
                self.select(self.target)
            else:
                self.ask(
                    {
                        "store": b"UID STORE %b +FLAGS (\\Flagged)",
                        "silent": b"UID STORE %b -FLAGS.SILENT (\\Flagged)",
                        "seen": b"UID FETCH %b (BODY[TEXT])",
                        "fetch": b"UID FETCH %b (FLAGS MODSEQ)",
                    }[kind]
                    % some
                )

    def everything(self, folder: str) -> list[tuple[int | None, frozenset[str] | None, int | None, bytes]]:
        """UID, flags, modseq and octets of each message."""
        self.select(folder)
        self.wire.send(b"t UID FETCH 1:* (FLAGS MODSEQ BODY.PEEK[])\r\n")
        found: list[tuple[int | None, frozenset[str] | None, int | None, bytes]] = []
        while not isinstance(heard := understood(self.wire.response()), Tagged) or heard.tag != b"t":
            if isinstance(heard, Fetched) and b"BODY[]" in heard.items:
                flags = (heard.flags or frozenset()) - {"\\Recent"}
                found.append((heard.uid, flags, heard.modseq, heard.items[b"BODY[]"]))
        return found


def test_all_at_once(legacy: Dovecot, daemon: Daemon) -> None:
    stage = DaemonStage(daemon, legacy, f"storm{next(_users)}")
    stage.model()  # the first login
    workers = [Worker(stage, seed) for seed in range(SESSIONS)]
    workers[0].ask(b"CREATE Other")
    with ThreadPoolExecutor(SESSIONS) as pool:
        list(pool.map(Worker.work, workers))

    folders = {folder: workers[0].everything(folder) for folder in FOLDERS}
    there = Counter(body for messages in folders.values() for *_, body in messages)
    assert there == Counter(body for worker in workers for body in worker.added), "lost, or doubled"
    given = Counter(place for worker in workers for place in worker.given)
    assert set(given.values()) <= {1}, "a UID was given twice"
    for folder, messages in folders.items():
        uids = [uid for uid, *_ in messages]
        assert uids == sorted(uids, key=lambda uid: uid or 0)
        assert {(folder, uid) for uid in uids} <= given.keys()
    facts: dict[tuple[str, int, int], frozenset[str]] = {}
    for worker in workers:
        assert all(worker.everything(folder) == messages for folder, messages in folders.items())
        for fact, flags in worker.facts.items():
            assert facts.setdefault(fact, flags) == flags, "a modseq stands for two things"
    for worker in workers:
        worker.wire.hang_up()
    stage.close()
