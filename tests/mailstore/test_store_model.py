"""The store against a plain model of it: whatever is done in whatever order, both tell the same.

Beside the folders the model keeps what a session keeps: a view of INBOX, brought up to date from `changes` alone.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mailstore.errors import BadFolderName, FolderExists, MailstoreError, NoSuchFolder
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import DELETED, FLAGGED, SEEN, Flags, StoreMode
from tests.mailstore.store_rig import DATE, bodies, check_whole, cur, debris, folder_id, names, open_home, rows
from tests.memory import in_memory

NAMES = st.sampled_from(["INBOX", "a", "a/b", "a/b/b", "b", "b/b", "INBOX/x", "ü.%/é"])
FLAGS = st.frozensets(st.sampled_from([SEEN, DELETED, FLAGGED, "Work"]))
DATA = st.sampled_from([b"", b"x", b"Subject: a\r\n\r\nb\n", b"\x00\xff\r", b"y" * 5000])
PICKS = st.sets(st.integers(0, 5))


@dataclass
class Modelled:
    """A folder as it should be."""

    messages: dict[int, tuple[bytes, Flags]] = field(default_factory=dict)
    uidnext: int = 1
    uidvalidity: int = 0

    def add(self, data: bytes, flags: Flags) -> int:
        uid, self.uidnext = self.uidnext, self.uidnext + 1
        self.messages[uid] = (data, flags)
        return uid

    def pick(self, numbers: set[int]) -> list[int]:
        """Some of its UIDs, and one that never was."""
        known = list(self.messages)
        return [known[n] for n in sorted(numbers) if n < len(known)] + ([10**6] if 5 in numbers else [])


def below(name: str, above: str) -> bool:
    return name == above or name.startswith(above + "/")


class Model:
    """All folders, and the rules of RFC 3501 6.3 as they are meant."""

    def __init__(self) -> None:
        self.folders = {"INBOX": Modelled()}

    def create(self, name: str) -> None:
        if name in self.folders:
            raise FolderExists
        levels = name.split("/")
        for n in range(1, len(levels) + 1):
            self.folders.setdefault("/".join(levels[:n]), Modelled())

    def delete(self, name: str) -> None:
        if name == "INBOX":
            raise BadFolderName
        if self.folders.pop(name, None) is None:
            raise NoSuchFolder

    def rename(self, old: str, new: str) -> None:
        if old == "INBOX":
            self.create(new)
            for data, flags in self.folders["INBOX"].messages.values():
                self.folders[new].add(data, flags)
            self.folders["INBOX"].messages.clear()
            return
        if below(new, old):
            raise BadFolderName
        if old not in self.folders:
            raise NoSuchFolder
        moved = {name: new + name[len(old) :] for name in self.folders if below(name, old)}
        if (set(moved.values()) - set(moved)) & set(self.folders) or new in self.folders:
            raise FolderExists
        above, _, _ = new.rpartition("/")
        if above and above not in self.folders:
            self.create(above)
        # One that was made just now, above the new name, cannot be one that moves: `new` would lie in itself.
        for name in sorted(moved):
            self.folders[moved[name]] = self.folders.pop(name)


class Store(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.path = Path(tempfile.mkdtemp(dir=in_memory()))
        self.home = open_home(self.path)
        self.model = Model()
        self.highest_uidvalidity = 0
        self.view: dict[int, Flags] = {}
        self.seen_modseq = 0

    def teardown(self) -> None:
        self.home.close()
        shutil.rmtree(self.path)

    def both(self, act: Callable[[], object], expect: Callable[[], object]) -> None:
        """The store does what the model does, and refuses what it refuses in the same words."""
        try:
            expect()
        except MailstoreError as expected:
            try:
                act()
            except MailstoreError as error:
                assert type(error) is type(expected)
            else:
                raise AssertionError(f"{type(expected).__name__} was expected") from expected
        else:
            act()

    # Folders

    @rule(name=NAMES)
    def create(self, name: str) -> None:
        self.both(lambda: self.home.create(name), lambda: self.model.create(name))

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        self.both(lambda: self.home.delete(name), lambda: self.model.delete(name))

    @rule(old=NAMES, new=NAMES)
    def rename(self, old: str, new: str) -> None:
        self.both(lambda: self.home.rename(old, new), lambda: self.model.rename(old, new))

    # Messages

    @rule(name=NAMES, data=DATA, flags=FLAGS)
    def append(self, name: str, data: bytes, flags: Flags) -> None:
        def expect() -> None:
            if name not in self.model.folders:
                raise NoSuchFolder
            self.model.folders[name].add(data, flags)

        self.both(lambda: self.home.append(name, io.BytesIO(data), flags, DATE), expect)

    @rule(name=NAMES, picks=PICKS, mode=st.sampled_from(StoreMode), flags=FLAGS)
    def store(self, name: str, picks: set[int], mode: StoreMode, flags: Flags) -> None:
        if name not in self.model.folders:
            return
        folder = self.model.folders[name]
        uids = folder.pick(picks)
        told = self.home.store_flags(folder_id(self.home, name), uids, mode, flags)
        for uid in uids:
            if uid in folder.messages:
                data, old = folder.messages[uid]
                new = {StoreMode.REPLACE: flags, StoreMode.ADD: old | flags, StoreMode.REMOVE: old - flags}[mode]
                folder.messages[uid] = (data, new)
        assert {f.uid: f.flags for f in told} == {u: folder.messages[u][1] for u in uids if u in folder.messages}

    @rule(name=NAMES, picks=st.none() | PICKS)
    def expunge(self, name: str, picks: set[int] | None) -> None:
        if name not in self.model.folders:
            return
        folder = self.model.folders[name]
        uids = None if picks is None else folder.pick(picks)
        gone = [u for u, (_, f) in folder.messages.items() if DELETED in f and (uids is None or u in uids)]
        assert self.home.expunge(folder_id(self.home, name), uids) == gone
        for uid in gone:
            del folder.messages[uid]

    @rule(picks=PICKS)
    def remove(self, picks: set[int]) -> None:
        folder = self.model.folders["INBOX"]
        uids = folder.pick(picks)
        self.home.remove(uids)
        for uid in uids:
            folder.messages.pop(uid, None)

    @rule(source=NAMES, picks=PICKS, to=NAMES, moving=st.booleans())
    def copy_or_move(self, source: str, picks: set[int], to: str, moving: bool) -> None:
        if source not in self.model.folders:
            return
        folder = self.model.folders[source]
        uids = folder.pick(picks)

        def expect() -> None:
            if to not in self.model.folders:
                raise NoSuchFolder
            for data, flags in [folder.messages[u] for u in uids if u in folder.messages]:
                self.model.folders[to].add(data, flags)
            if moving:
                for uid in uids:
                    folder.messages.pop(uid, None)

        number = folder_id(self.home, source)
        operation = self.home.move if moving else self.home.copy
        self.both(lambda: operation(number, uids, to), expect)

    # What happens besides

    @rule()
    def reopen(self) -> None:
        self.home.close()
        self.home = open_home(self.path)

    @precondition(lambda self: self.model.folders["INBOX"].messages)
    @rule()
    def another_program_changes_names(self) -> None:
        """… and changes them back, since the store that takes note of it is another one."""
        for path in list(cur(self.home).iterdir()):
            path.rename(path.with_name(path.name.partition(":2,")[0] + ":2,PRS"))
        assert bodies(self.home) == {u: data for u, (data, _) in self.model.folders["INBOX"].messages.items()}
        for row in rows(self.home):
            self.home.store_flags(INBOX_ID, [row.uid], StoreMode.REPLACE, [*row.flags, "\\Answered"])
            self.home.store_flags(INBOX_ID, [row.uid], StoreMode.REPLACE, row.flags)

    @rule()
    def look(self) -> None:
        """A session that has INBOX selected asks what happened."""
        found = self.home.changes(INBOX_ID, self.seen_modseq, claim_recent=False)
        for uid in found.gone:
            self.view.pop(uid, None)
        for changed in found.changed:
            if changed.uid not in self.view:
                assert all(changed.uid > known for known in self.view)  # new messages come behind
            self.view[changed.uid] = changed.flags
        assert found.highestmodseq >= self.seen_modseq
        self.seen_modseq = found.highestmodseq
        assert self.view == {u: flags for u, (_, flags) in self.model.folders["INBOX"].messages.items()}

    # What holds at any time

    @invariant()
    def both_tell_the_same(self) -> None:
        assert set(names(self.home)) == set(self.model.folders)
        for name, folder in self.model.folders.items():
            status = self.home.status(name)
            assert (status.messages, status.uidnext) == (len(folder.messages), folder.uidnext)
            assert status.size == sum(len(data) for data, _ in folder.messages.values())
            assert status.unseen == sum(SEEN not in flags for _, flags in folder.messages.values())
            there = rows(self.home, name)
            assert {row.uid: row.flags for row in there} == {u: f for u, (_, f) in folder.messages.items()}
            assert bodies(self.home, name) == {u: data for u, (data, _) in folder.messages.items()}
            assert all(row.modseq <= status.highestmodseq for row in there)
            if folder.uidvalidity == 0:  # made since the last look: higher than all before
                assert status.uidvalidity > self.highest_uidvalidity
                folder.uidvalidity = status.uidvalidity
            assert status.uidvalidity == folder.uidvalidity
        values = [folder.uidvalidity for folder in self.model.folders.values()]
        assert len(set(values)) == len(values)
        self.highest_uidvalidity = max(self.highest_uidvalidity, *values)

    @invariant()
    def the_maildir_tells_the_same(self) -> None:
        check_whole(self.home)
        assert debris(self.home) == []


Store.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestStore = Store.TestCase


@pytest.mark.usefixtures("in_postgres")
class TestStoreInPostgres(Store.TestCase):  # type: ignore[misc, name-defined]
    settings = settings(Store.TestCase.settings, max_examples=3)
