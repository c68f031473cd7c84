"""The pull: from what arrives to what is durable and visible, everything overlapping.

The reactor's thread takes messages off the connection; one thread writes them to files, another takes the
barrier for what is written, and the ledger's transaction makes it visible. Each works on what the one before
has ready, so batches are small while the disk keeps up and large when it does not, and nothing waits for a disk
for a single message. When too much is waiting to be written the source is paused: memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from mailstore.entries import Entry, Sums
from mailstore.landing import Arriving, Landing, Whole, Written
from proxy.migration.source import Source
from proxy.migration.weighing import Exactness, Scales
from proxy.wire import tally
from proxy.wire.door import Home
from proxy.wire.in_thread import InThread

__all__ = ["InThread", "Pull"]

HIGH_WATER: Final = 3 * 1024 * 1024  # octets waiting to be written at which the source is paused
LOW_WATER: Final = 1024 * 1024  # and at which it goes on
WRITE_OCTETS: Final = 1024 * 1024  # that are handed to the writer at once, about
BATCH_MESSAGES: Final = 1024
BATCH_OCTETS: Final = 64 * 1024 * 1024
BATCH_SECONDS: Final = 2.0  # a slow server's messages do not wait longer than this for their barrier


class Pull:
    """A `Receiver`. One move's stream of messages into one account; `finish` when the last has been handed in."""

    def __init__(
        self,
        home: Home,
        landing: Landing,
        source: Source,
        *,
        in_thread: InThread,
        clock: IReactorTime,
        entered: Callable[[Sums], None],
        scales: Scales | None = None,
        measured: tally.Tally | None = None,
    ) -> None:
        """`entered` is told what the ledger adds up to after each batch. What the scales do not believe is not
        stored; without any, everything is. What its barriers take is `measured`."""
        self._home = home
        self._landing = landing
        self._source = source
        self._scales = scales or Scales(Exactness(approximate=True))
        self._in_thread = in_thread
        self._clock = clock
        self._entered = entered
        self._tally = measured or tally.Tally()
        self._arrived: list[Whole | Arriving] = []
        self._arrived_octets = 0
        self._large: Arriving | None = None
        self._written: list[Written] = []
        self._written_octets = 0
        self._last_barrier = clock.seconds()
        self._writing = self._settling = self._paused = self._finishing = False
        self._unsettled = False  # did the barrier or the ledger fail?
        self._failure: Failure | None = None
        self._idle: Deferred[None] | None = None
        self._dry: Deferred[None] | None = None
        self._quiet: Deferred[None] | None = None
        self._hastened: set[int] = set()  # ledger rows that somebody waits for
        self._waited_for = False  # is one of them written?
        self.refusals: list[tuple[Entry, str]] = []  # by the server
        self.spoilt: list[tuple[Entry, str]] = []  # refused by the disk, one by one
        self.stored = 0

    # What the source calls

    def message(self, entry: Entry, data: bytes) -> None:
        self._arrived.append((entry, data))
        self._took(len(data))

    def begin(self, entry: Entry) -> None:
        self._large = Arriving(entry)
        self._arrived.append(self._large)

    def piece(self, data: bytes) -> None:
        self._part().pieces.append(data)
        self._took(len(data))

    def end(self) -> None:
        self._part().ended = True  # before the writer gets to see it
        self._large = None
        self._took(0)

    def _part(self) -> Arriving:
        """Where the large message goes on: what came of it so far may be with the writer already."""
        large = self._large
        assert large is not None
        if not self._arrived or self._arrived[-1] is not large:
            large = self._large = Arriving(large.entry)
            self._arrived.append(large)
        return large

    def refused(self, entry: Entry, text: str) -> None:
        self._scales.leave_out(entry)
        self.refusals.append((entry, text))

    def hasten(self, ledger_ids: Iterable[int]) -> None:
        """Somebody waits for these: their barrier comes as soon as they are written."""
        self._hastened.update(ledger_ids)
        self._look_for_hastened(self._written)
        self._maybe_settle()

    def _look_for_hastened(self, written: Iterable[Written]) -> None:
        if self._hastened and any(message.landed.entry.id in self._hastened for message in written):
            self._waited_for = True

    # The three steps

    def _took(self, octets: int) -> None:
        self._arrived_octets += octets
        if not self._writing:
            self._write()
        if self._arrived_octets > HIGH_WATER and not self._paused:
            self._paused = True
            self._source.pause()

    def _write(self) -> None:
        if self._failure is not None or self._quiet is not None:
            return
        batch, octets = self._some_that_arrived()
        self._arrived_octets -= octets
        self._writing = True
        self._written_octets += octets
        self._hear(self._in_thread(self._landing.hand_over, batch))

    def _hear(self, done: Deferred[list[Written]]) -> None:
        done.addCallback(self._wrote)
        done.addErrback(self._write_failed)

    def _some_that_arrived(self) -> tuple[list[Whole | Arriving], int]:
        """What is written next, and its octets."""
        arrived = self._arrived
        if self._arrived_octets <= WRITE_OCTETS:
            self._arrived = []
            return arrived, self._arrived_octets
        octets = count = 0
        rest: list[Whole | Arriving] = []
        while count < len(arrived) and octets < WRITE_OCTETS:
            item = arrived[count]
            if isinstance(item, Arriving):
                rest = self._cut(item, WRITE_OCTETS - octets)
            octets += _octets(item)
            count += 1
        self._arrived = rest + arrived[count:]
        return arrived[:count], octets

    def _cut(self, large: Arriving, octets: int) -> list[Whole | Arriving]:
        """Leave so much of a large message, about, and give back what was behind that."""
        count = 0
        while count < len(large.pieces) and octets > 0:
            octets -= len(large.pieces[count])
            count += 1
        if count == len(large.pieces):
            return []
        behind = Arriving(large.entry, large.pieces[count:], large.ended)
        large.pieces, large.ended = large.pieces[:count], False
        if self._large is large:
            self._large = behind
        return [behind]

    def _drop_arrived(self) -> None:
        self._arrived, self._arrived_octets = [], 0

    def _wrote(self, written: list[Written]) -> None:
        self._writing = False
        spoilt = self._landing.take_spoilt()
        self.spoilt += spoilt
        for entry, _ in spoilt:
            self._scales.leave_out(entry)
        self._written += self._scales.weigh(written)
        if self._scales.out_of_step:
            self._drop_arrived()
        self._look_for_hastened(self._written)
        self._go_on_writing()
        if self._scales.out_of_step:
            self._source.abort()  # whoever is told by it of the end finds this pull at work, if it is
        if self._paused and self._arrived_octets <= LOW_WATER:
            self._paused = False
            self._source.resume()
        self._maybe_settle()
        self._maybe_idle()

    def _go_on_writing(self) -> None:
        """Write what has arrived meanwhile, or hear of what is under way: that is weighed even where nothing more is to
        be begun."""
        if self._arrived:
            self._write()
        elif self._landing.under_way and self._failure is None:
            self._writing = True
            self._hear(self._in_thread(self._landing.handed_over))

    def _maybe_settle(self) -> None:
        if self._settling or not self._written or self._unsettled:
            return
        due = (
            self._waited_for
            or self._failure is not None  # of the writer: what it wrote before is here
            or len(self._written) >= BATCH_MESSAGES
            or self._written_octets >= BATCH_OCTETS
            or self._clock.seconds() - self._last_barrier >= BATCH_SECONDS
            or (self._finishing and not self._writing and not self._arrived)
        )
        if due:
            batch, self._written, self._written_octets = self._written, [], 0
            self._waited_for = False
            self._settling = True
            done = Deferred.fromCoroutine(self._settle(batch))
            done.addErrback(self._settle_failed)

    async def _settle(self, batch: list[Written]) -> None:
        began = tally.now()
        await self._in_thread(self._landing.settle, batch)
        self._tally.since(began, tally.BARRIER)
        landed = [message.landed for message in batch]
        sums = await self._home.run(lambda home: home.enter(landed))
        self._settling = False
        self._last_barrier = self._clock.seconds()
        self.stored += len(landed)
        self._entered(sums)
        self._maybe_settle()
        self._maybe_idle()

    def _write_failed(self, failure: Failure) -> None:
        self._writing = False
        self._failed(failure)

    def _settle_failed(self, failure: Failure) -> None:
        self._settling = False
        self._unsettled = True
        self._failed(failure)

    def _failed(self, failure: Failure) -> None:
        """The disk or the database refused: nothing more is taken, and `finish` says so."""
        if self._failure is None:
            self._failure = failure
            self._drop_arrived()
            self._source.abort()
        self._maybe_settle()
        self._maybe_idle()

    # The end

    def finish(self) -> Deferred[None]:
        """Write and settle all that has arrived whole. Fails with what the disk or the database refused."""
        self._finishing = True
        self._idle = Deferred()
        idle = self._idle
        if self._arrived and not self._writing:
            self._write()
        self._maybe_settle()
        self._maybe_idle()
        return idle

    def answered(self) -> Deferred[None]:
        """All that was asked for has been answered, in step: fires when it is written and weighed."""
        self._dry = Deferred()
        dry = self._dry
        self._maybe_idle()
        return dry

    def rest(self) -> Deferred[None]:
        """Begin nothing more, and wait until no thread is at work for this pull. Never fails."""
        self._quiet = Deferred()
        quiet = self._quiet
        self._drop_arrived()
        self._written.clear()
        self._maybe_idle()
        return quiet

    def _maybe_idle(self) -> None:
        if self._dry is not None and not self._writing and (not self._arrived or self._failure is not None):
            dry, self._dry = self._dry, None
            self._written += self._scales.in_step()
            self._maybe_settle()
            dry.callback(None)
        if self._writing or self._settling:
            return
        if self._quiet is not None and not self._quiet.called:
            self._quiet.callback(None)
        if self._idle is None:
            return
        if ((self._arrived and self._failure is None) or self._written) and not self._unsettled:
            return
        idle, self._idle = self._idle, None
        if self._failure is not None:
            idle.errback(self._failure)
        else:
            idle.callback(None)


def _octets(item: Whole | Arriving) -> int:
    return len(item[1]) if isinstance(item, tuple) else sum(map(len, item.pieces))
