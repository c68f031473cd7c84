"""A million accounts in a real database, and every page and command of an administrator: tests/bench/run scale …

    tests/bench/run scale [--accounts 1000000] [--domains 20] [--rounds 10] [--database FILE|URL] [--postgresql]
                          [--only WORDS] [--ledger ROWS]

The database is filled as in the middle of a move (`scale_rows`), once where `--database` names a file to keep it in.
Each question is asked so many times as the console and the commands ask it; printed are the median, the slowest 20th
and the least by the clock, and the least processor time, which tells more where the machine has other things to do.
What is wanted is less than 100 ms of processor time, with that of a server of this machine (on average); by the clock,
at the least, where the server is another one. Questions that read out everything are told by
their rate. Commands are measured without the start of an interpreter (some 0.5 s), pages without TLS and templates
(`tests/bench/run console` has those). `--ledger` fills ledgers and indexes besides (`scale_ledger`).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from mailstore.accounts import Accounts, State
from mailstore.database import AccountsDatabase
from mailstore.notices import Notices, Standing
from mailstore.overview import Overview, Sort, Wanted
from mailstore.paging import key_of
from mailstore.people import People
from mailstore.queue import Queue
from mailstore.samples import Samples
from mailstore.told import Told
from mailstore.web_sessions import WebSessions
from proxy.admin.noticing.planning import foresee
from proxy.admin.overview import Watching
from proxy.cli.report import report
from tests.bench import scale_ledger
from tests.bench.scale_ground import empty_log, in_file, in_server, settle, whole
from tests.bench.scale_ground import octets as sizes
from tests.bench.scale_rows import DOMAIN, fill

WANTED: Final = 0.1  # seconds
PER_PAGE: Final = 50
Question = tuple[str, Callable[[], object]]

FILTERS: Final = {
    "all domains": Wanted(),
    "a domain": Wanted(DOMAIN),
    "a department": Wanted(DOMAIN, department="Division 3"),
    "a small department": Wanted(DOMAIN, department="Division 3/Office 4/Team 2"),
    "waiting": Wanted(DOMAIN, state=State.WAITING),
    "moved": Wanted(DOMAIN, state=State.MOVED),
    "blocked": Wanted(DOMAIN, state=State.BLOCKED),
    "blocked, all domains": Wanted(state=State.BLOCKED),
    "attention": Wanted(DOMAIN, attention=True),
    "attention, all domains": Wanted(attention=True),
    "paused": Wanted(DOMAIN, paused=True),
    "paused, all domains": Wanted(paused=True),
    "attention in a department": Wanted(DOMAIN, department="Division 3", attention=True),
    "a name, exactly": Wanted(DOMAIN, text="user.0012345@123.com"),
    "a part of names that many have": Wanted(DOMAIN, text="Kim"),
    "a Chinese name": Wanted(DOMAIN, text="王伟"),
    "a common name at one domain": Wanted(text="a.00@branch07"),
    "a domain's name": Wanted(words="branch07"),
    "a name that nobody has": Wanted(DOMAIN, text="nobody at all"),
    "a name that nobody has, all domains": Wanted(text="nobody at all"),
    "two characters that nobody has": Wanted(DOMAIN, text="曌曌"),
    "words, one account": Wanted(DOMAIN, words="0012345 a"),
    "words that many have": Wanted(DOMAIN, words="huber anna"),
    "words that many have, and nobody both": Wanted(DOMAIN, words="kim lopez"),
    "a word that nobody has": Wanted(DOMAIN, words="nobody-at-all"),
    "a word that nobody has, in trouble": Wanted(DOMAIN, words="nobody-at-all", troubled=True),
}


def questions(database: AccountsDatabase) -> Iterator[Question]:
    """With their names, as an administrator would know them."""
    accounts, overview, queue = Accounts(database), Overview(database), Queue(database)
    watching, told, people = Watching(database), Told(database), People(database)
    domains = sorted(overview.domains())
    day = int(time.time()) - 86_400
    in_two_days = Queue(database, lambda: time.time() + 2 * 86_400)

    def list_page(wanted: Wanted, sort: Sort = Sort.NAME) -> object:
        return (
            overview.page_and_count(wanted, PER_PAGE, sort=sort),
            watching.departments(DOMAIN),
            queue.paused_domains(),
        )

    yield "console: all domains", lambda: watching.domains(domains)
    yield "console: a domain, with its tree and its day", lambda: watching.domain(DOMAIN, since=day)
    yield "console: … and its year", lambda: watching.domain(DOMAIN, since=day - 365 * 86_400)
    yield "console: the notice's step", lambda: told.tally(Wanted(DOMAIN), "notice")
    yield "console: … of those who wait", lambda: told.tally(Wanted(DOMAIN, state=State.WAITING), "notice")
    yield "console: … of what was sent in a week", lambda: told.tally(Wanted(DOMAIN), "notice", day - 6 * 86_400)
    yield "console: … and the question before it", lambda: foresee(database, Wanted(DOMAIN), again=False)
    yield (
        "console: to whom it could not be sent",
        lambda: told.page(Wanted(DOMAIN), "notice", Standing.REFUSED, PER_PAGE),
    )
    yield "console: an account", lambda: (accounts.get(77), queue.paused_domains(), Notices(database).history(77, 20))
    yield "console: a list's page, with its count and departments", lambda: list_page(Wanted(DOMAIN))
    yield "console: … of words that many have", lambda: list_page(Wanted(DOMAIN, words="huber anna"))
    yield "console: … by size", lambda: list_page(Wanted(DOMAIN, words="huber anna"), Sort.SIZE)
    yield "console: a session", lambda: WebSessions(database).find("portal", "no such token")
    yield "metrics, readyz", lambda: (overview.domains(), queue.backlog(domains))
    yield "metrics, while half of all are due", lambda: (overview.domains(), in_two_days.backlog(domains))
    yield "the curve's next sample", Samples(database).take
    yield "the next that is due", lambda: queue.outlook(domains)
    yield "names at the legacy server, for a stranger", accounts.legacy_logins
    yield "status", lambda: report(domains, database, None, Wanted(troubled=True))
    yield "status DOMAIN", lambda: report(domains, database, DOMAIN, Wanted(DOMAIN, troubled=True))
    yield "accounts show", lambda: (accounts.find("user.0012345", DOMAIN), people.aliases(77))
    yield "accounts add", lambda: accounts.add("newcomer", DOMAIN)
    yield "pause, resume an account", lambda: (queue.pause([77], paused=True), queue.pause([77], paused=False))
    yield "retry an account", lambda: queue.ask([77], again=True)
    for name, wanted in FILTERS.items():
        yield f"list, {name}: how many", lambda wanted=wanted: overview.count(wanted)
        for sort in Sort:
            first = overview.page(wanted, PER_PAGE, sort=sort)
            yield f"list, {name}, by {sort}", lambda w=wanted, s=sort: overview.page(w, PER_PAGE, sort=s)
            if first.behind:
                last = _last_place(overview, wanted, sort)
                yield (
                    f"list, {name}, by {sort}: the last page",
                    lambda w=wanted, s=sort, b=last: overview.page(w, PER_PAGE, sort=s, before=b),
                )


def _last_place(overview: Overview, wanted: Wanted, sort: Sort) -> Any:
    end = {Sort.NAME: ("\U0010ffff", ""), Sort.DEPARTMENT: ("\U0010ffff", "", "")}.get(sort, (0, "\U0010ffff", ""))
    page = overview.page(wanted, 1, sort=sort, before=end)
    return key_of(page.accounts[-1], sort) if page.accounts else end


def measure(question: Question, rounds: int, server: Callable[[], float]) -> tuple[float, float, float, float]:
    """Median, slowest 20th and least by the clock; least processor time, with what a `server` has used on average."""
    question[1]()
    by_clock, processor, before = [], [], server()
    for _ in range(rounds):
        began, used = time.perf_counter(), time.process_time()
        question[1]()
        by_clock.append(time.perf_counter() - began)
        processor.append(time.process_time() - used)
    by_clock.sort()
    slowest = by_clock[min(len(by_clock) - 1, int(0.95 * len(by_clock)))]
    return by_clock[len(by_clock) // 2], slowest, by_clock[0], min(processor) + (server() - before) / rounds


def rates(database: AccountsDatabase) -> Iterator[str]:
    """What reads out everything, a second: from the first hundred thousand."""
    overview, people = Overview(database), People(database)
    for name, listing in (
        ("accounts export, accounts list --json", people.each(Wanted())),
        ("status --accounts, --csv", overview.each(Wanted())),
    ):
        began = time.process_time()
        count = sum(1 for _ in islice(listing, 100_000))
        yield f"{name:<58} {count / (time.process_time() - began):>10,.0f} accounts a second of processor time"


def ask_all(database: AccountsDatabase, rounds: int, only: str, used: Callable[[], float] | None) -> int:
    """Prints; gives back how many took too long. `used`: a server's processor time, if that can be known."""
    print(f"{'':<58} {'median':>8} {'p95':>8} {'least':>8} {'processor':>10}  ms")
    by_clock = database.engine is not None and used is None
    slow = 0
    for question in questions(database):
        if only not in question[0]:
            continue
        median, p95, least, processor = measure(question, rounds, used or (lambda: 0.0))
        late = (least if by_clock else processor) > WANTED
        slow += late
        figures = f"{1000 * median:>8.1f} {1000 * p95:>8.1f} {1000 * least:>8.1f} {1000 * processor:>10.1f}"
        print(f"{question[0]:<58} {figures}  {'!' if late else ''}", flush=True)
    return slow


