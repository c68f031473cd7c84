"""A disk with mail that is gone, empty, or another one is not taken for users without mail."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstore.errors import StorageFailed
from mailstore.index.folders import INBOX_ID
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome
from mailstore.mooring import MARKER, NOTE, MailAway, Mooring, OtherLayout
from tests.mailstore.store_rig import ACCOUNT, append, folder_id, names, read

LAYOUT = "{domain}/{local}/Maildir"


class Place:
    """A state directory, and a tree of mail that can be away."""

    def __init__(self, path: Path) -> None:
        self.state = path / "state"
        self.state.mkdir()
        self.top = path / "mail"
        self.has_mail = False
        self.mooring = self.node()

    def node(self, state: Path | None = None, top: Path | None = None, layout: str = LAYOUT) -> Mooring:
        return Mooring(state or self.state, top or self.top, layout, lambda: self.has_mail)

    def unmount(self) -> None:
        """What is left is the mount point."""
        self.top.rename(self.top.with_name("elsewhere"))
        self.top.mkdir()

    def mount(self) -> None:
        self.top.rmdir()
        self.top.with_name("elsewhere").rename(self.top)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_first_time_it_is_made(place: Place) -> None:
    place.mooring.hold()
    found = json.loads((place.top / MARKER).read_text())
    assert (found["layout"], len(found["identity"])) == (LAYOUT, 32)
    assert json.loads((place.state / NOTE).read_text())["top"] == str(place.top)
    assert sorted(each.name for each in place.top.iterdir()) == [MARKER]  # nothing passing is left
    place.mooring.hold()
    place.node().hold()
    assert json.loads((place.top / MARKER).read_text()) == found


def test_looking_makes_nothing(place: Place) -> None:
    place.mooring.look()
    assert not place.top.exists()
    assert list(place.state.iterdir()) == []
    place.has_mail = True
    with pytest.raises(MailAway):
        place.mooring.look()


def test_an_unmounted_disk_is_waited_for(place: Place) -> None:
    place.mooring.hold()
    place.unmount()
    for mooring in (place.mooring, place.node()):  # who knows it, and who begins now
        with pytest.raises(MailAway, match="is its disk mounted"):
            mooring.hold()
        with pytest.raises(MailAway):
            mooring.look()
    assert list(place.top.iterdir()) == []
    place.mount()
    place.mooring.hold()
    place.mooring.look()


def test_another_disk_in_its_place(place: Place, tmp_path: Path) -> None:
    place.mooring.hold()
    (tmp_path / "other").mkdir()
    Mooring(tmp_path / "other", tmp_path / "disk", LAYOUT, lambda: False).hold()
    shutil.rmtree(place.top)
    (tmp_path / "disk").rename(place.top)
    with pytest.raises(MailAway):
        place.mooring.hold()


def test_an_installation_that_has_mail_and_never_made_it(place: Place) -> None:
    """Of a version that did not know of this."""
    place.has_mail = True
    place.top.mkdir()
    with pytest.raises(MailAway):
        place.mooring.hold()
    assert list(place.top.iterdir()) == []
    (place.top / "123.com").mkdir()
    place.mooring.hold()
    assert (place.top / MARKER).exists()


def test_nodes_with_a_state_directory_each(place: Place, tmp_path: Path) -> None:
    place.mooring.hold()
    place.has_mail = True
    (tmp_path / "second").mkdir()
    second = place.node(tmp_path / "second")
    place.unmount()
    with pytest.raises(MailAway):
        second.hold()
    place.mount()
    second.hold()
    place.unmount()
    with pytest.raises(MailAway):
        second.hold()


def test_other_places_in_the_configuration(place: Place, tmp_path: Path) -> None:
    place.mooring.hold()
    place.node(layout="{hash}/{local}").hold()  # nothing lies there yet
    (place.top / "x").mkdir()
    with pytest.raises(OtherLayout, match="storage rehash"):
        place.mooring.hold()
    with pytest.raises(OtherLayout, match="not where storage"):
        place.node(top=tmp_path / "new", layout="{hash}/{local}").hold()
    place.top.rename(tmp_path / "new")  # the whole tree, by hand
    place.node(top=tmp_path / "new", layout="{hash}/{local}").hold()
    assert json.loads((place.state / NOTE).read_text())["top"] == str(tmp_path / "new")


def test_a_tree_that_was_never_used_may_be_anywhere(place: Place, tmp_path: Path) -> None:
    place.mooring.hold()
    place.node(top=tmp_path / "new").hold()
    assert (tmp_path / "new" / MARKER).exists()


@pytest.mark.parametrize("how", ["refused", "given another name"])
def test_a_file_system_that_cannot_have_the_names_of_messages(
    place: Place, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Such as vfat."""
    real = os.open

    def odd(path: str | Path, flags: int, *more: int, **named: int) -> int:
        name = os.fspath(path)
        if how == "refused" and ":2," in name:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return real(name.replace(":2,", "_2,"), flags, *more, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", odd)
        with pytest.raises(StorageFailed, match="cannot have Maildirs' names"):
            place.mooring.hold()
    assert not (place.top / MARKER).exists()
    place.mooring.hold()
    assert (place.top / MARKER).exists()


def test_what_is_damaged_is_told_and_claimed_anew(place: Place) -> None:
    place.mooring.hold()
    for damaged in (b"", b"[]", b'{"identity": 7}', b"{}"):
        (place.top / MARKER).write_bytes(damaged)
        with pytest.raises(StorageFailed, match="mailferry storage claim"):
            place.node().hold()
    place.node().claim()
    place.node().hold()
    (place.state / NOTE).write_bytes(b"{")
    with pytest.raises(StorageFailed, match="mailferry storage claim"):
        place.node().hold()
    place.node().claim()
    place.node().hold()


def test_the_way_without_hard_links(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    place.mooring.hold()
    place.node().hold()
    assert sorted(each.name for each in place.top.iterdir()) == [MARKER]


# An open mailbox whose disk goes


@pytest.fixture(params=["{domain}/{local}/Maildir", "{local}@{domain}"])
def maildir(place: Place, request: pytest.FixtureRequest) -> Path:
    """In the second layout nothing is between the mount point and the Maildir that would be missing as well."""
    place.mooring.hold()
    return place.top / str(request.param).format(domain="123.com", local="wang")


@pytest.fixture
def home(place: Place, maildir: Path) -> Iterator[MailHome]:
    opened = MailHome(MailboxEngine(), ACCOUNT, maildir, there=place.mooring.hold)
    yield opened
    opened.close()


def test_nothing_of_an_open_mailbox_is_lost_with_its_disk(place: Place, home: MailHome) -> None:
    uid = append(home, b"Subject: a\r\n\r\nbody\r\n")
    home.create("Archive")
    kept = append(home, b"Subject: b\r\n\r\n", "Archive")
    home.reconcile()
    place.unmount()
    home.reconcile()
    home.reconcile(INBOX_ID)
    with pytest.raises(StorageFailed):
        home.open(INBOX_ID, uid)
    with pytest.raises(StorageFailed):
        append(home, b"Subject: c\r\n\r\n")
    assert list(place.top.iterdir()) == []
    place.mount()
    home.reconcile()
    assert names(home) == ["INBOX", "Archive"]
    assert read(home, uid) == b"Subject: a\r\n\r\nbody\r\n"
    assert read(home, kept, "Archive") == b"Subject: b\r\n\r\n"
    assert home.select("Archive", writable=False).uids.tolist() == [kept]
    assert folder_id(home, "Archive") > INBOX_ID


def test_a_mailbox_is_not_made_in_a_mount_point(place: Place, maildir: Path) -> None:
    place.unmount()
    with pytest.raises(MailAway):
        MailHome(MailboxEngine(), ACCOUNT, maildir, there=place.mooring.hold)
    assert list(place.top.iterdir()) == []
