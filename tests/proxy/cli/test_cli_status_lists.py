"""`mailferry status` with filters, as a spreadsheet, and with what the rate says."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from sqlalchemy import insert, update

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from mailstore.overview import Wanted
from mailstore.samples import Sample
from mailstore.schema import accounts, samples
from proxy.cli.curve import columns, drawn
from proxy.cli.report import report
from proxy.cli.tables import render
from tests.proxy.cli.command import configuration, mailferry

PEOPLE = (
    {"local": "anna", "department": "Sales", "state": "moved", "full_name": "=Anna"},
    {"local": "bo", "department": "Sales/North", "state": "waiting"},
    {"local": "chen", "department": "R&D", "state": "blocked", "reason": "locked there"},
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    database = AccountsDatabase(tmp_path / "state" / "accounts.db")
    with database.write() as connection:
        for person in PEOPLE:
            connection.execute(insert(accounts).values(domain="123.com", created=1, **person))
    database.close()
    return configuration(tmp_path)


def moving(directory: Path) -> AccountsDatabase:
    """Three thousand octets came in the last five minutes, of six; bo is still to come."""
    now = int(time.time())
    database = AccountsDatabase(directory / "state" / "accounts.db")
    with database.write() as connection:
        far = {"messages_done": 30, "messages_total": 60, "bytes_done": 3_000, "bytes_total": 6_000, "state": "moving"}
        connection.execute(update(accounts).where(accounts.c.local == "anna").values(**far))
        connection.execute(insert(samples).values(domain="123.com", taken=now - 300))
    return database


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--department", "Sales"), ["anna", "bo"]),
        (("--department", "/Sales/North/"), ["bo"]),
        (("--department", ""), []),
        (("--state", "blocked"), ["chen"]),
        (("--state", "attention"), ["chen"]),
        (("--state", "paused"), []),
        (("--search", "ANNA"), ["anna"]),
        (("--department", "Sales", "--state", "waiting"), ["bo"]),
        (("456.com", "--search", "a"), []),
    ],
)
def test_filters(file: Path, options: tuple[str, ...], found: list[str]) -> None:
    listed = json.loads(mailferry("status", "--json", *options, "--config", file).stdout)["accounts"]
    assert [account["account"] for account in listed] == [f"{name}@123.com" for name in found]


def test_a_state_that_is_none(file: Path) -> None:
    result = mailferry("status", "--state", "lost", "--config", file)
    assert (result.exit_code, "is not one of" in result.stderr) == (2, True)


def test_departments_as_lines_and_as_json(file: Path) -> None:
    lines = mailferry("status", "123.com", "--department", "Sales", "--config", file).stdout.splitlines()
    assert lines[1] == "123.com is not proven: no account's whole move was verified yet"
    assert lines[2:4] == [
        "123.com  Sales  accounts 2  waiting 1  moving 0  moved 1  final 0  blocked 0",
        "123.com    Sales/North  accounts 1  waiting 1  moving 0  moved 0  final 0  blocked 0",
    ]
    options = ("status", "--json", "--department", "", "--config", file)
    found = json.loads(mailferry(*options).stdout)["departments"]["123.com"]
    assert [(node["department"], node["accounts"]) for node in found] == [("R&D", 1), ("Sales", 2), ("Sales/North", 1)]


def test_how_fast_and_until_when(tmp_path: Path, file: Path) -> None:
    moving(tmp_path).close()
    line = mailferry("status", "--config", file).stdout.splitlines()[2]
    assert line.startswith("123.com  0.1 messages/s, 10 B/s; about 15.0 kB to come, at this rate until 20")
    pace = json.loads(mailferry("status", "--json", "--config", file).stdout)["pace"]
    assert list(pace) == ["123.com"]
    assert pace["123.com"]["bytes_per_second"] == 10
    assert (pace["123.com"]["bytes_left"], pace["123.com"]["estimated"]) == (15_000, True)
    assert pace["123.com"]["ends"].endswith("Z")


def test_the_screen_has_a_curve(tmp_path: Path, file: Path) -> None:
    database = moving(tmp_path)
    found = report(["123.com"], database, None, Wanted(troubled=True), int(time.time()) - 3_600)
    database.close()
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(render(found, with_accounts=False, curves=True))
    text = console.export_text()
    assert "█" in text and "now 3.0 kB" in text
    assert "locked there" in text and "mailferry retry chen@123.com" in text


def test_a_spreadsheet(tmp_path: Path, file: Path) -> None:
    target = tmp_path / "list.csv"
    result = mailferry("status", "--csv", target, "--config", file)
    assert (result.exit_code, result.stdout) == (0, f"{target}: 3 accounts\n")
    assert target.read_bytes().startswith(b"\xef\xbb\xbfaccount,")
    rows = list(csv.DictReader(io.StringIO(target.read_text("utf-8-sig"), newline="")))
    assert [row["account"] for row in rows] == ["anna@123.com", "bo@123.com", "chen@123.com"]
    assert (rows[0]["name"], rows[2]["reason"]) == ("'=Anna", "locked there")
    result = mailferry("status", "--csv", target, "--state", "blocked", "--config", file)
    assert result.stdout == f"{target}: 1 account\n"


def test_a_spreadsheet_before_the_first_start_has_its_titles(tmp_path: Path) -> None:
    target = tmp_path / "list.csv"
    result = mailferry("status", "--csv", target, "--config", configuration(tmp_path))
    assert result.stdout == f"{target}: 0 accounts\n"
    assert len(target.read_text("utf-8-sig").splitlines()) == 1


def test_spreadsheets_that_cannot_be(tmp_path: Path, file: Path) -> None:
    result = mailferry("status", "--csv", tmp_path / "nowhere" / "x.csv", "--config", file)
    assert (result.exit_code, "No such file or directory" in result.stderr) == (1, True)
    assert mailferry("status", "--csv", "x.csv", "--watch", "--config", file).exit_code == 2


def at(taken: int, octets: int) -> Sample:
    return Sample(taken, 0, 0, 0, 0, 0, 0, octets)


def test_a_curve() -> None:
    heights = columns([at(0, 0), at(50, 0), at(100, 1_000)], 4)
    assert heights == [0.0, 0.0, 0.5, 1.0]
    assert drawn(heights, 2) == ["   █", "  ██"]


def test_nothing_to_draw() -> None:
    assert drawn(columns([], 10), 3) == drawn(columns([at(0, 5)], 10), 3) == []
    assert columns([at(0, 5), at(10, 5)], 10) == []


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**12)), min_size=2, max_size=50), st.integers(1, 80))
def test_any_curve_stays_in_its_frame(points: list[tuple[int, int]], width: int) -> None:
    ordered = [at(*point) for point in sorted(dict(points).items())]
    heights = columns(ordered, width)
    assert heights == [] or (len(heights) == width and all(0 <= height <= 1 for height in heights))
    assert all(len(line) == width for line in drawn(heights, 3))


def test_accounts_are_looked_for_in_the_database_alone(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are: a list of those in trouble never goes through them all."""

    def never(*_about: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Accounts, "list", never)
    assert "chen@123.com" in mailferry("status", "--config", file).stdout
