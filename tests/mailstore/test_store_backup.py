"""Backups of a state directory that is in use, and what is brought back of them."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from mailstore import backup, copying, mailbox_copy, restoring
from mailstore.accounts import Accounts
from mailstore.backups import BackupRefused, digest_of, finished, found, thin
from mailstore.database import AccountsDatabase
from mailstore.entries import Listed
from mailstore.errors import StorageFailed
from mailstore.index.ahead import AHEAD
from mailstore.index.rows import DELETED, SEEN, StoreMode
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome, index_path, opened
from mailstore.refusals import storage_errors
from tests.mailstore.store_rig import append, bodies, check_whole, debris, folder_id, full_disk, names, rows

WANG, LI = 1, 2


@dataclass
class Installation:
    """A state directory with two accounts, the second of which has no mail yet, and where its backups are."""

    root: Path
    second: int = 1_700_000_000

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def shelf(self) -> Path:
        return self.root / "backups"

    def maildir(self, local: str = "wang", domain: str = "123.com") -> Path:
        return self.state / "mail" / domain / local / "Maildir"

    def home(self, local: str = "wang", number: int = WANG) -> MailHome:
        self.maildir(local).parent.mkdir(parents=True, exist_ok=True)
        return MailHome(MailboxEngine(), number, self.maildir(local))

    def back_up(self) -> tuple[Path, backup.Summary]:
        self.second += 1
        return backup.make(self.source([Path()]), self.shelf, clock=lambda: self.second)

    def source(self, tops: Sequence[Path]) -> backup.Source:
        """Mailboxes are put below the first of these, and may have been put below the others."""
        return backup.Source(
            self.state, lambda local, domain: [top / domain / local for top in tops], self.maildir, "1"
        )

    def lose(self) -> None:
        shutil.rmtree(self.state)

    def restore(self, path: Path | None = None) -> None:
        target = restoring.Target(self.state, self.state / "mail", self.maildir)
        restoring.restore(found(path or self.shelf), target)

    def left(self) -> list[str]:
        return sorted(path.name for path in self.state.iterdir()) if self.state.exists() else []


@pytest.fixture
def place(tmp_path: Path) -> Installation:
    place = Installation(tmp_path)
    database = AccountsDatabase(place.state / "accounts.db")
    for name in ("wang", "li"):
        Accounts(database).add(name, "123.com")
    database.close()
    (place.state / "sealing.key").write_bytes(bytes(32))
    (place.state / "reports" / "123.com").mkdir(parents=True)
    (place.state / "reports" / "123.com" / "final.txt").write_text("done\n")
    home = place.home()
    for number in range(5):
        append(home, b"Subject: %d\r\n\r\nbody\r\n" % number)
    home.create("Archive/2024")
    append(home, b"Subject: kept\r\n\r\n", "Archive/2024", ["$Keyword", SEEN])
    home.close()
    return place


def picture(home: MailHome) -> dict[str, object]:
    """What a client would see of it, but for changes' numbers."""
    told: dict[str, object] = {"folders": names(home), "ledger": home.ledger.entries()}
    for name in names(home):
        status = home.status(name)
        kept = [(row.uid, row.flags, row.size, row.internal_date, row.uidl, row.file) for row in rows(home, name)]
        told[name] = (status.uidvalidity, kept, bodies(home, name))
    return told


def test_all_is_as_it_was(place: Installation) -> None:
    with opened(MailboxEngine(), WANG, place.maildir()) as home:
        before, uidnext = picture(home), home.status("INBOX").uidnext
        path, summary = place.back_up()  # it is open
    assert (summary.accounts, summary.mailboxes, summary.messages) == (2, 1, 6)
    assert (summary.missing, summary.damaged) == ({}, [])
    place.lose()
    place.restore()
    assert place.left() == ["accounts.db", "mail", "reports", "sealing.key"]
    assert (place.state / "reports" / "123.com" / "final.txt").read_text() == "done\n"
    with opened(MailboxEngine(), WANG, place.maildir()) as home:
        assert not home.reconcile()
        assert picture(home) == before
        check_whole(home)
        assert debris(home) == []
        assert append(home, b"Subject: new\r\n\r\n") == uidnext + AHEAD
    assert not list(place.maildir().parent.glob("*.corrupt*"))
    assert found(path).path == path


