"""What processes upon one PostgreSQL database tell each other, and the one connection that each keeps for that.

The connection is the process's own, beside its pool, and has a thread. What is on it goes with the process, however
that ends: what it listens to, and the POP3 locks of maildrops, which are advisory locks of the session. Heartbeats go
over it as well, so that they wait for no place in a pool.

News is told after the transaction that made it: NOTIFY in the transaction itself would have all those that commit wait
for each other. What comes close together goes together, in as few notifications as its length allows: the first at once
and what follows a moment later, so that a busy process does not spend its time on telling. It may be lost, with a
connection or with the process that has it to tell: nothing depends on it but how soon others look, and they look from
time to time all the same. After each new connection `began` is called, to look at once.

A connection that breaks is made anew, after a pause that grows. Its locks are taken again before anything else is done
over it; those that somebody else was given meanwhile are lost (`lost`).

`heard`, `began`, `lost` and what `run` is given are called in the thread. The driver is not imported here, since it is
not there where SQLite is in use.
"""

from __future__ import annotations

import math
import os
import secrets
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import Connection, Engine

from mailstore.errors import MailstoreError, StorageFailed
from mailstore.refusals import translated

T = TypeVar("T")

CHANNEL: Final = "mailferry"
LONGEST: Final = 7_000  # octets of a notification; PostgreSQL takes 8,000
FIRST_PAUSE: Final = 0.1  # seconds after a connection was lost, and twice as long each time
LONGEST_PAUSE: Final = 5.0
UNHEARD: Final = 10.0  # seconds after which a connection is given up on which a statement is not answered
LOOK: Final = 30.0  # seconds after which a connection that nothing is heard of is looked at
TOGETHER: Final = 0.02  # seconds after a notification in which what there is to be told waits for more
_MOST: Final = 10_000  # pieces of news that wait; there is a look from time to time for what is beyond
MAILDROPS: Final = 0x706F7033  # the first key of the advisory locks of maildrops; the second is the account's number

_INT4: Final = 1 << 31
_NOW: Final = "SELECT extract(epoch FROM clock_timestamp())::float8"
_LOCK: Final = "SELECT pg_try_advisory_lock(%s, %s)"
_UNLOCK: Final = "SELECT pg_advisory_unlock(%s, %s)"
# What is asked over it is little; and the server is to notice when this machine is gone, with all that it holds.
_SETTINGS: Final = (
    "SET statement_timeout = '5s'",
    "SET lock_timeout = '5s'",
    "SET tcp_keepalives_idle = 5",
    "SET tcp_keepalives_interval = 3",
    "SET tcp_keepalives_count = 3",
)


class News(NamedTuple):
    """One piece. `about` is an account's number, or 0; what `more` says depends on the kind, and has no line ends."""

    kind: str  # a word
    about: int
    more: str = ""


class NotConnected(StorageFailed):
    """There is no connection to the database now."""

    def __init__(self) -> None:
        super().__init__("the database cannot be reached")


Job = Callable[[Connection], Any]  # over a connection that commits each statement by itself
Done = Callable[[Any], None]  # given what a job gave back, or what it raised


def own_connection(engine: Engine, name: str) -> Callable[[], Connection]:
    """Makes connections to an engine's server beside its pool."""
    from mailstore.postgres import postgres_engine  # noqa: PLC0415 - with its driver

    single = postgres_engine(engine.url, connections=1, name=name, silence=UNHEARD)
    return single.execution_options(isolation_level="AUTOCOMMIT").connect


def in_one(connection: Connection, work: Callable[[Connection], T]) -> T:
    """Several statements of a job, in one transaction."""
    with driver_of(connection).transaction():
        return work(connection)


