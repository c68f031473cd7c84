"""Notices and reminders that an administrator has sent without waiting for them: the sending, in a thread.

One order is under way at a time, of whatever kind. It is in a file until it has come to its end, so that a daemon that
was stopped or killed goes on with it when it starts; whoever has had a message since the order was given is passed over
then (`mailstore.notices`), so nobody has it twice. The message that was under way is told as unknown, and left to a
person. An order whose day is over by then is given up: what it says would be wrong.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from mailstore.accounts import Account
from mailstore.database import AccountsDatabase
from mailstore.errors import MailstoreError
from mailstore.notices import Notices
from mailstore.queue import Queue
from proxy.admin.noticing.facts import Facts, NothingToSay, when
from proxy.admin.noticing.letter import material
from proxy.admin.noticing.orders import Order, read_order, write_order
from proxy.admin.noticing.planning import is_meant
from proxy.admin.noticing.relay import Relay, RelayError
from proxy.admin.noticing.sending import Sending, check, is_wanted
from proxy.admin.noticing.texts import BadTemplate, Kind, Texts
from proxy.config import Config

TROUBLES: Final = 50  # accounts whose refusal is kept at hand
LAST_WAIT: Final = 5.0  # seconds that an end waits for the message that is under way
_EVENTS: Final[dict[Kind, str]] = {"notice": "notices", "reminder": "reminders"}  # in the log


@dataclass(slots=True)
class Progress:
    """How an order goes. `left` have not had their turn. `why` an order ended before its end, in words for the log;
    `waits`: what it waits for."""

    order: Order
    begun: float
    resumed: bool = False
    given_up: bool = False  # by an administrator
    wanted: int = 0
    sent: int = 0
    refused: int = 0
    unknown: int = 0
    ended: float | None = None
    why: str = ""
    waits: str = ""
    troubles: deque[tuple[str, str, str]] = field(
        default_factory=lambda: deque(maxlen=TROUBLES)
    )  # account, what, words

    @property
    def done(self) -> int:
        return self.sent + self.refused + self.unknown

    @property
    def left(self) -> int:
        return max(0, self.wanted - self.done)


class Busy(Exception):
    """Another order is under way."""


class Dispatch:
    """Of one daemon. `begin`, `stop` and `progress` may be called from any thread."""

    def __init__(
        self,
        config: Config,
        database: AccountsDatabase,
        report: Callable[..., None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`report` has a line for the log, from the sending's thread."""
        self._config = config
        self._database = database
        self._report = report
        self._clock = clock
        self._file: Path = config.state / "reminders.json"
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._end = threading.Event()
        self._ending = False  # is it the daemon that ends, and not the order?
        self.progress: Progress | None = None  # the last one
        self._last: dict[tuple[Kind, str], Progress] = {}

    @property
    def under_way(self) -> bool:
        return self.progress is not None and self.progress.ended is None

    def of(self, kind: Kind, domain: str = "") -> Progress | None:
        """The last one of a kind that was ordered there."""
        return self._last.get((kind, domain))

    def begin(self, order: Order) -> None:
        """Send it, in a thread. Raises Busy, and OSError where it cannot be written down."""
        with self._lock:
            if self.under_way or self._ending:
                raise Busy
            write_order(self._file, order)
            self._start(order, resumed=False)

    def resume(self) -> None:
        """At a start: go on with what an earlier daemon did not come to the end of."""
        with self._lock:
            order = read_order(self._file)
            if order is not None and not self.under_way:
                self._start(order, resumed=True)

    def _start(self, order: Order, *, resumed: bool) -> None:
        self._end.clear()
        self.progress = Progress(order, self._clock(), resumed, wanted=len(order.accounts))
        self._last[order.kind, order.domain] = self.progress
        self._thread = threading.Thread(target=self._run, args=(self.progress,), name="notices", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """The administrator does not want the rest of it to be sent."""
        if self.progress is not None:
            self.progress.given_up = True
        self._end.set()

    def end(self) -> None:
        """The daemon stops. What is left is sent when it starts again."""
        self._ending = True
        self._end.set()

    def ended(self) -> None:
        """Wait for the message that is under way, a while."""
        thread = self._thread
        if thread is not None:
            thread.join(LAST_WAIT)

    # In the thread

    def _run(self, progress: Progress) -> None:
        why = "unexpected"
        try:
            why = self._send(progress)
        except (MailstoreError, RelayError, NothingToSay, BadTemplate, OSError, ValueError) as error:
            why = str(error)
        finally:
            self._conclude(progress, why)

    def _conclude(self, progress: Progress, why: str) -> None:
        order = progress.order
        if not (why and self._ending):
            with suppress(OSError):  # then a daemon that starts sends to nobody: all have had it
                self._file.unlink(missing_ok=True)
        progress.why, progress.waits = why, ""
        progress.ended = self._clock()
        self._report(
            _EVENTS[order.kind],
            by=order.by,
            sent=progress.sent,
            refused=progress.refused,
            unknown=progress.unknown,
            left=progress.left,
            stopped=why,
        )

    def _send(self, progress: Progress) -> str:
        """Domain by domain. Gives back why it ended early; "" where it did not."""
        order, notices, queue = progress.order, Notices(self._database), Queue(self._database)
        if order.date and when(order.date).day < datetime.fromtimestamp(self._clock()).date():
            return f"{order.date} is over"
        people: dict[str, _People] = {}
        fitting = (
            one for one in queue.of(order.accounts) if is_meant(order.kind, one) and one.domain in self._config.domains
        )
        for recipient in notices.of(fitting, order.kind, order.since):
            if is_wanted(recipient, again=order.again):
                name = recipient.account.domain
                people.setdefault(name, _People(queue, progress)).numbers.append(recipient.account.id)
        progress.wanted = sum(map(len, people.values()))
        for said, texts, some in [(*self._checked(order, name, people[name]), people[name]) for name in sorted(people)]:
            relay = Relay(self._config.notices, self._config.hostname)
            told, waiting = _Told(progress), _Patience(self._end)
            run = Sending(self._config, order.kind, said, texts, notices, relay, told=told, waiting=waiting)
            known = len(some)
            counts = run.run(some, order.mark)
            progress.wanted -= known - counts.wanted  # others had them in hand
            if counts.stopped:
                return counts.stopped
        return ""

    def _checked(self, order: Order, domain: str, people: _People) -> tuple[Facts, Texts]:
        """Every text rendered once: what is wrong for one of them is sent to nobody."""
        said, texts = material(
            self._config, domain, order.kind, order.languages, order.date, same_names=order.same_names
        )
        for _ in check(said, texts, people.all()):
            if self._end.is_set():
                break
        return said, texts


class _People(Collection[Account]):
    """Accounts by number, read a batch at a time when their turn comes. Who is not meant any more by then, or has gone,
    is left out."""

    def __init__(self, queue: Queue, progress: Progress) -> None:
        self.numbers: list[int] = []
        self._queue = queue
        self._progress = progress

    def all(self) -> Iterator[Account]:
        return self._queue.of(self.numbers)

    def __iter__(self) -> Iterator[Account]:
        left = len(self.numbers)
        for account in self.all():
            left -= 1
            if is_meant(self._progress.order.kind, account):
                yield account
            else:
                self._progress.wanted -= 1
        self._progress.wanted -= left

    def __len__(self) -> int:
        return len(self.numbers)

    def __contains__(self, account: object) -> bool:
        return isinstance(account, Account) and account.id in self.numbers


class _Told:
    """A `sending.Told`."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def sent(self, account: Account) -> None:
        self._progress.waits = ""
        self._progress.sent += 1

    def refused(self, account: Account, words: str, *, later: bool) -> None:
        self._progress.waits = ""
        if not later:
            self._progress.refused += 1
            self._progress.troubles.append((account.name, "refused", words))

    def unknown(self, account: Account, words: str) -> None:
        self._progress.unknown += 1
        self._progress.troubles.append((account.name, "unknown", words))

    def waits(self, seconds: float, why: str) -> None:
        self._progress.waits = why


class _Patience:
    """A `sending.Waiting` that ends with an event."""

    def __init__(self, end: threading.Event) -> None:
        self._end = end

    def now(self) -> datetime:
        return datetime.now().astimezone()

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> bool:
        return not self._end.wait(seconds)
