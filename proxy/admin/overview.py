"""How far each domain is, how fast it goes and when it will be done; and its departments as a tree.

The rate is that of the last minutes, from the rows of `mailstore.samples` and what is here now. The expected end takes
it that accounts whose mail was never listed have as much of it as the others have on average; it says nothing where
nothing moves, or where nobody's mail was listed yet. For `proxy.cli.status` and the console.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Final

from mailstore.database import AccountsDatabase
from mailstore.overview import Figures, Overview, Wanted
from mailstore.queue import Queue
from mailstore.samples import Sample, Samples, sample_of

WINDOW: Final = 300  # seconds over which the rate is taken
SHORTEST: Final = 10  # seconds; before that nothing can be said
POINTS: Final = 200  # of a curve, at most
FARTHEST: Final = 366 * 86_400  # an end that is expected later than in a year is none


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast, in messages and octets a second, and what that means. `left` counts what is still to come, with an
    estimate where `estimated`; `ends` is in seconds since 1970, None where nothing tells."""

    messages_rate: float = 0.0
    bytes_rate: float = 0.0
    messages_left: int = 0
    bytes_left: int = 0
    estimated: bool = False
    ends: int | None = None
    measured: bool = False  # has it been watched for long enough?

    @property
    def moves(self) -> bool:
        """Does anything come?"""
        return self.messages_rate > 0 or self.bytes_rate > 0


@dataclass(frozen=True, slots=True)
class DomainView:
    """A domain as it is now. `paused`: since when, in seconds since 1970."""

    name: str
    figures: Figures
    pace: Pace
    samples: Sequence[Sample]  # by time; the last is now
    paused: int | None = None

    @property
    def done(self) -> int:
        """Accounts whose old mail is here."""
        return self.figures.moved + self.figures.final

    @property
    def share(self) -> float:
        """… of all, from 0 to 1."""
        return self.done / self.figures.accounts if self.figures.accounts else 0.0


@dataclass(slots=True)
class Department:
    """A node of the tree; `own` are the figures without what is below it, `whole` with it."""

    path: str
    own: Figures = field(default_factory=Figures)
    whole: Figures = field(default_factory=Figures)
    below: dict[str, Department] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]

    @property
    def depth(self) -> int:
        """0 for one at the top."""
        return self.path.count("/")

    def walk(self) -> Iterator[Department]:
        """Itself and all below it, as a tree is written down."""
        yield self
        for child in self.children():
            yield from child.walk()

    def children(self) -> list[Department]:
        """Those just below it, by name."""
        return sorted(self.below.values(), key=lambda child: child.name)


class Watching:
    """What is asked again and again. `clock` is the time of day; without one the database's."""

    def __init__(self, database: AccountsDatabase, clock: Callable[[], float] | None = None) -> None:
        self._overview = Overview(database)
        self._samples = Samples(database, clock)
        self._queue = Queue(database, clock)
        self._clock = clock or database.time

    def domains(self, configured: Sequence[str], *, since: int | None = None) -> list[DomainView]:
        """Every domain that is served or has accounts, by name; with a curve from that time on, else of what the rate
        is taken from. Raises MailstoreError."""
        found = self._overview.domains()
        names = sorted({*configured, *found})
        return self._views({name: found.get(name, Figures()) for name in names}, since)

    def one(self, name: str, *, since: int | None = None) -> DomainView:
        """The same for one, whether or not it is served or has accounts."""
        return self._views({name: self._overview.figures(Wanted(name))}, since)[0]

    def domain(self, name: str, *, since: int | None = None) -> tuple[DomainView, list[Department]]:
        """The same with its departments: the figures are read once for both."""
        departments = tree(self._overview.departments(name))
        whole = reduce(Figures.plus, (node.whole for node in departments), Figures())
        return self._views({name: whole}, since)[0], departments

    def departments(self, domain: str) -> list[Department]:
        """The tree, those at the top by name; accounts without a department are in one with the path ""."""
        return tree(self._overview.departments(domain))

    def _views(self, found: Mapping[str, Figures], since: int | None) -> list[DomainView]:
        now = int(self._clock())
        paused = self._queue.paused_domains()
        recent = self._samples.of_each(found, now - WINDOW)
        views = []
        for name, figures in found.items():
            latest = sample_of(figures, now)
            long = since is not None and since < now - WINDOW
            before = self._samples.of(name, since or 0, most=POINTS - 1) if long else recent[name]
            rate = pace(figures, [*recent[name], latest], now)
            views.append(DomainView(name, figures, rate, [*before, latest], paused.get(name)))
        return views


def trees(database: AccountsDatabase, domain: str | None = None) -> list[Department]:
    """A tree for each domain that has accounts, or for one, with the domain at its top. Raises MailstoreError."""
    overview = Overview(database)
    figures = overview.domains()
    return [
        Department(name, whole=whole, below={node.name: node for node in tree(overview.departments(name))})
        for name, whole in sorted(figures.items())
        if domain in {None, name}
    ]


def pace(figures: Figures, samples: Sequence[Sample], now: int) -> Pace:
    """From how far it is now and how far it was (`mailstore.samples` says what rows mean)."""
    earlier = [sample for sample in samples if sample.taken <= now - WINDOW]
    base = earlier[-1] if earlier else samples[0] if samples else None
    messages_rate = bytes_rate = 0.0
    seconds = 0 if base is None else min(now - base.taken, WINDOW)
    if base is not None and seconds >= SHORTEST:
        messages_rate = max(0, figures.messages_done - base.messages) / seconds
        bytes_rate = max(0, figures.bytes_done - base.bytes) / seconds
    unknown = max(0, figures.accounts - figures.known) if figures.known else 0
    messages_left = max(0, figures.messages_listed - figures.messages_done)
    bytes_left = max(0, figures.bytes_listed - figures.bytes_done)
    if unknown:
        messages_left += unknown * figures.messages_listed // figures.known
        bytes_left += unknown * figures.bytes_listed // figures.known
    seconds_left = bytes_left / bytes_rate if bytes_rate else None
    ends = None if seconds_left is None or seconds_left > FARTHEST or not bytes_left else now + round(seconds_left)
    measured = seconds >= SHORTEST
    return Pace(messages_rate, bytes_rate, messages_left, bytes_left, unknown > 0, ends, measured)


def tree(found: Mapping[str, Figures]) -> list[Department]:
    """Departments by path as a tree: also those that have no accounts of their own, but have some below them."""
    top: dict[str, Department] = {}
    for path, own in found.items():
        level, parts = top, path.split("/")
        for depth, part in enumerate(parts, 1):
            if part not in level:
                level[part] = Department("/".join(parts[:depth]))
            node = level[part]
            level = node.below
        node.own = own
    for node in top.values():
        _add_up(node)
    return [top[name] for name in sorted(top)]


def _add_up(node: Department) -> None:
    for child in node.below.values():
        _add_up(child)
    node.whole = Figures(*map(sum, zip(node.own, *(child.whole for child in node.below.values()), strict=True)))
