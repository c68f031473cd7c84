"""What signals do to a daemon, with a daemon, a reactor and a next image that only say what they are told."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from proxy import config
from proxy.daemon import life, succession
from proxy.daemon.life import GIVE_WAY_SECONDS, STOP_SECONDS, Life
from proxy.daemon.succession import Nature
from proxy.daemon.systemd import Systemd
from proxy.daemon.trying import Tried
from tests.proxy.login.login_rig import CONFIG
from tests.proxy.recording import RecordingLog


class Reactor(Clock):
    """Everything that is called from threads is called at once."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped = 0

    def callFromThread(self, call: Any) -> None:
        call()

    def stop(self) -> None:
        self.stopped += 1


class Told:
    """A daemon."""

    def __init__(self, path: Path) -> None:
        self.config = config.load(path)
        self.replaceable = True
        self.said: list[str] = []
        self.rested: Deferred[None] = Deferred()

    async def renew(self) -> None:
        self.said.append("renew")

    def status(self) -> str:
        return ""

    def lives(self) -> bool:
        return True

    def listening(self) -> dict[str, Any]:
        return {"sockets": []}

    async def hand_on(self, *, workers: bool) -> dict[str, Any]:
        self.said.append(f"hand on, workers {workers}")
        await self.rested
        return {"lock": 7}

    async def stop(self) -> None:
        self.said.append("stop")
        await self.rested

    def hasten(self) -> None:
        self.said.append("hasten")


class Stage:
    """All of it."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path.write_text(CONFIG.format(state=path.parent, accounts="open", port=110, connections=5))
        self.path, self.log, self.reactor = path, RecordingLog(), Reactor()
        self.daemon = Told(path)
        systemd: Any = Systemd(self.reactor, self.log, {})
        daemon: Any = self.daemon
        self.life = Life(daemon, systemd, {}, self.reactor, self.log)
        self.life._started = True
        self.kept: list[int] = []  # signals, for the next
        self.image: list[bool] = []  # was there one?
        self.nature = Nature.of(self.daemon.config)
        self.tried: list[str] = []
        monkeypatch.setattr(life, "try_out", self.try_out)
        monkeypatch.setattr(succession, "succeed", self.succeed)
        monkeypatch.setattr(signal, "pthread_sigmask", lambda _how, _signals: None)
        monkeypatch.setattr(signal, "pthread_kill", lambda _thread, number: self.kept.append(number))

    async def try_out(self, _reactor: Any, handed: Any) -> Tried:
        self.tried.append(handed["data"])
        return Tried(0, json.dumps(astuple(self.nature)).encode(), [])

    def succeed(self, memory: int, _environment: object) -> None:
        os.close(memory)
        self.image.append(True)

    def signal(self, number: int) -> None:
        self.life._signal(number, None)

    def change(self) -> str:
        text = self.path.read_text() + "# changed\n"
        self.path.write_text(text)
        return text


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path / "mailferry.toml", monkeypatch)


def test_where_nothing_has_changed_only_the_certificate_is_read(stage: Stage) -> None:
    stage.signal(signal.SIGHUP)
    assert (stage.daemon.said, stage.tried) == (["renew"], [])
    assert stage.log.events() == ["reloaded"]


def test_what_was_tried_is_what_is_handed_on_and_later_signals_with_it(stage: Stage) -> None:
    text = stage.change()
    stage.signal(signal.SIGHUP)
    assert (stage.daemon.said, stage.tried) == (["hand on, workers True"], [text])
    for number in (signal.SIGHUP, signal.SIGTERM):
        stage.signal(number)
    assert (stage.image, stage.reactor.stopped) == ([], 0)
    stage.daemon.rested.callback(None)
    assert (stage.image, stage.kept) == ([True], [signal.SIGHUP, signal.SIGTERM])


@pytest.mark.parametrize("other", [{"schema": "9999"}, {"speaks": 9}])
def test_workers_that_cannot_go_on_end_with_their_sessions_and_in_time(stage: Stage, other: dict[str, Any]) -> None:
    stage.nature = replace(stage.nature, **other)
    stage.change()
    stage.signal(signal.SIGHUP)
    assert stage.daemon.said == ["hand on, workers False"]
    stage.reactor.advance(STOP_SECONDS)
    assert stage.daemon.said == ["hand on, workers False", "hasten"]


def test_one_that_does_not_come_to_rest_is_ended(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    stage.change()
    stage.signal(signal.SIGHUP)
    stage.reactor.advance(GIVE_WAY_SECONDS)
    assert ended == [1]
    assert stage.log.events() == ["reloading", "reload failed"]
    assert stage.image == []


def test_a_daemon_that_cannot_be_replaced_goes_on(stage: Stage) -> None:
    stage.daemon.replaceable = False
    stage.change()
    stage.signal(signal.SIGHUP)
    assert stage.daemon.said == ["renew"]
    stage.nature = replace(stage.nature, form=99)
    stage.signal(signal.SIGHUP)
    assert stage.log.events() == ["not reloaded", "not reloaded"]
    assert stage.image == []


def test_a_second_signal_hastens_the_end_and_time_does_too(stage: Stage) -> None:
    stage.signal(signal.SIGTERM)
    assert stage.reactor.stopped == 1
    stopping = stage.life._stop()
    stage.signal(signal.SIGHUP)  # too late
    assert stage.daemon.said == ["stop"]
    stage.signal(signal.SIGINT)
    assert stage.daemon.said == ["stop", "hasten"]
    stage.reactor.advance(STOP_SECONDS)
    assert stage.daemon.said == ["stop", "hasten", "hasten"]
    stage.daemon.rested.callback(None)
    assert stopping.called
    assert (stage.reactor.stopped, stage.reactor.getDelayedCalls()) == (1, [])


def test_a_reload_is_obeyed_when_the_start_is_over(stage: Stage) -> None:
    stage.life._started = False
    stage.signal(signal.SIGHUP)
    stage.signal(signal.SIGHUP)
    assert stage.log.events() == []
    stage.life._ready(None)
    assert stage.log.events() == ["reloaded"]
