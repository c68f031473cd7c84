"""Folders: making, deleting, renaming trees, INBOX, subscriptions."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstore.errors import BadFolderName, FolderExists, MailstoreError, MessageLost, NoSuchFolder, StorageFailed
from mailstore.index import folders as index_folders
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import SEEN
from mailstore.index.special import ACCOUNT
from mailstore.mailhome import MailHome
from tests.mailstore.store_rig import (
    NOW,
    append,
    bodies,
    check_whole,
    cur,
    debris,
    files,
    folder_id,
    names,
    open_home,
    rows,
)

pytestmark = pytest.mark.usefixtures("either")  # wherever mailboxes are kept


def directories(home: MailHome) -> set[str]:
    return {p.name for p in home.maildir.root.iterdir() if p.name.startswith(".")}


def test_a_new_account_has_its_inbox(home: MailHome, tmp_path: Path) -> None:
    assert names(home) == ["INBOX"]
    (inbox,) = home.folders()
    assert (inbox.id, inbox.uidvalidity) == (INBOX_ID, NOW)
    home.close()
    home = open_home(tmp_path, clock=lambda: NOW + 1000)
    assert home.folders() == [inbox]
    home.close()


def test_create_makes_those_above_too(home: MailHome) -> None:
    made = home.create("a/b/c")
    assert made.name == "a/b/c"
    assert names(home) == ["INBOX", "a", "a/b", "a/b/c"]
    assert directories(home) == {".a", ".a.b", ".a.b.c"}
    assert home.create("a/b/d/").name == "a/b/d"  # RFC 3501 6.3.3: "/" only says that more will follow
    home.create("INBOX/x")
    assert names(home)[:2] == ["INBOX", "INBOX/x"]
    check_whole(home)


@pytest.mark.parametrize("name", ["", "/", "a//b", "a\r\nb", "\ud83d", "x" * 300, "/a", "a/ "])
def test_names_that_cannot_be(home: MailHome, name: str) -> None:
    home.create("old")
    for attempt in (home.create, lambda n: home.rename("old", n), lambda n: home.rename("INBOX", n)):
        with pytest.raises(BadFolderName):
            attempt(name)
    assert names(home) == ["INBOX", "old"]
    assert debris(home) == []


@pytest.mark.parametrize("name", ["ü/%/.", "cur", "..", "已发送", "a:2,S", "~root", "a*b%c", "INBOX.x", "inbox"])
def test_odd_names_hold_mail(home: MailHome, tmp_path: Path, name: str) -> None:
    home.create(name)
    append(home, b"x", name)
    home.close()
    home = open_home(tmp_path)
    assert bodies(home, name) == {1: b"x"}
    home.rename(name, name + "2")
    assert bodies(home, name + "2") == {1: b"x"}
    home.delete(name + "2")
    assert files(home) == []
    check_whole(home)
    assert debris(home) == []
    home.close()


def test_a_tree_that_gets_too_deep_stays_where_it_is(home: MailHome) -> None:
    home.create("a/" + "b" * 200)
    home.create("c" * 200)
    before = names(home)
    with pytest.raises(BadFolderName):
        home.rename("a", "c" * 200 + "/a")
    assert names(home) == before
    assert debris(home) == []


def test_what_is_there_cannot_be_made_again(home: MailHome) -> None:
    home.create("a")
    for attempt in (lambda: home.create("a"), lambda: home.create("INBOX"), lambda: home.rename("INBOX", "a")):
        with pytest.raises(FolderExists):
            attempt()
    home.create("b")
    with pytest.raises(FolderExists):
        home.rename("b", "a")
    with pytest.raises(FolderExists):
        home.rename("b", "INBOX")


def test_what_is_not_there(home: MailHome) -> None:
    for attempt in (
        lambda: home.delete("a"),
        lambda: home.rename("a", "b"),
        lambda: home.rename("a", "x/y/z"),
        lambda: home.select("a", writable=True),
        lambda: home.status("a"),
    ):
        with pytest.raises(NoSuchFolder):
            attempt()
    assert names(home) == ["INBOX"]  # not even those above "x/y/z"
    assert debris(home) == []


# Deleting


def test_a_name_that_comes_back_is_a_new_folder(home: MailHome, tmp_path: Path) -> None:
    seen = []
    for _ in range(3):
        made = home.create("a")
        seen.append((made.uidvalidity, made.id))
        append(home, b"x", "a")
        home.delete("a")
        assert directories(home) == set()
        home.close()
        home = open_home(tmp_path, clock=lambda: NOW - 1000)
    assert [v for v, _ in seen] == [NOW + 1, NOW + 2, NOW + 3]
    assert len({n for _, n in seen}) == 3
    assert home.create("a").uidvalidity == NOW + 4
    assert rows(home, "a") == []
    assert home.status("a").uidnext == 1
    home.close()


def test_uidvalidities_are_of_one_folder_each(home: MailHome) -> None:
    home.create("a/b/c")
    home.rename("a", "d")
    home.create("a")
    values = [folder.uidvalidity for folder in home.folders()]
    assert len(set(values)) == len(values)
    assert max(values) == next(f.uidvalidity for f in home.folders() if f.name == "a")


def test_delete_leaves_those_below(home: MailHome, announced: list[int]) -> None:
    home.create("a/b")
    number = folder_id(home, "a")
    append(home, b"x", "a")
    append(home, b"y", "a/b")
    announced.clear()
    home.delete("a")
    assert announced == [number, ACCOUNT]
    assert names(home) == ["INBOX", "a/b"]
    assert bodies(home, "a/b") == {1: b"y"}
    with pytest.raises(NoSuchFolder):
        home.changes(number, 0, claim_recent=False)  # for a session that has it selected
    with pytest.raises(BadFolderName):
        home.delete("INBOX")
    home.create("a")
    assert rows(home, "a") == []


def test_what_is_announced_of_the_account(home: MailHome, announced: list[int], tmp_path: Path) -> None:
    announced.clear()
    home.create("a/b")
    home.rename("a", "c")
    home.subscribe("c/b")
    home.unsubscribe("c/b")
    home.annotations.change("c", {"/private/comment": b"x"})
    assert announced == [ACCOUNT] * 5
    announced.clear()
    (home.maildir.root / ".elsewhere" / "cur").mkdir(parents=True)
    home.reconcile_folders()
    assert announced == [folder_id(home, "elsewhere"), ACCOUNT]


def test_a_folder_whose_directory_others_removed(home: MailHome, tmp_path: Path) -> None:
    home.create("a")
    home.create("b")
    append(home, b"x", "a")
    append(home, b"x", "b")
    for path in (cur(home, "a"), cur(home, "b")):
        for file in path.iterdir():
            file.unlink()
        for part in [*path.parent.iterdir()]:
            part.rmdir() if part.is_dir() else part.unlink()
        path.parent.rmdir()
    home.close()
    home = open_home(tmp_path)
    with pytest.raises(MessageLost):
        home.open(folder_id(home, "a"), 1)
    assert append(home, b"y", "a") == 2  # and the directory is back
    home.rename("b", "c")
    home.delete("c")
    home.delete("a")
    assert directories(home) == set()
    home.close()


# Renaming


def test_rename_takes_the_tree_along(home: MailHome, tmp_path: Path) -> None:
    home.create("a/b/c")
    home.create("ab")
    for name in ("a", "a/b", "a/b/c", "ab"):
        append(home, name.encode(), name, flags=[SEEN])
    before = {f.name: (f.id, f.uidvalidity) for f in home.folders()}
    home.rename("a", "x/y")
    assert names(home) == ["INBOX", "ab", "x", "x/y", "x/y/b", "x/y/b/c"]
    after = {f.name: (f.id, f.uidvalidity) for f in home.folders()}
    assert (after["x/y"], after["x/y/b/c"], after["ab"]) == (before["a"], before["a/b/c"], before["ab"])
    assert [bodies(home, n) for n in ("x/y", "x/y/b", "x/y/b/c")] == [{1: b"a"}, {1: b"a/b"}, {1: b"a/b/c"}]
    assert directories(home) == {".ab", ".x", ".x.y", ".x.y.b", ".x.y.b.c"}
    home.close()
    home = open_home(tmp_path)
    check_whole(home)
    home.close()


@pytest.mark.parametrize(("old", "new"), [("a", "a"), ("a", "a/x"), ("a", "a/b/x"), ("a/b", "a/b/c")])
def test_a_folder_is_not_moved_into_itself(home: MailHome, old: str, new: str) -> None:
    home.create("a/b")
    with pytest.raises(MailstoreError):
        home.rename(old, new)
    assert names(home) == ["INBOX", "a", "a/b"]


def test_rename_upwards(home: MailHome) -> None:
    home.create("a/b/b/b")
    for name in ("a/b", "a/b/b", "a/b/b/b"):
        append(home, name.encode(), name)
    with pytest.raises(FolderExists):
        home.rename("a/b", "a")
    home.delete("a")
    home.rename("a/b", "a")
    assert names(home) == ["INBOX", "a", "a/b", "a/b/b"]
    assert [bodies(home, n)[1] for n in names(home)[1:]] == [b"a/b", b"a/b/b", b"a/b/b/b"]
    check_whole(home)
    assert debris(home) == []


def test_rename_onto_a_tree_whose_root_is_gone(home: MailHome) -> None:
    home.create("a/b")
    home.create("x/b")
    home.delete("x")
    with pytest.raises(FolderExists):
        home.rename("a", "x")  # x/b is there
    home.create("a2/c")
    home.rename("a2", "x")
    assert names(home) == ["INBOX", "a", "a/b", "x", "x/b", "x/c"]


def test_rename_keeps_mail_that_another_program_put_there(home: MailHome) -> None:
    """A directory that the index does not know may hold somebody's mail."""
    home.create("a")
    append(home, b"x", "a")
    home.maildir.make(".b")
    (home.maildir.root / ".b" / "new" / "1.foreign").write_bytes(b"y")
    (home.maildir.root / ".b" / "cur" / "2.foreign:2,S").write_bytes(b"z")
    home.rename("a", "b")
    assert (home.maildir.root / ".b" / "new" / "1.foreign").read_bytes() == b"y"
    assert (home.maildir.root / ".b" / "cur" / "2.foreign:2,S").read_bytes() == b"z"
    assert bodies(home, "b") == {1: b"x"}
    check_whole(home)


