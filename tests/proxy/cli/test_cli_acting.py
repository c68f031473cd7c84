"""Every command that changes something leaves its lines in the audit log, and none that does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mailstore.accounts import Accounts
from proxy.cli.main import main
from tests.proxy.cli.command import configuration, mailferry, with_accounts

PASSWORD = "a password that is nobody's business"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    with_accounts(tmp_path, lambda accounts: accounts.add("li", "123.com"))
    return configuration(tmp_path)


def acts(config: Path) -> list[tuple[str, object]]:
    """What was done, and how it ended."""
    file = config.parent / "state" / "audit.log"
    if not file.exists():
        return []
    assert PASSWORD not in file.read_text()
    read: list[dict[str, Any]] = [json.loads(line) for line in file.read_text().splitlines()]
    begun = {line["trace"]: line for line in read if line["event"] == "administrator"}
    return [(begun[line["trace"]]["did"], line["status"]) for line in read if line["event"] != "administrator"]


def run(config: Path, *arguments: str, typed: str = "") -> int:
    return CliRunner().invoke(main, [*arguments, "--config", str(config)], input=typed).exit_code


def test_what_changes_something(config: Path) -> None:
    (config.parent / "staff.csv").write_text("account\nwang@123.com\n")
    assert run(config, "accounts", "import", str(config.parent / "staff.csv")) == 0
    assert run(config, "accounts", "add", "zhang@123.com") == 0
    assert run(config, "accounts", "passwd", "zhang@123.com", typed=f"{PASSWORD}\n") == 0
    assert run(config, "admin", "add", "chen", typed=f"{PASSWORD}\n") == 0
    assert run(config, "admin", "passwd", "chen", typed=f"{PASSWORD} too\n") == 0
    assert run(config, "admin", "remove", "chen") == 0
    assert run(config, "pause", "nobody@123.com") == 1
    assert run(config, "resume", "li@123.com") == 0
    assert run(config, "unfinalize", "li@123.com") == 1
    assert acts(config) == [
        ("accounts import", 0),
        ("accounts add", 0),
        ("accounts passwd", 0),
        ("admin add", 0),
        ("admin passwd", 0),
        ("admin remove", 0),
        ("pause", 1),
        ("resume", 0),
        ("unfinalize", 1),
    ]


def test_what_changes_nothing(config: Path) -> None:
    (config.parent / "staff.csv").write_text("account\nwang@123.com\n")
    assert run(config, "accounts", "import", str(config.parent / "staff.csv"), "--dry-run") == 0
    assert run(config, "accounts", "list") == 0
    assert run(config, "status") == 0
    assert run(config, "pause", "elsewhere.com") == 1
    assert run(config, "admin", "passwd", "nobody", typed="x\n") == 1
    assert acts(config) == []


def test_nothing_is_done_that_cannot_be_written_down(config: Path) -> None:
    (config.parent / "state" / "audit.log").mkdir()
    ran = mailferry("pause", "li@123.com", "--config", config)
    assert ran.exit_code == 1
    assert "audit.log: Is a directory; nothing was changed" in ran.stderr
    found: list[bool] = []
    with_accounts(config.parent, lambda accounts: found.append(_paused(accounts)))
    assert found == [False]


def _paused(accounts: Accounts) -> bool:
    account = accounts.find("li", "123.com")
    assert account is not None
    return account.paused
