"""`mailferry drain`: the wish, what is said of it, and what `status` says."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from proxy.cli import drain
from proxy.daemon import drain_file
from proxy.daemon.alone import Alone
from proxy.daemon.drain_file import Wish, Word
from tests.proxy.cli.command import configuration, mailferry, with_accounts


@pytest.fixture
def config(tmp_path: Path) -> Path:
    with_accounts(tmp_path, lambda accounts: accounts.add("li", "123.com"))
    return configuration(tmp_path)


def state(config: Path) -> Path:
    return config.parent / "state"


def test_it_is_asked_for_told_and_undone(config: Path) -> None:
    done = mailferry("drain", "--config", config)
    assert (done.exit_code, drain_file.wished(state(config))) == (0, True)
    assert "in 15s sessions that idle begin to be ended, and all are 5m later" in done.stdout
    since = drain_file.wish_of(state(config))
    again = mailferry("drain", "--config", config)  # asks for nothing new
    assert "sessions that idle" not in again.stdout and "draining since" in again.stdout
    assert drain_file.wish_of(state(config)) == since
    assert "back in service" in mailferry("drain", "--undo", "--config", config).stdout
    assert "was not being drained" in mailferry("drain", "--undo", "--config", config).stdout
    assert not drain_file.wished(state(config))
    acts = [json.loads(line).get("did") for line in (state(config) / "audit.log").read_text().splitlines()]
    assert acts == ["drain"] * 2 + ["drain --undo"] * 4


def test_its_times(config: Path) -> None:
    mailferry("drain", "--grace", "5s", "--within", "1m", "--config", config)
    wish = drain_file.wish_of(state(config))
    assert wish is not None and (wish.grace, wish.within) == (5, 60)
    refused = mailferry("drain", "--grace", "5", "--config", config)
    assert refused.exit_code == 2 and "such as" in refused.stderr
    assert mailferry("drain", "--undo", "--wait", "--config", config).exit_code == 2


def test_it_waits_until_nobody_is_left(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "LOOK", 0.001)
    daemon = Alone(state(config))
    drain_file.say(state(config), Word(os.getpid(), 3, 1, True))
    leaves = threading.Timer(0.2, lambda: drain_file.say(state(config), Word(os.getpid(), 0, 0, True)))
    leaves.start()
    done = mailferry("drain", "--wait", "--json", "--config", config)
    leaves.join()
    daemon.end()
    found = json.loads(done.stdout)["draining"]
    assert found.items() >= {"sessions": 0, "moves": 0, "drained": True}.items()


def test_without_a_daemon_there_is_nobody_to_wait_for(config: Path) -> None:
    done = mailferry("drain", "--wait", "--config", config)
    assert done.exit_code == 0 and "no daemon runs" in done.stdout


def test_status_says_so(config: Path) -> None:
    assert "drain" not in mailferry("status", "--config", config).stdout
    assert "draining" not in json.loads(mailferry("status", "--json", "--config", config).stdout)
    drain_file.wish(state(config), Wish(1_700_000_000))
    drain_file.say(state(config), Word(os.getpid(), 3, 1, True))
    assert (
        "draining since 2023-11-14T22:13:20Z: 3 sessions and 1 move left"
        in mailferry("status", "--config", config).stdout
    )
    found = json.loads(mailferry("status", "--json", "--config", config).stdout)["draining"]
    assert found == {"since": "2023-11-14T22:13:20Z", "sessions": 3, "moves": 1, "drained": False}
    drain_file.say(state(config), Word(os.getpid(), 0, 0, True))
    assert "it can be stopped" in mailferry("status", "--config", config).stdout


def test_a_directory_that_may_not_be_written(config: Path) -> None:
    (state(config) / drain_file.WISH).mkdir()
    refused = mailferry("drain", "--undo", "--config", config)
    assert refused.exit_code == 1 and str(state(config)) in refused.stderr
