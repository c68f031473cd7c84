"""Mailboxes that are carried to other directories while their users come: `tests/bench/run spread [--accounts N]`.

So many Maildirs of a message each lie by `{domain}/{local}`; the configuration says `{hash}/{domain}/{local}`, and
`mailferry storage rehash` is begun, killed, and begun again. As soon as it says so a daemon is started, and users log
in one after the other, at random. Each has to find the message; in the end each Maildir has to be in its place, and
none anywhere else. Printed is how long that took, and what a login took meanwhile and behind it.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

from sqlalchemy import insert

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from mailstore.mooring import Mooring
from mailstore.schema import accounts
from proxy.config import load
from proxy.config.places import maildir
from proxy.login.whereabouts import mooring_of
from tests.bench.ground import ground
from tests.legacy.dovecot import free_port
from tests.peers.daemon import Daemon
from tests.postgres.nodes import Login, OldServer

BEFORE: Final = "{state}/mail/{domain}/{local}/Maildir"
NOW: Final = "{state}/mail/{hash}/{domain}/{local}/Maildir"
DOMAIN: Final = "123.com"
MESSAGE: Final = b"Subject: kept\r\n\r\nbody\r\n"


def local(number: int) -> str:
    return f"empty{number:07}"  # what the old server has no mail of


def fill(state: Path, count: int) -> None:
    """The accounts, and their Maildirs."""
    database = AccountsDatabase(state / "accounts.db")
    row = {"domain": DOMAIN, "state": "moved", "created": 0, "messages_done": 1, "messages_total": 1}
    with database.write() as connection:
        connection.execute(insert(accounts), [row | {"id": n, "local": local(n)} for n in range(1, count + 1)])
    Mooring(state, state / "mail", BEFORE.removeprefix("{state}/mail/"), lambda: False).hold()
    database.close()
    for number in range(1, count + 1):
        place = maildir(BEFORE, state, local(number), DOMAIN)
        for each in ("cur", "new", "tmp"):
            (place / each).mkdir(parents=True, mode=0o700)
        (place / "cur" / f"1700000000.M1P1Q{number}.host,S={len(MESSAGE)}:2,S").write_bytes(MESSAGE)


class Users:
    """They come one after the other, until told otherwise."""

    def __init__(self, daemon: Daemon, count: int) -> None:
        self.daemon, self.count = daemon, count
        self.took: list[float] = []
        self.first = 0.0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._come)
        self._thread.start()

    def _come(self) -> None:
        dice = random.Random(1)
        while not self._ending.is_set():
            self.took.append(self.log_in(dice.randint(1, self.count)))
            self.first = self.first or time.monotonic()

    def log_in(self, number: int) -> float:
        began = time.monotonic()
        login = Login(self.daemon, local(number))
        answer = login.wait()
        said = login.command(b"SELECT INBOX") if answer.startswith(b"a OK") else [answer]
        assert b"* 1 EXISTS" in said, (said, self.daemon.log[-2_000:])
        login.close()
        return time.monotonic() - began

    def end(self) -> None:
        self._ending.set()
        self._thread.join()


def rehash(daemon: Daemon) -> subprocess.Popen[str]:
    """When it has said that the daemon may be started."""
    command = [sys.executable, "-P", "-m", "proxy.cli.main", "storage", "rehash", "--config", str(daemon.config)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = process.stderr.readline()
    assert "may be started" in said, said + process.stderr.read()
    return process


def carried(state: Path, count: int) -> int:
    return sum(maildir(NOW, state, local(number), DOMAIN).is_dir() for number in range(1, count + 1))


def check(state: Path, count: int) -> None:
    assert carried(state, count) == count
    assert not (state / "mail" / DOMAIN).exists()
    found = sum(1 for place, _, _ in os.walk(state / "mail") if place.endswith("/Maildir/cur"))
    assert found == count, f"{found:,} of {count:,}"
    most = max(len(inside) + len(files) for _, inside, files in os.walk(state / "mail"))
    assert most <= max(256, count // 16_384), most


def measure(count: int, kills: int) -> list[str]:
    old = OldServer(0)
    try:
        with ground() as place:
            root = place.fresh("spread")
            more = f'[storage]\nmaildir = "{NOW}"\n'
            ports = {name: free_port() for name in ("imap",)}
            about = {"migration": 'refresh = "1h"', "more": more, "ports": ports, "workers": 1}
            daemon = Daemon(root, f'port = {old.port}\ntls = "none"\n', encrypted=False, **about)
            state = root / "state"
            state.mkdir(mode=0o700)
            fill(state, count)
            return _measured(daemon, state, count, kills)
    finally:
        old.close()


def _measured(daemon: Daemon, state: Path, count: int, kills: int) -> list[str]:
    lines = []
    began = time.monotonic()
    process = rehash(daemon)
    daemon.start()
    users = Users(daemon, count)
    try:
        for number in range(kills):
            while carried(state, min(count, 2_000)) < min(count, 2_000) * (number + 1) / (kills + 2):
                time.sleep(0.05)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            lines.append(f"killed after {time.monotonic() - began:.1f} s, and begun again")
            process = rehash(daemon)
        said, why = process.communicate()
        whole = time.monotonic() - began
        assert process.returncode == 0, why
    finally:
        users.end()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    meanwhile, dice = users.took, random.Random(2)
    behind = [users.log_in(dice.randint(1, count)) for _ in range(max(20, min(len(meanwhile), 200)))]
    assert daemon.stop() == 0
    check(state, count)
    config = load(daemon.config)
    database = AccountsDatabase(config.accounts_file)
    assert mooring_of(config, Accounts(database)).coming_from() == ""
    database.close()
    lines += [
        said.strip().replace(str(state), "STATE"),
        f"{count:,} mailboxes in {whole:.1f} s, {count / whole:,.0f} a second; the first user was in after "
        f"{users.first - began:.1f} s; {used.ru_utime + used.ru_stime:.1f} s of processor time",
        f"logins meanwhile: {len(meanwhile):,}, {_told(meanwhile)}; when it was done: {len(behind):,}, {_told(behind)}",
    ]
    return lines


def _told(took: list[float]) -> str:
    return f"{1000 * statistics.median(took):.0f} ms at the median, {1000 * max(took):.0f} ms at worst"


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/bench/run spread")
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=2, help="of the command, while it is at it")
    words = parser.parse_args()
    for line in measure(words.accounts, words.kills):
        print(line, flush=True)


if __name__ == "__main__":
    main()
