"""Letting the user in before the mail is here (`login = "serve"`): the pull of one attempt, in an order of its own.

    LIST, UIDL are here ──→ FIRST LOOK: the newest headers, a few of the newest messages
                              │ the sizes are what LIST said        │ they are not, or nothing came
                              ↓                                     ↓
                            the whole mailbox is LISTED           HELD: all messages, then the login
                              ↓
                            what users wait for, then headers, then messages, newest first

A client believes sizes once and for all (RFC 9051 2.4.3), so they have to be right before anybody is let in: a server
whose LIST is wrong gets no second look, and the login is held as usual. A single message that turns out to be longer
later is another matter (many servers do not count the line end that POP3 adds to a last line without one): it gets its
true size when it arrives.

Used by `proxy.migration.move` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from mailstore import landing
from mailstore.entries import Entry
from mailstore.errors import MailstoreError
from mailstore.index.awaited import Noted
from mailstore.mailhome import MailHome
from mailstore.writing import flags_by
from proxy.legacy.settings import ONE_AT_A_TIME, Window
from proxy.migration import weighing
from proxy.migration.agenda import Agenda, Item
from proxy.migration.pull import Pull
from proxy.migration.source import ErrandSource, Receiver, SourceError
from proxy.wire.door import Home

FIRST_HEADERS: Final = 50  # the screen that a client shows first
FEW_HEADERS: Final = 8  # … where each costs a round trip
SAMPLE: Final = weighing.FEW  # messages whose sizes are looked at: if all are wrong, that is no reason to hang up
SAMPLE_OCTETS: Final = 64 * 1024  # … and what each of them may be at most: the user waits for them
LINE_END: Final = 2  # octets
TRAY: Final = 500  # headers kept in one transaction
TRAY_SECONDS: Final = 0.25  # … or those of so long
TRAY_FULL: Final = 4_000  # headers waiting to be kept at which less is asked for

NEAR: Final = Window(messages=768, octets=1024 * 1024)  # while somebody waits, or may in a moment
CALM: Final = 30.0  # seconds after the last who waited in which somebody may


class Hurries:
    """What sessions wait for: the UIDs, in the order in which they asked, over all attempts of a move."""

    def __init__(self) -> None:
        self.whole: dict[int, None] = {}
        self.headers: dict[int, None] = {}
        self.early: Early | None = None  # who fetches at the moment

    def hurry(self, uids: Collection[int], *, whole: bool) -> None:
        """Somebody waits for these."""
        (self.whole if whole else self.headers).update(dict.fromkeys(sorted(uids)))
        if self.early is not None:
            self.early.hurry(sorted(uids), whole=whole)


class Early:
    """A `HeaderReceiver`. One attempt's stream; `fetch` once."""

    def __init__(
        self,
        home: Home,
        source: ErrandSource,
        pull: Pull,
        hurries: Hurries,
        *,
        seen: str,
        clock: IReactorTime,
        listed: Callable[[str], None],
        another: Callable[[], Pull],
    ) -> None:
        """`listed` is told when the user may be let in, or else why not; `another` makes one more pull to the same
        place; `seen` as in the configuration."""
        self.dropped: set[int] = set()  # ledger rows that were not fetched, because the user has removed them
        self._home = home
        self._source = source
        self._pull = pull
        self._receiver: Receiver = pull
        self._hurries = hurries
        self._seen = seen
        self._clock = clock
        self._listed = listed
        self._another = another
        self._agenda: Agenda | None = None
        self._rows: dict[int, int] = {}  # ledger rows by UID
        self._one_at_a_time = False
        self._looking = False
        self._last_wait = clock.seconds()
        self._sizes: dict[int, int] = {}  # octets that have come, by ledger row
        self._open_ended = 0  # the ledger row of the large message that is arriving
        self._waited_for: set[int] = set()  # ledger rows of headers that somebody waits for
        self._headers_came = self._no_headers = False
        self._tray: list[tuple[int, bytes]] = []
        self._keeping: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None
        self._failure: Failure | None = None

    async def fetch(self, wanted: Sequence[Item]) -> None:
        """Fetch all of `wanted`. Raises SourceError, StorageFailed."""
        self._one_at_a_time = not await self._source.many_at_once()
        if not await self._home.run(lambda home: home.oncoming.complete()):
            wanted, why_not = await self._first_look(wanted)
            if why_not:
                self._listed(why_not)
                await self._source.fetch(wanted, self._pull)
                return
            flags = flags_by(self._seen)
            await self._home.run(lambda home: home.list_early(flags))
            await self._keep_all()
        self._listed("")
        places = await self._home.run(lambda home: home.oncoming.places())
        self._rows = {uid: ledger_id for uid, ledger_id, _ in places}
        headerless = {ledger_id for _, ledger_id, has_header in places if not has_header}
        agenda = self._new_agenda(wanted, headers=headerless, headers_ahead=not self._one_at_a_time)
        try:
            self._hurries.early = self
            self.hurry(self._hurries.headers, whole=False)
            self.hurry(self._hurries.whole, whole=True)
            await self._source.errands(agenda, wanted, self)
            await self._keep_all()
        except SourceError:
            if self._failure is not None:  # it was we who gave the connection up
                self._failure.raiseException()
            raise
        finally:
            self._hurries.early = None
            await self.rest()

    def _new_agenda(
        self, wanted: Sequence[Item], *, headers: Collection[int], headers_ahead: bool, messages: bool = True
    ) -> Agenda:
        self._agenda = Agenda(
            wanted, headers=headers, headers_ahead=headers_ahead, messages=messages, window=self._window
        )
        if self._no_headers:
            self._agenda.without_headers()
        return self._agenda

    def _window(self) -> Window:
        if self._one_at_a_time or len(self._tray) >= TRAY_FULL:
            return ONE_AT_A_TIME
        return NEAR if self._clock.seconds() - self._last_wait < CALM else Window()

    # The first look

    async def _first_look(self, wanted: Sequence[Item]) -> tuple[Sequence[Item], str]:
        """What is still wanted afterwards, and why the user cannot be let in yet, if so."""
        if any(not entry.octets for _, entry in wanted):
            return wanted, "the legacy server does not tell the sizes of messages"
        if await self._home.run(lambda home: home.recognition.needed()):
            return wanted, "an index was lost, and what is here already has to be found first"
        newest = wanted[-(FEW_HEADERS if self._one_at_a_time else FIRST_HEADERS) :]
        sample = {entry.id for _, entry in _sample(newest)}
        headers = {entry.id for _, entry in newest} - sample
        agenda = self._new_agenda(newest, headers=headers, headers_ahead=True, messages=False)
        agenda.hurry(sorted(sample, reverse=True), whole=True)
        pull = self._another()
        self._receiver = pull
        try:
            await self._source.errands(agenda, newest, self)
            done: Deferred[None] = pull.finish()
            await done
        finally:
            await pull.rest()
            self._receiver = self._pull
            self._pull.stored += pull.stored
            self._pull.refusals += pull.refusals
            self._pull.spoilt += pull.spoilt
        came = {entry.id for _, entry in newest if agenda.asked(entry.id)}
        rest = [item for item in wanted if item[1].id not in came]
        differences = [self._sizes[entry.id] - entry.octets for _, entry in newest if entry.id in self._sizes]
        if wanted and (not differences or 0 not in differences or not {0, LINE_END}.issuperset(differences)):
            return rest, "the legacy server's sizes are not those of its messages"
        return rest, ""

    # What users wait for

    def hurry(self, uids: Collection[int], *, whole: bool) -> None:
        """Fetch these next."""
        rows = [self._rows[uid] for uid in uids if uid in self._rows]
        if rows and self._agenda is not None:
            self._last_wait = self._clock.seconds()
            self._pull.hasten(rows)
            if not whole:
                self._waited_for.update(rows)
            self._agenda.hurry(rows, whole=whole)

    def drop(self, ledger_ids: Collection[int]) -> None:
        """The user has removed these before they were here: they are not fetched, if they can still be left out."""
        if self._agenda is not None:
            self.dropped |= self._agenda.drop(ledger_ids)

    def batch_entered(self) -> None:
        """A batch of messages has become visible: perhaps the user has removed some that are still to come."""
        if self._rows and not self._looking:
            self._looking = True
            looked = Deferred.fromCoroutine(self._home.run(lambda home: home.oncoming.unwanted()))
            looked.addCallbacks(self._looked, self._not_looked)

    def _looked(self, unwanted: list[int]) -> None:
        self._looking = False
        self.drop(unwanted)

    def _not_looked(self, failure: Failure) -> None:
        """Nothing is lost by that: what is not wanted is not taken in."""
        self._looking = False
        failure.trap(MailstoreError)  # type: ignore[no-untyped-call]

    # What the source gives

    def message(self, entry: Entry, data: bytes) -> None:
        self._sizes[entry.id] = len(data)
        self._receiver.message(entry, data)

    def begin(self, entry: Entry) -> None:
        self._open_ended = entry.id
        self._sizes[entry.id] = 0
        self._receiver.begin(entry)

    def piece(self, data: bytes) -> None:
        self._sizes[self._open_ended] += len(data)
        self._receiver.piece(data)

    def end(self) -> None:
        self._receiver.end()

    def refused(self, entry: Entry, text: str) -> None:
        self._receiver.refused(entry, text)

    def header(self, entry: Entry, data: bytes) -> None:
        self._headers_came = True
        self._tray.append((entry.id, data))
        if self._rows:  # or they are kept when the mailbox is listed
            self._keep_soon(at_once=entry.id in self._waited_for)

    def no_header(self, entry: Entry, text: str) -> None:
        assert self._agenda is not None
        if not self._headers_came:
            self._no_headers = True
            self._agenda.without_headers()
        elif self._rows:
            self._agenda.no_header(entry.id)

    # Keeping headers

    def _keep_soon(self, *, at_once: bool) -> None:
        if self._keeping is not None or self._failure is not None:
            return
        if at_once or len(self._tray) >= TRAY:
            self._keep()
        elif self._timer is None:
            self._timer = self._clock.callLater(TRAY_SECONDS, self._keep)

    def _keep(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        tray, self._tray = self._tray, []
        self._keeping = Deferred()
        keeping = Deferred.fromCoroutine(self._home.run(lambda home: _keep(home, tray, self._seen)))
        keeping.addCallbacks(self._kept, self._not_kept)

    def _kept(self, unwanted: list[int]) -> None:
        self.drop(unwanted)
        self._no_longer_keeping()
        if self._tray:
            self._keep_soon(at_once=any(ledger_id in self._waited_for for ledger_id, _ in self._tray))

    def _not_kept(self, failure: Failure) -> None:
        """The disk or the database refused."""
        self._failure = failure
        self._no_longer_keeping()
        self._source.abort()

    def _no_longer_keeping(self) -> None:
        keeping, self._keeping = self._keeping, None
        assert keeping is not None
        keeping.callback(None)

    async def _keep_all(self) -> None:
        """Raises StorageFailed."""
        while self._tray or self._keeping is not None:
            if self._keeping is None:
                self._keep()
            await self._under_way()
            if self._failure is not None:
                self._failure.raiseException()

    async def _under_way(self) -> None:
        if self._keeping is not None:
            waiting: Deferred[None] = Deferred()
            self._keeping.addCallback(waiting.callback)
            await waiting

    async def rest(self) -> None:
        """Begin nothing more, and wait until nothing is under way."""
        self._tray.clear()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        await self._under_way()


def _sample(newest: Sequence[Item]) -> Sequence[Item]:
    """Messages that are quick to fetch, the newest of them."""
    small = [item for item in newest if item[1].octets <= SAMPLE_OCTETS]
    return small[-SAMPLE:] or sorted(newest, key=lambda item: item[1].octets)[:1]


def _keep(home: MailHome, tray: Sequence[tuple[int, bytes]], seen: str) -> list[int]:
    now = home.clock()
    found = (landing.noted(ledger_id, data, seen=seen, now=now) for ledger_id, data in tray)
    noted: list[Noted] = [each for each in found if each is not None]
    return home.oncoming.note(noted)
