"""What is asked of a POP3 server, once it has let the test account in.

In the order in which least is lost if it hangs up: what it lists and dates, as a move asks for them; then what no move
asks, which is CAPA once more, NOOP, LAST and a second session; and in the end the sample, and whether commands may be
sent ahead of the answers, since that may spoil the connection.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from mailstore.message.arrival import arrival
from proxy.admin.probing.finding import Ability, Largest, Mailbox, Maildrop, Probed, Step, Told
from proxy.admin.probing.sampling import HEADER_LIMIT, SAMPLE, TIME, Headers, Tally, choose, round_trip
from proxy.legacy.errors import LegacyError, ServerRefused
from proxy.legacy.settings import FURTHEST, ONE_AT_A_TIME, PROMISED, TRIED, Window
from proxy.migration import listing
from proxy.pop3.client.connection import Connection, Pipelining
from proxy.pop3.client.pace import Pace
from proxy.pop3.client.replies import Capabilities

ENDS: Final = 3  # messages at either end of the mailbox whose dates are looked at
SLOWLY: Final = 5.0  # seconds for a sample one by one, before it is tried whether many at once are possible

_Uidls = list[tuple[int, bytes]] | None


class MaildropLook:
    """One mailbox. `run` once; what is found is there as far as it got, whatever it raises."""

    def __init__(
        self,
        connection: Connection,
        found: Probed,
        reactor: Any,
        told: Told,
        second: Callable[[Maildrop], Awaitable[None]] | None,
    ) -> None:
        """`second` logs in once more and says what came of it; None: it is not tried."""
        self._connection = connection
        self._found = found
        self._reactor = reactor
        self._told = told
        self._second = second
        self._drop = found.maildrop = Maildrop()
        self._sizes: dict[int, int | None] = {}
        self._fetched = False
        self._time_up = False

    async def run(self) -> None:
        """Raises LegacyError."""
        self._announces(self._connection.capabilities)
        self._told(Step.LISTING, "")
        await self._list()
        self._told(Step.DATES, "")
        await self._dates()
        await self._capabilities()
        self._found.round_trip = await round_trip(self._connection.noop, self._seconds)
        self._drop.last = await self._connection.last()
        if self._second is not None:
            self._told(Step.AGAIN, "")
            await self._second(self._drop)
        self._told(Step.SPEED, "")
        await self._sample()

    async def leave(self) -> None:
        """Without QUIT where messages were fetched: nobody there is to remove or hide them. Raises nothing."""
        if self._fetched:
            await self._connection.leave()
        else:
            await self._connection.quit()

    def _seconds(self) -> float:
        return float(self._reactor.seconds())

    # What it announces

    async def _capabilities(self) -> None:
        """Behind a login there may be others (RFC 2449 5)."""
        connection = self._connection
        now: Capabilities = connection.capabilities
        if now:
            now = await connection.capa() or now
        self._announces(now)
        self._found.remarks += listing.known(connection.greeting, now)
        if (self._drop.expire or "").split()[:1] == ["0"]:
            self._found.remarks.append(listing.EXPIRES)

    def _announces(self, now: Capabilities) -> None:
        drop = self._drop
        for name, ability in (("UIDL", drop.uidl), ("TOP", drop.top), ("PIPELINING", drop.pipelining)):
            ability.announced = name in now
        drop.expire = " ".join(now["EXPIRE"]) if "EXPIRE" in now else None
        drop.login_delay = " ".join(now["LOGIN-DELAY"]) if "LOGIN-DELAY" in now else None
        if server := self._found.server:
            server.capabilities = sorted(" ".join([name, *arguments]) for name, arguments in now.items())

    # What it lists

    async def _list(self) -> None:
        begun = self._seconds()
        sizes, names, _count = heard = await self._listings()
        took = self._seconds() - begun
        if listing.odd(*heard) and await self._listings() != heard:
            self._found.remarks.append("the server answers LIST, UIDL or STAT otherwise each time it is asked")
        if sizes and names == []:
            self._drop.uidl.works, self._drop.uidl.words = False, f"it names none of {len(sizes)} messages"
        _, remarks = listing.together(*heard)
        self._found.remarks += [*remarks, *_odd_sizes(sizes), *_odd_names(names, self._drop.uidl)]
        self._sizes = sizes
        known = {number: octets for number, octets in sizes.items() if octets is not None}
        biggest = max(known, key=lambda number: (known[number], -number), default=None)
        self._found.mailbox = Mailbox(
            len(sizes), sum(known.values()), took, None if biggest is None else Largest(biggest, known[biggest])
        )

    async def _listings(self) -> tuple[dict[int, int | None], _Uidls, int | None]:
        sizes = await self._connection.list_sizes()
        names: _Uidls = None
        try:
            names = await self._connection.uidl()
            self._drop.uidl.works = names is not None
        except ServerRefused as error:
            self._drop.uidl.works, self._drop.uidl.words = False, error.text
        return sizes, names, await self._connection.count()

    # Dates

    async def _dates(self) -> None:
        mailbox = self._found.mailbox
        numbers = sorted(self._sizes)
        if mailbox is None or not numbers:
            return
        ends = sorted({*numbers[:ENDS], *numbers[-ENDS:]})
        headers = await self._by_top(ends)
        if self._drop.top.works is False:
            headers = await self._by_retr(ends)
        dates = [date for header in headers if (date := arrival(header).internal_date) is not None]
        mailbox.dated = len(dates)
        mailbox.oldest, mailbox.newest = min(dates, default=None), max(dates, default=None)

    async def _by_top(self, numbers: Sequence[int]) -> list[bytes]:
        """Where the first two are refused nothing more is asked, as in a move."""
        headers: list[bytes] = []
        top = self._drop.top
        for tried, number in enumerate(numbers):
            if top.works is False and tried >= 2 and not headers:
                break
            try:
                headers.append(await self._connection.top(number, 0))
                top.works = True
            except ServerRefused as error:
                if not headers:
                    top.works, top.words = False, error.text
        return headers

    async def _by_retr(self, numbers: Sequence[int]) -> list[bytes]:
        small = [number for number in numbers if (self._sizes[number] or HEADER_LIMIT + 1) <= HEADER_LIMIT]
        sink = Headers(self._sizes)
        self._fetched = self._fetched or bool(small)
        await self._connection.retrieve(small, self._sizes, sink, Pace(ONE_AT_A_TIME))
        return list(sink.found.values())

    # How fast it is

    async def _sample(self) -> None:
        known = {number: octets for number, octets in self._sizes.items() if octets}
        numbers, pipelining = choose(known), self._drop.pipelining
        if pipelining.announced:
            await self._many_at_once(numbers, PROMISED)
            return
        if not await self._one_by_one(numbers[::2]):
            return
        able = await self._connection.prove_pipelining()
        pipelining.works = able is Pipelining.ABLE
        if able is Pipelining.ABLE:
            await self._many_at_once(numbers[1::2], TRIED)
        elif able is Pipelining.UNABLE_REOPEN:
            pipelining.words = "of two commands that were sent together it answered one"

    async def _one_by_one(self, numbers: Sequence[int]) -> bool:
        """Is the connection good for more?"""
        tally, begun = Tally(self._sizes), self._seconds()
        good = True
        for number in numbers:
            good = await self._retrieve([number], tally, Pace(ONE_AT_A_TIME))
            if not good or self._seconds() - begun > SLOWLY or tally.octets > SAMPLE // 2:
                break
        self._measured(tally, self._seconds() - begun, at_once=False)
        return good

    async def _many_at_once(self, numbers: Sequence[int], first: Window) -> None:
        pipelining = self._drop.pipelining
        tally, begun = Tally(self._sizes), self._seconds()
        try:
            await self._retrieve(numbers, tally, Pace(FURTHEST, first))
        except LegacyError as error:
            if tally.messages < 2:
                pipelining.works, pipelining.words = False, error.text
            raise
        if tally.messages >= 2:
            pipelining.works = True
        elif self._time_up and tally.messages == 1 and not tally.arriving:
            pipelining.works = False
            pipelining.words = f"of {len(numbers)} messages that were asked for together one came in {TIME:g} s"
        self._measured(tally, self._seconds() - begun, at_once=True)

    async def _retrieve(self, numbers: Sequence[int], tally: Tally, pace: Pace) -> bool:
        """For TIME seconds: what came by then tells enough. Then the connection is over, and it gives back False."""
        self._fetched = self._fetched or bool(numbers)
        timer = self._reactor.callLater(TIME, self._give_up)
        try:
            await self._connection.retrieve(numbers, self._sizes, tally, pace)
        except LegacyError:
            if not self._time_up:
                raise
        finally:
            if timer.active():
                timer.cancel()
        return not self._time_up

    def _give_up(self) -> None:
        self._time_up = True
        self._connection.abort()

    def _measured(self, tally: Tally, seconds: float, *, at_once: bool) -> None:
        speed = tally.speed(seconds, at_once=at_once, round_trip=self._found.round_trip or 0.0)
        self._found.speed = speed or self._found.speed
        if tally.otherwise:
            some = f"{tally.otherwise} of {tally.messages} messages"
            self._found.remarks.append(
                f"LIST says another size of {some} than it gives: every move compares them twice"
            )
        if tally.refused and not tally.messages:
            many = len(tally.refused)
            asked = f"none of {many} messages that were asked for" if many > 1 else "not the message that was asked for"
            self._found.trouble = f"it gave {asked}: {tally.refused[0]}"
        elif tally.refused:
            self._found.remarks.append(f"it refused {len(tally.refused)} messages of a sample: {tally.refused[0]}")


def _odd_sizes(sizes: Mapping[int, int | None]) -> list[str]:
    untold = sum(octets is None for octets in sizes.values())
    return [f"LIST does not tell the size of {untold} of {len(sizes)} messages"] if untold else []


def _odd_names(names: _Uidls, uidl: Ability) -> list[str]:
    """UIDLs that tell no message from another: see README, "The old server lists otherwise"."""
    if names is None:
        if uidl.words or uidl.announced:
            return [f"the server does not give UIDLs: {uidl.words or 'it announces them, and refuses'}"]
        return ["the server has no UIDLs: what arrived since the last look is told by headers (TOP), or by size"]
    counted = Counter(name for _, name in names)
    kinds = {
        "empty": sum(not name for _, name in names),
        "shared by several": sum(many for name, many in counted.items() if name and many > 1),
        "the message's number": sum(name == b"%d" % number for number, name in names) if len(names) > 1 else 0,
    }
    return [
        f"UIDLs of {many} of {len(names)} messages are {kind}: those are told apart by headers"
        for kind, many in kinds.items()
        if many
    ]
