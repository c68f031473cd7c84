"""Who may ask a legacy host, and when.

One `Schedule` for each host and port, whichever domains name it. A place is one connection that is, or will be, logged
in. Places are given

* by urgency: a user who waits for a first login, then what arrived since a user's last one, then what an administrator
  asked for, then what nobody waits for;
* within it to the domains in turn, and in a domain first come, first served;
* never more than `connections` at once, never more than `logins_per_minute` within any minute.

While a user waits and no place is free, moves that nobody waits for are asked to give way: they end at their last
barrier, and go on later. The user gets the place that was left.

A host that says it is busy is taken at its word. The connections allowed are halved, once for all logins that were on
their way together, and none is begun for a while, which grows and is jittered. Each login that succeeds allows one
more, up to just below the number at which the host was busy last (the wall); there it is approached slowly, and more
slowly each time that it turns out to be where it was.

Where several nodes ask one host, each has a share of its connections (`Share`): what is said here of the limit holds
for the share, of which there is none at first. Whoever sees to that is told when it matters (`demand`).

Who gives up waiting loses the place in the queue, and nothing else. The clock is handed in; there is one timer at most,
and none while nobody waits for time to pass.
"""

from __future__ import annotations

import enum
import random
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

MINUTE: Final = 60.0
FIRST_PAUSE: Final = 1.0  # seconds without new logins after a host was busy, more or less
LONGEST_PAUSE: Final = 60.0
MOST_HITS: Final = 6  # at the wall, after which it is approached no more slowly


class Urgency(enum.IntEnum):
    """Who waits for it. The lower, the sooner."""

    HELD = 0  # a user, at a login
    REFRESH = 1  # a user who is in already: what arrived since
    ASKED = 2  # an administrator
    ROUND = 3  # nobody


@dataclass(frozen=True, slots=True)
class Limits:
    """What a host is not to be asked more than."""

    connections: int
    logins_per_minute: int | None = None


@dataclass(eq=False, slots=True)
class Errand:
    """One account's business at a host, over as many connections, one after the other, as it takes.

    `give_way`, if it has one, ends the business for now: a user waits for the place.
    """

    domain: str
    urgency: Urgency
    give_way: Callable[[], None] | None = None
    waiting: Deferred[Place] | None = field(default=None, repr=False)  # the schedule's


@dataclass(slots=True)
class Share:
    """What this node may ask of a host that others ask as well."""

    places: int = 0
    logins: int | None = None  # that may be begun; None: not counted
    too_many: int = 0  # connections that users who wait on other nodes should have


class Place:
    """A connection that may be made. Whoever has it says how the host took it, and gives it back."""

    def __init__(self, schedule: Schedule, errand: Errand, number: int) -> None:
        self.errand = errand
        self.number = number  # in the order given
        self.welcome = False  # is it logged in?
        self.gives_way = False
        self._schedule = schedule

    def welcomed(self) -> None:
        """The host has let it in."""
        self._schedule.welcomed(self)

    def busy(self) -> bool:
        """The host did not want one more. Is that news?"""
        return self._schedule.busy(self)

    def unused(self) -> None:
        """Nobody tried to log in."""
        self._schedule.unused()

    def release(self) -> None:
        """Give it back. Harmless to call again."""
        self._schedule.release(self)


class _Line:
    """Those who wait with the same urgency."""

    def __init__(self) -> None:
        self._domains: OrderedDict[str, OrderedDict[Errand, None]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, errand: Errand, *, first: bool) -> None:
        line = self._domains.setdefault(errand.domain, OrderedDict())
        line[errand] = None
        line.move_to_end(errand, last=not first)
        self._count += 1

    def discard(self, errand: Errand) -> None:
        line = self._domains.get(errand.domain)
        if line is not None and errand in line:
            del line[errand]
            self._count -= 1
            if not line:
                del self._domains[errand.domain]

    def pop(self) -> Errand:
        """The next of the domain whose turn it is."""
        domain, line = next(iter(self._domains.items()))
        errand, _ = line.popitem(last=False)
        self._count -= 1
        if line:
            self._domains.move_to_end(domain)
        else:
            del self._domains[domain]
        return errand


