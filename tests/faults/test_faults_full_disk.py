"""A disk that is full, or refuses, in the midst of a first login: the login is refused as temporary, the log says once
how much room is missing and where, nothing half is left, and it goes on when there is room."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.wire.door import Refusal
from tests.faults import loops
from tests.faults.ferrying import Ferry, Nursery
from tests.faults.matrix import BOX
from tests.faults.rig import Ground, Rig
from tests.faults.standing import StandingServer
from tests.faults.tracing import Tracing
from tests.legacy.server import Behaviour, LegacyServer, unique_id
from tests.mailstore.refusing import refusing
from tests.memory import in_memory
from tests.proxy.login.login_rig import PASSWORD
from tests.proxy.migration.scripted import mail

MESSAGES = [mail(number, 20_000) + b"\r\n" for number in range(1, 301)]  # 6 MiB
REASONS = {"full": errno.ENOSPC, "quota": errno.EDQUOT, "broken": errno.EIO, "read-only": errno.EROFS}
MOST_STEPS = 400


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as running:
        yield running


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A disk of 24 MiB."""
    with tempfile.TemporaryDirectory(dir=in_memory()) as directory:
        where = Path(directory) / "disk"
        if request.param == "tmpfs":
            with loops.small_memory(where, 24 * loops.MIB):
                yield where
        else:
            image = Path(directory) / "image"
            loops.make_image(image, 24 * loops.MIB)
            with loops.mounted(image, where):
                yield where


@pytest.fixture
def ground() -> Iterator[Ground]:
    with contextlib.closing(Ground()) as made:
        yield made


def fill(disk: Path, left: int) -> Path:
    """Leave so many octets free."""
    filler = disk / "filler"
    about = os.statvfs(disk)
    with filler.open("wb") as file:
        want = max(1, about.f_bavail * about.f_frsize - left)
        while True:
            try:
                os.posix_fallocate(file.fileno(), 0, want)
                break
            except OSError:  # the filesystem itself needs some of it
                want -= 16 * 1024
    return filler


def told(ferry: Ferry, *levels: str) -> list[dict[str, str]]:
    """What stands in the log."""
    lines = [json.loads(line) for line in ferry.log.read_text().splitlines()]
    return [line for line in lines if line["level"] in levels]


def test_it_stops_cleanly_and_goes_on_when_there_is_room(disk: Path, nursery: Nursery) -> None:
    with StandingServer(MESSAGES) as legacy, Ferry(disk, nursery, legacy.port) as ferry:
        legacy.bursts = 30
        ferry.start()
        filler = fill(disk, 4 * loops.MIB)
        assert ferry.login().startswith(b"-ERR [SYS/TEMP]")
        assert legacy.sessions == 1  # nothing is tried again and again
        (warning,) = told(ferry, "warning", "error")
        cause, _, remedy = warning["reason"].partition("; ")
        assert str(ferry.maildir) in cause and "MB are still to come" in cause and "make room" in remedy
        account = ferry.account()
        assert account is not None
        assert (account.state, account.reason) == ("moving", warning["reason"])
        assert list((ferry.maildir / "tmp").iterdir()) == []
        stored = len(ferry.told().stored)
        assert 0 < stored < len(MESSAGES)
        left = os.statvfs(disk)
        assert left.f_bavail * left.f_frsize > 0  # others can still write
        assert ferry.login().startswith(b"-ERR [SYS/TEMP]")  # as often as the user likes
        assert legacy.fetched <= len(MESSAGES) * 3
        filler.unlink()
        stored, before = len(ferry.told().stored), legacy.settled()
        assert ferry.login().startswith(b"+OK")
        assert legacy.settled() - before == len(MESSAGES) - stored
        ferry.stop()
        ferry.check(MESSAGES)


def test_full_to_the_last_octet_before_anybody_is_known(disk: Path, nursery: Nursery) -> None:
    """The accounts cannot be written either, and the daemon stays."""
    with StandingServer(MESSAGES) as legacy, Ferry(disk, nursery, legacy.port) as ferry:
        ferry.start()
        filler = fill(disk, 0)
        with contextlib.suppress(OSError), (disk / "crumbs").open("wb", buffering=0) as crumbs:
            while crumbs.write(bytes(1024)):
                pass
        for _ in range(2):
            assert ferry.login().startswith(b"-ERR [SYS/TEMP]")
        assert not ferry.ended(0)
        assert legacy.fetched == 0
        filler.unlink()
        assert ferry.login().startswith(b"+OK")
        ferry.stop()
        ferry.check(MESSAGES)


@pytest.mark.parametrize("only", [False, True], ids=["from then on", "once"])
@pytest.mark.parametrize("reason", REASONS)
def test_refused_at_each_step(ground: Ground, reason: str, *, only: bool) -> None:
    """Each write, rename, fsync, new file and commit of a first login in turn, in one process."""
    told_in, told_later = 0, 0
    for step in range(1, MOST_STEPS, 1 if reason == "full" else 5):
        with Rig(LegacyServer(BOX, Behaviour(password=PASSWORD)), ground=ground) as rig:
            with refusing(step, REASONS[reason], only=only) as steps:
                refused = rig.login()
                rig.settle()
            assert refused in {None, Refusal.UNAVAILABLE}
            told_in += refused is None
            told_later += refused is not None
            if refused is not None:
                assert rig.server.connections == 1  # not tried again by itself while the disk refuses
                assert len(rig.warnings()) == 1, rig.warnings()
            rig.forget_pauses()
            assert rig.login() is None
            rig.settle()
            here, old = [(kept.uidl.encode(), kept.data) for kept in rig.inbox()], [(unique_id(m), m) for m in BOX]
            if reason == "broken":  # one file that the disk refuses is quarantined, and comes behind the others later
                here, old = sorted(here), sorted(old)
            assert here == old
            if reason != "read-only":  # what SQLite itself removes goes here all the same, and its index is made anew
                assert rig.files("tmp") == []
            assert "unexpected" not in rig.log.events(), rig.log.lines
        if not steps.refused:
            break
    else:
        raise AssertionError("there is no end to the steps")
    assert told_in and told_later


@pytest.mark.parametrize(
    ("call", "first", "reason"),
    [
        ("pwrite64", 20, "ENOSPC"),
        ("pwrite64", 1, "EIO"),
        ("fdatasync", 3, "EIO"),
        ("fsync", 2, "EDQUOT"),
        ("fsync", 12, "EIO"),
        ("syncfs", 1, "EIO"),
        ("renameat", 40, "EROFS"),
        ("mkdir", 2, "ENOSPC"),
        ("ftruncate", 1, "EIO"),
    ],
)
def test_the_kernel_refuses(call: str, first: int, reason: str, nursery: Nursery) -> None:
    """The real calls of a real daemon, those of SQLite among them, from the N-th of a thread on."""
    with tempfile.TemporaryDirectory(dir=in_memory()) as directory, StandingServer(MESSAGES) as legacy:
        with Ferry(Path(directory), nursery, legacy.port) as ferry:
            ferry.start()
            tracing = Tracing(ferry.pid, ferry.root / "trace", refuse=(call, first, reason))
            answer = ferry.login()
            assert answer.startswith((b"-ERR [SYS/TEMP]", b"+OK"))
            tracing.end()
            # Whoever found it says it once, and what SQLite found in its own words.
            found = [(line["event"], line.get("reason")) for line in told(ferry, "warning", "error")]
            assert len(found) == len(set(found)), found
            assert ferry.login().startswith(b"+OK"), ferry.log.read_text()
            ferry.stop()
            ferry.check(MESSAGES, passing=True)
            assert "unexpected" not in ferry.log.read_text()
