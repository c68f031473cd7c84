"""The tables that nodes share, in memory and by a simulated clock.

Leases, places and what goes with them are the product's own code (`mailstore.leases`, `membership`, `allotment`,
`said_no`, and `proxy.login` upon them); what they say to PostgreSQL is understood here, statement by statement. One
test plays the same to a real server, and both have to answer the same (`tests/postgres/test_simulated_tables.py`).
One transaction is at its end before the next one begins: nobody ever waits for a lock here.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import count
from typing import Any, Final, NamedTuple, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred

from mailstore import allotment, leases, membership, said_no
from mailstore.allotment import Part

T = TypeVar("T")

HEARD_AFTER: Final = 0.016  # seconds that news takes from node to node, as was measured


class _Rows(list[Any]):
    """As much of a `sqlalchemy.Result` as is asked for."""

    def first(self) -> Any:
        return self[0] if self else None

    def all(self) -> list[Any]:
        return self

    def one(self) -> Any:
        (row,) = self
        return row

    def scalar(self) -> Any:
        return self[0][0] if self else None

    scalar_one = scalar


class _Who(NamedTuple):
    fence: int
    node: int
    name: str | None
    over: bool | None


class _Dead(NamedTuple):
    id: int
    name: str


class _Node(NamedTuple):
    name: str
    until: int


_NOTHING: Final = _Rows()
_SOME: Final = _Rows([(1,)])
Named = Mapping[str, Any]


class Shared:
    """Stands for the `AccountsDatabase` of several nodes, and for its one connection."""

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` is in seconds since 1970."""
        self.counts: Counter[str] = Counter()  # statements, by a word for each
        self.go_on: Callable[[str, str], None] = lambda _domain, _local: None  # a dead node was moving the account
        self._now = now
        self._nodes: dict[int, _Node] = {}
        self._leases: dict[tuple[str, str], tuple[int, int]] = {}  # by name: fence and node
        self._names: dict[int, tuple[str, str]] = {}  # by fence
        self._places: dict[str, dict[int, Part]] = {}
        self._logins: dict[str, deque[int]] = {}
        self._pauses: dict[str, int] = {}
        self._said_no: dict[str, list[int]] = {}
        self._numbers, self._fences = count(1), count(1)
        self._meanings: Final[dict[Any, Callable[[Named], _Rows]]] = {
            membership._JOIN: self._join,
            membership._RENEW: self._renew,
            membership._LEAVE: self._leave,
            membership._BURY: self._bury,
            membership._EVERY: self._every_node,
            membership._GO_ON: self._goes_on,
            membership._SWEEP[0]: self._sweep_leases,
            membership._SWEEP[1]: self._sweep_places,
            leases._ONE_AT_A_TIME: _nothing,
            leases._WHO: self._who,
            leases._TAKE: self._take,
            leases._REMOVE: self._remove,
            leases._FORGET: self._forget_lease,
            leases._HOLDS: self._is_held,
            leases._STILL: self._is_held,
            leases._HELD: self._held,
            allotment._ALONE: _nothing,
            allotment._EVERY: self._every_place,
            allotment._SAVE: self._save_places,
            allotment._NOW: lambda _: _Rows([(self._time(),)]),
            allotment._PAUSED: self._paused,
            allotment._PAUSE: self._pause,
            allotment._FORGET: self._forget_logins,
            allotment._LOGINS: self._count_logins,
            allotment._LOGIN: self._add_logins,
            said_no._COUNT: self._count_said_no,
            said_no._ADD: self._add_said_no,
            said_no._FORGET: self._forget_said_no,
            said_no._SWEEP: self._sweep_said_no,
        }

    def _time(self) -> int:
        return int(self._now() * 1000)

    # A database

    @contextmanager
    def write(self) -> Iterator[Shared]:
        yield self

    read = write

    # A connection

    def execute(self, statement: Any, parameters: Named | None = None) -> _Rows:
        return self._meanings[statement](parameters or {})

    def scalars(self, statement: Any, parameters: Named | None = None) -> list[Any]:
        return [row[0] for row in self.execute(statement, parameters)]

    @property
    def connection(self) -> Shared:
        return self

    driver_connection = connection

    def transaction(self) -> AbstractContextManager[None]:
        return nullcontext()

    # Nodes

    def _join(self, given: Named) -> _Rows:
        number = next(self._numbers)
        self._nodes[number] = _Node(given["name"], self._time() + given["long"])
        return _Rows([(number,)])

    def _renew(self, given: Named) -> _Rows:
        node = self._nodes.get(given["id"])
        if node is None or node.until < self._time():
            return _NOTHING
        self._nodes[given["id"]] = node._replace(until=self._time() + given["long"])
        return _SOME

    def _leave(self, given: Named) -> _Rows:
        self._nodes.pop(given["id"], None)
        return _NOTHING

    def _bury(self, _given: Named) -> _Rows:
        now = self._time()
        dead = _Rows(_Dead(number, node.name) for number, node in self._nodes.items() if node.until < now)
        for each in dead:
            del self._nodes[each.id]
        return dead

    def _every_node(self, _given: Named) -> _Rows:
        now = self._time()
        return _Rows(membership.Node(number, node.name, 0, node.until - now) for number, node in self._nodes.items())

    def kill(self, number: int) -> None:
        """As if it had said nothing for long enough."""
        if number in self._nodes:
            self._nodes[number] = self._nodes[number]._replace(until=0)

    def _goes_on(self, given: Named) -> _Rows:
        for name, (_, node) in self._leases.items():
            if node == given["id"]:
                self.go_on(*name)
        return _NOTHING

    def _sweep_leases(self, _given: Named) -> _Rows:
        for fence in [fence for fence, node in self._leases.values() if node not in self._nodes]:
            self._remove({"fence": fence})
        return _NOTHING

    def _sweep_places(self, _given: Named) -> _Rows:
        for parts in self._places.values():
            for node in [node for node in parts if node not in self._nodes]:
                del parts[node]
        return _NOTHING

    # Leases

    def _who(self, given: Named) -> _Rows:
        self.counts["looks at a lease"] += 1
        held = self._leases.get((given["domain"], given["local"]))
        if held is None:
            return _NOTHING
        node = self._nodes.get(held[1])
        return _Rows([_Who(*held, None, None) if node is None else _Who(*held, node.name, node.until < self._time())])

    def _take(self, given: Named) -> _Rows:
        if given["node"] not in self._nodes:
            return _NOTHING
        name, fence = (given["domain"], given["local"]), next(self._fences)
        assert name not in self._leases
        self.counts["leases"] += 1
        self._leases[name] = fence, given["node"]
        self._names[fence] = name
        return _Rows([(fence,)])

    def _remove(self, given: Named) -> _Rows:
        name = self._names.pop(given["fence"], None)
        if name is not None:
            del self._leases[name]
        return _NOTHING

    def _forget_lease(self, given: Named) -> _Rows:
        fence, node = self._leases.get((given["domain"], given["local"]), (None, None))
        if fence is not None and node == given["node"] and given["fence"] in {None, fence}:
            self._remove({"fence": fence})
        return _NOTHING

    def _is_held(self, given: Named) -> _Rows:
        self.counts["fences"] += 1
        return _SOME if given["fence"] in self._names else _NOTHING

    def _held(self, given: Named) -> _Rows:
        node, names = given["node"], self._names
        found = (fence for fence in given["fences"] if fence in names)
        return _Rows((fence,) for fence in found if self._leases[names[fence]][1] == node)

    # Places

    def _every_place(self, given: Named) -> _Rows:
        self.counts["allotments"] += 1
        parts = self._places.get(given["host"], {})
        return _Rows((node, *part) for node, part in parts.items() if node in self._nodes)

    def _save_places(self, given: Named) -> _Rows:
        if given["node"] not in self._nodes:
            return _NOTHING
        part = Part(given["places"], given["wanted"], given["held"], given["short_since"])
        self._places.setdefault(given["host"], {})[given["node"]] = part
        return _Rows([(given["node"],)])

    def _paused(self, given: Named) -> _Rows:
        until = self._pauses.get(given["host"])
        return _NOTHING if until is None else _Rows([(until - self._time(),)])

    def _pause(self, given: Named) -> _Rows:
        until = self._time() + given["long"]
        self._pauses[given["host"]] = max(until, self._pauses.get(given["host"], 0))
        return _NOTHING

    def _forget_logins(self, given: Named) -> _Rows:
        logins = self._logins.setdefault(given["host"], deque())
        while logins and logins[0] < self._time() - given["window"]:
            logins.popleft()
        return _NOTHING

    def _count_logins(self, given: Named) -> _Rows:
        logins = self._logins.setdefault(given["host"], deque())
        return _Rows([(len(logins), logins[0] + given["window"] - self._time() if logins else None)])

    def _add_logins(self, given: Named) -> _Rows:
        self._logins.setdefault(given["host"], deque()).extend([self._time()] * given["count"])
        return _NOTHING

    # Wrong passwords

    def _count_said_no(self, given: Named) -> _Rows:
        since = self._time() - given["long"]
        return _Rows([(sum(at > since for at in self._said_no.get(given["mailbox"], ())),)])

    def _add_said_no(self, given: Named) -> _Rows:
        self._said_no.setdefault(given["mailbox"], []).append(self._time())
        return _NOTHING

    def _forget_said_no(self, given: Named) -> _Rows:
        self._said_no.pop(given["mailbox"], None)
        return _NOTHING

    def _sweep_said_no(self, given: Named) -> _Rows:
        since = self._time() - given["long"]
        for mailbox, times in list(self._said_no.items()):
            times[:] = [at for at in times if at > since]
            if not times:
                del self._said_no[mailbox]
        return _NOTHING


def _nothing(_given: Named) -> _Rows:
    return _NOTHING


class Lines:
    """What all nodes hear each other by."""

    def __init__(self, shared: Shared, clock: Any) -> None:
        self.shared = shared
        self.clock = clock
        self.all: list[Line] = []

    def line(self) -> Line:
        """Of one more node."""
        self.all.append(Line(self))
        return self.all[-1]


class Line:
    """As much of a `proxy.login.nodes.Nodes` as leases and places ask for."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._on: dict[str, list[Callable[[int, str], None]]] = {}

    def start(self) -> None: ...

    stop = start

    def on(self, kind: str, told: Callable[[int, str], None]) -> None:
        self._on.setdefault(kind, []).append(told)

    def tell(self, kind: str, about: int = 0, more: str = "") -> None:
        self._lines.shared.counts["news"] += 1
        for line in self._lines.all:
            if line is not self and kind in line._on:
                self._lines.clock.callLater(HEARD_AFTER, line._heard, kind, about, more)

    def _heard(self, kind: str, about: int, more: str) -> None:
        for told in self._on[kind]:
            told(about, more)

    def run(self, job: Callable[[Any], T]) -> Deferred[T]:
        return maybeDeferred(job, self._lines.shared)
