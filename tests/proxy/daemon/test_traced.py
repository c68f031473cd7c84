"""One login followed through the log of a daemon with two workers: one id, from the password to the session's end."""

from __future__ import annotations

import imaplib
import json
import poplib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from proxy.cli.main import main
from tests.browser.company import Company
from tests.legacy.dovecot import select_nothing

PASSWORD = "correct-horse"

HELD = ("login joins a move", "move started")  # when both of a user's programs wait for the mail


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    company = Company(tmp_path, workers=2)
    yield company.start()
    company.close()


def lines(company: Company, found: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """The log, once that is found in it."""
    for _ in range(3_000):
        read = [json.loads(line) for line in company.daemon.log.splitlines() if line.startswith("{")]
        if found(read):
            return read
        select_nothing(0.02)  # the daemon works in another process
    raise AssertionError(company.daemon.log)


def has(*events: str) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda read: {line["event"] for line in read} >= set(events)


def ended_of(read: list[dict[str, Any]], account: str) -> set[str]:
    return {line["event"] for line in read if line["event"].endswith("ended") and line.get("account") == account}


def test_a_session_its_login_its_move_and_who_joined_it(company: Company) -> None:
    address = company.hire(3, PASSWORD)
    company.old.hold()
    imap = imaplib.IMAP4(*company.daemon.imap)
    pop3 = poplib.POP3(*company.daemon.pop3)
    entering = threading.Thread(target=imap.login, args=(address, PASSWORD))
    entering.start()
    lines(company, has("move started"))
    pop3.user(address)
    joining = threading.Thread(target=pop3.pass_, args=(PASSWORD,))
    joining.start()
    lines(company, has(*HELD))
    company.old.release()
    entering.join(30)
    joining.join(30)
    others = [imaplib.IMAP4(*company.daemon.imap) for _ in range(6)]  # with so many, both workers have some
    for other in others:
        other.login(address, PASSWORD)
    for other in others:
        other.logout()
    pop3.quit()
    imap.logout()
    read = lines(company, lambda read: {f"{p} session ended" for p in ("imap", "pop3")} <= ended_of(read, address))

    def of(trace: str) -> list[str]:
        return [line["event"] for line in read if line.get("trace") == trace]

    by_imap = next(line["trace"] for line in read if line["event"] == "move started")
    by_pop3 = next(line["trace"] for line in read if line["event"] == "pop3 login")
    assert of(by_imap) == ["move started", "move done", "login", "imap login", "imap session ended"]
    assert of(by_pop3) == ["login joins a move", "login", "pop3 login", "pop3 session ended"]
    assert next(line["move"] for line in read if line["event"] == "login joins a move") == by_imap
    logins = [line for line in read if line["event"] in {"imap login", "pop3 login"}]
    assert {line["worker"] for line in logins} == {1, 2}
    assert len({line["trace"] for line in logins}) == 8
    account = company.account(address)
    assert account is not None
    assert account.trace == by_imap
    _see_the_doctor(company, address, by_imap)


def _see_the_doctor(company: Company, address: str, trace: str) -> None:
    """What support is sent of this has the same id, and nobody's name."""
    arguments = ["doctor", "--json", "--config", str(company.daemon.config), "--log", str(company.daemon.root / "log")]
    told = CliRunner().invoke(main, arguments).output
    facts = json.loads(told)
    assert [each["role"] for each in facts["processes"]].count("worker") == 2
    assert facts["processes"][0]["role"] == "serve"
    assert sum(line.get("trace") == trace for line in facts["log"]) == 5
    assert facts["store"]["accounts"] == {"123.com": {"moved": 1}}
    assert [(each["ledger"], each["files"]) for each in facts["mailboxes"]] == [({"stored": 3}, 3)]
    assert address.partition("@")[0] not in told
    assert PASSWORD not in told