def driver_of(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _second(account_id: int) -> int:
    return (account_id + _INT4) % (2 * _INT4) - _INT4


def packed(origin: str, news: Iterable[News]) -> list[str]:
    """As few payloads as there can be, each with who says it. What is too long for one is not told."""
    payloads: list[str] = []
    lines: list[str] = []
    length = 0
    for each in dict.fromkeys(news):
        line = f"{each.kind} {each.about} {each.more}"
        size = len(line.encode()) + 1
        if size > LONGEST:
            continue
        if lines and length + size > LONGEST:
            payloads.append("\n".join([origin, *lines]))
            lines, length = [], 0
        lines.append(line)
        length += size
    if lines:
        payloads.append("\n".join([origin, *lines]))
    return payloads


def unpacked(payload: str) -> tuple[str, list[News]]:
    """Who says it, and what. What cannot be understood, of another version, is left out."""
    origin, *lines = payload.split("\n")
    news = []
    for line in lines:
        kind, _, rest = line.partition(" ")
        about, _, more = rest.partition(" ")
        with suppress(ValueError):
            news.append(News(kind, int(about), more))
    return origin, news


class Line:
    """One process's. Any thread may call it."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        heard: Callable[[Sequence[News]], None],
        *,
        began: Callable[[], None] = lambda: None,
        lost: Callable[[int], None] = lambda _account_id: None,
        report: Callable[[str], None] = lambda _why: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`connect` is `own_connection`'s. `report` is told of each loss."""
        self._connect = connect
        self._heard, self._began, self._lost, self._report = heard, began, lost, report
        self._clock = clock
        self.origin = secrets.token_hex(6)
        self._ahead = time.time() - clock()  # the time of day, of the clock; the server's as soon as that is known
        self._maildrops: set[int] = set()  # locked by this process
        self._news: deque[News] = deque(maxlen=_MOST)
        self._jobs: deque[tuple[Job, Done]] = deque()
        self._lock = threading.Lock()
        self._ending = False
        self._gathering = False  # is the thread going to look for news by itself?
        self._awake, self._wake = os.pipe()
        os.set_blocking(self._awake, False)
        os.set_blocking(self._wake, False)
        self._thread = threading.Thread(target=self._live, name="telling", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Say what is to be said, and end. Whatever it held is free then."""
        self._ending = True
        self._rouse()
        self._thread.join()
        os.close(self._awake)
        os.close(self._wake)

    def time(self) -> float:
        """The time of day as the server has it, nearly; nobody who sets this machine's clock changes it."""
        return self._clock() + self._ahead

    def set(self, now: float) -> None:
        """It is so late there."""
        self._ahead = now - self._clock()

    def tell(self, *news: News) -> None:
        """Tell all other processes, soon."""
        self._news.extend(news)
        if not self._gathering:
            self._rouse()

    def run(self, job: Job, done: Done) -> None:
        """Have something done over the connection, after what was asked for before. `done` is given a StorageFailed
        where there is none, or it breaks."""
        with self._lock:
            if not self._ending:
                self._jobs.append((job, done))
                self._rouse()
                return
        done(NotConnected())

    def lock_maildrop(self, account_id: int, done: Done) -> None:
        """`done` is given whether it is this process's now. Asking twice does not make it two."""

        def job(connection: Connection) -> bool:
            if account_id not in self._maildrops and _locked(driver_of(connection), account_id):
                self._maildrops.add(account_id)
            return account_id in self._maildrops

        self.run(job, done)

    def unlock_maildrop(self, account_id: int) -> None:
        """Harmless where it is not held."""

        def job(connection: Connection) -> None:
            if account_id in self._maildrops:
                self._maildrops.discard(account_id)
                driver_of(connection).execute(_UNLOCK, (MAILDROPS, _second(account_id)))

        def done(result: Any) -> None:
            """With a connection that is gone, so is the lock."""
            if isinstance(result, MailstoreError):
                self._maildrops.discard(account_id)

        self.run(job, done)

    # In its thread

    def _rouse(self) -> None:
        with suppress(BlockingIOError, OSError):  # it has been roused already; or closed
            os.write(self._wake, b"\0")

    def _live(self) -> None:
        pause = FIRST_PAUSE
        while not self._ending:
            try:
                connection = self._connect()
            except Exception as error:  # noqa: BLE001 - the driver's own, which is not imported
                self._report(_words(error))
                self._fail_jobs()
                self._sleep(pause)
                pause = min(LONGEST_PAUSE, 2 * pause)
                continue
            try:
                self._begin(connection)
                pause = FIRST_PAUSE
                self._go_on(connection)
            except Exception as error:  # noqa: BLE001 - as above
                self._report(_words(error))
            finally:
                self._gathering = False
                with suppress(Exception):
                    connection.invalidate()  # nobody else is to have it, with what it listens to and holds
                    connection.close()
            self._fail_jobs()
        self._fail_jobs()

    def _sleep(self, seconds: float) -> None:
        """Until somebody wants something that cannot be had now, or the end."""
        end = time.monotonic() + seconds
        while not self._ending and (left := end - time.monotonic()) > 0:
            poll = select.poll()
            poll.register(self._awake, select.POLLIN)
            poll.poll(left * 1000)
            self._drain()
            self._fail_jobs()

    def _drain(self) -> None:
        with suppress(BlockingIOError):
            while os.read(self._awake, 4096):
                pass

    def _fail_jobs(self) -> None:
        while self._jobs:
            _, done = self._jobs.popleft()
            done(NotConnected())

    def _begin(self, connection: Connection) -> None:
        driver = driver_of(connection)
        driver.add_notify_handler(lambda notify: self._take(notify.payload))
        for setting in _SETTINGS:
            driver.execute(setting)
        driver.execute(f"LISTEN {CHANNEL}")
        self._measure(driver)
        for account_id in sorted(self._maildrops):
            if not _locked(driver, account_id):
                self._maildrops.discard(account_id)
                self._lost(account_id)
        self._began()

    def _measure(self, driver: Any) -> None:
        """How late is it there?"""
        before = self._clock()
        (server,) = driver.execute(_NOW).fetchone()
        self._ahead = server - (before + self._clock()) / 2

    def _go_on(self, connection: Connection) -> None:
        """Until the end; raises what the driver does when the connection is lost."""
        driver = driver_of(connection)
        measured, said = time.monotonic(), -math.inf
        while True:
            while self._jobs:
                self._do(connection, *self._jobs.popleft())
            wait = LOOK
            if self._news:
                wait = said + TOGETHER - time.monotonic()
                if wait <= 0 or self._ending:
                    self._say(driver)
                    said, wait = time.monotonic(), LOOK
            if self._ending and not self._jobs:
                return
            self._gathering = wait < LOOK
            if _ready(driver.fileno(), self._awake, wait):
                self._drain()
            self._gathering = False
            self._listen(driver)
            if time.monotonic() - measured >= LOOK:
                self._measure(driver)
                measured = time.monotonic()

    def _do(self, connection: Connection, job: Job, done: Done) -> None:
        try:
            result = job(connection)
        except MailstoreError as error:
            done(error)
        except Exception as error:
            done(translated(error) or StorageFailed("the database refused"))
            if driver_of(connection).closed:
                raise
            connection.rollback()
        else:
            done(result)

    def _say(self, driver: Any) -> None:
        news = []
        while self._news:
            news.append(self._news.popleft())
        if news:
            payloads = packed(self.origin, news)
            driver.execute("SELECT pg_notify(%s, said) FROM unnest(%s::text[]) AS said", (CHANNEL, payloads))

    def _listen(self, driver: Any) -> None:
        driver.pgconn.consume_input()
        while (notify := driver.pgconn.notifies()) is not None:
            self._take(notify.extra.decode())

    def _take(self, payload: str) -> None:
        origin, news = unpacked(payload)
        if origin != self.origin and news:
            self._heard(news)


def _locked(driver: Any, account_id: int) -> bool:
    return bool(driver.execute(_LOCK, (MAILDROPS, _second(account_id))).fetchone()[0])


def _ready(socket: int, awake: int, seconds: float) -> bool:
    """Wait until there is something to be heard, or somebody has something to be done; is it that?"""
    poll = select.poll()  # which takes descriptors of any number
    poll.register(socket, select.POLLIN)
    poll.register(awake, select.POLLIN)
    return any(descriptor == awake for descriptor, _ in poll.poll(seconds * 1000))


def _words(error: Exception) -> str:
    """Without what the driver says of addresses and names."""
    return str(translated(error) or "the connection to the database was lost")
