"""What other programs do to a Maildir is noticed: delivered, renamed, moved, copied and removed messages, folders."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mailstore.entries import Listed, Outcome
from mailstore.errors import MessageLost, NoSuchFolder
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import ANSWERED, DELETED, FLAGGED, SEEN, StoreMode
from mailstore.landing import Landing
from mailstore.maildir import unique_of
from mailstore.mailhome import MailHome
from tests.mailstore.store_rig import (
    NOW,
    append,
    bodies,
    cur,
    files,
    folder_id,
    names,
    open_home,
    read,
    rows,
)

pytestmark = pytest.mark.usefixtures("either")  # wherever mailboxes are kept

MAIL = b"Subject: from outside\n\nbody\n"
AS_SENT = b"Subject: from outside\r\n\r\nbody\r\n"


def deliver(home: MailHome, name: str, data: bytes = MAIL, sub: str = "new", folder: str = "INBOX") -> Path:
    """As a delivery agent does it: written in `tmp`, then renamed."""
    place = cur(home, folder).parent
    passing = place / "tmp" / "passing"
    passing.write_bytes(data)
    return passing.rename(place / sub / name)


def uids(home: MailHome, name: str = "INBOX") -> list[int]:
    return [row.uid for row in rows(home, name)]


def the_file(home: MailHome, uid: int, name: str = "INBOX") -> Path:
    (row,) = [row for row in rows(home, name) if row.uid == uid]
    (path,) = [path for path in cur(home, name).iterdir() if unique_of(path.name) == row.file]
    return path


# Delivered


def test_what_was_delivered_gets_uids_in_order_of_delivery_and_moves_to_cur(home: MailHome) -> None:
    for name in ("1700000002.b.host", "1700000002.a.host", "1700000001.z.host", "900.x.host", "unordered"):
        deliver(home, name, name.encode())
    assert home.reconcile(INBOX_ID)
    assert list(bodies(home).values()) == [
        b"unordered",
        b"900.x.host",
        b"1700000001.z.host",
        b"1700000002.a.host",
        b"1700000002.b.host",
    ]
    assert list((cur(home).parent / "new").iterdir()) == []
    assert all(name.endswith(":2,") for name in files(home))


def test_line_ends_of_the_system_go_out_as_crlf(home: MailHome) -> None:
    deliver(home, "1.a.host")
    home.reconcile(INBOX_ID)
    (row,) = rows(home)
    assert row.size == len(AS_SENT)
    assert read(home, row.uid) == AS_SENT
    with home.open(INBOX_ID, row.uid) as content:
        assert [content.read(at, 3) for at in range(len(AS_SENT))] == [AS_SENT[at:][:3] for at in range(len(AS_SENT))]


def test_what_is_copied_to_another_folder_stays_native(home: MailHome) -> None:
    deliver(home, "1.a.host")
    home.reconcile(INBOX_ID)
    home.create("a")
    home.copy(INBOX_ID, uids(home), "a")
    assert list(bodies(home, "a").values()) == [AS_SENT]
    assert f",S={len(MAIL)},W={len(AS_SENT)}" in files(home, "a")[0]


def test_new_is_recent_and_cur_is_not(home: MailHome) -> None:
    deliver(home, "1.a.host:2,S", sub="cur")
    deliver(home, "2.a.host")
    home.reconcile(INBOX_ID)
    snapshot = home.select("INBOX", writable=True)
    assert snapshot.recent_from == 2
    assert snapshot.flags == [frozenset({SEEN}), frozenset()]


def test_what_another_node_did_is_known_before_its_news_comes(home: MailHome) -> None:
    """It is in the index, and nothing is left to notice in the files."""
    uid = append(home, b"Subject: x\n\nbody\n")
    home.reconcile(INBOX_ID)
    before = home.status("INBOX").highestmodseq
    assert not home.reconcile(INBOX_ID, before)
    home.store_flags(INBOX_ID, [uid], StoreMode.ADD, [FLAGGED])
    assert home.reconcile(INBOX_ID, before)
    assert not home.reconcile(INBOX_ID, home.status("INBOX").highestmodseq)


def test_nothing_is_looked_at_twice(home: MailHome, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver(home, "1.a.host")
    for directory in ("new", "cur"):
        os.utime(cur(home).parent / directory, (NOW, NOW))
    home.reconcile(INBOX_ID)
    for directory in ("new", "cur"):
        os.utime(cur(home).parent / directory, (NOW, NOW))
    home._clock = home._reconciler._clock = lambda: NOW + 10  # what was fresh is looked at once more
    home.reconcile(INBOX_ID)

    def no_reading(_path: Path) -> list[str]:
        raise AssertionError("a directory that did not change is read")

    home._reconciler._intake._fresh.clear()
    monkeypatch.setattr(os, "listdir", no_reading)
    for _ in range(3):
        mark = home._reconciler._marks[INBOX_ID]
        if mark.again:
            mark.again = 0
        assert not home.reconcile(INBOX_ID)


@pytest.mark.parametrize("name", ["x" * 254, b"\xff\xfe.host", "a:1,b", "1.a.host:2,ZZSaF", "1.a.host:2,SF"])
def test_names_that_are_hard_to_keep(home: MailHome, name: str | bytes) -> None:
    deliver(home, os.fsdecode(name), sub="cur")
    home.reconcile(INBOX_ID)
    (row,) = rows(home)
    assert read(home, row.uid) == AS_SENT
    assert ({SEEN, FLAGGED} if "S" in os.fsdecode(name) else set()) == set(row.flags)
    home.store_flags(INBOX_ID, [row.uid], StoreMode.ADD, [ANSWERED, DELETED])
    assert not home.reconcile(INBOX_ID)
    assert uids(home) == [row.uid]


def test_what_is_no_message_is_left_alone(home: MailHome, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"not for you")
    (cur(home) / "link").symlink_to(tmp_path / "secret")
    (cur(home) / "directory").mkdir()
    (cur(home) / ".hidden").write_bytes(MAIL)
    os.mkfifo(cur(home) / "fifo")
    home.reconcile(INBOX_ID)
    assert uids(home) == []
    assert files(home) == [".hidden", "directory", "fifo", "link"]


def test_a_file_that_grows_after_it_was_taken_in_is_another_message(home: MailHome) -> None:
    """`cp` writes in place."""
    path = cur(home) / "1.a.host:2,"
    path.write_bytes(MAIL[:10])
    home.reconcile(INBOX_ID)
    path.write_bytes(MAIL)
    home.reconcile(INBOX_ID)
    assert bodies(home) == {2: AS_SENT}


# Renamed, removed


def test_flags_in_names(home: MailHome) -> None:
    uid = append(home, b"one", flags=["$Work", SEEN])
    before = home.status("INBOX").highestmodseq
    path = the_file(home, uid)
    path.rename(path.with_name(unique_of(path.name) + ":2,FR"))
    assert home.reconcile(INBOX_ID)
    assert rows(home)[0].flags == {FLAGGED, ANSWERED, "$Work"}
    assert rows(home)[0].modseq > before
    assert not home.reconcile(INBOX_ID)


def test_flags_in_names_that_nobody_has_noticed_yet_are_not_undone(home: MailHome) -> None:
    append(home, b"one", flags=[SEEN, "Work"])
    append(home, b"two")
    for uid, letters in ((1, "F"), (2, "S")):
        path = the_file(home, uid)
        path.rename(path.with_name(unique_of(path.name) + ":2," + letters))
    (one,) = home.store_flags(INBOX_ID, [1], StoreMode.ADD, [ANSWERED])
    assert one.flags == {ANSWERED, FLAGGED, "Work"}
    home.move(INBOX_ID, [2], "INBOX")
    home.reconcile()
    assert {row.uid: set(row.flags) for row in rows(home)} == {1: {ANSWERED, FLAGGED, "Work"}, 3: {SEEN}}


def test_back_in_new(home: MailHome) -> None:
    uid = append(home, b"one", flags=[SEEN])
    path = the_file(home, uid)
    path.rename(cur(home).parent / "new" / unique_of(path.name))
    home.reconcile(INBOX_ID)
    assert [(row.uid, row.flags) for row in rows(home)] == [(uid, frozenset())]
    assert the_file(home, uid).exists()


def test_removed_is_expunged_and_its_uid_never_comes_back(home: MailHome) -> None:
    first, second = append(home, b"one"), append(home, b"two")
    modseq = home.status("INBOX").highestmodseq
    the_file(home, second).unlink()
    assert home.reconcile(INBOX_ID)
    assert list(home.changes(INBOX_ID, modseq, claim_recent=False).gone) == [second]
    assert uids(home) == [first]
    assert append(home, b"three") == second + 1


def test_what_was_moved_here_stays_deleted(home: MailHome) -> None:
    (entry,) = home.ledger.record_listing([Listed(1, "u1", 3)], [], hold_uids=True)
    landing = Landing(home.maildir, home.token, seen="none", clock=lambda: NOW)
    written = landing.write([(entry, b"one")])
    landing.settle(written)
    landing.close()
    home.reconcile(INBOX_ID)
    assert uids(home) == []  # not yet entered
    home.ledger.enter([each.landed for each in written])
    home.reconcile(INBOX_ID)
    assert uids(home) == [1]
    the_file(home, 1).unlink()
    home.reconcile(INBOX_ID)
    assert [e.outcome for e in home.ledger.entries()] == [Outcome.DELETED]


def test_what_our_own_writer_has_not_committed_is_left_alone(home: MailHome, tmp_path: Path) -> None:
    uid = append(home, b"one")
    lying = the_file(home, uid)
    copied = lying.with_name(lying.name.replace("Q", "Qf", 1))
    shutil.copy(lying, copied)
    home.reconcile(INBOX_ID)
    assert uids(home) == [uid]
    home.close()
    later = open_home(tmp_path, clock=lambda: NOW + 61)
    later.reconcile(INBOX_ID)  # its writer is dead
    assert uids(later) == [uid, uid + 1]
    later.close()


def test_moved_to_another_folder_with_mv(home: MailHome) -> None:
    home.create("a")
    uid = append(home, b"one\n", flags=[SEEN])
    path = the_file(home, uid)
    subprocess.run(["mv", path, cur(home, "a")], check=True)
    home.reconcile()
    assert uids(home) == []
    (row,) = rows(home, "a")
    assert (read(home, row.uid, "a"), row.flags) == (b"one\n", {SEEN})  # our own file: its bytes are the message's


def test_copied_within_a_folder_is_another_message(home: MailHome) -> None:
    uid = append(home, b"one")
    path = the_file(home, uid)
    shutil.copy(path, path.with_name(path.name + "S"))
    home.reconcile(INBOX_ID)
    assert list(bodies(home).values()) == [b"one", b"one"]
    assert not home.reconcile(INBOX_ID)


def test_a_second_name_of_the_same_file_is_not_another_message(home: MailHome) -> None:
    """A program that renames by link and unlink has both for a moment."""
    uid = append(home, b"one")
    path = the_file(home, uid)
    path.with_name(path.name + "S").hardlink_to(path)
    home.reconcile(INBOX_ID)
    assert uids(home) == [uid]
    path.unlink()
    home.reconcile(INBOX_ID)
    assert [(row.uid, row.flags) for row in rows(home)] == [(uid, {SEEN})]


def test_a_message_cut_short_gets_a_new_uid(home: MailHome) -> None:
    uid = append(home, b"one and more")
    os.truncate(the_file(home, uid), 3)
    with pytest.raises(MessageLost):
        read(home, uid)
    home.reconcile(INBOX_ID)
    if uids(home) == []:  # our own name, and young: after a minute
        home._clock = home._reconciler._clock = lambda: NOW + 61
        home.reconcile(INBOX_ID)
    assert bodies(home) == {uid + 1: b"one"}


# Folders


def test_folders_made_and_removed(home: MailHome) -> None:
    home.create("old")
    home.maildir.root.joinpath(".made.by others").mkdir()
    for sub in ("cur", "new", "tmp"):
        home.maildir.root.joinpath(".made.by others", sub).mkdir()
    shutil.rmtree(home.maildir.folder(".old"))
    home.maildir.root.joinpath(".not a folder").mkdir()
    gone = folder_id(home, "old")
    assert home.reconcile()
    assert names(home) == ["INBOX", "made", "made/by others"]
    with pytest.raises(NoSuchFolder):
        home.directories(gone)
    deliver(home, "1.a.host", folder="made/by others")
    home.reconcile()
    assert uids(home, "made/by others") == [1]


@pytest.mark.parametrize("directory", [".", ".a..b", ".INBOX", os.fsdecode(b".\xff"), ".a.", ".a/"])
def test_directories_that_are_no_folders(home: MailHome, directory: str) -> None:
    home.maildir.root.joinpath(directory, "cur").mkdir(parents=True, exist_ok=True)
    home.reconcile()
    assert names(home) in (["INBOX"], ["INBOX", "a"])


# With the programs themselves


@pytest.mark.skipif(shutil.which("maildrop") is None, reason="maildrop is not installed")
def test_maildrop_delivers(home: MailHome, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.write_text(f'to "{home.maildir.root}"\n')
    rules.chmod(0o600)
    for number in range(3):
        subprocess.run(["maildrop", rules], input=b"Subject: %d\n\nbody\n" % number, check=True, env=os.environ)
    home.reconcile(INBOX_ID)
    found = list(bodies(home).values())
    assert sorted(found) == [b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(3)]
    assert [row.size for row in rows(home)] == [len(body) for body in found]


Mutt = Callable[[MailHome, str], None]


@pytest.fixture
def mutt(tmp_path: Path) -> Mutt:
    def run(home: MailHome, keys: str) -> None:
        config = tmp_path / "muttrc"
        config.write_text(
            f"set folder={home.maildir.root}\nset mbox_type=Maildir\nset confirmappend=no\nset delete=yes\n"
            "set move=no\nset mark_old=no\nset quit=yes\nset confirmcreate=no\nset wait_key=no\nset maildir_trash=no\n"
            f'push "{keys}"\n'
        )
        command = f"mutt -n -F {config} -f {home.maildir.root}"
        subprocess.run(
            ["script", "-qec", command, "/dev/null"],
            check=True,
            timeout=30,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=dict(os.environ, TERM="xterm", HOME=str(tmp_path)),
        )

    return run


@pytest.mark.skipif(
    shutil.which("mutt") is None or shutil.which("script") is None, reason="mutt or script is not installed"
)
def test_mutt_flags_moves_copies_and_deletes(home: MailHome, mutt: Mutt) -> None:
    home.create("a")
    for number in range(1, 5):
        date = b"Date: Tue, %d Nov 2022 10:00:00 +0000" % (number + 10)  # mutt's order
        append(home, b"Subject: %d\r\n%b\r\n\r\nbody %d\r\n" % (number, date, number), flags=[SEEN])
    mutt(home, "1<enter><flag-message>" + "2<enter><delete-message>" + "3<enter><save-message>=.a<enter>" + "q")
    home.reconcile()
    assert {row.uid: set(row.flags) for row in rows(home)} == {1: {SEEN, FLAGGED}, 4: {SEEN}}
    (saved,) = bodies(home, "a").values()
    assert saved.startswith(b"Subject: 3\r\n") and saved.endswith(b"\r\n\r\nbody 3\r\n")  # mutt adds Content-Length
