"""How far a domain is on its way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from mailstore.database import AccountsDatabase
from mailstore.notices import Notices
from mailstore.overview import Overview, Wanted
from mailstore.proofs import Proofs
from mailstore.schema import accounts
from proxy.admin.dns.remembered import Looked, in_memory, note_look
from proxy.admin.proving import settings_of
from proxy.admin.reports import Reports
from proxy.admin.way import NAMES, Stage, Step, Way
from proxy.config import parse
from tests.proxy.config.examples import DESIGN


class Company:
    """Accounts of 123.com in these states, and what is known of the way."""

    def __init__(self, root: Path, states: str = "") -> None:
        self.root = root
        self.config = parse(DESIGN.encode())
        self.database = AccountsDatabase(root / "accounts.db")
        with self.database.write() as connection:
            for number, state in enumerate(states.split()):
                values = {"domain": "123.com", "local": f"u{number}", "state": state, "created": 1, "refreshed": 1}
                connection.execute(insert(accounts).values(values))

    def steps(self) -> dict[str, Step]:
        figures = Overview(self.database).figures(Wanted(domain="123.com"))
        found = Way(self.database, self.root).of(self.config.domains["123.com"], figures)
        assert tuple(step.name for step in found) == NAMES
        return {step.name: step for step in found}

    def send(self, *numbers: int) -> None:
        notices = Notices(self.database)
        for number in numbers:
            row = notices.begin(number, "notice", "u@123.com", notices.mark())
            assert row is not None
            notices.sent(row)


def test_nothing_yet(tmp_path: Path) -> None:
    steps = Company(tmp_path).steps()
    assert {step.stage for step in steps.values()} == {Stage.OPEN}
    assert {(step.count, step.of, step.at) for step in steps.values()} == {(0, 0, None)}


def test_accounts_and_their_notice(tmp_path: Path) -> None:
    company = Company(tmp_path, "waiting waiting waiting")
    assert company.steps()["accounts"] == Step("accounts", Stage.DONE, 3)
    assert company.steps()["notice"] == Step("notice", Stage.OPEN, 0, 3)
    company.send(1)
    assert company.steps()["notice"] == Step("notice", Stage.BEGUN, 1, 3)
    company.send(2, 3)
    assert company.steps()["notice"] == Step("notice", Stage.DONE, 3, 3)


@pytest.mark.parametrize(
    ("looked", "step"),
    [
        (None, Step("dns", Stage.OPEN)),
        (Looked(3, 12, all_right=False, at=7), Step("dns", Stage.BEGUN, 3, 12, 7)),
        (Looked(12, 12, all_right=True, at=7), Step("dns", Stage.DONE, 12, 12, 7)),
    ],
)
def test_dns(tmp_path: Path, looked: Looked | None, step: Step) -> None:
    if looked is not None:
        note_look(in_memory(tmp_path, "123.com"), looked)
    assert Company(tmp_path).steps()["dns"] == step


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2}', '{"version": 1, "right": "x"}', "\0\xff"])
def test_what_cannot_be_read_of_a_look_is_none(tmp_path: Path, text: str) -> None:
    company = Company(tmp_path)
    (tmp_path / "dns").mkdir()
    in_memory(tmp_path, "123.com").with_suffix(".looked").write_bytes(text.encode("latin-1"))
    assert company.steps()["dns"] == Step("dns", Stage.OPEN)


def test_the_old_server_is_proven_and_changes(tmp_path: Path) -> None:
    company = Company(tmp_path)
    proofs = Proofs(company.database, lambda: 77.0)
    settings: dict[str, Any] = settings_of(company.config.domains["123.com"])
    proofs.write("123.com", "u0@123.com", json.dumps(settings), "{}")
    assert company.steps()["legacy"] == Step("legacy", Stage.DONE, at=77)
    proofs.write("123.com", "u0@123.com", json.dumps(settings | {"port": 1}), "{}")
    assert company.steps()["legacy"] == Step("legacy", Stage.WRONG, at=77)


@pytest.mark.parametrize(
    ("states", "watch", "finish"),
    [
        ("waiting waiting", Step("watch", Stage.OPEN, 0, 2), Step("finish", Stage.OPEN, 0, 2)),
        ("waiting moved", Step("watch", Stage.BEGUN, 1, 2), Step("finish", Stage.OPEN, 0, 2)),
        ("moved moved", Step("watch", Stage.DONE, 2, 2), Step("finish", Stage.OPEN, 0, 2)),
        ("moved blocked", Step("watch", Stage.WRONG, 1, 2), Step("finish", Stage.OPEN, 0, 2)),
        ("moved final", Step("watch", Stage.DONE, 2, 2), Step("finish", Stage.BEGUN, 1, 2)),
        ("final final", Step("watch", Stage.DONE, 2, 2), Step("finish", Stage.DONE, 2, 2)),
    ],
)
def test_accounts_on_their_way(tmp_path: Path, states: str, watch: Step, finish: Step) -> None:
    steps = Company(tmp_path, states).steps()
    assert (steps["watch"], steps["finish"]) == (watch, finish)


def test_a_domain_that_was_verified(tmp_path: Path) -> None:
    company = Company(tmp_path, "moved")
    reports = Reports(tmp_path)
    reports.keep("123.com", "verify", 900.0, {".txt": [""]}, account=1)
    assert company.steps()["verify"] == Step("verify", Stage.OPEN)
    reports.keep("123.com", "verify", 800.0, {".txt": [""]})
    assert company.steps()["verify"] == Step("verify", Stage.BEGUN, at=800)
