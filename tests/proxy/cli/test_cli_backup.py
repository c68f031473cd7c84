"""`mailferry backup` and `mailferry restore`: what they say, and what they refuse."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from proxy.daemon.alone import Alone
from tests.proxy.cli.command import configuration, mailferry, with_accounts


def test_a_backup_and_its_way_back(tmp_path: Path) -> None:
    config, shelf = configuration(tmp_path), tmp_path / "backups"
    with_accounts(tmp_path, lambda accounts: [accounts.add(name, "123.com") for name in ("wang", "li")])
    first = mailferry("backup", shelf, "--config", config)
    assert (first.exit_code, first.stderr) == (0, "")
    assert first.stdout.endswith(": 2 accounts, 0 mailboxes, 0 messages, 0 B, of which 0 B were copied\n")
    second = json.loads(mailferry("backup", shelf, "--keep", "1", "--json", "--config", config).stdout)
    assert second["removed"] == [first.stdout.partition(":")[0]]
    assert (second["accounts"], second["missing"], second["damaged"]) == (2, {}, [])
    assert (
        mailferry("backup", shelf, "--check", "--config", config).stdout == f"{second['backup']}: as it was written\n"
    )
    refused = mailferry("restore", shelf, "--config", config)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "nothing is restored:" in refused.stderr
    assert "is not empty: accounts.db" in refused.stderr
    shutil.rmtree(tmp_path / "state")
    done = mailferry("restore", shelf, "--config", config)
    assert done.exit_code == 0
    assert "2 accounts, 0 messages" in done.stdout
    assert [
        json.loads(mailferry("accounts", "list", "--json", "--config", config).stdout)["accounts"][0]["account"]
    ] == ["li@123.com"]


def test_what_cannot_be(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    nothing = mailferry("backup", tmp_path / "backups", "--config", config)
    assert (nothing.exit_code, nothing.stderr.count("there are no accounts yet")) == (1, 1)
    assert mailferry("restore", tmp_path / "no", "--config", config).exit_code == 2
    none = mailferry("restore", tmp_path, "--config", config)
    assert "there is no backup that was finished" in none.stderr
    with_accounts(tmp_path, lambda accounts: accounts.add("wang", "123.com"))
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "state" / "backups"):
        told = mailferry("backup", place, "--config", config)
        assert (told.exit_code, told.stdout) == (1, "")
        assert told.stderr.startswith("mailferry: no backup: ")


def test_nothing_is_made_while_a_backup_is_brought_back(tmp_path: Path) -> None:
    config, state = configuration(tmp_path), tmp_path / "state"
    (state / ".restoring").mkdir(parents=True)
    (state / ".restoring" / "ready.json").write_text("{}")
    told = mailferry("accounts", "add", "wang@123.com", "--config", config)
    assert (told.exit_code, (state / "accounts.db").exists()) == (1, False)
    assert "run mailferry restore again" in told.stderr
    (state / ".restoring" / "ready.json").unlink()
    alone = Alone(state)
    told = mailferry("accounts", "add", "wang@123.com", "--config", config)
    assert "is bringing a backup back" in told.stderr
    alone.end()
    assert mailferry("accounts", "add", "wang@123.com", "--config", config).exit_code == 0
