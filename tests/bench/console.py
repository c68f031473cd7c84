"""How long the console's pages take with many accounts: tests/bench/run console [ACCOUNTS…] [--rounds 30].

A daemon with a database of so many accounts, of which none moves, and an administrator who asks for each page over one
connection, without encryption. Printed are the median and the slowest of all rounds, from the request to the last
octet, and the page's size. A page is to take less than 50 ms with 10,000 accounts. Figures that are kept for a second
(`proxy.web.console.seeing.FRESH`) are added up anew for each: the rounds of one page are that far apart.
"""

from __future__ import annotations

import argparse
import http.client
import random
import statistics
import time
from collections.abc import Iterator
from contextlib import closing

from sqlalchemy import insert

from mailstore.administrators import Administrators
from mailstore.schema import accounts, notices, samples
from mailstore.secrets import hash_password
from proxy.web.console.seeing import FRESH
from tests.bench.ground import ground
from tests.browser.company import Company
from tests.browser.visitor import Visitor

PASSWORD = "correct horse"
_DEPARTMENTS = tuple(f"Division {a}/Office {b}" for a in range(8) for b in range(6))
_STATES = ("waiting", "moved", "final", "blocked")

PAGES = {
    "domains": "/console",
    "a domain": "/console/domain/123.com",
    "… over all its time": "/console/domain/123.com?span=all",
    "accounts": "/console/accounts",
    "… of a domain": "/console/accounts?domain=123.com",
    "… of a department": "/console/accounts?domain=123.com&department=Division+3",
    "… of a state": "/console/accounts?domain=123.com&state=moved",
    "… that need attention": "/console/accounts?domain=123.com&state=attention",
    "… with a name": "/console/accounts?text=Li+Wei+99",
    "… with none": "/console/accounts?text=nobody+at+all",
    "… by department": "/console/accounts?domain=123.com&sort=department",
    "… by last login": "/console/accounts?domain=123.com&sort=last_login",
    "… by size": "/console/accounts?domain=123.com&sort=size",
    "an account": "/console/account/77",
    "the notice": "/console/domain/123.com/notice?date=2999-12-05",
    "… how it went": "/console/domain/123.com/notice/sent?what=refused",
    "DNS": "/console/domain/123.com/dns",
    "the old server": "/console/domain/123.com/legacy",
    "verify": "/console/domain/123.com/verify",
    "reports": "/console/domain/123.com/reports",
    "finish": "/console/domain/123.com/finish",
    "finish an account": "/console/account/77/finish",
    "compare lists": "/console/domain/123.com/compare",
    "the runbook": "/console/runbook",
}


def fill(company: Company, count: int) -> None:
    """That many accounts, of which half were told, and a week of samples."""
    dice = random.Random(1)
    rows = [_row(number, dice) for number in range(count)]
    now = int(time.time())
    curve = [
        {
            "domain": "123.com",
            "taken": now - ago,
            "moved": 3_000_000 - ago,
            "messages": 10**9 - ago,
            "bytes": 10**12 - ago,
        }
        for ago in range(7 * 86_400, 0, -300)
    ]
    told = [
        {"account_id": number, "kind": "notice", "begun": 1, "address": "", "sent": 1 if number % 9 else None}
        | {"refusal": "" if number % 9 else "550 no such user"}
        for number in range(1, count // 2)
    ]
    with closing(company.accounts()) as database, database.write() as connection:
        connection.execute(insert(accounts), rows)
        connection.execute(insert(samples), curve)
        connection.execute(insert(notices), told)


def _row(number: int, dice: random.Random) -> dict[str, object]:
    state = dice.choices(_STATES, (40, 56, 3, 1))[0]
    here = state != "waiting"
    messages = dice.randrange(20, 9_000) if here else 0
    trouble = state == "blocked" or dice.random() < 0.02
    return {
        "domain": "123.com",
        "local": f"user{number:06}",
        "state": state,
        "reason": "the mailbox is locked; close what else fetches this mailbox there" if trouble else "",
        "password_hash": "$argon2id$" + "x" * 87 if here else None,
        "sealed_password": b"\1" + b"y" * 50 if here else None,
        "password_state": "rejected" if trouble else "known",  # so that none moves
        "created": 1,
        "last_login": 1_700_000_000 + number if here else None,
        "refreshed": 1_700_000_000 if here else None,
        "messages_done": messages,
        "messages_total": messages,
        "bytes_done": messages * 40_000,
        "bytes_total": messages * 40_000,
        "full_name": f"Li Wei {number}",
        "department": dice.choice(_DEPARTMENTS),
        "paused": 1,
    }


def measure(count: int, rounds: int) -> Iterator[str]:
    with ground() as place:
        company = Company(place.fresh("company"), encrypted=False, notices='sender = "it@123.com"')
        try:
            company.start()
            fill(company, count)
            with closing(company.accounts()) as database:
                Administrators(database).add("admin", hash_password(PASSWORD.encode()))
            visitor = Visitor(company)
            visitor.submit("/console/login", "/console/login", {"name": "admin", "password": PASSWORD})
            cookie = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
            yield from _pages(company, cookie, count, rounds)
        finally:
            company.close()


def _pages(company: Company, cookie: str, count: int, rounds: int) -> Iterator[str]:
    taken: dict[str, list[float]] = {name: [] for name in PAGES}
    sizes: dict[str, int] = {}
    connection = http.client.HTTPConnection("localhost", company.port, timeout=60)
    for _ in range(rounds + 1):
        begun = time.perf_counter()
        for name, path in PAGES.items():
            sizes[name], seconds = _ask(connection, path, cookie)
            taken[name].append(seconds)
        time.sleep(max(0.0, FRESH + 0.01 - (time.perf_counter() - begun)))
    connection.close()
    for name, times in taken.items():
        warm = times[1:]  # in the first round templates and statements are compiled
        yield (
            f"{count:>9,}  {name:<22} {1000 * statistics.median(warm):>8.1f} {1000 * max(warm):>9.1f} "
            f"{sizes[name] / 1024:>8.1f}"
        )


def _ask(connection: http.client.HTTPConnection, path: str, cookie: str) -> tuple[int, float]:
    begun = time.perf_counter()
    connection.request("GET", path, headers={"Cookie": cookie})
    answer = connection.getresponse()
    octets = len(answer.read())
    assert answer.status == 200, (path, answer.status)
    return octets, time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/bench/run console")
    parser.add_argument("accounts", nargs="*", type=int, default=[10_000])
    parser.add_argument("--rounds", type=int, default=30)
    wanted = parser.parse_args()
    print(f"{'accounts':>9}  {'page':<22} {'median':>8} {'slowest':>9} {'size':>8}")
    print(f"{'':>9}  {'':<22} {'ms':>8} {'ms':>9} {'KiB':>8}")
    for count in wanted.accounts or [10_000]:
        for line in measure(count, wanted.rounds):
            print(line, flush=True)


if __name__ == "__main__":
    main()
