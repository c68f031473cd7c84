"""What a load balancer is told: by the object itself, and over HTTP by a daemon."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from mailstore import room, usable
from mailstore.database import AccountsDatabase
from mailstore.errors import StorageFailed
from proxy import config
from proxy.config import Config, Listen
from proxy.daemon import drain_file
from proxy.daemon.drain_file import Wish
from proxy.daemon.readiness import SILENT_SECONDS, WAIT_SECONDS, Readiness
from proxy.daemon.service import Daemon
from tests.proxy.daemon.test_daemon import DaemonTestCase
from tests.proxy.daemon.test_workers import FREE
from tests.proxy.login.login_rig import CONFIG


class Rig:
    def __init__(self, state: Path) -> None:
        text = CONFIG.format(state=state, accounts="open", port=110, connections=5)
        self.config = config.parse(text.encode())
        self.database = AccountsDatabase(self.config.accounts_file)
        self.clock = Clock()
        self.looks = 0
        self.hanging: list[tuple[Deferred[Any], Callable[[], Any]]] | None = None
        self.draining = False
        self.serving = 2
        self.readiness = Readiness(
            self.config,
            self.database,
            draining=lambda: self.draining,
            workers=lambda: (self.serving, 2),
            in_thread=self._in_thread,  # type: ignore[arg-type]
            clock=self.clock,
        )

    def _in_thread(self, work: Callable[[], Any]) -> Deferred[Any]:
        self.looks += 1
        if self.hanging is None:
            return succeed(work())
        waiting: Deferred[Any] = Deferred()
        self.hanging.append((waiting, work))
        return waiting

    def ask(self, path: bytes = b"/readyz") -> tuple[int, list[str]]:
        """The status, and what is wrong."""
        found: list[tuple[int, bytes]] = []
        answer = self.readiness.answer(path).addCallback(found.append)
        if not answer.called:
            self.clock.advance(WAIT_SECONDS)
        ((status, body),) = found
        self.said = json.loads(body)
        return status, [each["what"] for each in self.said.get("wrong", ())]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path / "state")
    yield rig
    rig.database.close()


def test_all_is_well(rig: Rig) -> None:
    assert rig.ask() == (200, [])
    assert rig.said == {"ready": True, "wrong": [], "workers": {"serving": 2, "wanted": 2}}
    assert rig.ask(b"/healthz") == (200, [])
    assert sorted(path.name for path in rig.config.state.iterdir() if "accounts.db" not in path.name) == []


def test_the_store_is_looked_at_once_a_second(rig: Rig) -> None:
    for _ in range(5):
        rig.ask()
    assert rig.looks == 1
    rig.clock.advance(1.0)
    rig.ask()
    assert rig.looks == 2


def test_what_is_wrong_is_said_at_once_without_a_look(rig: Rig) -> None:
    rig.ask()
    rig.draining = True
    assert rig.ask() == (503, ["draining"])
    rig.readiness.stopping = True
    assert rig.ask() == (503, ["stopping"])
    assert rig.ask(b"/healthz") == (200, [])
    assert rig.looks == 1


def test_workers(rig: Rig) -> None:
    rig.serving = 1
    assert rig.ask() == (200, []) and rig.said["workers"] == {"serving": 1, "wanted": 2}
    rig.serving = 0
    assert rig.ask() == (503, ["workers"])


def test_a_database_that_cannot_be_written(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise StorageFailed("the database refused: it is read-only")

    monkeypatch.setattr(rig.database, "write", refuse)
    assert rig.ask() == (503, ["store"])
    assert rig.said["wrong"][0]["why"] == "the database refused: it is read-only"
    monkeypatch.undo()
    rig.clock.advance(1.0)
    assert rig.ask() == (200, [])


def test_a_disk_that_is_full(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "KEPT", 2**62)
    monkeypatch.setattr(room, "SHARE", 1)
    assert rig.ask() == (503, ["store"]) and "no room left" in rig.said["wrong"][0]["why"]


def test_a_directory_that_takes_no_files(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_directory: Path) -> None:
        raise OSError(30, "Read-only file system", "/srv/secret")

    monkeypatch.setattr(usable, "_write", refuse)
    assert rig.ask() == (503, ["store"])
    assert rig.said["wrong"][0]["why"] == "the disk refused: Read-only file system"


def test_maildirs_that_are_not_to_be_written(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.config.maildir_root.mkdir()
    monkeypatch.setattr(os, "access", lambda path, _mode: path != rig.config.maildir_root)
    assert rig.ask() == (503, ["store"])


def test_a_store_that_does_not_answer_keeps_nobody_waiting(rig: Rig) -> None:
    rig.ask()
    rig.hanging = []
    rig.clock.advance(1.0)
    assert rig.ask() == (200, [])  # as the last look found it
    while rig.clock.seconds() < SILENT_SECONDS + 3:
        answer = rig.ask()
    assert answer == (503, ["store"]) and rig.said["wrong"][0]["why"] == "it does not answer"
    assert len(rig.hanging) == 1
    waiting, work = rig.hanging.pop()
    waiting.callback(work())
    rig.hanging = None
    assert rig.ask() == (200, [])


def test_a_defect_is_no_silence(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect() -> None:
        raise ValueError("/srv/secret")

    monkeypatch.setattr(rig.database, "write", defect)
    assert rig.ask() == (503, ["store"]) and rig.said["wrong"][0]["why"] == "unexpected: ValueError"


class OverHttp(DaemonTestCase):
    timeout = 300

    def settings(self, port: int) -> Config:
        text = CONFIG.format(state=self.state, accounts="open", port=port, connections=5)
        listen = Listen.model_construct(imap=FREE, web=FREE, metrics=FREE)
        return config.parse(text.encode()).model_copy(update={"listen": listen})

    async def get(self, daemon: Daemon, listener: str, request: bytes) -> bytes:
        ports = {each.opened_for[0]: each for each in [*daemon._listening.opened, *daemon._watched_at.opened]}  # type: ignore[index]
        client = await self.connect_to(ports[listener].socket.getsockname()[1])
        client.transport.write(request + b"\r\n\r\n")  # type: ignore[union-attr]
        await client.gone
        return client.seen

    def test_on_metrics_and_on_the_web_as_haproxy_asks(self) -> Deferred[None]:
        async def test() -> None:
            daemon = await self.daemon(self.legacy().port)
            for listener in ("metrics", "web"):
                answer = await self.get(daemon, listener, b"GET /readyz HTTP/1.0")
                head, _, body = answer.partition(b"\r\n\r\n")
                self.assertTrue(head.startswith(b"HTTP/1.0 200 "), answer)
                self.assertIn(b"content-type: application/json", head.lower())
                self.assertTrue(json.loads(body)["ready"])
                answer = await self.get(daemon, listener, b"HEAD /healthz HTTP/1.0")
                self.assertTrue(answer.startswith(b"HTTP/1.0 200 ") and answer.endswith(b"\r\n\r\n"), answer)
                answer = await self.get(daemon, listener, b"POST /readyz HTTP/1.0")
                self.assertTrue(answer.startswith(b"HTTP/1.0 405 "), answer)
                drain_file.wish(self.state, Wish(0))
                answer = await self.get(daemon, listener, b"GET /readyz HTTP/1.0")
                self.assertTrue(answer.startswith(b"HTTP/1.0 503 "), answer)
                self.assertIn(b'"draining"', answer)
                drain_file.undo(self.state)
            await self.stop(daemon)

        return self.run_async(test())

    def test_a_daemon_that_ends_says_so_to_the_end(self) -> Deferred[None]:
        async def test() -> None:
            daemon = await self.daemon(self.legacy().port)
            port = daemon._watched_at.opened[0].socket.getsockname()[1]
            held: Deferred[None] = Deferred()
            drain = daemon._serving.drain  # type: ignore[union-attr]
            self.patch(daemon._serving, "drain", lambda: held.addCallback(lambda _: drain()))
            stopping = Deferred.fromCoroutine(self.stop(daemon))
            client = await self.connect_to(port)
            answer = client.ask(b"GET /readyz HTTP/1.0\r\n", b"HTTP/1.0 503")
            await answer
            await client.gone
            self.assertIn(b'"stopping"', client.seen)
            held.callback(None)
            await stopping

        return self.run_async(test())
