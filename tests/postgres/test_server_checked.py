"""`mailferry check`, `doctor`, `backup` and `restore` where the database is PostgreSQL."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mailstore.accounts import Accounts
from mailstore.server_facts import ServerFacts
from proxy.admin.doctor.hiding import Hiding
from proxy.admin.doctor.server import server_mailboxes, server_proven, server_store
from proxy.cli.checks.server import judged, server_findings
from proxy.cli.main import main
from proxy.config import Config, load
from tests.postgres.accounts import Emptied
from tests.postgres.server import PASSWORD

GOOD = ServerFacts(150004, "15.4", "UTF8", 200, 3, False, True, 10**6, True, False, 0, None)


@pytest.fixture
def config(tmp_path: Path, of_accounts: Emptied) -> Config:
    with closing(of_accounts.opened()) as database:
        accounts = Accounts(database)
        account = accounts.admit("li", "123.com", b"sealed")
        accounts.set_reason(account.id, "3 messages could not be fetched")
    file = tmp_path / "mailferry.toml"
    file.write_text(
        f'hostname = "localhost"\nstate = "{tmp_path}/state"\nworkers = 1\n[listen]\nimap = ["tcp:143"]\n'
        f'[storage]\ndatabase = "{of_accounts.url}"\n'
        '[domain."123.com".legacy]\nhost = "pop.old.123.com"\n'
    )
    return load(file)


def run(config: Config, *arguments: str) -> Result:
    result = CliRunner().invoke(main, [*arguments, "--config", config.origin.source])
    assert PASSWORD not in result.output
    return result


def test_a_server_that_will_do(config: Config) -> None:
    (found, *others) = server_findings(config)
    assert (found.result, found.subject) == ("ok", config.storage.shown)
    assert "PostgreSQL 1" in found.text
    assert "schema" in found.text
    assert others == []
    checked = run(config, "check", "--json")
    assert any(each["check"] == "database" for each in json.loads(checked.output)["checks"])


def test_one_that_is_not_there(config: Config, tmp_path: Path) -> None:
    file = Path(config.origin.source)
    file.write_text(file.read_text().replace(f":{PASSWORD}@", ":geheim@"))
    (found,) = server_findings(load(file))
    assert found.result == "fail"
    assert "it does not let mailferry in" in found.text
    assert "geheim" not in found.text + found.remedy + found.subject
    status = run(load(file), "status")
    assert (status.exit_code, "it does not let mailferry in" in status.output) == (1, True)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (replace(GOOD, number=140010, spelled="14.10"), "PostgreSQL 14.10 is too old"),
        (replace(GOOD, encoding="SQL_ASCII"), "it keeps text as SQL_ASCII"),
        (replace(GOOD, read_only=True), "it is read-only"),
        (replace(GOOD, may_create=False), "its user may make no tables"),
        (replace(GOOD, others=2), "2 of its tables belong to another user"),
        (replace(GOOD, copying=True), "the copy of an installation into it is not finished"),
        (replace(GOOD, revision="9999"), "schema 9999 is of a later version"),
        (replace(GOOD, most=39), "it has 39 connections for everybody, and this node alone may want 22"),
    ],
)
def test_what_is_wrong_with_a_server(config: Config, facts: ServerFacts, said: str) -> None:
    found = [finding for finding in judged(config, facts) if finding.result != "ok"]
    assert [said in finding.text and bool(finding.remedy) for finding in found] == [True]


def test_what_support_is_told(config: Config) -> None:
    hiding = Hiding(b"k" * 32)
    store = server_store(config.storage, hiding)
    assert store["accounts"] == {"123.com": {"moving": 1}}
    assert (store["server"]["encoding"], store["queue"]["123.com"]["due or paused"]) == ("UTF8", 1)
    assert store["connections"]["mailferry doctor, active"] == 1
    (mailbox,) = server_mailboxes(config.storage, config.maildir_for, hiding)
    assert mailbox["state"] == "moving"
    assert server_proven(config.storage, hiding) == {}
    everything = json.dumps([store, mailbox])
    assert "li@123.com" not in everything
    assert PASSWORD not in everything


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_what_is_left_to_the_server(config: Config, tmp_path: Path, command: str) -> None:
    result = run(config, command, str(tmp_path))
    assert (result.exit_code, "pg_dump" in result.output) == (1, True)
