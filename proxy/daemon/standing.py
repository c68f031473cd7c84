"""How things stand at this moment, for whoever watches: what the database adds up to, the certificate, the processes.

Read in a thread, and not more often than once in `FRESH` seconds. Whoever is due is counted one by one: where hundreds
of thousands are, that is done more seldom, so that it costs no more than a hundredth of the time.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from mailstore.accounts import State
from mailstore.database import AccountsDatabase
from mailstore.errors import MailstoreError
from mailstore.overview import Overview
from mailstore.queue import Backlog, Queue
from proxy.config import Config

FRESH: Final = 15.0
SHARE: Final = 0.01  # of the time, that counting who is due may take
OLDEST: Final = 300.0  # seconds after which it is counted again, however long it took
DAY: Final = 86_400
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")

Row = tuple[tuple[str, ...], float]  # the values of the labels, and what is so


@dataclass(frozen=True, slots=True)
class Gauge:
    """Something that goes up and down. `name` without "mailferry_"; `counter`: it only goes up."""

    name: str
    text: str
    labels: Sequence[str] = ()
    rows: Sequence[Row] = field(default=())
    counter: bool = False


class Standing:
    """What the store and the certificate say; the last that was readable where they say nothing."""

    def __init__(
        self,
        config: Config,
        database: AccountsDatabase,
        seconds: Callable[[], float],
        shown_until: Callable[[], datetime | None],
        now: Callable[[], float] = time.time,
    ) -> None:
        """`seconds` is a clock, `now` the time of day; `shown_until` tells when the certificate ends that clients are
        shown, None where there is none."""
        self._domains = sorted(config.domains)
        self._shown_until = shown_until
        self._overview = Overview(database)
        self._queue = Queue(database)
        self._seconds = seconds
        self._now = now
        self._read = float("-inf")
        self._backlog: Mapping[str, Backlog] = {}
        self._counted = float("-inf")  # when that was
        self._good_for = 0.0  # seconds
        self._store: Sequence[Gauge] = ()
        self._readable = True

    def gauges(self) -> list[Gauge]:
        """In a thread, one at a time."""
        if not 0 <= self._seconds() - self._read < FRESH:
            try:
                self._store, self._readable = self._from_store(), True
            except MailstoreError:
                self._readable = False
            self._read = self._seconds()
        readable = Gauge("store_readable", "Can the database be read?", (), [((), float(self._readable))])
        return [readable, *self._store, *self._certificate_left()]

    def _from_store(self) -> list[Gauge]:
        domains, backlog = self._overview.domains(), self._due()
        states: list[Row] = []
        for name in self._domains:
            for state in State:
                count = getattr(domains[name], state.value) if name in domains else 0
                states.append(((name, state.value), count))
        return [
            Gauge("accounts", "Accounts by the state of their move.", ("domain", "state"), states),
            Gauge("queue_due", "Accounts whose turn has come.", ("domain",), _each(backlog, "due")),
            Gauge("queue_asked", "Those due that were asked for.", ("domain",), _each(backlog, "asked")),
            Gauge("queue_oldest_seconds", "Since when the first is due.", ("domain",), _each(backlog, "seconds")),
        ]

    def _due(self) -> Mapping[str, Backlog]:
        began = self._seconds()
        if not 0 <= began - self._counted < self._good_for:
            self._backlog = self._queue.backlog(self._domains)
            self._counted = began
            self._good_for = min((self._seconds() - began) / SHARE, OLDEST)
        return self._backlog

    def _certificate_left(self) -> list[Gauge]:
        until = self._shown_until()
        if until is None:
            return []
        left = (until.timestamp() - self._now()) / DAY
        return [Gauge("certificate_days_left", "Until the certificate that clients are shown ends.", (), [((), left)])]


def _each(found: Mapping[str, object], name: str) -> list[Row]:
    return [((domain,), getattr(one, name)) for domain, one in found.items()]


Figures = Sequence[float]  # of a process: processor seconds, octets of memory, open descriptors, and the most of them


def figures(pid: int) -> Figures | None:
    """What the kernel says of a process: this one, or one that does not hide itself (`proxy.daemon.process`)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()  # proc(5), from its third on
        descriptors = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
        limit = resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]
    except (OSError, ValueError):
        return None
    return (int(stat[11]) + int(stat[12])) / _TICKS, int(stat[21]) * _PAGE, descriptors, limit


def of_processes(processes: Iterable[tuple[str, Figures | None]]) -> list[Gauge]:
    """Of each, by name. One that has just ended, or has said nothing yet, is left out."""
    known = [(name, found) for name, found in processes if found is not None]
    cpu, memory, open_, most = ([((name,), found[at]) for name, found in known] for at in range(4))
    label = ("process",)
    return [
        Gauge("process_cpu_seconds", "Processor time.", label, cpu, counter=True),
        Gauge("process_resident_memory_bytes", "Memory that is not swapped out.", label, memory),
        Gauge("process_open_fds", "Open descriptors.", label, open_),
        Gauge("process_max_fds", "Descriptors that may be open.", label, most),
    ]
