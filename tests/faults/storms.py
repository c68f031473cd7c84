"""Faults of a whole installation: each is played against a daemon while bystanders want their mail.

A fault is a function that lets it happen, and ends it, within `Play`; it gives back how much of what there was. `play`
begins the daemon, lets bystanders work before, during and after it, and compares what has to hold: bystanders are
answered, but for what the fault is about (`allowed`), nothing that they stored is lost or there twice, and when it is
over the daemon serves by itself, with the workers and connections that it had.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.faults.stage import Bystood, Helper, Stage, Taken
from tests.legacy.dovecot import select_nothing

SOCKETS: Final = 6  # more than before that are no leak: a client that is just now there


@dataclass
class Play:
    """One fault while it is played."""

    stage: Stage
    size: dict[str, Any]
    small: bool
    bystanders: Helper | None = None
    allowed: set[str] = field(default_factory=set)  # what may come of a bystander's command during it, beside "ok"
    wrong: list[str] = field(default_factory=list)
    peak: Taken = field(default_factory=Taken)

    def require(self, true: object, words: str) -> None:
        if not true:
            self.wrong.append(words)

    def measure(self) -> Taken:
        """Now, in its midst."""
        now = self.stage.taken()
        self.peak = Taken(*map(max, vars(self.peak).values(), vars(now).values()))
        return now

    def last(self, seconds: float) -> None:
        """Let it go on for so long."""
        end = int(seconds / 0.5)
        for _ in range(end):
            select_nothing(0.5)
            self.measure()
        select_nothing(seconds - end * 0.5)


Does = Callable[[Play], str]


@dataclass(frozen=True)
class Fault:
    """`full` and `small` are its sizes: for the table, and for a test. `stage` makes the stage of a directory."""

    name: str
    does: Does
    full: dict[str, Any]
    small: dict[str, Any]
    stage: Callable[[Path, dict[str, Any]], Any]


@dataclass
class Row:
    """What came of one fault."""

    name: str
    many: str
    stood: Bystood
    before: Taken
    peak: Taken
    after: Taken
    lost: int
    doubled: int
    recovered: bool
    wrong: list[str]
    warnings: Counter[str]


def play(fault: Fault, root: Path, *, small: bool) -> Row:
    """On a stage of its own, which is taken down. Raises nothing for what does not hold: see `Row.wrong`."""
    size = fault.small if small else fault.full
    with fault.stage(root, size) as stage:
        row = play_on(stage, fault, small=small)
        stage.legacy.drop()
        status = stage.daemon.stop()
        if status:
            row.wrong.append(f"it ended with {status}")
    return row


def play_on(stage: Stage, fault: Fault, *, small: bool) -> Row:
    """The same on a stage where there may have been others."""
    playing = Play(stage, fault.small if small else fault.full, small)
    calm = 0.5 if small else 4.0
    with stage.bystanders() as helper:
        playing.bystanders = helper
        helper.say("warming up")
        playing.last(calm)
        helper.say("before")
        playing.last(calm)
        helper.until("before")
        before = stage.taken()
        helper.say("during")
        many = fault.does(playing)
        helper.say("between")
        recovered = _recovers(playing, before)
        helper.say("after")
        playing.last(calm)
        if recovered:
            helper.until("after")
        after = stage.taken()
        stood = Bystood(**helper.end())
    kept, warnings = stage.kept(), stage.warnings()
    lost = sum(not kept[name] for name in stood.stored)
    doubled = sum(often > 1 for often in kept.values())
    _judge(playing, stood, warnings)
    playing.require(not lost, f"{lost} messages are lost")
    playing.require(not doubled, f"{doubled} messages are there twice")
    playing.require(recovered, "it does not recover by itself")
    return Row(fault.name, many, stood, before, playing.peak, after, lost, doubled, recovered, playing.wrong, warnings)


def _judge(playing: Play, stood: Bystood, warnings: Counter[str]) -> None:
    for when, allowed in (("before", set()), ("during", playing.allowed), ("after", set())):
        came = stood.outcomes(when)
        others = {what: often for what, often in came.items() if what != "ok" and what not in allowed}
        playing.require(not others, f"bystanders {when}: {others} {stood.refusals}")
        if when != "during":
            playing.require(came["ok"], f"bystanders were not answered {when} it")
    playing.require(not warnings["unexpected"], "the log has something unexpected")


def _recovers(playing: Play, before: Taken) -> bool:
    stage = playing.stage

    def well() -> bool:
        if len(stage.worker_processes()) != (stage.workers if stage.workers > 1 else 0):
            return False
        now = stage.taken()
        if now.sockets > before.sockets + SOCKETS:
            return False
        return all(stage.daemon.ask("imap", b"a LOGIN caller0 pass")[1].startswith(b"a OK") for _ in range(2))

    def tried() -> bool:
        try:
            return well()
        except OSError:
            return False

    return bool(stage.until(tried, 40))


def usual(root: Path, size: dict[str, Any]) -> Stage:
    finals = [f"user{number}" for number in range(size.get("accounts", 0))]
    return Stage(root, finals=finals)


def numbered(name: str, count: int) -> list[str]:
    return [f"{name}{number}" for number in range(count)]


def alternating(*kinds: Iterable[str]) -> list[str]:
    return [name for names in zip(*kinds, strict=True) for name in names]


def progress(words: str) -> None:
    """For who waits for the table."""
    if sys.stderr.isatty():
        print(words, file=sys.stderr, flush=True)
