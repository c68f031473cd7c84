"""`mailferry check` and `status` by somebody who may not look into the state directory."""

from __future__ import annotations

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