def ask(
    database: AccountsDatabase, given: argparse.Namespace, path: Path | None, used: Callable[[], float] | None = None
) -> int:
    """All that there is to ask; how many took too long."""
    octets = whole(database, path)
    print(f"{octets / 1e6:,.0f} MB, {octets / given.accounts:.0f} octets an account with all that belongs to it")
    slow = ask_all(database, given.rounds, given.only, used)
    for line in rates(database):
        print(line)
    return slow


def filled(database: AccountsDatabase, accounts: int, domains: int) -> None:
    began = time.perf_counter()
    rows = fill(database, accounts, domains)
    if database.engine is not None:
        settle(database.engine)
    print(f"{sum(rows.values()):,} rows in {time.perf_counter() - began:.0f} s", flush=True)
    if database.engine is not None:
        for name, octets, of_row in sizes(database, rows):
            print(f"    {name:<20} {octets / 1e6:>9,.1f} MB {of_row:>8,.0f} octets a row with its indexes")


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/bench/run scale")
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--domains", type=int, default=20, help="at least 2; four fifths of all accounts are of one")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument(
        "--database", metavar="FILE|URL", help="made where it is not there, and kept; or postgresql+psycopg://…"
    )
    parser.add_argument("--postgresql", action="store_true", help="in a server that is begun for it")
    parser.add_argument("--only", default="", metavar="WORDS", help="questions with these words")
    parser.add_argument("--ledger", type=int, default=0, metavar="ROWS", help="of ledgers; 10000000 for the README's")
    given = parser.parse_args()
    url = given.database if given.database and given.database.startswith("postgresql") else None
    if given.postgresql or url is not None:
        with in_server(url) as (database, ready, used):
            if not ready:
                filled(database, given.accounts, given.domains)
            slow = ask(database, given, None, used)
            if given.ledger:
                assert database.engine is not None
                for line in scale_ledger.in_server(database.engine, given.ledger, used):
                    print(line, flush=True)
    else:
        kept = Path(given.database) if given.database else None
        with in_file(kept) as (database, ready, path):
            if not ready:
                filled(database, given.accounts, given.domains)
                if kept is not None:
                    empty_log(path)
                    shutil.copy(path, kept)
            slow = ask(database, given, path)
            if given.ledger:
                for line in scale_ledger.in_file(path.parent):
                    print(line, flush=True)
    if slow:
        sys.exit(f"{slow} of them take more than {1000 * WANTED:.0f} ms")


if __name__ == "__main__":
    main()
