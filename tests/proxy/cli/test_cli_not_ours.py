"""Commands by somebody who may not look into the state directory, or who must not make anything there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.cli.command import configuration, mailferry


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration whose state directory is there and closed to us, root or not."""
    state = tmp_path / "state"
    state.mkdir()
    stat = Path.stat

    def denied(self: Path, **options: Any) -> Any:
        if state in self.parents:
            raise PermissionError(13, "Permission denied", str(self))
        return stat(self, **options)

    monkeypatch.setattr(Path, "stat", denied)
    return configuration(tmp_path)


def test_status_says_who_may(closed: Path) -> None:
    result = mailferry("status", "--config", closed)
    assert (result.exit_code, result.exception.__class__) == (1, SystemExit)
    assert "Permission denied; run status as the user of serve" in result.output


def test_check_goes_on_to_the_end(closed: Path) -> None:
    result = mailferry("check", "--config", closed)
    assert (result.exit_code, result.exception.__class__) == (1, SystemExit)
    assert result.output.count("Permission denied (run check as the user of serve)") == 2
    assert "port" in result.output


@pytest.mark.parametrize(
    "command",
    [("admin", "add", "anna"), ("accounts", "add", "li@123.com"), ("pause", "123.com"), ("migrate", "li@123.com")],
)
def test_root_makes_nothing_that_the_daemon_could_not_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    file = configuration(tmp_path)
    state = tmp_path / "state"
    state.mkdir()
    if os.geteuid() == 0:
        os.chown(state, 65_534, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    result = mailferry(*command, "--config", file)
    assert (result.exit_code, list(state.iterdir())) == (1, [])
    assert "and what is made in it must, too: run it as" in result.stderr


def test_a_list_of_administrators_says_who_may(closed: Path) -> None:
    result = mailferry("admin", "list", "--config", closed)
    assert (result.exit_code, "Permission denied; run it as the user of serve" in result.stderr) == (1, True)
