"""What idle IMAP sessions cost: memory of each worker, and how soon a change reaches them.

    tests/bench/run idle [--sessions 2000] [--accounts 2000] [--workers 1] [--tls]

Every session logs in, selects INBOX and idles; the accounts are made beforehand, with ten messages each. Printed is
what each process has of its own (Pss, so that what processes share is not counted twice) before and after, and how
long it takes until an APPEND is told to the idling session of the same account.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import ssl
import statistics
import subprocess
import time
from pathlib import Path

from mailstore import secrets
from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from tests.bench import ferry
from tests.bench.ferry import DOMAIN, NOWHERE
from tests.bench.ground import ground
from tests.legacy.certificates import Authority

PASSWORD = b"pass"
_HEAD = b"From: a@example.org\r\nSubject: saved\r\n\r\nA line.\r\n"
AT_ONCE = 20  # logins under way
RESTED = 30  # seconds


class Session:
    """One connection, that waits for a line at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, line: bytes, until: bytes) -> None:
        self._writer.write(line + b"\r\n")
        await self.told(until)

    async def told(self, start: bytes) -> None:
        while not (line := await self._reader.readline()).startswith(start):
            if not line or line.startswith(b"a NO"):
                raise SystemExit(f"unexpected: {line!r}")


class Idlers:
    def __init__(self, port: int, trust: ssl.SSLContext | None) -> None:
        self._port = port
        self._trust = trust
        self.sessions: list[Session] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self, account: int) -> Session:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=4096)
        self._writers.append(writer)
        session = Session(reader, writer)
        await session.told(b"* OK")
        if self._trust is not None:
            await session.ask(b"a STARTTLS", b"a OK")
            await writer.start_tls(self._trust, server_hostname="localhost")
        await session.ask(b"a LOGIN user%d@%b %b" % (account, DOMAIN.encode(), PASSWORD), b"a OK")
        await session.ask(b"a SELECT INBOX", b"a OK")
        return session

    async def fill(self, sessions: int, accounts: int) -> None:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> Session:
            async with gate:
                session = await self.open(number % accounts)
                await session.ask(b"a IDLE", b"+")
                return session

        self.sessions = list(await asyncio.gather(*(one(number) for number in range(sessions))))

    async def changes(self, count: int) -> list[float]:
        """Seconds from an APPEND's beginning until the idling session of the account hears of the message."""
        took = []
        for number in range(count):
            session = await self.open(number)
            await session.ask(b"a APPEND INBOX {%d}" % len(_HEAD), b"+")
            begun = time.perf_counter()
            await asyncio.gather(session.ask(_HEAD, b"a OK"), self.sessions[number].told(b"* "))
            took.append(time.perf_counter() - begun)
        return took

    async def close(self) -> None:
        """Over TLS a server that stops waits for its clients to hang up."""
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)


def prepare(root: Path, count: int, messages: int = 10) -> None:
    """Accounts of a daemon in `root`, that need no legacy server."""
    state = ferry.state(root)
    state.mkdir(mode=0o700)
    accounts = Accounts(AccountsDatabase(state / "accounts.db"))
    hashed = secrets.hash_password(PASSWORD)
    for number in range(count):
        account = accounts.add(f"user{number}", DOMAIN)
        accounts._change(account.id, password_hash=hashed, state="final")
        maildir = ferry.maildir(root, f"user{number}")
        for name in ("cur", "new", "tmp"):
            (maildir / name).mkdir(parents=True)
        for message in range(messages):
            (maildir / "new" / f"{1_600_000_000 + message}.M{message}P1.bench").write_bytes(_HEAD)


def _family(root: int) -> list[int]:
    children = Path(f"/proc/{root}/task/{root}/children").read_text().split()
    return [root, *map(int, children)]


def memory(pid: int) -> float:
    """MiB of its own."""
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("Pss:")) / 1024


def _show(when: str, root: int) -> None:
    figures = ", ".join(f"{'daemon' if pid == root else 'worker'} {memory(pid):.0f} MiB" for pid in _family(root))
    print(f"{when}: {figures}", flush=True)


async def measure(options: argparse.Namespace, process: subprocess.Popen[bytes], idlers: Idlers) -> None:
    _show("at the beginning", process.pid)
    begun = time.perf_counter()
    await idlers.fill(options.sessions, options.accounts)
    print(f"{options.sessions} sessions of {options.accounts} accounts idle after {time.perf_counter() - begun:.1f} s")
    _show("just now idle", process.pid)
    await asyncio.sleep(RESTED)
    _show(f"{RESTED} s later", process.pid)
    took = await idlers.changes(min(100, options.accounts))
    await idlers.close()
    print(f"a new message is told after {1000 * statistics.median(took):.1f} ms, {1000 * max(took):.1f} ms at most")


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/bench/run idle")
    parser.add_argument("--sessions", type=int, default=2_000)
    parser.add_argument("--accounts", type=int, default=2_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--tls", action="store_true")
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with ground() as place:
        root = place.fresh("mailferry")
        prepare(root, options.accounts)
        tls, trust = "", None
        if options.tls:
            authority = Authority()
            certificate, key = authority.issue("localhost").write(root, "server")
            tls = f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"'
            trust = ssl.create_default_context(cadata=authority.certificate.decode())
        with ferry.served(root, NOWHERE, top=f"workers = {options.workers}", tables=tls) as daemon:
            asyncio.run(measure(options, daemon.process, Idlers(daemon.imap, trust)))


if __name__ == "__main__":
    main()
