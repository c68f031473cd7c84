"""What a process counts and times for whoever watches it (`listen.metrics`).

Whoever does something counts it here, in the reactor's thread, in a microsecond; `proxy.daemon.metrics` shows it. Every
kind is declared here with its labels. What a client sent is never a label, nor are an account and an address: labels
are commands of the tables, domains and hosts of the configuration, and values of enumerations, so their number is
bounded.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

# Upper ends in seconds: from a command that is answered from memory to a login that is held.
BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, eq=False, slots=True)
class Kind:
    """Something that is counted, or timed in seconds. `name` is that of the metric without "mailferry_" and unit."""

    name: str
    text: str
    labels: tuple[str, ...] = ()


LOGINS: Final = Kind("logins", "Logins by how the gate answered.", ("protocol", "result", "reason"))
THROTTLED: Final = Kind("logins_throttled", "Logins delayed or not passed on because of guessing.", ("how",))
MOVES: Final = Kind("moves", "Moves that ended, by how.", ("domain", "outcome"))
MESSAGES: Final = Kind("moved_messages", "Messages carried over.", ("domain",))
OCTETS: Final = Kind("moved_bytes", "Octets of messages carried over.", ("domain",))
TROUBLES: Final = Kind("move_troubles", "Troubles of moves that were got over or ended them.", ("domain",))
LEGACY_ERRORS: Final = Kind("legacy_errors", "Connections and logins that a legacy server refused.", ("host", "error"))
ARRIVALS: Final = Kind("arrivals", "Recipients of mail that was handed in, by what became of it.", ("domain", "result"))
DEATHS: Final = Kind("worker_deaths", "Worker processes that ended unasked.")

COMMANDS: Final = Kind("command", "From a client's command to its reply.", ("protocol", "command"))
LEGACY: Final = Kind("legacy", "What a legacy server took to connect and to log in.", ("host", "step"))
LISTING: Final = Kind("legacy_listing", "What a legacy server took to list a mailbox.", ("domain",))
PER_MESSAGE: Final = Kind("legacy_message", "What a message took to come over, as a mean of its batch.", ("domain",))
DELIVERY: Final = Kind("delivery", "From a message's end to the answer for all of its recipients.")
BARRIER: Final = Kind("barrier", "What stable storage took for a batch of a move's messages.")

COUNTED: Final = {
    kind.name: kind for kind in (LOGINS, THROTTLED, MOVES, MESSAGES, OCTETS, TROUBLES, LEGACY_ERRORS, ARRIVALS, DEATHS)
}
TIMED: Final = {kind.name: kind for kind in (COMMANDS, LEGACY, LISTING, PER_MESSAGE, DELIVERY, BARRIER)}

now: Final = time.perf_counter  # seconds, for what is timed


class Times:
    """How often something took how long: `counts` by bucket, the last one beyond them all."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0


class Tally:
    """One process's, or the sum of several."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[Any, ...]] = Counter()  # by kind and labels
        self.times: dict[tuple[Any, ...], Times] = {}

    def count(self, kind: Kind, *labels: str, by: int = 1) -> None:
        """It has happened."""
        self.counts[kind, *labels] += by

    def took(self, seconds: float, kind: Kind, *labels: str, often: int = 1) -> None:
        """It took so long, each of so many times."""
        times = self.times.get((kind, *labels))
        if times is None:
            times = self.times[kind, *labels] = Times()
        times.counts[bisect_left(BUCKETS, seconds)] += often
        times.seconds += seconds * often

    def since(self, began: float, kind: Kind, *labels: str) -> None:
        """It took from `began`, which was `now()`, to this moment."""
        self.took(now() - began, kind, *labels)

    def command(self, protocol: str, name: str, began: float) -> None:
        """A command is answered that came at `began`: the same as `since`, for what happens most."""
        seconds = now() - began
        times = self.times.get((COMMANDS, protocol, name))
        if times is None:
            times = self.times[COMMANDS, protocol, name] = Times()
        times.counts[bisect_left(BUCKETS, seconds)] += 1
        times.seconds += seconds

    def take(self) -> dict[str, Any]:
        """All of it, as JSON can carry it; nothing is left here."""
        counts, self.counts = self.counts, Counter()
        times, self.times = self.times, {}
        return {
            "counts": [[kind.name, *labels, count] for (kind, *labels), count in counts.items()],
            "times": [[kind.name, *labels, each.counts, each.seconds] for (kind, *labels), each in times.items()],
        }

    def add(self, taken: dict[str, Any]) -> None:
        """What another process took of its own. It may be of another version, and count what is not counted here."""
        for name, *labels, count in taken["counts"]:
            if name in COUNTED:
                self.counts[COUNTED[name], *labels] += count
        for name, *labels, counts, seconds in taken["times"]:
            if name not in TIMED or len(counts) != len(BUCKETS) + 1:
                continue
            times = self.times.setdefault((TIMED[name], *labels), Times())
            times.counts = [one + other for one, other in zip(times.counts, counts, strict=True)]
            times.seconds += seconds
