"""One move: carry an account's old mailbox, or what is new in it, over.

    OPENING ──→ LISTING ──→ PLANNING ──→ PULLING ──→ CLOSING ──→ DONE
       ↑           │            │            │
       └─ PAUSING ←┴────────────┴────────────┘  the connection was lost: wait, and ask for a new one
    any stage ──→ FAILED

A move starts at LISTING with the connection that checked the password, since many legacy servers lock a mailbox
to one session. A lost connection is replaced, with growing pauses, as long as something was stored since the last
one, or given up for good; what the barrier reached is not fetched again. What a connection fetches, and what becomes of
the messages that do not come, is `proxy.migration.fetching`. Servers that hand out so many messages or octets a session
are worked off like this, session by session.

A server that is busy, or for which the mailbox is still in use by the connection that was lost, is waited for longer:
it may take its autologout time until it notices. One that suddenly lists nothing is asked a second time.

The clock is handed in. Nothing here knows POP3, files or tables.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from mailstore.entries import Entry, Listed, Outcome, Sums
from mailstore.landing import Landing
from mailstore.leases import Lease
from mailstore.mailhome import MailHome
from mailstore.writing import OpenWriter, Writer, flags_by
from proxy.migration import plan
from proxy.migration.comparing import Comparing
from proxy.migration.early import Early, Hurries
from proxy.migration.fetching import Fetching
from proxy.migration.pauses import Pauses
from proxy.migration.pull import InThread, Pull
from proxy.migration.source import ErrandSource, HandedOn, Reopen, Source, SourceLost, Stopped
from proxy.migration.stages import NEXT, Stage
from proxy.migration.weighing import Scales
from proxy.wire.door import Home
from proxy.wire.tally import Tally, now

T = TypeVar("T")


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
        measured: Tally | None = None,
        listed_in: Callable[[float], None] = lambda _seconds: None,
        lease: Lease | None = None,
        look: Callable[[Lease], None] = lambda _lease: None,
    ) -> None:
        """`source` is logged in already; `reopen` makes another. `told` hears of each step forward, `listed_in` of the
        seconds that a listing took; `measured` is told what barriers take. `lease` is the account's, where several
        nodes may move it; `look` raises LeaseLost, in a thread, where it is lost."""
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
        self._tally = measured or Tally()
        self._listed_in = listed_in
        self._lease = lease
        self._look = look
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
        self._stopped = why or HandedOn("the daemon is stopping")
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
        began = now()
        listing = await source.list()
        self._listed_in(now() - began)
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
        return [(position, entry._replace(uid=None)) for position, entry in owed]

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
                    fence=0 if self._lease is None else self._lease.fence,
                    look=self._still_ours,
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
                measured=self._tally,
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
        fetching = Fetching(
            self._home,
            source,
            pull,
            self._scales,
            self._early,
            troubles=self.troubles,
            given_up=self._gave_up,
            wanted_no_more=lambda: self._stopped is not None,
        )
        try:
            await self._in_thread(landing.clear_leftovers, entries, unwanted)
            await fetching.run(wanted, suspects, given)
        finally:
            await pull.rest()  # a thread that still wrote would write to whatever has the descriptors next
            await self._in_thread(landing.close)

    def _still_ours(self) -> None:
        """Raises LeaseLost."""
        if self._lease is not None:
            self._look(self._lease)

    def _gave_up(self) -> None:
        """A message was put into quarantine, by a server that does give messages."""
        if self._stored:
            self._given_up += 1