def test_rename_of_inbox_gives_its_messages_away(home: MailHome, announced: list[int]) -> None:
    home.create("INBOX/sub")
    uidvalidity = home.status("INBOX").uidvalidity
    append(home, b"one", flags=[SEEN, "Work"])
    append(home, b"two")
    announced.clear()
    home.rename("INBOX", "old/mail")
    assert names(home) == ["INBOX", "INBOX/sub", "old", "old/mail"]  # what is below INBOX stays
    assert list(bodies(home, "old/mail").values()) == [b"one", b"two"]
    assert [row.flags for row in rows(home, "old/mail")] == [{SEEN, "Work"}, set()]
    assert (rows(home), files(home)) == ([], [])
    assert (home.status("INBOX").uidvalidity, home.status("INBOX").uidnext) == (uidvalidity, 3)
    assert set(announced) == {ACCOUNT, INBOX_ID, folder_id(home, "old/mail")}
    home.rename("INBOX", "empty")
    assert rows(home, "empty") == []
    check_whole(home)
    assert debris(home) == []


def test_rename_of_an_inbox_with_a_lost_message_changes_nothing(home: MailHome) -> None:
    append(home, b"one")
    append(home, b"two")
    (cur(home) / files(home)[0]).unlink()
    with pytest.raises(MessageLost):
        home.rename("INBOX", "old")
    assert names(home) == ["INBOX"]
    assert len(rows(home)) == 2
    assert directories(home) == set()


