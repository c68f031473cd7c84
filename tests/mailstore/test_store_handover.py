"""A mailbox becomes Dovecot's and comes back: what is written, that a crash at any step may be gone on from, and whose
it is meanwhile. That Dovecot reads it so is shown with the real one, in tests/peers."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mailstore import custody
from mailstore.custody import InUse, Note, Step, alone_with, end_note, note_path, read_note, write_note
from mailstore.errors import InOtherHands
from mailstore.handover import MANNER, HandedOver, Handover, come_back
from mailstore.index.rows import StoreMode
from mailstore.inheritance.dovecot import guid_in, parse_keywords, parse_uidlist
from mailstore.inheritance.tree import read_tree
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome
from tests.mailstore.killing import every_crash
from tests.mailstore.store_rig import (
    ACCOUNT,
    DATE,
    NOW,
    append,
    bodies,
    check_whole,
    directory_in_memory,
    folder_id,
    open_home,
    put_in_place,
    rows,
)

NOTE = Note(Step.GOING, NOW, "final", "")
KEYWORDS = [f"kw{number:02}" for number in range(28)]
Seen = dict[str, tuple[int, int, list[tuple[int, frozenset[str], int, str, bytes]]]]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with directory_in_memory() as path:
        yield path


def custodian(path: Path) -> MailHome:
    return MailHome(MailboxEngine(), ACCOUNT, path / "Maildir", clock=lambda: NOW, custodian=True)


def fill(path: Path) -> None:
    home = open_home(path)
    append(home, b"Subject: a\r\n\r\na\r\n", flags=["\\Seen", *KEYWORDS])
    append(home, b"Subject: b\r\n\r\nb\r\n", flags=["\\Flagged", "kw00"])
    gone = append(home, b"Subject: gone\r\n\r\n")
    home.store(folder_id(home, "INBOX"), [gone], StoreMode.ADD, ["\\Deleted"])
    home.expunge(folder_id(home, "INBOX"))
    for name in ("a.b/100%", "~x", "文件"):
        home.create(name)
        append(home, b"Subject: c\n\nbare\n", name, ["kw01"])
    home.subscribe("a.b/100%")
    home.select("INBOX", writable=True)  # nothing is recent any more
    append(home, b"Subject: new\r\n\r\n")
    home.annotations.change("INBOX", {"/private/comment": b"mine"})
    home.close()


def seen(home: MailHome) -> Seen:
    """What clients know."""
    found = {}
    for folder in home.folders():
        status = home.status(folder.name)
        texts = bodies(home, folder.name)
        messages = [(r.uid, r.flags, r.internal_date, r.uidl, texts[r.uid]) for r in rows(home, folder.name)]
        found[folder.name] = status.uidvalidity, status.uidnext, messages
    return found


def hand_over(path: Path) -> HandedOver:
    maildir = path / "Maildir"
    note = read_note(maildir) or NOTE
    write_note(maildir, note)
    with alone_with(maildir):
        come_back(maildir, note)
        home = custodian(path)
        home.reconcile()
        last = [note]

        def keep(changed: Note) -> None:
            last[0] = changed
            write_note(maildir, changed)

        done = Handover(home).write(note, keep)
        home.close()
        write_note(maildir, replace(last[0], step=Step.GONE))
    return done


def take_back(path: Path) -> None:
    maildir = path / "Maildir"
    note = read_note(maildir)
    if note is None:
        return
    with alone_with(maildir):
        come_back(maildir, note)
        home = custodian(path)
        if note.step is not Step.LEARNT:
            home.inherit(read_tree(maildir, MANNER), whole=True)
            write_note(maildir, replace(note, step=Step.LEARNT))
        home.reconcile()
        home.close()
        end_note(maildir)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("handover") / "here"
    path.mkdir()
    fill(path)
    return path


@pytest.fixture(scope="module")
def before(template: Path) -> Seen:
    home = open_home(template)
    found = seen(home)
    home.close()
    return found


def test_what_is_written(template: Path, before: Seen, tmp_path: Path) -> None:
    path = tmp_path / "copy"
    put_in_place(template, path)
    done = hand_over(path)
    root = path / "Maildir"
    assert (done.folders, done.messages, done.keywords_left) == (5, 6, 2)

    uidlist = parse_uidlist((root / "dovecot-uidlist").read_bytes())
    assert (uidlist.uidvalidity, uidlist.uidnext) == before["INBOX"][:2]
    assert sorted((entry.uid, entry.uidl) for entry in uidlist.by_file.values()) == [
        (uid, uidl) for uid, _, _, uidl, _ in before["INBOX"][2]
    ]
    keywords = parse_keywords((root / "dovecot-keywords").read_bytes())
    assert keywords["a"] == "kw00" and len(keywords) == 26
    (one,) = [p.name for p in (root / "cur").iterdir() if p.name.endswith(":2,S" + "abcdefghijklmnopqrstuvwxyz")]
    assert ",S=" in one
    assert len(list((root / "new").iterdir())) == 1  # nobody was shown it
    assert {p.stat().st_mtime for p in root.rglob("*:2,*")} == {DATE}
    assert {p.name for p in root.iterdir() if p.name.startswith(".")} == {".a%2eb", ".a%2eb.100%25", ".%7ex", ".文件"}
    assert (root / "subscriptions").read_text() == "V\t2\n\na%2eb\t100%25\n"
    last = f"{max(status[0] for status in before.values()):08x}"
    assert (root / "dovecot-uidvalidity").read_text() == last and (root / f"dovecot-uidvalidity.{last}").exists()
    (inbox,) = [after for after in done.after if after.folder == "INBOX"]
    assert inbox.annotations == {"/private/comment": b"mine"}
    assert {keyword: list(uids) for keyword, uids in inbox.keywords.items()} == {"kw26": [1], "kw27": [1]}

    with pytest.raises(InOtherHands, match="handed over to another mail server"):
        open_home(path)
    take_back(path)
    home = open_home(path)
    assert seen(home) == before
    check_whole(home)
    home.close()
    guid = guid_in((root / "dovecot-uidlist").read_bytes())
    hand_over(path)
    assert guid_in((root / "dovecot-uidlist").read_bytes()) == guid


def test_a_crash_at_each_step_of_handing_over(template: Path, before: Seen) -> None:
    """Done again and taken back: nothing is lost, and nothing is otherwise."""
    for path in every_crash(template, hand_over, stride=3):
        if read_note(path / "Maildir") is not None:
            with pytest.raises(InOtherHands):
                open_home(path)
        hand_over(path)
        take_back(path)
        home = open_home(path)
        assert seen(home) == before
        home.close()


def test_a_crash_at_each_step_of_taking_back(template: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    put_in_place(template, gone)
    hand_over(gone)
    root = gone / "Maildir"
    # what Dovecot does: a message arrives, another is read and gets a keyword, one goes
    listed = (root / "dovecot-uidlist").read_text().splitlines()
    listed[0] = listed[0].replace("N5", "N7")
    (root / "cur" / "1700000000.M1P1.there:2,Sb").write_bytes(b"Subject: there\r\n\r\nb\r\n")
    (root / "dovecot-uidlist").write_text("\n".join([*listed, "6 :1700000000.M1P1.there"]) + "\n")
    (second,) = [p for p in (root / "cur").iterdir() if p.name.endswith(":2,Fa")]
    second.rename(second.with_name(second.name.replace(":2,Fa", ":2,FSac")))
    (first,) = [p for p in (root / "cur").iterdir() if p.name.endswith("xyz")]
    first.unlink()
    for folder in (".New%2eone", ".New%2eone/cur", ".New%2eone/new", ".New%2eone/tmp"):
        (root / folder).mkdir()
    (root / ".New%2eone" / "dovecot-uidlist").write_text("3 V1700200000 N4 G" + "0" * 32 + "\n3 :1.x\n")
    (root / ".New%2eone" / "cur" / "1.x:2,").write_bytes(b"Subject: x\r\n\r\n")

    found = []
    for path in every_crash(gone, take_back, stride=2):
        take_back(path)
        home = open_home(path)
        found.append(seen(home))
        check_whole(home)
        home.close()
    assert all(each == found[0] for each in found)
    inbox = found[0]["INBOX"]
    assert inbox[1] == 7
    assert [(uid, sorted(flags)) for uid, flags, *_ in inbox[2]] == [
        (2, ["\\Flagged", "\\Seen", "kw00", "kw02"]),
        (4, []),
        (6, ["\\Seen", "kw01"]),
    ]
    assert inbox[2][2][3:] == (f"mf{inbox[0]:x}.6", b"Subject: there\r\n\r\nb\r\n")
    assert found[0]["New.one"][:2] == (1_700_200_000, 4)
    assert found[0]["New.one"][2][0][0] == 3


def test_who_uses_it_keeps_it(template: Path, tmp_path: Path) -> None:
    path = tmp_path / "used"
    put_in_place(template, path)
    home = open_home(path)
    with pytest.raises(InUse), alone_with(path / "Maildir"):
        pass
    home.close()
    with alone_with(path / "Maildir"), pytest.raises(InOtherHands):
        open_home(path)
    open_home(path).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_system_that_knows_no_owners_costs_no_descriptors(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS refuses root's `chown`, as mail is read there all the same."""

    def refused(_path: Path, _like: Path) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(custody, "give_to_owner", refused)
    path = tmp_path / "foreign"
    put_in_place(template, path)
    open_home(path).close()
    held = [each.readlink().name for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    assert f"Maildir{custody.USE}" not in held


def test_a_note_that_cannot_be_understood_keeps_it_closed(template: Path, tmp_path: Path) -> None:
    path = tmp_path / "odd"
    put_in_place(template, path)
    note_path(path / "Maildir").write_text("{")
    with pytest.raises(InOtherHands, match="cannot be understood"):
        open_home(path)
