"""A move that was interrupted goes on where its last barrier stood: after accidents of the network, of a real legacy
server, and of its own process (`test_faults_killed`)."""

from __future__ import annotations

import contextlib
import os
import poplib
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet import error as net

from proxy.migration.pauses import PAUSES
from tests.faults.ferrying import Ferry, Nursery
from tests.faults.injecting import Fault, Kind
from tests.faults.matrix import BOX
from tests.faults.relaying import Network
from tests.faults.rig import Rig
from tests.faults.standing import StandingServer
from tests.faults.test_faults_killed import MESSAGES
from tests.legacy.dovecot import PASSWORD as DOVECOT_S
from tests.legacy.dovecot import Dovecot
from tests.legacy.server import Behaviour, LegacyServer, stuffed
from tests.memory import in_memory
from tests.peers.needs import needed
from tests.proxy.login.login_rig import PASSWORD
from tests.proxy.migration.scripted import mail

COUNT = 400
LINES = (b"x" * 78 + b"\r\n") * 100


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as running:
        yield running


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=in_memory()) as directory:
        yield Path(directory)


def test_a_connection_that_is_reset_again_and_again_brings_each_message_once(root: Path, nursery: Nursery) -> None:
    with StandingServer(MESSAGES) as legacy, Ferry(root, nursery, legacy.port) as ferry:
        legacy.cut_after = 60
        ferry.start()
        assert ferry.login().startswith(b"+OK")
        ferry.stop()
        ferry.check(MESSAGES)
        assert legacy.sessions == len(MESSAGES) // 60 + 1
        assert legacy.fetched == len(MESSAGES)  # what came whole was kept, though its connection broke
        assert ferry.log.read_text().count('"level": "warning"') == 1


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    needed("dovecot")
    with tempfile.TemporaryDirectory(prefix="faults.", dir="/tmp") as directory:
        server = Dovecot(Path(directory))
        cur = server.maildir("user") / "cur"
        for number in range(1, COUNT + 1):
            (cur / f"{1_300_000_000 + number}.M{number}P1.old:2,").write_bytes(mail(number) + LINES)
        server.own()
        yield server
        server.stop()


@pytest.fixture(scope="module")
def old(dovecot: Dovecot) -> list[tuple[bytes, bytes]]:
    """UIDLs and messages, as Dovecot gives them out."""
    client = poplib.POP3("127.0.0.1", dovecot.pop3, 20)
    client.user("user")
    client.pass_(DOVECOT_S)
    uidls = [line.split()[1] for line in client.uidl()[1]]
    messages = [b"".join(line + b"\r\n" for line in client.retr(number)[1]) for number in range(1, COUNT + 1)]
    client.quit()
    return list(zip(uidls, messages, strict=True))


def sessions(dovecot: Dovecot) -> list[int]:
    """The processes that serve mailboxes."""
    master = str(dovecot.process.pid)
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, rest = status.read_text().split(" (", 1)
        except OSError:  # it has ended meanwhile
            continue
        name, fields = rest.rsplit(") ", 1)
        if name == "pop3" and fields.split()[1] == master:
            found.append(int(number))
    return found


def kill_sessions(processes: list[int]) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def crash(dovecot: Dovecot, relay: Network) -> None:
    """All of it is gone, as with the machine under it."""
    processes = sessions(dovecot)
    relay.drop()
    dovecot.stop()
    kill_sessions(processes)


def size_of(old: list[tuple[bytes, bytes]]) -> int:
    return sum(len(stuffed(message)) for _, message in old)


def test_dovecot_s_process_is_killed_in_the_midst(
    root: Path, nursery: Nursery, dovecot: Dovecot, old: list[tuple[bytes, bytes]]
) -> None:
    size = size_of(old)
    with Network(dovecot.pop3) as relay, Ferry(root, nursery, relay.port, DOVECOT_S) as ferry:
        relay.at = dict.fromkeys((size // 3, size * 2 // 3), lambda: kill_sessions(sessions(dovecot)))
        ferry.start()
        assert ferry.login().startswith(b"+OK"), ferry.log.read_text()
        ferry.stop()
        ferry.check_mail(old)
        assert relay.connections > 1
        assert ferry.log.read_text().count('"level": "warning"') == 1


def test_the_network_cuts_every_connection(
    root: Path, nursery: Nursery, dovecot: Dovecot, old: list[tuple[bytes, bytes]]
) -> None:
    """Only what was under way is asked for again: the window, not the mailbox."""
    size = size_of(old)
    with Network(dovecot.pop3) as relay, Ferry(root, nursery, relay.port, DOVECOT_S) as ferry:
        relay.cut_every = size // 3
        ferry.start()
        assert ferry.login().startswith(b"+OK"), ferry.log.read_text()
        ferry.stop()
        ferry.check_mail(old)
        assert 4 <= relay.connections <= 6  # listings count, too
        # octets that came twice: at most what was in the buffers at each cut
        assert relay.octets < size * 1.2 + relay.connections * (len(old) * 30 + 128 * 1024)


def test_dovecot_is_down_for_longer_than_anybody_waits(
    root: Path, nursery: Nursery, dovecot: Dovecot, old: list[tuple[bytes, bytes]]
) -> None:
    """The login is refused as temporary; when the server is there again the next one goes on."""
    size = size_of(old)
    with Network(dovecot.pop3) as relay, Ferry(root, nursery, relay.port, DOVECOT_S) as ferry:
        relay.at = {size // 2: lambda: crash(dovecot, relay)}
        ferry.start()
        try:
            assert ferry.login().startswith(b"-ERR [SYS/TEMP]"), ferry.log.read_text()
            (warning,) = [line for line in ferry.log.read_text().splitlines() if '"level": "warning"' in line]
            assert "; " in warning
            account = ferry.account()
            assert account is not None and account.state == "moving" and account.reason
            stored = ferry.told().stored
            assert 0 < len(stored) < COUNT
        finally:
            dovecot.start()
        relay.asked.clear()
        assert ferry.login().startswith(b"+OK"), ferry.log.read_text()
        ferry.stop()
        ferry.check_mail(old)
        assert relay.asked.keys() == set(range(1, COUNT + 1)) - stored


def test_it_waits_longer_each_time_while_nothing_comes() -> None:
    """The legacy server's machine crashes in the middle of message 6, and is up again after a while."""
    fault = Fault(Kind.RESET, "RETR 6", 50)
    server = LegacyServer(BOX, Behaviour(password=PASSWORD))
    with Rig(server, lambda number: fault if number == 1 else None) as rig:
        tried: list[float] = []

        def refuse(number: int) -> Exception | None:
            if number > 1:
                tried.append(rig.network.clock.seconds())
            return net.ConnectionRefusedError() if 1 < number < 5 else None

        rig.network.refuse = refuse
        assert rig.login() is None
        rig.settle()
        assert [kept.data for kept in rig.inbox()] == BOX
        waits = [later - earlier for earlier, later in zip([0.0, *tried], tried, strict=False)]
        assert waits == [PAUSES[0], *PAUSES[1 : len(waits)]]
        asked = [line for line in server.commands if line.startswith(b"RETR")]
        assert sorted(asked[len(BOX) :]) == sorted(b"RETR %d" % n for n in range(6, len(BOX) + 1))
        assert len(rig.warnings()) == 1
