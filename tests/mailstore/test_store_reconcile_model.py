"""Random work of other programs, and of sessions, in one Maildir against a plain model."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN, StoreMode
from mailstore.maildir import info, unique_of
from tests.mailstore.store_rig import append, bodies, open_home, rows
from tests.memory import in_memory

FLAGS = st.frozensets(st.sampled_from([ANSWERED, DELETED, DRAFT, FLAGGED, SEEN]))
BODIES = st.binary(max_size=40)
PICK = st.integers(0, 1_000_000)

Message = tuple[bytes, frozenset[str]]  # as sent, with its flags


def as_sent(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


class OtherPrograms(RuleBasedStateMachine):
    """The model is what the directories hold: unique name → message. UIDs are checked to be each one message's."""

    def __init__(self) -> None:
        super().__init__()
        self.path = Path(tempfile.mkdtemp(prefix="mailferry-model-", dir=in_memory()))
        self.now = 1_700_000_000.0
        self.home = open_home(self.path, clock=lambda: self.now)
        self.cur = self.path / "Maildir" / "cur"
        self.new = self.path / "Maildir" / "new"
        self.lying: dict[Path, bytes] = {}  # files, as they are sent
        self.ever: dict[int, bytes] = {}  # UID → what it was
        self.count = 0
        self.modseq = 0

    def teardown(self) -> None:
        self.home.close()
        shutil.rmtree(self.path)

    def pick(self, number: int) -> Path:
        """In the order in which they came to lie: our own names are random."""
        return list(self.lying)[number % len(self.lying)]

    def gone(self, path: Path) -> bytes:
        return self.lying.pop(path)

    # Other programs

    @rule(data=BODIES, sub=st.sampled_from(["new", "cur"]), flags=FLAGS, time=st.integers(0, 3))
    def deliver(self, data: bytes, sub: str, flags: frozenset[str], time: int) -> None:
        self.count += 1
        name = f"{time}.{self.count}.elsewhere" + (info(flags) if sub == "cur" else "")
        path = self.path / "Maildir" / sub / name
        path.write_bytes(data)
        self.lying[path] = as_sent(data)

    @precondition(lambda self: self.lying)
    @rule(number=PICK, flags=FLAGS)
    def rename(self, number: int, flags: frozenset[str]) -> None:
        path = self.pick(number)
        target = self.cur / (unique_of(path.name) + info(flags))
        if target not in self.lying:
            path.rename(target)
            self.lying[target] = self.gone(path)

    @precondition(lambda self: self.lying)
    @rule(number=PICK)
    def remove(self, number: int) -> None:
        path = self.pick(number)
        path.unlink()
        self.gone(path)

    @precondition(lambda self: self.lying)
    @rule(number=PICK, flags=FLAGS)
    def copy(self, number: int, flags: frozenset[str]) -> None:
        """The same unique name twice, in whatever directory."""
        path = self.pick(number)
        target = self.cur / (unique_of(path.name) + info(flags))
        if target not in self.lying and not target.exists():
            shutil.copyfile(path, target)
            self.lying[target] = self.lying[path]

    # The store

    @rule(data=BODIES, flags=FLAGS)
    def append(self, data: bytes, flags: frozenset[str]) -> None:
        append(self.home, data, flags=flags)
        self.look(native=False, known=data)

    @rule(number=PICK, flags=FLAGS)
    def store(self, number: int, flags: frozenset[str]) -> None:
        self.look()
        there = rows(self.home)
        if there:
            uid = there[number % len(there)].uid
            self.home.store_flags(INBOX_ID, [uid], StoreMode.REPLACE, flags)
            self.look()

    @rule()
    def expunge(self) -> None:
        self.look()
        marked = [row.uid for row in rows(self.home) if DELETED in row.flags]
        assert self.home.expunge(INBOX_ID) == marked
        self.relist()

    @rule(seconds=st.sampled_from([0.0, 0.5, 100.0]))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def reopen(self) -> None:
        self.home.close()
        self.home = open_home(self.path, clock=lambda: self.now)

    @rule()
    def look(self, *, native: bool = True, known: bytes | None = None) -> None:
        """Everything that lies there is a message, and nothing else is."""
        expected = sorted([*self.lying.values(), *([known] if known is not None else [])])
        self.home.reconcile()
        found = bodies(self.home)
        assert sorted(found.values()) == expected
        self.relist()

    def relist(self) -> None:
        found = bodies(self.home)
        there = {row.file: row for row in rows(self.home)}
        paths = [*self.cur.iterdir(), *self.new.iterdir()]
        assert sorted(path.name for path in paths) == sorted(row.file + info(row.flags) for row in there.values())
        paths.sort(key=lambda path: there[unique_of(path.name)].uid)
        self.lying = {path: found[there[unique_of(path.name)].uid] for path in paths}
        for uid, body in found.items():
            assert self.ever.setdefault(uid, body) == body
        status = self.home.status("INBOX")
        assert status.uidnext > max(self.ever, default=0)
        assert status.highestmodseq >= self.modseq
        self.modseq = status.highestmodseq

    @invariant()
    def uids_ascend(self) -> None:
        uids = [row.uid for row in rows(self.home)]
        assert uids == sorted(set(uids))


OtherPrograms.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestOtherPrograms = OtherPrograms.TestCase


@pytest.mark.usefixtures("in_postgres")
class TestOtherProgramsInPostgres(OtherPrograms.TestCase):  # type: ignore[misc, name-defined]
    settings = settings(OtherPrograms.TestCase.settings, max_examples=4)
