"""One move: carry an account's old mailbox, or what is new in it, over.

    OPENING ──→ LISTING ──→ PLANNING ──→ PULLING ──→ CLOSING ──→ DONE
       ↑           │            │            │
       └─ PAUSING ←┴────────────┴────────────┘  the connection was lost: wait, and ask for a new one
    any stage ──→ FAILED

A move starts at LISTING with the connection that checked the password, since many legacy servers lock a mailbox
to one session. A lost connection is replaced, with growing pauses, as long as something was stored since the last
one, or given up for good; what the barrier reached is not fetched again. A message that was under way when a
connection broke, or that the server refuses, is a suspect: it is fetched by itself when all others are here, and
quarantined in the end, so that one bad message never stops a mailbox (invariant 6). Where some are refused, the
server is asked for one that it gave before: if it refuses that too, not the messages are bad, and nothing is
quarantined, or a part would be taken for the whole (invariant 3). Servers that hand out so many messages or octets a
session are worked off like this, session by session.

A server that is busy, or for which the mailbox is still in use by the connection that was lost, is waited for longer:
it may take its autologout time until it notices. One that suddenly lists nothing is asked a second time.

The clock is handed in. Nothing here knows POP3, files or tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from mailstore.landing import Landing
from mailstore.ledger import Entry, Listed, Outcome, Sums
from mailstore.mailhome import MailHome
from mailstore.writing import OpenWriter, Writer, flags_by
from proxy.migration import plan
from proxy.migration.comparing import Comparing
from proxy.migration.early import Early, Hurries
from proxy.migration.pauses import Pauses
from proxy.migration.pull import InThread, Pull
from proxy.migration.source import ErrandSource, Reopen, Source, SourceError, SourceLost, Stopped
from proxy.migration.stages import NEXT, Stage
from proxy.migration.weighing import Scales
from proxy.wire.door import Home

T = TypeVar("T")

FEW: Final = 3  # messages that may be refused without doubts about the server, before they are put into quarantine
_LOOK: Final = "if this goes on, look for a proxy or a virus scanner between here and the legacy server"
_OUT_OF_STEP: Final = f"messages do not come as long as the legacy server announced them; {_LOOK}"
_DAMAGED: Final = f"a message came damaged, of another length than announced, and was fetched again; {_LOOK}"
_REFUSED_FIRST: Final = (
    "the legacy server refused a message and gave it when it was asked again; if this goes on, look at its own log"
)


@dataclass(frozen=True, slots=True)
class Terms:
    """How a move is to be done. `first`: the mailbox has never been whole here, so nobody is looking at it and
    UIDs are held for all that is listed. `seen` as in the configuration. `serve`: the user is let in as soon as the
    whole mailbox is listed (`proxy.migration.early`)."""

    first: bool
    seen: str = "headers"
    serve: bool = False


def _unnoticed(_why_not: str) -> None:
    """Nobody waits for it."""


class Again:
    """A `Receiver` for a message that is here already: did it come?"""

    def __init__(self) -> None:
        self.given = False

    def message(self, entry: Entry, data: bytes) -> None:
        self.given = True

    def begin(self, entry: Entry) -> None: ...

    def piece(self, data: bytes) -> None: ...

    def end(self) -> None:
        self.given = True

    def refused(self, entry: Entry, text: str) -> None: ...


class Move:
    """One run. `run` once; `sums` tells at any time how far it is."""

    def __init__(
        self,
        home: Home,
        source: Source,
        reopen: Reopen,
        terms: Terms,
        *,
        in_thread: InThread,
        clock: IReactorTime,
        told: Callable[[Sums], None] = lambda _sums: None,
        open_writer: OpenWriter = Writer,
    ) -> None:
        """`source` is logged in already; `reopen` makes another. `told` hears of each step forward."""
        self.stage = Stage.LISTING
        self.troubles: list[str] = []  # what went wrong and was got over, in words for the administrator
        self._scales = Scales()
        self.listed = False  # may the user be let in, before all is here?
        self.when_listed: Callable[[str], None] = _unnoticed  # called when that is so, or with why it cannot be
        self._hurries = Hurries()
        self._early: Early | None = None
        self.sums: Sums | None = None
        self._of_listing: Sequence[str] = ()  # what the administrator should know of the mailbox as it is listed
        self._home = home
        self._source: Source | None = source
        self._reopen = reopen
        self._terms = terms
        self._in_thread = in_thread
        self._clock = clock
        self._told = told
        self._open_writer = open_writer
        self._comparing = Comparing(home)
        self._done_before: int | None = None  # what was here when this run began
        self._given_up = 0  # quarantined in this run, by a server that does give messages
        self._doubted = False  # was an empty listing asked for again?
        self._stopped: Stopped | None = None  # why, once it is to end
        self._waiting: Deferred[Any] | None = None  # for a pause to end, or for a new connection

    def _enter(self, stage: Stage) -> None:
        assert stage in NEXT[self.stage], f"no way from {self.stage} to {stage}"
        self.stage = stage

    def _step_forward(self, sums: Sums) -> None:
        self.sums = sums
        if self._done_before is None:
            self._done_before = sums.messages_done
        self._told(sums)

    def _entered(self, sums: Sums) -> None:
        self._step_forward(sums)
        if self._early is not None:
            self._early.batch_entered()

    def hurry(self, uids: Collection[int], *, whole: bool) -> None:
        """Somebody waits for these messages, or their headers, which are listed and not here: they come next."""
        self._hurries.hurry(uids, whole=whole)

    def _is_listed(self, why_not: str) -> None:
        if not self.listed:
            self.listed = not why_not
            self.when_listed(why_not)

    @property
    def remarks(self) -> Sequence[str]:
        """What the administrator should know of the server or the mailbox although the move went well."""
        return [*self._of_listing, *filter(None, [self._comparing.remark])]

    @property
    def _stored(self) -> int:
        """In this run. What came and turned out to be here already is none: a server whose names change whenever
        it is asked would be asked for ever."""
        return 0 if self.sums is None or self._done_before is None else self.sums.messages_done - self._done_before

    def stop(self, why: Stopped | None = None) -> None:
        """End the run at the last barrier: the daemon stops, or what else `why` says. `run` fails with it."""
        if self._stopped is not None:
            return
        self._stopped = why or Stopped("the daemon is stopping")
        if self._source is not None:
            self._source.abort()
        if self._waiting is not None:
            self._waiting.cancel()

    async def run(self) -> Sums:
        """Carry the mailbox over. Raises SourceError when the legacy server does not allow it now, StorageFailed
        when the disk or the database does not; both leave everything as the last barrier has it."""
        pauses = Pauses()
        try:
            while True:
                try:
                    return await self._attempt()
                except SourceLost as error:
                    self._drop_source()
                    if self._stopped is not None:
                        raise self._stopped from None
                    self.troubles.append(str(error))
                    seconds = pauses.after(error, self._stored + self._given_up)
                    if seconds is None:
                        raise
                    await self._pause(seconds)
        except BaseException:
            self._drop_source()
            self._enter(Stage.FAILED)
            raise

    def _drop_source(self) -> None:
        if self._source is not None:
            self._source.abort()
            self._source = None

    async def _pause(self, seconds: float) -> None:
        self._enter(Stage.PAUSING)
        await self._until_stopped(deferLater(self._clock, seconds))
        self._enter(Stage.OPENING)

    async def _open(self) -> Source:
        return await self._reopen()

    async def _until_stopped(self, waiting: Deferred[T]) -> T:
        """Wait for what `stop` is to cut short."""
        self._waiting = waiting
        try:
            return await waiting
        except (CancelledError, ConnectingCancelledError) as error:
            raise self._stopped or SourceLost("the daemon is stopping") from error
        finally:
            self._waiting = None

    async def _attempt(self) -> Sums:
        """From a connection to the end, or to its loss."""
        source = self._source
        if source is None:
            source = self._source = await self._until_stopped(Deferred.fromCoroutine(self._open()))
            self._enter(Stage.LISTING)
        if self._stopped is not None:
            raise self._stopped
        listing = await source.list()
        self._enter(Stage.PLANNING)
        planned = await self._comparing.plan(source, listing)
        self._of_listing = [*source.remarks, *await self._of_an_empty(listing, planned)]
        if source.folders:
            needed = {listed.folder for listed in planned.new}
            await self._home.run(lambda home: home.receive_folders(source.folders, needed))
        made = await self._home.run(lambda home: self._record(home, planned))
        new = zip((listed.position for listed in planned.new), made, strict=True)
        wanted, suspects = plan.in_order(self._as_owed(planned.owed), new)
        self._step_forward(await self._home.run(lambda home: home.ledger.sums()))
        self._enter(Stage.PULLING)
        if wanted or suspects:
            await self._fetch(source, wanted, suspects, planned.given)
        self._enter(Stage.CLOSING)
        await source.close()
        self._source = None
        sums = await self._home.run(lambda home: home.carried_over())
        self._step_forward(sums)
        self._enter(Stage.DONE)
        return sums

    async def _of_an_empty(self, listing: Sequence[Listed], planned: plan.Plan) -> Sequence[str]:
        """What is to be said of a listing with nothing in it, though there was something. Raises SourceLost, once, when
        messages would be gone that were to be fetched."""
        if listing:
            return ()
        known: Sums = await self._home.run(lambda home: home.ledger.sums())
        if not known.messages_total:
            return ()
        lost = len(planned.gone)
        text = f"the legacy server lists no messages any more, of {known.messages_total} that it listed before"
        if lost and not self._doubted:
            self._doubted = True
            raise SourceLost(f"{text}, {lost} of which are still to come over")
        return (f"{text}; {known.messages_total - lost} came over and are kept",)

    def _record(self, home: MailHome, planned: plan.Plan) -> Sequence[Entry]:
        """Enter a listing. Where the mailbox is listed to the user already, what is new is as well."""
        first = self._terms.first
        shown = first and home.oncoming.complete()
        return home.ledger.record_listing(
            planned.new,
            planned.gone,
            hold_uids=first,
            relisted=planned.relisted,
            unlisted=planned.unlisted,
            shown=flags_by(self._terms.seen) if shown else None,
            again=[entry.id for _, entry in planned.owed if entry.outcome is Outcome.GONE],
        )

    def _as_owed(self, owed: Sequence[tuple[int, Entry]]) -> Sequence[tuple[int, Entry]]:
        """UIDs are held while nobody looks. Afterwards a message that comes late gets a new one: it must not appear
        below one that a session has seen (RFC 3501 2.3.1.1)."""
        if self._terms.first:
            return owed
        return [(position, replace(entry, uid=None)) for position, entry in owed]

    async def _fetch(
        self,
        source: Source,
        wanted: Sequence[tuple[int, Entry]],
        suspects: Sequence[tuple[int, Entry]],
        given: Sequence[tuple[int, Entry]],
    ) -> None:
        clock, seen = self._clock, self._terms.seen
        landing, unwanted = await self._home.run(
            lambda home: (
                Landing(
                    home.maildir,
                    home.token,
                    seen=seen,
                    clock=home.clock,
                    directories=home.directories_of_folders(),
                    open_writer=self._open_writer,
                ),
                home.oncoming.unwanted(),
            )
        )
        self._scales.begin(source.exactness)

        def make() -> Pull:
            return Pull(
                self._home,
                landing,
                source,
                in_thread=self._in_thread,
                clock=clock,
                entered=self._entered,
                scales=self._scales,
            )

        pull, self._early = make(), None
        if self._terms.first and self._terms.serve and isinstance(source, ErrandSource):
            self._early = Early(
                self._home,
                source,
                pull,
                self._hurries,
                seen=seen,
                clock=clock,
                listed=self._is_listed,
                another=make,
            )
        entries = [entry for _, entry in (*wanted, *suspects)]
        try:
            await self._in_thread(landing.clear_leftovers, entries, unwanted)
            await self._stream(source, pull, wanted, suspects, given)
        finally:
            await pull.rest()  # a thread that still wrote would write to whatever has the descriptors next
            await self._in_thread(landing.close)

    async def _stream(
        self,
        source: Source,
        pull: Pull,
        wanted: Sequence[tuple[int, Entry]],
        suspects: Sequence[tuple[int, Entry]],
        given: Sequence[tuple[int, Entry]],
    ) -> None:
        positions = {entry.id: position for position, entry in (*wanted, *suspects)}
        try:
            await self._fetch_wanted(source, pull, wanted)
            left_out = await self._weigh_again(source, pull, positions)
            refusing = {entry.id for entry, _ in pull.refusals}
            given = [*given, *(item for item in wanted if item[1].id not in refusing)]
            await self._doubt(source, pull, given)
            again = [(positions[entry.id], entry) for entry, _ in pull.refusals]
            await self._note_refusals(pull)
            for suspect in (*again, *suspects):
                await source.fetch([suspect], pull, one_by_one=True)
            left_out += await self._weigh_again(source, pull, positions)
            await self._doubt(source, pull, given, few=0 if given else FEW)
            if len(again) > len(pull.refusals):
                self.troubles.append(_REFUSED_FIRST)
            refused = left_out + await self._note_refusals(pull, last=True)
        except SourceError as error:
            await self._finish(pull)
            await self._note_refusals(pull)
            await self._note_spoilt(pull)
            if self._scales.out_of_step:  # whatever was under way is not to blame
                raise SourceLost(_OUT_OF_STEP) from error
            if isinstance(error, SourceLost) and error.entry is not None and self._stopped is None:
                await self._note_suspect(error.entry, str(error))
            raise
        await self._finish(pull)
        refused += await self._note_spoilt(pull)
        dropped = len(self._early.dropped) if self._early is not None else 0
        if pull.stored + refused + dropped < len(positions):  # or a part would be taken for the whole (invariant 3)
            raise SourceLost("fewer messages came than were asked for")

    async def _fetch_wanted(self, source: Source, pull: Pull, wanted: Sequence[tuple[int, Entry]]) -> None:
        """Over a new connection, what did not come as long as announced over the one before comes first, each by
        itself."""
        alone = [item for item in wanted if self._scales.did_not_fit(item[1])]
        for item in alone:
            await source.fetch([item], pull, one_by_one=True)
        await pull.answered()
        rest = [item for item in wanted if item not in alone] if alone else wanted
        if self._early is None:
            await source.fetch(rest, pull)
        else:
            await self._early.fetch(rest)

    async def _weigh_again(self, source: Source, pull: Pull, positions: Mapping[int, int]) -> int:
        """Fetch once more what did not come as long as it was announced: the same twice is believed. What comes with
        other bytes each time is left out and counted; gives back how many were."""
        mended, left_out = len(self._scales.mended), 0
        tried: Counter[int] = Counter()
        while True:
            await pull.answered()
            if self._scales.out_of_step:
                raise SourceLost(_OUT_OF_STEP)
            again = self._scales.doubtful()
            if not again:
                break
            if not tried:  # all answers came, so that none can have been taken for another's
                await source.fetch([(positions[entry.id], entry) for entry in again], pull)
            for entry in again if tried else ():
                if tried[entry.id] >= plan.ATTEMPTS:
                    self._scales.leave_out(entry)
                    await self._count(entry, "it comes with other bytes each time it is fetched", last=True)
                    left_out += 1
                else:
                    await source.fetch([(positions[entry.id], entry)], pull, one_by_one=True)
            tried.update(entry.id for entry in again)
        if len(self._scales.mended) > mended:
            self.troubles.append(_DAMAGED)
        return left_out

    async def _doubt(self, source: Source, pull: Pull, given: Sequence[tuple[int, Entry]], *, few: int = FEW) -> None:
        """Is it the server, where it refuses more than a few? Raises SourceLost if it refuses what it gave before."""
        if len(pull.refusals) <= few:
            return
        again = Again()
        if given:
            try:
                await source.fetch([min(given, key=lambda item: item[1].octets)], again, one_by_one=True)
            except SourceLost as error:
                raise SourceLost(str(error)) from error  # that message is no suspect
        if not again.given:
            text, pull.refusals = pull.refusals[-1][1], []
            raise SourceLost(f"the legacy server gives no messages at the moment: {text}")

    async def _finish(self, pull: Pull) -> None:
        finished: Deferred[None] = pull.finish()
        await finished

    async def _note_refusals(self, pull: Pull, *, last: bool = False) -> int:
        """Count what the server refused. What it refuses twice in one run is quarantined."""
        refusals, pull.refusals = pull.refusals, []
        for entry, text in refusals:
            reason = f"the legacy server refuses this message: {text}"
            await self._count(entry, reason, last=last)
        return len(refusals)

    async def _note_spoilt(self, pull: Pull) -> int:
        """What the disk here refused, and only that: the others are stored."""
        spoilt, pull.spoilt = pull.spoilt, []
        for entry, text in spoilt:
            await self._count(entry, f"the disk here refuses this message: {text}", last=True)
        return len(spoilt)

    async def _note_suspect(self, entry: Entry, text: str) -> None:
        """The connection broke while this message was under way."""
        await self._count(entry, f"the connection broke at this message: {text}")

    async def _count(self, entry: Entry, reason: str, *, last: bool = False) -> None:
        """One more attempt failed. Whatever the plan would not ask for again is quarantined."""
        if last or entry.attempts + 1 >= plan.ATTEMPTS:
            await self._home.run(lambda home: home.ledger.quarantine(entry.id, reason))
            if self._stored:
                self._given_up += 1
        else:
            await self._home.run(lambda home: home.ledger.count_attempt(entry.id, reason))
