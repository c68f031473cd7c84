"""SIGKILL of a daemon right before a chosen system call, in the midst of a first login: what is past a barrier is kept
and not fetched again, and the next daemon carries the rest over.

MAILFERRY_KILLS=20 tries up to 20 occurrences of each call, where every run tries one or two."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.ferrying import Ferry, Nursery, Told
from tests.faults.matrix import DOTS, LARGE
from tests.faults.standing import StandingServer
from tests.faults.tracing import Tracing, spread
from tests.memory import in_memory
from tests.proxy.migration.scripted import mail

MOST = int(os.environ.get("MAILFERRY_KILLS", "1"))
MESSAGES = [*(mail(number, 300 + number) + b"\r\n" for number in range(1, 399)), DOTS, LARGE[:300_000] + b"\r\n"]
OFTEN = {"fsync", "fdatasync", "pwrite64", "renameat"}  # where there is most to be lost: one more of each


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as running:
        yield running


@pytest.fixture(scope="module")
def legacy() -> Iterator[StandingServer]:
    with StandingServer(MESSAGES) as running:
        running.bursts = 40
        yield running


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=in_memory()) as directory:
        yield Path(directory)


@pytest.fixture
def ferry(root: Path, nursery: Nursery, legacy: StandingServer) -> Iterator[Ferry]:
    with Ferry(root, nursery, legacy.port) as made:
        yield made


def finish(ferry: Ferry, legacy: StandingServer, told: Told) -> None:
    """The next daemon: what was past a barrier stays, and the rest comes once more."""
    before = legacy.settled()
    ferry.start()
    assert ferry.login().startswith(b"+OK"), ferry.log.read_text()
    ferry.stop()
    ferry.check(MESSAGES)
    assert legacy.settled() - before == len(MESSAGES) - len(told.stored)
    assert legacy.deletions == 0
    assert "unexpected" not in ferry.log.read_text()


def test_killed_at_every_call_that_changes_a_disk(nursery: Nursery, legacy: StandingServer) -> None:
    counts = counted(nursery, legacy, alone=True)
    points = sorted({*spread(counts, MOST), *spread({c: n for c, n in counts.items() if c in OFTEN}, MOST + 1)})
    killed = in_the_middle = 0
    for call, number in points:
        with tempfile.TemporaryDirectory(dir=in_memory()) as directory:
            with Ferry(Path(directory), nursery, legacy.port) as ferry:
                ferry.start(alone=True)
                tracing = Tracing(ferry.pid, ferry.root / "trace", (call, number))
                answer = ferry.login()
                if not answer.endswith(b")"):  # of "(N octets)": it never came to an end
                    assert ferry.ended(), f"{call} {number}: it neither ended nor answered"
                ended = ferry.ended(0)
                tracing.end()
                ferry.kill()
                told = ferry.told()
                assert len(told.stored) == len(MESSAGES) or not answer.endswith(b")"), f"{call} {number}"
                assert told.status[0] <= len(told.stored)
                killed += ended
                in_the_middle += 0 < len(told.stored) < len(MESSAGES)
                finish(ferry, legacy, told)
    print(f"{len(points)} kills, {killed} struck, {in_the_middle} between two barriers")
    assert killed >= len(points) * 2 // 3  # calls fall to threads as it happens, and some numbers are not reached
    assert {"openat", "write", "pwrite64", "renameat", "fsync", "fdatasync"} <= counts.keys()


def counted(nursery: Nursery, legacy: StandingServer, *, alone: bool) -> dict[str, int]:
    """The calls of a first login that nothing happens to: the daemon's, or those of the process that writes."""
    with tempfile.TemporaryDirectory(dir=in_memory()) as directory:
        with Ferry(Path(directory), nursery, legacy.port) as ferry:
            ferry.start(alone=alone)
            tracing = Tracing(ferry.pid if alone else writer_of(ferry), ferry.root / "trace")
            assert ferry.login().startswith(b"+OK")
            tracing.end()
            ferry.stop()
            return tracing.counts()


def writer_of(ferry: Ferry) -> int:
    """The process that writes for it."""
    (pid,) = ferry.children()
    return pid


def test_the_process_that_writes_is_killed_at_every_call_that_changes_a_disk(
    nursery: Nursery, legacy: StandingServer
) -> None:
    """The daemon goes on without it, or fetches again what it was at."""
    points = spread(counted(nursery, legacy, alone=False), 2 * MOST)
    struck = 0
    for call, number in points:
        with tempfile.TemporaryDirectory(dir=in_memory()) as directory:
            with Ferry(Path(directory), nursery, legacy.port) as ferry:
                ferry.start()
                tracing = Tracing(writer_of(ferry), ferry.root / "trace", (call, number))
                answer = ferry.login()
                tracing.end()
                assert not ferry.ended(0)
                struck += "the process that writes messages died" in ferry.log.read_text()
                if not answer.startswith(b"+OK"):  # it was in the middle of a large message
                    assert answer.startswith(b"-ERR [SYS/TEMP]")
                    assert ferry.login().startswith(b"+OK"), ferry.log.read_text()
                ferry.stop()
                ferry.check(MESSAGES)
                assert "unexpected" not in ferry.log.read_text()
    assert {call for call, _ in points} >= {"openat", "write"}
    assert struck >= len(points) * 2 // 3


def test_killed_again_while_it_resumes(ferry: Ferry, legacy: StandingServer) -> None:
    """By itself, at its start, with the password that is sealed."""
    ferry.start()
    tracing = Tracing(ferry.pid, ferry.root / "trace", ("renameat", 90))
    ferry.login()
    assert ferry.ended()
    tracing.end()
    ferry.kill()
    for call, number in (("fdatasync", 4), ("renameat", 30), ("pwrite64", 12)):
        ferry.start(stopped=True)
        tracing = Tracing(ferry.pid, ferry.root / "trace", (call, number))
        os.kill(ferry.pid, signal.SIGCONT)
        ferry.ended(5)
        tracing.end()
        ferry.kill()
    finish(ferry, legacy, ferry.told())
