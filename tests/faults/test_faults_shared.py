"""Mail on a file system that others serve: what is asked of it, and what comes of it when it is gone for a while."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mailstore.content import content_of
from mailstore.errors import StorageFailed
from mailstore.file_systems import Kind, file_system
from mailstore.index.folders import INBOX_ID
from mailstore.mailbox_database import MailboxEngine
from mailstore.maildir import FEW_FILES, open_file, sync_directories, sync_files
from mailstore.mailhome import MailHome
from mailstore.mooring import Mooring
from mailstore.writing import Writer
from tests.faults import fusing, loops
from tests.faults.ferrying import Ferry, Nursery
from tests.faults.standing import StandingServer
from tests.mailstore.store_rig import ACCOUNT, append, bodies, check_whole, files
from tests.memory import in_memory
from tests.proxy.cli.command import mailferry
from tests.proxy.migration.scripted import mail

BODY = b"Subject: a\r\n\r\nbody\r\n"


@pytest.fixture(scope="module")
def shared() -> Iterator[fusing.Fused]:
    with tempfile.TemporaryDirectory(dir=in_memory()) as directory, fusing.mounted(Path(directory)) as mounted:
        yield mounted


@pytest.fixture
def mooring(shared: fusing.Fused, tmp_path: Path) -> Mooring:
    (tmp_path / "state").mkdir()
    made = Mooring(tmp_path / "state", shared.place / tmp_path.name, "{local}/Maildir", lambda: False)
    made.hold()
    return made


@pytest.fixture
def home(mooring: Mooring) -> Iterator[MailHome]:
    opened = open_home(mooring)
    yield opened
    opened.close()


def open_home(mooring: Mooring) -> MailHome:
    return MailHome(MailboxEngine(), ACCOUNT, mooring.top / "wang" / "Maildir", there=mooring.hold)


# What is asked of it


def test_each_file_is_synced_by_itself(shared: fusing.Fused, tmp_path: Path) -> None:
    """FUSE says yes to syncfs and passes nothing on."""
    found = file_system(shared.place)
    assert (found.kind, found.at_once, found.place) == (Kind.FUSE, False, str(shared.place))
    assert file_system(shared.behind).at_once
    directory = shared.place / "batch"
    directory.mkdir()
    names = [f"{number}" for number in range(FEW_FILES * 5)]
    for name in names:
        (directory / name).write_bytes(BODY)
    shared.synced()
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    sync_files(descriptor, names)
    os.close(descriptor)
    assert sorted(shared.synced()) == sorted(f"batch/{name}" for name in names)
    places = [directory / f"d{number}" for number in range(6)]
    for place in places:
        place.mkdir()
    sync_directories(places)
    assert sorted(shared.synced()) == [f"batch/d{number}" for number in range(6)]


def test_it_is_tried_and_nothing_is_left(shared: fusing.Fused) -> None:
    before = sorted(shared.behind.iterdir())
    told = json.loads(mailferry("check", "--storage", shared.place, "--json").stdout)
    assert [row for row in told["checks"] if row["result"] == "fail"] == []
    (barriers,) = [row for row in told["checks"] if row["subject"] == "barriers"]
    assert barriers["text"].startswith("files are synced one by one, 8 at a time")
    assert (told["storage"]["kind"], told["storage"]["syncfs"]) == ("fuse", False)
    assert sorted(shared.behind.iterdir()) == before


@pytest.mark.parametrize(
    ("operation", "code", "subject"),
    [("link", errno.EPERM, "hard link"), ("fsync", errno.EIO, "fsync"), ("rename", errno.EIO, "rename")],
)
def test_what_does_not_hold_is_told(shared: fusing.Fused, operation: str, code: int, subject: str) -> None:
    with shared.refusing(code, operation):
        done = mailferry("check", "--storage", shared.place, "--json")
    rows = {row["subject"]: row for row in json.loads(done.stdout)["checks"]}
    assert rows[subject]["text"] == f"refused: {os.strerror(code)}"
    assert rows[subject]["remedy"]
    needed = operation != "link"
    assert (rows[subject]["result"], done.exit_code) == (("fail", 1) if needed else ("warn", 0))
    assert not list(shared.behind.glob(".mailferry-check-*"))


# Gone for a while


@pytest.mark.parametrize("code", fusing.GONE, ids=errno.errorcode.get)
def test_a_server_that_is_gone_is_a_disk_that_fails(shared: fusing.Fused, mooring: Mooring, code: int) -> None:
    home = open_home(mooring)
    uid = append(home, BODY)
    home.close()
    with shared.refusing(code):
        with pytest.raises(StorageFailed, match=os.strerror(code)):
            mooring.hold()
        with pytest.raises(StorageFailed):
            open_home(mooring)
    home = open_home(mooring)
    with shared.refusing(code):
        with pytest.raises(StorageFailed):
            home.open(INBOX_ID, uid)
        with pytest.raises(StorageFailed):
            append(home, BODY)
        home.reconcile()
    home.reconcile()
    assert bodies(home) == {uid: BODY}
    assert append(home, BODY) > uid
    check_whole(home)
    home.close()


@pytest.mark.parametrize("code", fusing.GONE, ids=errno.errorcode.get)
def test_no_message_is_held_to_be_spoilt_for_it(shared: fusing.Fused, tmp_path: Path, code: int) -> None:
    """Neither one that comes, nor one that is read."""
    place = shared.place / tmp_path.name
    place.mkdir()
    writer = Writer(place, "0123456789ab", "headers")
    with shared.refusing(code, "write"), pytest.raises(OSError, match=os.strerror(code)):
        writer.write([(1, None, BODY, True)], 1.0)
    ((found,), spoilt) = writer.write([(1, None, BODY, True)], 1.0)
    assert (found[1], spoilt) == (len(BODY), [])
    writer.close()
    (path,) = place.iterdir()
    with shared.refusing(code, "read"), content_of(open_file(path), len(BODY), native=False) as content:
        with pytest.raises(StorageFailed, match=os.strerror(code)):
            content.read(0, 10)


def test_a_program_that_has_died_and_is_begun_again(shared: fusing.Fused, mooring: Mooring) -> None:
    home = open_home(mooring)
    uid = append(home, BODY)
    home.close()
    shared.end(killed=True)
    with pytest.raises(StorageFailed, match="Transport endpoint is not connected"):
        mooring.hold()
    with pytest.raises(StorageFailed):
        open_home(mooring)
    loops.unmount(shared.place)
    with pytest.raises(StorageFailed, match="is its disk mounted"):
        open_home(mooring)
    assert list(shared.place.iterdir()) == []
    shared.begin()
    home = open_home(mooring)
    assert bodies(home) == {uid: BODY}
    assert len(files(home)) == 1
    home.close()


def test_a_daemon_whose_disk_is_gone_for_a_while() -> None:
    """Nobody is told that he has no mail, or the wrong password; nothing is put where the disk is to be; and when it is
    back it goes on without a restart."""
    messages = [mail(number, 2_000) + b"\r\n" for number in range(1, 31)]
    with tempfile.TemporaryDirectory(dir=in_memory()) as directory, Nursery() as nursery:
        root, disk = Path(directory) / "root", Path(directory) / "disk"
        top = root / "state" / "mail"
        for each in (disk, top):
            each.mkdir(parents=True)
        (root / "state").chmod(0o700)
        loops.bind(disk, top)
        try:
            with StandingServer(messages) as legacy, Ferry(root, nursery, legacy.port) as ferry:
                ferry.start()
                assert ferry.login().startswith(b"+OK")
                loops.unmount(top)
                for user in ("user", "another", "user"):
                    assert ferry.login(user).startswith(b"-ERR [SYS/TEMP]"), user
                assert list(top.iterdir()) == []
                loops.bind(disk, top)
                for user in ("another", "user"):
                    assert ferry.login(user).startswith(b"+OK"), user
                ferry.stop()
                ferry.check(messages)
                said = [json.loads(line) for line in ferry.log.read_text().splitlines()]
                reasons = {line.get("reason") for line in said if line["level"] in {"warning", "error"}}
                assert any("is its disk mounted?" in str(reason) for reason in reasons), reasons
        finally:
            with suppress(subprocess.CalledProcessError):  # where it failed while nothing was mounted
                loops.unmount(top)
