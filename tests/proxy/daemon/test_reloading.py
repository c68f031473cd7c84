"""SIGHUP: another daemon takes over in the same process, and nobody's session ends. A daemon of its own each, with what
systemd would be told, in front of a legacy server in threads."""

from __future__ import annotations

import os
import re
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.standing import PASSWORD, StandingServer
from tests.legacy.dovecot import select_nothing
from tests.memory import in_memory
from tests.peers.daemon import Daemon
from tests.proxy.daemon.managing import Manager
from tests.proxy.migration.scripted import mail

MANY = 3_000
LARGE = b"Subject: large\r\n\r\n" + b"0123456789abcdef" * 4 * 16_384 + b"\r\n"
LOGINS = 200


_clients: list[Client] = []


class Client:
    """A client's connection, a line at a time."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, 60)
        self._lines = self._socket.makefile("rb")
        _clients.append(self)
        self.greeting = self._lines.readline()

    def say(self, line: bytes) -> None:
        self._socket.sendall(line + b"\r\n")

    def until(self, *starts: bytes) -> list[bytes]:
        """Lines up to one that begins so."""
        lines = [self._lines.readline()]
        while lines[-1] and not lines[-1].startswith(starts):
            lines.append(self._lines.readline())
        return lines

    def ask(self, line: bytes) -> list[bytes]:
        """… up to the answer of an IMAP command, or of one of POP3 that is a line."""
        self.say(line)
        return self.until(line.split()[0], b"+OK", b"-ERR", b"+ ")

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


def imap(daemon: Daemon, user: str) -> Client:
    client = Client(daemon.imap)
    assert client.ask(f"a LOGIN {user}@123.com {PASSWORD}".encode())[-1].startswith(b"a OK")
    client.ask(b"b SELECT INBOX")
    return client


def pop3(daemon: Daemon, user: str) -> tuple[Client, bytes]:
    client = Client(daemon.pop3)
    client.ask(f"USER {user}@123.com".encode())
    return client, client.ask(f"PASS {PASSWORD}".encode())[-1]


def greeting(daemon: Daemon) -> bytes:
    client = Client(daemon.imap)
    client.close()
    return client.greeting


def children(daemon: Daemon) -> list[int]:
    assert daemon.process is not None
    pid = daemon.process.pid
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def workers(daemon: Daemon) -> dict[int, int]:
    """Process ids by number."""
    found = {}
    for pid in children(daemon):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"proxy.daemon.worker" in words:
            found[int(words[-2])] = pid
    return found


def descriptors(daemon: Daemon) -> int:
    assert daemon.process is not None
    return sum(1 for _ in Path(f"/proc/{daemon.process.pid}/fd").iterdir())


def until(true: Callable[[], bool]) -> None:
    for _ in range(6_000):
        if true():
            return
        select_nothing(0.01)
    raise AssertionError("it does not come to be so")


def rewrite(daemon: Daemon, old: str, new: str) -> None:
    text = daemon.config.read_text()
    assert old in text
    daemon.config.write_text(text.replace(old, new))


def reload(daemon: Daemon) -> None:
    assert daemon.process is not None
    os.kill(daemon.process.pid, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _nobody_stays() -> Iterator[None]:
    yield
    while _clients:
        _clients.pop().close()


@pytest.fixture(scope="module")
def legacy() -> Iterator[StandingServer]:
    with StandingServer([LARGE, *(mail(number) for number in range(2, 22))]) as running:
        yield running


@pytest.fixture(scope="module")
def large() -> Iterator[StandingServer]:
    with StandingServer([mail(number) for number in range(1, MANY + 1)]) as running:
        running.bursts = 40
        yield running


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=in_memory()) as directory:
        yield Path(directory)


@pytest.fixture
def manager(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    manager = Manager(str(root / "notify"))
    for name, value in (manager.environment | {"WATCHDOG_USEC": "60000000"}).items():
        monkeypatch.setenv(name, value)
    yield manager
    manager.socket.close()


def install(daemon: Daemon, more: str = "") -> None:
    """A version of the program."""
    (daemon.root / "installed_ferry.py").write_text(f"from proxy.cli.main import main\n{more}\nmain()\n")


@pytest.fixture
def make_daemon(
    root: Path, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[StandingServer], Daemon]]:
    made: list[Daemon] = []
    monkeypatch.setenv("PYTHONPATH", str(root / "daemon"))

    def make(legacy: StandingServer) -> Daemon:
        old = f'port = {legacy.port}\ntls = "none"\n'
        daemon = Daemon(root / "daemon", old, workers=2, program=("installed_ferry",))
        install(daemon)
        made.append(daemon)
        daemon.start()
        manager.told_until("READY=1")
        return daemon

    yield make
    for daemon in made:
        daemon.kill()
        assert '"unexpected"' not in daemon.log, daemon.log
        assert PASSWORD not in daemon.log


def reloaded(daemon: Daemon, manager: Manager) -> list[str]:
    """What systemd was told last."""
    manager.told_until("RELOADING=1")
    last = manager.told_until("READY=1")[-1]
    assert "Traceback" not in daemon.log, daemon.log
    return last


def test_sessions_live_on_and_new_ones_see_what_is_new(
    legacy: StandingServer, manager: Manager, make_daemon: Callable[[StandingServer], Daemon]
) -> None:
    daemon = make_daemon(legacy)
    idle = imap(daemon, "ann")
    idle.ask(b"c IDLE")
    reading, answer = pop3(daemon, "bob")
    assert answer.startswith(b"+OK")
    reading.say(b"RETR 1")  # more than fits into buffers: it stands in the midst of it
    before = set(workers(daemon).values())

    def log_in(number: int) -> bytes:
        user = f"carl{threading.get_ident()}"  # who has one POP3 session at a time
        if number % 2:
            client, said = pop3(daemon, user)
            client.say(b"QUIT")
        else:
            client = Client(daemon.imap)
            said = client.ask(f"a LOGIN {user}@123.com {PASSWORD}".encode())[-1]
            client.say(b"z LOGOUT")
        client.until(b"the end")
        client.close()
        return said

    rewrite(daemon, 'hostname = "localhost"', 'hostname = "mail.localhost"')
    with ThreadPoolExecutor(10) as clients:
        logins = clients.map(log_in, range(LOGINS))
        reload(daemon)
        ready = reloaded(daemon, manager)
        assert [said for said in logins if not said.startswith((b"a OK", b"+OK"))] == []
    assert re.search("[12] workers? retiring", ready[1]), ready

    another = imap(daemon, "ann")
    assert b"mail.localhost" in another.greeting
    another.ask(b"c STORE 3 +FLAGS (\\Flagged)")
    assert idle.until(b"* 3 FETCH")[-1].startswith(b"* 3 FETCH")
    idle.say(b"DONE")
    idle.until(b"c OK")
    idle.ask(b"d STORE 4 +FLAGS (\\Answered)")
    assert any(line.startswith(b"* 4 FETCH") for line in another.ask(b"d NOOP"))

    again, answer = pop3(daemon, "bob")
    assert answer.startswith(b"-ERR [IN-USE]")
    assert b"".join(reading.until(b".\r\n")).endswith(LARGE + b".\r\n")
    reading.ask(b"DELE 2")
    assert reading.ask(b"QUIT")[-1].startswith(b"+OK")
    again.ask(b"USER bob@123.com")
    assert again.ask(f"PASS {PASSWORD}".encode())[-1].startswith(b"+OK")
    assert again.ask(b"STAT")[-1].startswith(b"+OK 20 ")

    assert set(workers(daemon).values()) - before != set(workers(daemon).values())
    idle.close()
    until(lambda: not before & set(workers(daemon).values()))
    assert len(workers(daemon)) == 2
    assert "worker died" not in daemon.log
    assert daemon.stop() == 0
    assert legacy.deletions == 0


def test_twice_at_once_and_a_retiring_worker_that_is_killed(
    legacy: StandingServer, manager: Manager, make_daemon: Callable[[StandingServer], Daemon]
) -> None:
    daemon = make_daemon(legacy)
    sessions = [imap(daemon, "ann"), imap(daemon, "ann")]
    before, open_ = workers(daemon), descriptors(daemon)
    local = daemon.root / "imap"
    rewrite(daemon, 'hostname = "localhost"', 'hostname = "one.localhost"')
    rewrite(daemon, "imap = [", f'imap = ["unix:{local}", ')
    reload(daemon)
    manager.told_until("RELOADING=1")
    rewrite(daemon, 'hostname = "one.localhost"', 'hostname = "two.localhost"')
    reload(daemon)
    manager.told_until("READY=1")
    until(lambda: b"two.localhost" in greeting(daemon))
    with socket.socket(socket.AF_UNIX) as client:  # of the first reload, and kept by the second
        client.connect(str(local))
        assert client.recv(4) == b"* OK"
    wanted = set(workers(daemon).values()) - set(before.values())
    os.kill(before[1], signal.SIGKILL)
    until(lambda: before[1] not in children(daemon))
    third = imap(daemon, "ann")
    third.ask(b"c STORE 5 +FLAGS (\\Flagged)")
    alive = [session for session in sessions if any(b"5 FETCH" in line for line in session.ask(b"c NOOP"))]
    assert len(alive) == 1
    for client in (*sessions, third):
        client.close()
    until(lambda: set(workers(daemon).values()) == wanted)
    assert daemon.log.count("worker died") == 1
    until(lambda: descriptors(daemon) <= open_ + 2)  # of two reloads each would leave more behind
    mistakes_change_nothing(daemon, manager)
    assert daemon.stop() == 0
    assert list(daemon.root.glob("imap*")) == []


def mistakes_change_nothing(daemon: Daemon, manager: Manager) -> None:
    manager.drain()
    good, before = daemon.config.read_text(), workers(daemon)
    session = imap(daemon, "ann")
    daemon.config.write_text(good.replace("workers = 2", "workers = 0\nwrokers = 2"))
    reload(daemon)
    assert re.search(
        r"^STATUS=not reloaded, the configuration has mistakes \(2\); 1 domain", reloaded(daemon, manager)[1]
    )
    refused = [line for line in daemon.log.splitlines() if "not reloaded" in line]
    assert len(refused) == 2
    assert "wrokers" in "".join(refused)
    daemon.config.unlink()
    reload(daemon)
    assert "cannot be read" in reloaded(daemon, manager)[1]
    daemon.config.write_text(good)
    install(daemon, "from proxy import what_is_not_there")
    reload(daemon)
    assert "does not start: ImportError: cannot import name" in reloaded(daemon, manager)[1]
    install(daemon)
    reload(daemon)
    manager.told_until("RELOADING=1")
    assert workers(daemon) == before
    assert session.ask(b"c NOOP")[-1].startswith(b"c OK")


def test_a_first_login_that_is_held_outlives_a_reload_and_is_told_to_come_back_at_the_end(
    large: StandingServer, manager: Manager, make_daemon: Callable[[StandingServer], Daemon]
) -> None:
    daemon = make_daemon(large)
    assert daemon.process is not None
    pid = daemon.process.pid
    install(daemon, "import sys; print('the next version', file=sys.stderr)")
    held, too = Client(daemon.imap), Client(daemon.pop3)
    too.ask(b"USER ann@123.com")
    too.say(f"PASS {PASSWORD}".encode())

    def in_the_midst() -> None:
        os.kill(pid, signal.SIGHUP)
        until(lambda: '"reloading"' in daemon.log)

    large.at[MANY // 3] = in_the_midst
    answer = held.ask(f"a LOGIN ann@123.com {PASSWORD}".encode())[-1]
    assert answer.startswith(b"a OK"), answer + daemon.log.encode()
    assert "the next version" in daemon.log
    (exists,) = [line for line in held.ask(b"b SELECT INBOX") if b"EXISTS" in line]
    assert exists == b"* %d EXISTS\r\n" % MANY
    assert too.until(b"\r\n", b"+OK", b"-ERR")[-1].startswith(b"+OK")
    assert too.ask(b"STAT")[-1].startswith(b"+OK %d " % MANY)
    fetched = large.settled()
    assert fetched < MANY * 4 // 3  # what was past a barrier is not fetched again

    large.at[fetched + MANY // 3] = lambda: os.kill(pid, signal.SIGTERM)
    login = Client(daemon.imap)
    answer = login.ask(f"a LOGIN bob@123.com {PASSWORD}".encode())[-1]
    assert answer.startswith(b"a NO [UNAVAILABLE]"), answer
    assert daemon.process.wait(20) == 0
    assert [line for line in held.until(b"* BYE") if line.startswith(b"* BYE")]
    large.at.clear()
    daemon.start()
    for user in ("ann", "bob"):
        client, said = pop3(daemon, user)
        assert said.startswith(b"+OK"), said
        client.say(b"UIDL")
        uidls = [line.split()[1] for line in client.until(b".\r\n")[1:-1]]
        assert len(set(uidls)) == len(uidls) == MANY
    assert large.deletions == 0
    assert daemon.stop() == 0
