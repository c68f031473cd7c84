"""How the daemon ends, with which status; and what SIGHUP does where all is in one process."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailstore.database import AccountsDatabase
from proxy import config
from proxy.daemon import logs, process, service
from proxy.daemon.alone import Alone
from tests.faults.standing import PASSWORD, StandingServer
from tests.peers.daemon import Daemon
from tests.proxy.login.login_rig import CONFIG
from tests.proxy.recording import RecordingLog

LARGE = b"Subject: large\r\n\r\n" + b"0123456789abcdef" * 4 * 65_536 + b"\r\n"


@pytest.fixture(scope="module")
def legacy() -> Iterator[StandingServer]:
    with StandingServer([LARGE]) as running:
        yield running


def a_database_of_a_later_version(state: Path) -> None:
    AccountsDatabase(state / "accounts.db").close()
    connection = sqlite3.connect(state / "accounts.db")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()


def a_key_that_others_can_read(state: Path) -> None:
    (state / "sealing.key").write_bytes(b"k" * 32)
    (state / "sealing.key").chmod(0o644)


def a_file_in_its_place(state: Path) -> None:
    state.rmdir()
    state.write_bytes(b"")


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (Alone, "another mailferry serve or migrate is running"),
        (a_database_of_a_later_version, "of another version of mailferry"),
        (a_key_that_others_can_read, "the sealing key may be read by others"),
        (a_file_in_its_place, "the disk refused"),
    ],
)
def test_a_state_directory_that_cannot_be_used_is_status_1(
    trouble: Callable[[Path], object], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = RecordingLog()
    monkeypatch.setattr(logs, "start", lambda: log)
    monkeypatch.setattr(process, "prepare", lambda _reactor: None)
    state = tmp_path / "state"
    state.mkdir()
    held = trouble(state)
    text = CONFIG.format(state=state, accounts="open", port=110, connections=5)
    assert service.serve(config.parse(text.encode())) == 1
    assert log.events() == ["cannot start"]
    assert reason in repr(log.lines)
    if isinstance(held, Alone):
        held.end()


def test_one_process_from_a_port_that_is_taken_to_an_end_that_is_hastened(
    legacy: StandingServer, tmp_path: Path
) -> None:
    daemon = Daemon(tmp_path / "daemon", f'port = {legacy.port}\ntls = "none"\n', workers=1)
    good = daemon.config.read_text()
    with socket.create_server(("127.0.0.1", daemon.ports["pop3"])):
        command = [sys.executable, "-m", "proxy.cli.main", "serve", "--config", str(daemon.config)]
        ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 1
        assert "cannot listen on pop3" in ended.stderr
    daemon.start()
    assert daemon.process is not None
    try:
        with socket.create_connection(daemon.pop3, 60) as client, client.makefile("rb") as answers:
            client.sendall(f"USER ann@123.com\r\nPASS {PASSWORD}\r\n".encode())
            assert [answers.readline()[:3] for _ in range(3)] == [b"+OK"] * 3
            # A changed configuration takes a restart: nobody's session is ended for it.
            daemon.config.write_text(good.replace('"localhost"', '"mail.localhost"'))
            os.kill(daemon.process.pid, signal.SIGHUP)
            daemon.logs('"not reloaded"')
            assert "with workers = 1" in daemon.log
            client.sendall(b"RETR 1\r\n")  # and what it is sent it does not read
            answers.readline()
            daemon.process.send_signal(signal.SIGTERM)
            daemon.logs('"stopping"')
            with pytest.raises(subprocess.TimeoutExpired):
                daemon.process.wait(0.2)
            daemon.process.send_signal(signal.SIGTERM)
            assert daemon.process.wait(60) == 0
            assert '"stopped"' in daemon.log
    finally:
        daemon.kill()
    assert '"unexpected"' not in daemon.log, daemon.log
