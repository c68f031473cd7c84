"""`mailferry status`: its figures and shapes, with and without a database."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from rich.console import Console

from mailstore.accounts import Accounts
from mailstore.overview import Wanted
from proxy.cli.report import report
from proxy.cli.tables import render
from proxy.config.sizes import size
from tests.proxy.cli.command import configuration, mailferry, with_accounts

ZERO = {"accounts": 0, "waiting": 0, "moving": 0, "moved": 0, "final": 0, "blocked": 0, "messages": 0, "bytes": 0}


def three_accounts(accounts: Accounts) -> None:
    accounts.add("anna", "123.com")
    li = accounts.admit("li", "123.com", b"sealed", "hash")
    accounts.progress(li.id, (200, 500), (1_000_000, 2_500_000))
    accounts.interrupted(li.id, "the old server closed the connection", 120)
    wang = accounts.admit("wang", "123.com", b"sealed", "hash")
    accounts.progress(wang.id, (10, 10), (4_000, 4_000))
    accounts.moved(wang.id)
    accounts.logged_in(wang.id)


REACH = (
    "check that it runs and that firewalls let this machine in; it is tried again by itself "
    "(`mailferry retry li@123.com`)"
)
FIGURES = {**ZERO, "accounts": 3, "waiting": 1, "moving": 1, "moved": 1, "messages": 210, "bytes": 1_004_000}
LI = {
    "account": "li@123.com",
    "state": "moving",
    "reason": "the old server closed the connection",
    "messages_done": 200,
    "messages_total": 500,
    "bytes_done": 1_000_000,
    "bytes_total": 2_500_000,
    "last_login": None,
    "finalized": None,
    "paused": False,
    "next_try": "2023-11-14T22:15:20Z",
    "full_name": "",
    "department": "",
    "remedy": REACH,
}


def test_before_the_first_start_it_is_all_zeros_and_nothing_is_made(tmp_path: Path) -> None:
    result = mailferry("status", "--json", "--config", configuration(tmp_path))
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"domains": {"123.com": ZERO, "456.com": ZERO}}
    assert not (tmp_path / "state").exists()


def test_the_json_of_the_design(tmp_path: Path) -> None:
    with_accounts(tmp_path, three_accounts)
    file = configuration(tmp_path)
    found = json.loads(mailferry("status", "--json", "--config", file).stdout)
    assert found == {"domains": {"123.com": FIGURES, "456.com": ZERO}}
    found = json.loads(mailferry("status", "--json", "--accounts", "--config", file).stdout)
    assert [account["account"] for account in found["accounts"]] == ["anna@123.com", "li@123.com", "wang@123.com"]
    assert found["accounts"][1] == LI
    assert found["accounts"][2]["last_login"] == "2023-11-14T22:13:20Z"


def test_one_domain(tmp_path: Path) -> None:
    with_accounts(tmp_path, three_accounts)
    file = configuration(tmp_path)
    found = json.loads(mailferry("status", "456.COM", "--json", "--accounts", "--config", file).stdout)
    assert found == {"domains": {"456.com": ZERO}, "accounts": []}


def test_an_unknown_domain(tmp_path: Path) -> None:
    result = mailferry("status", "124.com", "--config", configuration(tmp_path))
    assert (result.exit_code, result.stderr) == (
        1,
        'mailferry: "124.com" is not served here, did you mean "123.com"?\n',
    )


def test_plain_lines_in_a_pipe_say_who_failed_and_why(tmp_path: Path) -> None:
    with_accounts(tmp_path, three_accounts)
    result = mailferry("status", "--config", configuration(tmp_path))
    assert result.stdout.splitlines() == [
        "123.com  accounts 3  waiting 1  moving 1  moved 1  final 0  blocked 0  messages 210  bytes 1.0 MB",
        "456.com  accounts 0  waiting 0  moving 0  moved 0  final 0  blocked 0  messages 0  bytes 0 B",
        "123.com is not proven: no account's whole move was verified yet",
        "456.com is not proven: no account's whole move was verified yet",
        "li@123.com  moving  messages 200 of 500  bytes 1.0 MB of 2.5 MB  the old server closed the connection; "
        f"next try 2023-11-14T22:15:20Z  what helps: {REACH}",
    ]


def test_what_is_paused(tmp_path: Path) -> None:
    with_accounts(tmp_path, three_accounts)
    file = configuration(tmp_path)
    assert (
        mailferry("pause", "wang@123.com", "456.com", "--config", file).stdout
        == "456.com  paused\nwang@123.com  paused\n"
    )
    lines = mailferry("status", "--config", file).stdout.splitlines()
    assert lines[2].startswith("456.com is paused since 20")
    assert lines[
        -1
    ] == "wang@123.com  moved  messages 10 of 10  bytes 4.0 kB of 4.0 kB  paused  what helps: end the pause " + (
        "when the old server may be asked again (`mailferry resume wang@123.com`)"
    )
    found = json.loads(mailferry("status", "--json", "--accounts", "--config", file).stdout)
    assert list(found["paused_domains"]) == ["456.com"]
    assert [account["paused"] for account in found["accounts"]] == [False, False, True]
    assert mailferry("resume", "--all", "--config", file).stdout == "123.com  resumed\n456.com  resumed\n"
    found = json.loads(mailferry("status", "--json", "--accounts", "--config", file).stdout)
    assert "paused_domains" not in found
    assert not any(account["paused"] for account in found["accounts"])


def test_pauses_that_cannot_be(tmp_path: Path) -> None:
    with_accounts(tmp_path, three_accounts)
    file = configuration(tmp_path)
    assert mailferry("pause", "--config", file).exit_code == 2
    result = mailferry("pause", "nobody@123.com", "li@123.com", "--config", file)
    assert (result.exit_code, result.stdout) == (1, "li@123.com  paused\n")
    assert "not known here: nobody@123.com" in result.stderr
    result = mailferry("pause", "li@124.com", "--config", file)
    assert (result.exit_code, result.stderr) == (
        1,
        'mailferry: "124.com" is not served here, did you mean "123.com"?\n',
    )
    mailferry("pause", "123.com", "--config", file)
    result = mailferry("resume", "li@123.com", "--config", file)
    assert result.stdout == "li@123.com  resumed, but its domain 123.com is paused\n"


def test_a_domain_that_is_no_longer_configured_is_still_shown(tmp_path: Path) -> None:
    with_accounts(tmp_path, lambda accounts: accounts.add("x", "gone.com"))
    found = json.loads(mailferry("status", "--json", "--config", configuration(tmp_path)).stdout)
    assert found["domains"]["gone.com"] == {**ZERO, "accounts": 1, "waiting": 1}


def test_many_failures_are_not_all_listed_unasked(tmp_path: Path) -> None:
    def fill(accounts: Accounts) -> None:
        for number in range(30):
            accounts.set_reason(accounts.add(f"u{number:02}", "123.com").id, "wrong")

    with_accounts(tmp_path, fill)
    file = configuration(tmp_path)
    lines = mailferry("status", "--config", file).stdout.splitlines()
    assert (len(lines), lines[-1]) == (4 + 20 + 1, "more with --accounts")
    assert len(mailferry("status", "--accounts", "--config", file).stdout.splitlines()) == 4 + 30


def test_a_database_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "accounts.db").write_bytes(b"no database" * 100)
    result = mailferry("status", "--config", configuration(tmp_path))
    assert result.exit_code == 1
    assert "accounts.db: the database is damaged: file is not a database" in result.stderr


def test_watch_looks_again_until_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 1:
            with_accounts(tmp_path, three_accounts)
        else:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    result = mailferry("status", "--watch", "--json", "--config", configuration(tmp_path))
    first, second = (json.loads(line) for line in result.stdout.splitlines() if line)
    assert (first["domains"]["123.com"], second["domains"]["123.com"]) == (ZERO, FIGURES)
    assert (result.exit_code, waits) == (0, [2.0, 2.0])


def test_the_table_on_a_terminal(tmp_path: Path) -> None:
    from mailstore.database import AccountsDatabase

    with_accounts(tmp_path, three_accounts)
    database = AccountsDatabase(tmp_path / "state" / "accounts.db")
    found = report(["123.com"], database, None, Wanted(troubled=True))
    database.close()
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123 - record only
    with console.file:
        console.print(render(found, with_accounts=False))
    text = console.export_text()
    assert "123.com" in text and "1.0 MB" in text
    assert "200 of 500" in text and "the old server closed the connection" in text


@pytest.mark.parametrize(
    ("octets", "text"),
    [(0, "0 B"), (999, "999 B"), (1_500, "1.5 kB"), (2_000_000_000, "2.0 GB"), (10**16, "10000.0 TB")],
)
def test_sizes(octets: int, text: str) -> None:
    assert size(octets) == text


def test_a_final_account_that_nobody_has_a_password_for_is_said(tmp_path: Path) -> None:
    def two(accounts: Accounts) -> None:
        for name, stored in (("anna", None), ("li", "hash")):
            accounts._change(accounts.add(name, "123.com").id, state="final", password_hash=stored)

    with_accounts(tmp_path, two)
    lines = mailferry("status", "--accounts", "--config", configuration(tmp_path)).stdout.splitlines()
    (anna,) = [line for line in lines if line.startswith("anna@")]
    assert anna.endswith("nobody has a password for it: `mailferry accounts passwd` sets one")
    assert [line for line in lines if line.startswith("li@")] == [
        "li@123.com  final  messages 0 of 0  bytes 0 B of 0 B"
    ]