# Subscriptions


def test_subscriptions_are_names(home: MailHome, tmp_path: Path) -> None:
    assert home.subscriptions() == []
    for name in ("b", "missing/é", "INBOX", "b"):
        home.subscribe(name)
    home.unsubscribe("never")
    assert home.subscriptions() == ["INBOX", "b", "missing/é"]
    home.create("b")
    home.delete("b")
    home.close()
    home = open_home(tmp_path)
    assert home.subscriptions() == ["INBOX", "b", "missing/é"]  # RFC 3501 6.3.6: whether it is there or not
    home.unsubscribe("b")
    home.unsubscribe("b")
    assert home.subscriptions() == ["INBOX", "missing/é"]
    home.close()


def test_a_directory_that_cannot_be_moved_yet_is_waited_for(home: MailHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where messages were removed before it: what is put into the folder then has to go where it will be."""
    home.create("a")
    append(home, b"one", "a")
    with home._database.write() as connection:
        index_folders.add_pending(connection, home.account_id, [("remove", "cur/gone", "")])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        with pytest.raises(StorageFailed):
            home.rename("a", "b")
        with pytest.raises(StorageFailed):
            append(home, b"two", "b")
    assert append(home, b"two", "b") == 2
    assert list(bodies(home, "b").values()) == [b"one", b"two"]
    check_whole(home)
