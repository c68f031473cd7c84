"""Watching what was asked for, as whoever moves it writes it down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from mailstore.accounts import Account
from mailstore.database import AccountsDatabase
from proxy.admin.watch import Progress, Watch
from proxy.cli.screen import Screen, render
from proxy.cli.showing import progress_line, spelled
from tests.mailstore.test_store_queue import NOW, Company


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    database = AccountsDatabase(tmp_path / "accounts.db")
    yield Company(database)
    database.close()


def asked(company: Company, *names: str) -> tuple[Watch, list[Account]]:
    accounts = [company.get(company.moved(name)) for name in names]
    watch = Watch(company.queue, accounts, lambda: company.now, lambda: company.now - NOW)
    company.queue.ask(account.id for account in accounts)
    return watch, accounts


def test_from_the_first_to_the_last(company: Company) -> None:
    watch, (li, wang, chen) = asked(company, "li", "wang", "chen")
    first = watch.look()
    assert (first.accounts, first.done, list(first.under_way), first.left, first.over) == (3, 0, [], None, False)
    company.queue.take(["a.example"], 2)
    company.accounts.progress(li.id, (50, 100), (500, 1000))
    company.now += 10
    look = watch.look()
    assert [account.local for account in look.under_way] == ["li", "wang"]
    assert (look.messages, look.octets, look.rate) == (50, 500, 50.0)
    assert look.left == 10 * 2.5 / 0.5
    company.accounts.progress(li.id, (100, 100), (1000, 1000))
    company.accounts.moved(li.id)
    company.accounts.interrupted(wang.id, "refuses connections", 60)
    look = watch.look()
    assert [(ended.account.local, ended.why) for ended in look.ended] == [("li", ""), ("wang", "refuses connections")]
    assert (look.here, look.not_here, look.messages, look.over) == (1, 1, 100, False)
    company.queue.take(["a.example"], 1)
    company.accounts.moved(chen.id)
    look = watch.look()
    assert (look.here, look.not_here, look.over, look.left) == (2, 1, True, 0.0)
    assert watch.pending == set()


def test_messages_that_are_missing_are_not_all_of_it(company: Company) -> None:
    watch, (li,) = asked(company, "li")
    company.queue.take(["a.example"], 1)
    company.accounts.progress(li.id, (9, 10), (90, 100))
    company.accounts.moved(li.id, "1 message is in quarantine")
    (ended,) = watch.look().ended
    assert ended.why == "1 message is in quarantine"


def test_a_pause_ends_the_watching(company: Company) -> None:
    watch, (li, _) = asked(company, "li", "wang")
    company.queue.pause([li.id], paused=True)
    (ended,) = watch.look().ended
    assert (ended.account.local, ended.why) == ("li", "it is paused; `mailferry resume` ends that")
    company.queue.pause_domain("a.example", paused=True)
    assert watch.look().over


def progress(company: Company, under_way: int) -> Progress:
    company.fill(
        {"local": f"u{n:02}", "messages_done": n, "messages_total": 40, "bytes_total": 4_000} for n in range(under_way)
    )
    accounts = tuple(company.accounts.list())
    return Progress(400, 211, 3, accounts, (), 418_220, 21_400_000_000, 44_900_000.0, 477.0, 372.0)


def test_a_line(company: Company) -> None:
    assert progress_line(progress(company, 2)) == (
        "214 of 400 accounts  under way 2  messages 418220  bytes 21.4 GB  44.9 MB/s  6m12s left"
    )


def test_the_screen(company: Company) -> None:
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123 - record only
    with console.file:
        console.print(render(progress(company, 18), failed=3))
    text = console.export_text()
    assert "214 of 400 accounts" in text and "about 6m12s left" in text
    assert "418,220 messages   21.4 GB   44.9 MB/s   7m57s   3 not here" in text
    assert "u14@a.example" in text and "u15@a.example" not in text and "and 3 more under way" in text


def test_the_screen_s_last_words(company: Company) -> None:
    watch, (li, wang) = asked(company, "li", "wang")
    console = Console(width=100, record=True, force_terminal=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    with console.file:
        screen = Screen(console)
        screen.begin(2, [("chen@a.example", "no password")], 1)
        company.queue.take(["a.example"], 2)
        company.accounts.moved(li.id)
        company.accounts.interrupted(wang.id, "refuses connections", 60)
        screen.progress(watch.look())
        assert not screen.end(over=True)
    text = console.export_text()
    assert "1 more account is not asked for" in text
    assert "1 of 3 accounts are here" in text
    assert "chen@a.example  no password" in text and "wang@a.example  refuses connections" in text


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "0s"), (59, "59s"), (90, "1m30s"), (3_725, "1h02m")])
def test_times(seconds: float, text: str) -> None:
    assert spelled(seconds) == text
