"""The process that writes messages: what it does is done, and what it leaves undone is done without it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstore import scribe
from mailstore.entries import Entry, Listed
from mailstore.errors import StorageFailed
from mailstore.landing import Arriving, Landing, Written
from mailstore.mailhome import MailHome
from mailstore.scribe import Scribed, hand_over
from mailstore.writing import Writes
from tests.mailstore.store_rig import NOW, bodies, check_whole, debris, open_descriptors

OWN = """
import os, signal, socket, subprocess, sys
ours, theirs = socket.socketpair()
process = subprocess.Popen(
    [sys.executable, "-m", "mailstore.scribe", str(theirs.fileno())], pass_fds=[theirs.fileno(), int(sys.argv[1])]
)
theirs.close()
one, other = socket.socketpair()
socket.send_fds(ours, [b"."], [other.fileno()])
one.sendall(b"x")
signal.pause()
"""


class Process:
    def __init__(self) -> None:
        self.control, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "mailstore.scribe", str(theirs.fileno())]
            self.popen = subprocess.Popen(command, pass_fds=[theirs.fileno()])

    def writer(self, tmp: Path, token: str, seen: str) -> Writes:
        return Scribed(lambda landing: hand_over(self.control, landing), tmp, token, seen)

    def stop(self) -> None:
        self.popen.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.popen.pid, os.WSTOPPED)

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()


@pytest.fixture
def process() -> Iterator[Process]:
    made = Process()
    yield made
    made.control.close()
    made.popen.send_signal(signal.SIGCONT)
    assert made.popen.wait(10) in {0, -signal.SIGKILL}


def open_landing(home: MailHome, process: Process) -> Landing:
    return Landing(home.maildir, home.token, seen="headers", clock=lambda: NOW, open_writer=process.writer)


@pytest.fixture
def landing(home: MailHome, process: Process) -> Iterator[Landing]:
    made = open_landing(home, process)
    yield made
    made.close()


def pulled(home: MailHome, count: int) -> list[Entry]:
    return home.ledger.record_listing([Listed(n, f"u{n}", 10) for n in range(1, count + 1)], (), hold_uids=True)


def test_what_it_writes_is_there(home: MailHome, landing: Landing) -> None:
    entries = pulled(home, 3)
    written = landing.write([(entries[0], b"Status: R\r\n\r\none"), Arriving(entries[1], [b"t", b"w"])])
    written += landing.write([Arriving(entries[1], [b"o"], ended=True), (entries[2], b"\n" * 300_000)])
    landing.settle(written)
    home.ledger.enter([each.landed for each in written])
    assert list(bodies(home).values()) == [b"Status: R\r\n\r\none", b"two", b"\n" * 300_000]
    assert written[0].landed.flags == {"\\Seen"}
    check_whole(home)
    landing.close()
    assert debris(home) == []


def test_a_landing_that_is_closed_leaves_nothing_open(home: MailHome, process: Process) -> None:
    descriptors = open_descriptors()
    landing = open_landing(home, process)
    landing.write([Arriving(pulled(home, 1)[0], [b"half"])])
    landing.close()
    assert open_descriptors() == descriptors
    there = Path(f"/proc/{process.popen.pid}/fd")
    assert not [fd for fd in there.iterdir() if str(home.maildir.root) in os.fspath(fd.readlink())]


def test_one_batch_is_written_while_the_next_is_handed_over(home: MailHome, landing: Landing) -> None:
    one, two, three = pulled(home, 3)
    assert landing.hand_over([(one, b"one")]) == []
    written = landing.hand_over([(two, b"two")])
    assert [each.landed.entry for each in written] == [one]
    written += landing.hand_over([(three, b"three")])
    assert landing.under_way
    written += landing.handed_over()
    assert not landing.under_way
    assert [each.landed.entry for each in written] == [one, two, three]


def test_an_answer_that_is_longer_than_what_a_socket_holds(home: MailHome, landing: Landing) -> None:
    """Neither waits for the other to read."""
    entries = pulled(home, 9000)
    written: list[Written] = []
    for start in range(0, 9000, 3000):
        written += landing.hand_over([(entry, bytes(300)) for entry in entries[start : start + 3000]])
    written += landing.handed_over()
    assert [each.landed.entry for each in written] == entries


def test_it_dies_while_two_batches_are_under_way(home: MailHome, landing: Landing, process: Process) -> None:
    one, two, three = pulled(home, 3)
    process.stop()
    assert landing.hand_over([(one, b"one"), Arriving(two, [b"t"])]) == []
    process.kill()
    written = landing.hand_over([Arriving(two, [b"wo"], ended=True), (three, b"three")])
    while landing.under_way:
        written += landing.handed_over()
    landing.settle(written)
    home.ledger.enter([each.landed for each in written])
    assert list(bodies(home).values()) == [b"one", b"two", b"three"]
    check_whole(home)


def test_it_dies_between_two_batches(home: MailHome, landing: Landing, process: Process) -> None:
    one, two, three = pulled(home, 3)
    written = landing.write([(one, b"one")])
    process.kill()
    written += landing.write([(two, b"two")])
    written += landing.write([Arriving(three, [b"th"])])
    written += landing.write([Arriving(three, [b"ree"], ended=True)])
    landing.settle(written)
    home.ledger.enter([each.landed for each in written])
    assert list(bodies(home).values()) == [b"one", b"two", b"three"]
    check_whole(home)


def test_it_dies_in_the_middle_of_a_large_message(home: MailHome, landing: Landing, process: Process) -> None:
    (entry,) = pulled(home, 1)
    landing.write([Arriving(entry, [b"half"])])
    process.kill()
    with pytest.raises(StorageFailed, match="has ended"):
        landing.write([Arriving(entry, [b" a message"], ended=True)])
    landing.close()
    again = open_landing(home, process)  # there is none, so it writes for itself
    written = again.write([(entry, b"a whole message")])
    again.settle(written)
    home.ledger.enter([each.landed for each in written])
    again.close()
    assert list(bodies(home).values()) == [b"a whole message"]
    assert debris(home) == []


def test_it_hangs(home: MailHome, landing: Landing, process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scribe, "_PATIENCE", 0.1)
    process.stop()
    hanging = open_landing(home, process)
    written = hanging.write([(pulled(home, 1)[0], b"one")])
    hanging.settle(written)
    home.ledger.enter([each.landed for each in written])
    hanging.close()
    process.popen.send_signal(signal.SIGCONT)
    assert list(bodies(home).values()) == [b"one"]


def test_signals_to_all_of_a_service_are_for_the_daemon(home: MailHome, landing: Landing, process: Process) -> None:
    (entry,) = pulled(home, 1)
    landing.write([Arriving(entry, [b"to"])])
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        process.popen.send_signal(number)
    (written,) = landing.write([Arriving(entry, [b"gether"], ended=True)])
    assert written.landed.size == 8
    assert process.popen.poll() is None


def test_it_ends_with_a_daemon_that_is_killed() -> None:
    """… at once, or it would write among the files of the next one."""
    gone, theirs = os.pipe()  # its end is seen when nobody has the other end any more
    daemon = subprocess.Popen([sys.executable, "-c", OWN, str(theirs)], pass_fds=[theirs])
    os.close(theirs)
    children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children")
    while not children.read_text():
        assert daemon.poll() is None
    process = int(children.read_text())
    while b"mailstore.scribe" not in Path(f"/proc/{process}/cmdline").read_bytes():
        assert daemon.poll() is None
    daemon.kill()
    daemon.wait()
    assert os.read(gone, 1) == b""
    os.close(gone)
