"""One Dovecot as the legacy server, and one mailferry in front of it, for all tests of this directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.legacy.dovecot import Dovecot
from tests.legacy.peer import Peer
from tests.legacy.peers import PEERS
from tests.peers.crossing import Crossing
from tests.peers.daemon import Daemon
from tests.peers.ground import reachable
from tests.peers.mailboxes import fill, write_letters
from tests.peers.needs import needed, needed_root
from tests.postgres.server import PostgresServer

_numbers = count(1)


@pytest.fixture(scope="session")
def ground() -> Iterator[Path]:
    """A directory with a short name that an unprivileged server can reach."""
    with reachable("peers") as path:
        yield path


@pytest.fixture(scope="session")
def legacy(ground: Path) -> Iterator[Dovecot]:
    needed("dovecot")
    (ground / "old").mkdir()
    server = Dovecot(ground / "old")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def make_daemon(ground: Path) -> Iterator[Callable[..., Daemon]]:
    """Start one more mailferry: make_daemon(legacy lines, migration lines, what else `Daemon` takes)."""
    started: list[Daemon] = []

    def make(legacy: str, migration: str = "", *, root: Path | None = None, **about: Any) -> Daemon:
        daemon = Daemon(root or ground / f"ferry{len(started)}", legacy, migration, **about)
        started.append(daemon)
        daemon.start()
        return daemon

    yield make
    for daemon in started:
        daemon.stop()


@pytest.fixture(scope="session")
def daemon(legacy: Dovecot, make_daemon: Callable[..., Daemon]) -> Daemon:
    """The one that most tests share; each test has users of its own."""
    return make_daemon(f'port = {legacy.pop3}\ntls = "none"')


@pytest.fixture(scope="session")
def daemon_upon_postgres(legacy: Dovecot, make_daemon: Callable[..., Daemon], postgres: PostgresServer) -> Daemon:
    """Shared as `daemon` is."""
    return make_daemon(f'port = {legacy.pop3}\ntls = "none"', listen=postgres.storage())


@pytest.fixture(params=["files", "PostgreSQL"])
def either_daemon(request: pytest.FixtureRequest) -> Daemon:
    """`daemon`, and `daemon_upon_postgres`."""
    found: Daemon = request.getfixturevalue("daemon" if request.param == "files" else "daemon_upon_postgres")
    return found


@pytest.fixture
def user(legacy: Dovecot) -> str:
    """A user with a mailbox of everything that is odd."""
    name = f"user{next(_numbers)}"
    fill(legacy, name, 46)
    return name


@pytest.fixture
def smooth_user(legacy: Dovecot) -> str:
    """A user whose mail every client can carry."""
    name = f"user{next(_numbers)}"
    fill(legacy, name, 46, smooth=True)
    return name


@pytest.fixture
def letters_user(legacy: Dovecot) -> str:
    """A user with 8 letters, `Subject: letter 1` to `letter 8`."""
    name = f"user{next(_numbers)}"
    write_letters(legacy, name, 8)
    return name


@pytest.fixture(scope="session")
def make_peer(ground: Path) -> Iterator[Callable[[str], Peer]]:
    """Start a real legacy server by its name, once."""
    started: dict[str, Peer] = {}

    def make(name: str) -> Peer:
        if name not in started:
            needed("dovecot") if name == "dovecot" else needed_root(name)
            started[name] = PEERS[name](ground / name)
        return started[name]

    yield make
    for peer in started.values():
        peer.stop()


@pytest.fixture(scope="session")
def make_crossing(ground: Path, make_peer: Callable[[str], Peer]) -> Iterator[Callable[[str], Crossing]]:
    """A mailferry in front of a real legacy server, one for each server; each test has users of its own."""
    built: dict[str, Crossing] = {}

    def make(name: str) -> Crossing:
        if name not in built:
            built[name] = Crossing.build(make_peer(name), ground / f"to-{name}")
        return built[name]

    yield make
    for crossing in built.values():
        crossing.close()


@pytest.fixture(params=PEERS)
def crossing(request: pytest.FixtureRequest, make_crossing: Callable[[str], Crossing]) -> Crossing:
    """Each real legacy server in turn."""
    return make_crossing(request.param)
