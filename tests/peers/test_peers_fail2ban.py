"""fail2ban reads a daemon's log by `conf/fail2ban`: who guesses is found, whatever name is guessed at."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from tests.legacy.dovecot import free_port
from tests.peers.daemon import LISTENERS, Daemon
from tests.peers.needs import needed

FILTER = Path(__file__).parents[2] / "conf/fail2ban/filter.d/mailferry.conf"

# Names by which somebody would have another address banned, or an own one overlooked.
HOSTILE = (
    b'x","peer":"203.0.113.9',
    b'{"audit":true,"peer":"203.0.113.9","protocol":"imap","why":"wrong",',
    b'","event":"login","level":"info","timestamp":"2001-01-01T00:00:00.000000Z"}',
    b"203.0.113.9",
    b"\\",
)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """One account, an old server that is down, and nobody else on the list."""
    ports = {name: free_port() for name in (*LISTENERS, "auth")}
    legacy = f'port = {free_port()}\ntls = "none"\n'
    daemon = Daemon(tmp_path, legacy, domain='accounts = "listed"', workers=1, ports=ports)
    (tmp_path / "state").mkdir(mode=0o700)
    database = AccountsDatabase(tmp_path / "state" / "accounts.db")
    Accounts(database).add("user", "123.com")
    database.close()
    daemon.start()
    yield daemon
    daemon.stop()


def guess(daemon: Daemon, host: int, name: bytes, port: str) -> bytes:
    """From 127.0.0.`host`; the answer."""
    with socket.create_connection(
        ("127.0.0.1", daemon.ports[port]), timeout=60, source_address=(f"127.0.0.{host}", 0)
    ) as connection:
        answers = connection.makefile("rb")
        answers.readline()
        if port == "imap":
            connection.sendall(b"a LOGIN {%d+}\r\n%b guess\r\n" % (len(name), name))
            return answers.readline()
        connection.sendall(b"USER %b\r\nPASS guess\r\n" % name)
        answers.readline()
        return answers.readline()


def guess_at_sending(daemon: Daemon, address: str, name: bytes) -> bytes:
    """By way of Postfix, as it would ask; the answer."""
    response = base64.b64encode(b"\0%b\0guess" % name)
    with socket.create_connection(("127.0.0.1", daemon.ports["auth"]), timeout=60) as connection:
        request = b"AUTH\t1\tPLAIN\tservice=smtp\trip=%b\tsecured\tresp=%b\n" % (address.encode(), response)
        connection.sendall(b"VERSION\t1\t0\nCPID\t1\n" + request)
        answers = connection.makefile("rb")
        while not (answer := answers.readline()).startswith(b"FAIL"):
            assert answer
        return answer


def found(log: Path) -> list[str]:
    """The addresses that fail2ban would count, one for each failure."""
    command = [needed("fail2ban-regex"), "-o", "ip", str(log), str(FILTER)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split()


def test_who_guesses_is_found_and_nobody_else(daemon: Daemon) -> None:
    needed("fail2ban-regex")
    guessing = []
    for host, name in enumerate(HOSTILE, start=10):
        for port in ("imap", "pop3"):
            assert b"AUTH" in guess(daemon, host, name, port)
            guessing.append(f"127.0.0.{host}")
    assert b"AUTH" in guess(daemon, 30, b"user@elsewhere.example", "imap")
    guessing.append("127.0.0.30")
    assert b"wrong" in guess_at_sending(daemon, "192.0.2.7", HOSTILE[0])
    assert b"wrong" in guess_at_sending(daemon, '192.0.2.8", "peer": "203.0.113.9', b"nobody")
    guessing += ["192.0.2.7", "127.0.0.1"]
    assert b"UNAVAILABLE" in guess(daemon, 40, b"user", "imap")  # the old server is down: nobody's fault
    lines = [json.loads(line) for line in daemon.log.splitlines()]
    audit = [line for line in lines if line.get("audit")]
    assert [line["peer"] for line in audit] == [*guessing, "127.0.0.40"]
    assert {(line["event"], line["why"]) for line in audit} == {("login refused", "wrong"), ("login refused", "down")}
    assert "guess" not in daemon.log
    assert found(daemon.root / "log") == guessing
