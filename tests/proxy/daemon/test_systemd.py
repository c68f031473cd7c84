"""What systemd is told: by itself, and by a daemon from its start to its end."""

from __future__ import annotations

import os
import re
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from proxy.daemon.systemd import AGAIN_SECONDS, STATUS_SECONDS, Systemd
from tests.legacy.certificates import Authority
from tests.peers.daemon import Daemon
from tests.proxy.daemon.managing import Manager
from tests.proxy.recording import RecordingLog

LEGACY = 'port = 1\ntls = "none"\n'


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@mailferry-{os.getpid()}-{tmp_path.name}"
    manager = Manager(address)
    yield manager
    manager.socket.close()


def test_from_ready_to_the_end(manager: Manager) -> None:
    clock, log = Clock(), RecordingLog()
    systemd = Systemd(clock, log, manager.environment)
    assert manager.environment == {}
    sessions = ["1 session"]
    systemd.reloading()
    systemd.reloaded()  # by a SIGHUP before anybody is served
    systemd.ready(lambda: sessions[-1], lambda: True)
    clock.advance(STATUS_SECONDS)
    sessions.append("2 sessions")
    clock.advance(STATUS_SECONDS)
    systemd.reloading()
    systemd.reloaded()
    systemd.stopping()
    systemd.ready(lambda: "too late", lambda: True)
    systemd.stopped()
    clock.advance(STATUS_SECONDS)
    ready, status, reloading, *rest = manager.all_told()
    assert [ready, status, *rest] == [
        "READY=1 STATUS=1 session",
        "STATUS=2 sessions",
        "READY=1",
        "STOPPING=1 STATUS=stopping",
    ]
    assert reloading.startswith("RELOADING=1 MONOTONIC_USEC=")
    assert (log.lines, clock.getDelayedCalls()) == ([], [])


def test_signs_of_life_while_somebody_is_served_and_until_the_end(manager: Manager) -> None:
    clock = Clock()
    pid = str(os.getpid())
    systemd = Systemd(clock, RecordingLog(), manager.environment | {"WATCHDOG_USEC": "6000000", "WATCHDOG_PID": pid})
    lives = [True]
    systemd.ready(lambda: "", lambda: lives[-1])
    clock.advance(3)
    lives.append(False)
    clock.pump([3, 3])
    lives.append(True)
    systemd.stopping()
    clock.advance(3)
    systemd.stopped()
    clock.pump([3, 3])
    first, *rest = manager.all_told()
    assert first.startswith("READY=1")
    assert rest == ["WATCHDOG=1", "WATCHDOG=1", "STOPPING=1 STATUS=stopping", "WATCHDOG=1"]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "1"},
        {"NOTIFY_SOCKET": "vsock:2:1"},
        {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "soon"},
        {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "5", "WATCHDOG_PID": "1"},
    ],
)
def test_whom_nobody_watches(environment: dict[str, str]) -> None:
    assert Systemd(Clock(), RecordingLog(), environment).watchdog == 0


def test_a_manager_that_is_gone_is_one_line_in_the_log(tmp_path: Path) -> None:
    log = RecordingLog()
    systemd = Systemd(Clock(), log, {"NOTIFY_SOCKET": str(tmp_path / "gone")})
    systemd.ready(lambda: "", lambda: True)
    systemd.stopping()
    assert log.events() == ["systemd cannot be told"]


def test_a_manager_that_does_not_read_is_told_later(manager: Manager) -> None:
    clock = Clock()
    systemd = Systemd(clock, RecordingLog(), manager.environment)
    systemd.ready(lambda: "", lambda: True)
    for _ in range(1_000):
        systemd.reloaded()
        if systemd._untold:
            break
    systemd.stopping()
    assert "STOPPING=1 STATUS=stopping" not in manager.all_told()
    clock.advance(AGAIN_SECONDS)
    assert manager.all_told()[-1] == "STOPPING=1 STATUS=stopping"


@pytest.mark.parametrize("manager", ["path"], indirect=True)
def test_a_daemon_with_workers_that_is_told_to_reload(
    manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (manager.environment | {"WATCHDOG_USEC": "60000000"}).items():
        monkeypatch.setenv(name, value)
    daemon = Daemon(tmp_path / "daemon", LEGACY, workers=2)
    daemon.start()
    try:
        (ready,) = manager.told_until("READY=1")
        # Whoever has tried whether the ports are open may be counted still.
        assert re.fullmatch("STATUS=1 domain, [0-9]+ sessions?, 0 moves", ready[1])
        manager.told_until("WATCHDOG=1")
        second = Authority().issue("localhost")
        second.write(daemon.root, "server")
        assert daemon.process is not None
        for pid in (*children(daemon.process.pid), daemon.process.pid):  # as when the terminal goes that it is in
            os.kill(pid, signal.SIGHUP)
        manager.told_until("RELOADING=1")
        manager.told_until("READY=1")
        for port in ("imaps", "pop3s"):
            shown = ssl.get_server_certificate(("127.0.0.1", daemon.ports[port]))
            assert shown.strip() == second.certificate.decode().strip()
        assert daemon.stop() == 0
        manager.told_until("STOPPING=1")
    finally:
        daemon.kill()
    assert "died" not in daemon.log