def test_what_the_last_one_has_is_not_copied_again(place: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox_copy, "_near", lambda path, target: iter(()))
    monkeypatch.setattr(copying, "_SETTLED", 0)
    real = copying._link
    monkeypatch.setattr(copying, "_link", lambda one, other: place.shelf in one.parents and real(one, other))
    first, summary = place.back_up()
    assert summary.written == summary.octets > 0
    again, summary = place.back_up()
    assert summary.written == 0
    index = index_path(Path("mail/123.com/wang/Maildir"))
    assert (first / index).samefile(again / index)
    with opened(MailboxEngine(), WANG, place.maildir()) as home:
        home.store(folder_id(home, "INBOX"), [2], StoreMode.ADD, [SEEN])
        append(home, b"Subject: more\r\n\r\n")
    third, summary = place.back_up()
    assert summary.written == len(b"Subject: more\r\n\r\n")
    assert not (third / index).samefile(again / index)
    assert thin(place.shelf, 1) == [first, again]
    assert finished(place.shelf) == [third]
    place.lose()
    place.restore()
    with opened(MailboxEngine(), WANG, place.maildir()) as home:
        assert len(bodies(home)) == 6
        assert rows(home)[1].flags == {SEEN}


def test_mailboxes_that_are_spread_since(place: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is copied again for it, and what was interrupted is gone on with."""
    monkeypatch.setattr(mailbox_copy, "_near", lambda path, target: iter(()))
    monkeypatch.setattr(copying, "_SETTLED", 0)
    real = copying._link
    monkeypatch.setattr(copying, "_link", lambda one, other: place.shelf in one.parents and real(one, other))
    first, _ = place.back_up()
    begun = place.shelf / "unfinished" / "mail" / "123.com" / "wang"
    shutil.copytree(first / "mail" / "123.com" / "wang", begun)
    again, summary = backup.make(place.source([Path("3f/a1"), Path()]), place.shelf)
    assert summary.written == 0
    (mailbox,) = found(again).mailboxes()
    assert mailbox.place == "mail/3f/a1/123.com/wang/Maildir"
    assert sorted(path.name for path in (again / "mail").iterdir()) == ["3f"]
    assert list(found(again).check()) == ["wang@123.com"]
    place.lose()
    place.restore()
    with opened(MailboxEngine(), WANG, place.maildir()) as home:
        assert len(bodies(home)) == 5


@pytest.mark.parametrize("what", ["moved", "expunged", "marked"])
def test_what_a_user_does_meanwhile(place: Installation, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """After the index was copied, and before the files are."""
    real, done = mailbox_copy._copy_files, []

    def copy_files(*arguments: object) -> object:
        with opened(MailboxEngine(), WANG, place.maildir()) as home:
            if not done:
                done.append(_act(home, what))
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(mailbox_copy, "_copy_files", copy_files)
    place.back_up()
    with opened(MailboxEngine(), WANG, place.maildir()) as home:
        now = picture(home)
    monkeypatch.undo()
    place.lose()
    place.restore()
    with opened(MailboxEngine(), WANG, place.maildir()) as home:
        home.reconcile()
        assert picture(home) == now
        assert debris(home) == []


def _act(home: MailHome, what: str) -> None:
    inbox = folder_id(home, "INBOX")
    if what == "moved":
        home.move(inbox, [1], "Archive/2024")
    elif what == "expunged":
        home.store(inbox, [1], StoreMode.ADD, [DELETED])
        home.expunge(inbox)
    else:
        home.store(inbox, [1], StoreMode.ADD, [SEEN])


def test_a_file_of_a_move_that_the_copied_ledger_does_not_know_is_left_out(place: Installation) -> None:
    with opened(MailboxEngine(), WANG, place.maildir()) as home:
        home.ledger.record_listing([Listed(1, "a", 10)], [], hold_uids=True)
        (place.maildir() / "cur" / f"1700000000.L7_{home.token}.host,S=1,W=1:2,").write_bytes(b"x")
        (place.maildir() / "new" / "1700000000.other.host").write_bytes(b"Subject: of another program\n\n")
        _, summary = place.back_up()
    assert summary.files == 7
    place.lose()
    place.restore()
    with opened(MailboxEngine(), WANG, place.maildir()) as home:
        home.reconcile()
        assert len(bodies(home)) == 6


def test_killed_it_does_not_count_and_is_gone_on_with(place: Installation) -> None:
    first, _ = place.back_up()
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom mailstore import backup\n"
        "root = Path(sys.argv[1])\nmail = lambda l, d: root / 'state/mail' / d / l / 'Maildir'\n"
        "told = lambda done, whole, name: os.kill(os.getpid(), signal.SIGKILL) if name.startswith('wang') else None\n"
        "source = backup.Source(root / 'state', lambda l, d: [Path(d) / l], mail, '1')\n"
        "backup.make(source, root / 'backups', told)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, place.root], check=False, timeout=60).returncode == -9
    assert (place.shelf / "unfinished").is_dir()
    assert found(place.shelf).path == first
    half = place.shelf / "unfinished/mail/123.com/wang/Maildir/cur"
    half.mkdir(parents=True)
    (half / "1700000000.of_before.host:2,").write_bytes(b"was expunged since")
    second, summary = place.back_up()
    assert (finished(place.shelf), summary.files) == ([first, second], 6)
    assert not (place.shelf / "unfinished").exists()
    for _ in found(second).check():
        pass


def test_on_a_full_disk_the_ones_before_it_stay(place: Installation) -> None:
    first, _ = place.back_up()
    with full_disk(1_000), pytest.raises(StorageFailed):
        place.back_up()
    assert found(place.shelf).path == first
    place.lose()
    with full_disk(1_000), pytest.raises(StorageFailed):
        place.restore()
    assert place.left() == []
    place.restore()


def _cut(path: Path) -> None:
    data = path.read_bytes()
    path.unlink()  # it may be linked
    path.write_bytes(data[:-1])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes(data)


DAMAGED = ["backup.json", "contents.jsonl", "state/accounts.db", "state/sealing.key", "mail/123.com/wang/Maildir.db"]


@pytest.mark.parametrize(
    ("what", "damage"),
    [
        *((what, damage) for what in DAMAGED for damage in (_cut, _flip, Path.unlink)),
        ("cur", _cut),
        ("cur", Path.unlink),
    ],
)
def test_a_damaged_one_is_refused(place: Installation, what: str, damage: Callable[[Path], None]) -> None:
    path, _ = place.back_up()
    target = path / what if what != "cur" else next((path / "mail/123.com/wang/Maildir/cur").iterdir())
    damage(target)
    place.lose()
    with pytest.raises(BackupRefused):
        place.restore()
    assert place.left() == []
    with pytest.raises(BackupRefused):
        for _ in found(path).check():
            pass


def test_refusals(place: Installation) -> None:
    with pytest.raises(BackupRefused, match="no backup that was finished"):
        found(place.root)
    with pytest.raises(BackupRefused, match="in the state directory"):
        backup.make(backup.Source(place.state, lambda a, b: [Path(b) / a], place.maildir, "1"), place.state / "x")
    path, _ = place.back_up()
    with pytest.raises(BackupRefused, match=r"is not empty: accounts\.db"):
        place.restore()
    place.second -= 1
    assert place.back_up()[0] > path  # begun in the same second
    with backup._alone_in(place.shelf), pytest.raises(BackupRefused, match="another backup"):
        place.back_up()
    path = found(place.shelf).path
    marker = json.loads((path / "backup.json").read_text()) | {"schema": "9999", "version": "9.0"}
    marker.pop("sha256")
    (path / "backup.json").write_text(json.dumps(marker | {"sha256": digest_of(marker)}))
    with pytest.raises(BackupRefused, match=r"version 9\.0 of mailferry"):
        found(path)


@pytest.mark.parametrize("by_a_version_before", [False, True])
def test_restoring_that_was_interrupted_is_gone_on_with(
    place: Installation, monkeypatch: pytest.MonkeyPatch, *, by_a_version_before: bool
) -> None:
    with opened(MailboxEngine(), WANG, place.maildir()) as home:
        before = picture(home)
    place.back_up()
    place.lose()
    real, calls = restoring._put, []

    def put(ready: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(ready, target)

    monkeypatch.setattr(restoring, "_put", put)
    with pytest.raises(KeyboardInterrupt):
        place.restore()
    assert restoring.unfinished(place.state)
    monkeypatch.undo()
    if by_a_version_before:  # which had all of them in one directory
        mail = place.state / restoring.RESTORING / "mail"
        (mail / "0").rename(mail / "parted")
        (mail / "parted" / "0").rename(mail / "0")
    place.restore()
    assert not restoring.unfinished(place.state)
    with opened(MailboxEngine(), WANG, place.maildir()) as home:
        assert picture(home) == before


@pytest.mark.parametrize("index_file", [b"", b"x" * 4096])
def test_mail_that_is_lost_and_an_index_that_is_damaged_are_told_and_keep_nothing_up(
    place: Installation, index_file: bytes
) -> None:
    home = place.home("li", LI)
    append(home, b"Subject: li\r\n\r\n")
    home.close()
    next((place.maildir() / "cur").iterdir()).unlink()
    index = index_path(place.maildir("li"))
    index.write_bytes(index_file)
    _, summary = place.back_up()
    assert (summary.missing, summary.damaged) == ({"wang@123.com": 1}, ["li@123.com"])
    place.lose()
    place.restore()
    with opened(MailboxEngine(), LI, place.maildir("li")) as home:
        assert list(bodies(home).values()) == [b"Subject: li\r\n\r\n"]


def test_nothing_beside_an_index_is_changed(place: Installation) -> None:
    """Neither what lies there closed, nor the log that a daemon left which was killed."""
    beside = place.maildir().parent
    before = {path.name: path.stat().st_mtime_ns for path in beside.iterdir()}
    os.utime(index_path(place.maildir()), ns=(1, 1))
    place.back_up()
    assert {path.name for path in beside.iterdir()} == set(before)
    script = (
        "import io, os, sys\nfrom pathlib import Path\nfrom mailstore.mailhome import MailHome\n"
        "from mailstore.mailbox_database import MailboxEngine\n"
        "home = MailHome(MailboxEngine(), 1, Path(sys.argv[1]))\n"
        "home.append('INBOX', io.BytesIO(b'Subject: last\\r\\n\\r\\n'), [], None)\nos._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", script, place.maildir()], check=False, timeout=60)
    log = index_path(place.maildir()).with_name("Maildir.db-wal")
    size = log.stat().st_size
    assert size > 0
    _, summary = place.back_up()
    assert (log.stat().st_size, summary.messages) == (size, 7)
    with opened(MailboxEngine(), WANG, place.maildir()) as home:
        assert not home.made_anew
        assert len(bodies(home)) == 6


def test_sessions_of_browsers_are_not_brought_back(place: Installation) -> None:
    with storage_errors():
        connection = sqlite3.connect(place.state / "accounts.db")
        connection.execute("INSERT INTO web_sessions VALUES (x'00', 'console', 'root', '', 0, 0)")
        connection.commit()
        connection.close()
    place.back_up()
    place.lose()
    place.restore()
    connection = sqlite3.connect(place.state / "accounts.db")
    assert connection.execute("SELECT count(*) FROM web_sessions").fetchone() == (0,)
    connection.close()


def test_mail_that_comes_into_being_where_it_is_to_be_brought(place: Installation) -> None:
    place.back_up()
    place.lose()
    target = restoring.Target(
        place.state, place.root / "elsewhere", lambda a, b: place.root / "elsewhere" / a / "Maildir"
    )
    (place.root / "elsewhere/wang/Maildir").mkdir(parents=True)
    with pytest.raises(BackupRefused, match="is there already"):
        restoring.restore(found(place.shelf), target)
    (place.root / "elsewhere/wang/Maildir").rmdir()
    restoring.restore(found(place.shelf), target)
    assert [path.name for path in (place.root / "elsewhere").iterdir()] == ["wang"]
