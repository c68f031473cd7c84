"""`proxy.daemon.sampling`: when rows of the curve are taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from mailstore.errors import StorageFailed
from mailstore.samples import Samples
from proxy.daemon.sampling import LOOK, Sampling
from tests.proxy.recording import RecordingLog


def at_once(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
    return maybeDeferred(function, *arguments)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of the samples."""
    asked: list[str] = []
    monkeypatch.setattr(Samples, "take", lambda _self: asked.append("take"))
    monkeypatch.setattr(Samples, "thin", lambda _self: asked.append("thin"))
    return asked


def test_a_look_now_and_then_when_something_has_changed(
    tmp_path: Path, database: AccountsDatabase, taken: list[str]
) -> None:
    clock = Clock()
    sampling = Sampling(database, clock, at_once, RecordingLog())
    sampling.start()
    assert taken == ["thin", "take"]
    clock.advance(LOOK)
    assert taken == ["thin", "take"]
    another = AccountsDatabase(tmp_path / "accounts.db")
    Accounts(another).add("li", "123.com")
    another.close()
    clock.advance(LOOK - 1)
    assert taken == ["thin", "take"]
    clock.advance(1)
    assert taken == ["thin", "take", "take"]
    Deferred.fromCoroutine(sampling.stop())
    assert not clock.getDelayedCalls()


def test_a_disk_that_is_full_costs_points_and_nothing_else(
    database: AccountsDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_self: object) -> None:
        raise StorageFailed("the disk refused: full")

    monkeypatch.setattr(Samples, "take", full)
    clock, log = Clock(), RecordingLog()
    sampling = Sampling(database, clock, at_once, log)
    sampling.start()
    assert log.events("warning") == ["progress not written down"]
    assert len(clock.getDelayedCalls()) == 1
    Deferred.fromCoroutine(sampling.stop())


def test_stopped_before_it_was_started(database: AccountsDatabase, taken: list[str]) -> None:
    sampling = Sampling(database, Clock(), at_once, RecordingLog())
    Deferred.fromCoroutine(sampling.stop())
    sampling.start()
    assert taken == []