class Schedule:
    """One host's."""

    def __init__(self, limits: Limits, clock: IReactorTime, chance: Callable[[], float] = random.random) -> None:
        """`chance` gives numbers from 0 to 1."""
        self.limits = limits
        self.failures = 0  # in a row: the host could not be reached, or did not answer as it should
        self.spare_place: Callable[[], None] = lambda: None  # called when `spare` may have become more
        self.share: Share | None = None  # None: all of it
        self.demand: Callable[[], None] = lambda: None  # called when there is more or less need of a share
        self.was_busy: Callable[[float], None] = lambda _seconds: None  # … and when the host is left alone for so long
        self.more_due = False  # would moves begin that nobody waits for, if there were room?
        self._clock = clock
        self._chance = chance
        self._lines = {urgency: _Line() for urgency in Urgency}
        self._held: dict[Place, None] = {}
        self._unhurried: dict[Place, None] = {}  # … of those, where no user waits: few while there are many who do
        self._promised: dict[Errand, None] = {}
        self._count = 0  # of places given
        self._allowed = float(limits.connections)
        self._wall = float("inf")  # connections at which the host was busy last
        self._hits = 0
        self._slowed_at = 0  # the number of the first place that was given after the host was last busy
        self._pause = 0.0
        self._busy_until = self._quiet_until = float("-inf")
        self._left = 0  # places that were left for those who are held
        self._logins: deque[float] = deque(maxlen=limits.logins_per_minute or 1)
        self._timer: IDelayedCall | None = None
        self._giving = False
        self.stopped = False

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return sum(map(len, self._lines.values()))

    @property
    def in_use(self) -> int:
        return len(self._held)

    @property
    def allowed(self) -> int:
        """How many connections there may be at the moment."""
        return int(self._allowed) if self.share is None else min(int(self._allowed), self.share.places)

    @property
    def wanted(self) -> int:
        """For how many there would be a use."""
        wanted = self.in_use + self.waiting + len(self._promised)
        return min(int(self._allowed), self.limits.connections if self.more_due else wanted)

    @property
    def held(self) -> int:
        """… by users who wait at a login."""
        using = len(self._held) - len(self._unhurried)
        return min(int(self._allowed), using + len(self._lines[Urgency.HELD]))

    def shared(self, share: Share) -> None:
        """What this node may ask from now on."""
        self.share = share
        self._give()

    def leave_alone(self, seconds: float) -> None:
        """Another node was told that the host is busy: nobody logs in there for so long."""
        self._busy_until = max(self._busy_until, self._clock.seconds() + seconds)
        self._set_timer()

    @property
    def spare(self) -> int:
        """How many moves could begin that nobody waits for. At a host that could not be reached one at a time tries."""
        now = self._clock.seconds()
        if self.waiting or now < max(self._busy_until, self._quiet_until) or self.stopped:
            return 0
        room = max(0, min(self.allowed - self.in_use, self._logins_left(now)) - len(self._promised))
        if not self.failures:
            return room
        trying = self._promised or not all(place.welcome for place in self._held)
        return 0 if trying else min(room, 1)

    def others_welcome(self, place: Place) -> bool:
        """Is somebody else logged in at the moment?"""
        return any(other.welcome for other in self._held if other is not place)

    # Places

    def promise(self, errand: Errand) -> None:
        """It will come for a place, unless it is `kept`: until then there is one less to spare."""
        self._promised[errand] = None

    def kept(self, errand: Errand) -> None:
        """It has come, or will not. Harmless to call again."""
        self._promised.pop(errand, None)

    def acquire(self, errand: Errand, *, first: bool = False) -> Deferred[Place]:
        """A Deferred of a place. `first`: before those of the domain that wait with the same urgency. Fails with
        CancelledError when there are no more places to come."""
        waiting: Deferred[Place] = Deferred(lambda _: self._give_up(errand))
        if self.stopped:
            waiting.cancel()
            return waiting
        errand.waiting = waiting
        self.kept(errand)
        self._lines[errand.urgency].add(errand, first=first)
        self._give()
        self._demand()
        return waiting

    def _demand(self) -> None:
        if self.share is not None and self.waiting:
            self.demand()

    def hasten(self, errand: Errand) -> None:
        """A user waits for it from now on."""
        if errand.urgency is Urgency.HELD:
            return
        if errand.waiting is not None:
            self._lines[errand.urgency].discard(errand)
            self._lines[Urgency.HELD].add(errand, first=False)
        errand.urgency = Urgency.HELD
        self._unhurried = {place: None for place in self._unhurried if place.errand is not errand}
        self._give()
        self._demand()

    def _give_up(self, errand: Errand) -> None:
        errand.waiting = None
        self._lines[errand.urgency].discard(errand)
        self._set_timer()

    def release(self, place: Place) -> None:
        """See `Place`."""
        if place not in self._held:
            return
        del self._held[place]
        self._unhurried.pop(place, None)
        if place.gives_way:
            self._left += 1
        self._give()
        if self.share is not None:
            self.demand()

    def unused(self) -> None:
        """See `Place`."""
        if self._logins:
            self._logins.pop()

    def _give(self) -> None:
        """Give what places there are. Who gets one may give it back at once, so that this is called meanwhile."""
        if self._giving:
            return
        self._giving = True
        try:
            while (errand := self._next()) is not None:
                waiting, errand.waiting = errand.waiting, None
                assert waiting is not None
                self._count += 1
                place = Place(self, errand, self._count)
                self._held[place] = None
                if errand.urgency is not Urgency.HELD:
                    self._unhurried[place] = None
                self._logins.append(self._clock.seconds())
                if self.share is not None and self.share.logins is not None:
                    self.share.logins -= 1
                waiting.callback(place)
        finally:
            self._giving = False
        self._ask_for_room()
        self._set_timer()
        if self.spare:
            self.spare_place()

    def _next(self) -> Errand | None:
        if self.stopped or self._clock.seconds() < self._open_from():
            return None
        if self.share is not None and self.share.logins is not None and self.share.logins <= 0:
            return None
        held = self._lines[Urgency.HELD]
        if not held or self.share is not None:  # a place that was left may be another node's by now
            self._left = 0
        if self.in_use >= self.allowed:
            if not self._left:
                return None
            self._left -= 1
        line = next((line for line in self._lines.values() if line), None)
        return None if line is None else line.pop()

    def _ask_for_room(self) -> None:
        """Have as many moves give way as users wait for places that are taken."""
        wanted = len(self._lines[Urgency.HELD]) + (0 if self.share is None else self.share.too_many)
        if not wanted or self._clock.seconds() < self._open_from() or self.stopped:
            return
        able = [p for p in self._unhurried if p.errand.give_way is not None and p.errand.urgency > Urgency.REFRESH]
        wanted -= sum(place.gives_way for place in able)
        able.sort(key=lambda place: (place.errand.urgency, place.number), reverse=True)
        for place in [place for place in able if not place.gives_way][: max(0, wanted)]:
            place.gives_way = True
            if place.errand.give_way is not None:
                place.errand.give_way()

    # Time

    def _logins_left(self, now: float) -> int:
        """How many may log in now."""
        most = self.limits.logins_per_minute
        if most is None:
            return self.limits.connections
        while self._logins and now - self._logins[0] >= MINUTE:
            self._logins.popleft()
        return most - len(self._logins)

    def _open_from(self) -> float:
        """When the next login may be."""
        most = self.limits.logins_per_minute
        if most is None or len(self._logins) < most:
            return self._busy_until
        return max(self._busy_until, self._logins[0] + MINUTE)

    def _set_timer(self) -> None:
        """Wait for the time that somebody has to wait for."""
        at = self._open_from()
        wait = at - self._clock.seconds()
        needed = wait > 0 and self.waiting > 0 and not self.stopped
        if self._timer is not None and self._timer.active():
            if needed and self._timer.getTime() == at:
                return
            self._timer.cancel()
        self._timer = self._clock.callLater(wait, self._give) if needed else None

    # What the host says

    def welcomed(self, place: Place) -> None:
        """See `Place`."""
        place.welcome = True
        self.answered()
        if place.number < self._slowed_at:  # it says nothing of how many more there may be
            return
        self._pause = 0.0
        if self.in_use >= self._wall:  # it is not there any more
            self._wall, self._hits = float("inf"), 0
        below = self._allowed + 1 < self._wall
        self._allowed += 1.0 if below else 1.0 / (self._allowed * 2**self._hits)
        self._allowed = min(self._allowed, float(self.limits.connections))
        self._give()

    def answered(self) -> None:
        """The host is there, whatever it said."""
        self.failures, self._quiet_until = 0, float("-inf")

    def busy(self, place: Place) -> bool:
        """See `Place`. Those that were on their way together are one piece of news."""
        self.answered()
        if place.number < self._slowed_at:
            return False
        self._slowed_at = self._count + 1
        level = float(self.in_use)
        if level >= self._wall:
            self._hits = min(self._hits + 1, MOST_HITS)
            self._allowed = max(1.0, self._wall - 1)
        else:
            self._wall, self._hits = level, 0
            self._allowed = max(1.0, min(self._allowed, level) // 2)
        self._pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * self._pause))
        self._busy_until = self._clock.seconds() + self._pause * (0.5 + self._chance())
        self._set_timer()
        self.was_busy(self._busy_until - self._clock.seconds())
        return True

    def unreachable(self) -> None:
        """The host is not there, or not as it should be. Users may still try; what nobody waits for is put off."""
        self.failures += 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self.failures, 10))
        self._quiet_until = self._clock.seconds() + pause * (0.5 + self._chance())

    def stop(self) -> None:
        """Give no more places. Those who wait get CancelledError."""
        self.stopped = True
        for line in self._lines.values():
            while line:
                errand = line.pop()
                if errand.waiting is not None:
                    errand.waiting.cancel()
        self._set_timer()
