"""Two nodes meet in a directory, and each asks the other what it sees of what was just written.

Both run `mailferry check --storage DIR --with TOKEN` at the same time, with the same word. They find each other, and
talk, by files in the directory itself: nothing else has to connect them. First asks who was there first, then the other
one.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from proxy.cli.checks.storage.onlooker import Answer, Onlooker, Question
from proxy.cli.checks.storage.second import held_together
from proxy.cli.checks.storage.trial import PREFIX, Trial, write

WAIT: Final = 180.0  # seconds for the other node to come, and to answer
PAUSE: Final = 0.02
SKEW: Final = 1.0  # seconds between nodes' clocks
_STALE: Final = 900.0


class NobodyThere(OSError):
    """The other node does not come, or does not answer any more."""


class Talk:
    """Between two, in one directory: numbered files by each side."""

    def __init__(self, room: Path, mine: str, theirs: str, wait: float = WAIT) -> None:
        self._room, self._mine, self._theirs, self._wait = room, mine, theirs, wait
        self._sent = self._got = 0

    def say(self, what: dict[str, Any]) -> None:
        """Whole or not at all."""
        passing = self._room / f"passing-{secrets.token_hex(6)}"
        write(passing, json.dumps(what).encode())
        passing.rename(self._room / f"{self._mine}-{self._sent}")
        self._sent += 1

    def hear(self) -> dict[str, Any]:
        """Raises NobodyThere."""
        name = f"{self._theirs}-{self._got}"
        until = time.monotonic() + self._wait
        while (said := self._said(name)) is None:
            if time.monotonic() > until:
                raise NobodyThere(
                    f"the other node does not answer, or what it writes is not seen here ({self._wait:.0f} s)"
                )
            time.sleep(PAUSE)
        self._got += 1
        return said

    def _said(self, name: str) -> dict[str, Any] | None:
        """None where it is not seen yet: a mount that caches may show a file for a moment before what is in it."""
        if name not in os.listdir(self._room):  # noqa: PTH208 - to open a directory is to look at the server's
            return None
        try:
            said: dict[str, Any] = json.loads((self._room / name).read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return said

    def ask(self, question: Question) -> None:
        self.say(question)


def try_with(directory: Path, token: str, wait: float = WAIT) -> Callable[[Trial], None]:
    """A part of a trial: see above."""

    def tried(trial: Trial) -> None:
        trial.at = "the other node"
        room = directory / f"{PREFIX}with-{token}"
        left_to_the_other = False
        try:
            with trial.tried("the other node", "run this there at the same time, with the same word"):
                first = _come_in(room)
                mine, theirs = ("a", "b") if first else ("b", "a")
                talk = Talk(room, mine, theirs, wait)
                _greet(trial, talk)
                for asks in (first, not first):
                    if asks:
                        held_together(trial, _own(room, mine), talk, "the other node")
                        talk.say({"do": "end"})
                    else:
                        _answer(talk, room / f"place-{theirs}")
                if first:
                    talk.say({})
                    left_to_the_other = True
                else:  # ours was the last word, and the room stays until it is heard
                    talk.hear()
        finally:
            if not left_to_the_other:
                shutil.rmtree(room, ignore_errors=True)

    return tried


def _come_in(room: Path) -> bool:
    """Is nobody there yet? Raises OSError."""
    room.mkdir(mode=0o700, exist_ok=True)
    if time.time() - room.stat().st_mtime > _STALE:
        shutil.rmtree(room, ignore_errors=True)  # of an earlier run that was ended
        room.mkdir(mode=0o700, exist_ok=True)
    for first, name in ((True, "first"), (False, "second")):
        try:
            write(room / name, b"")
        except FileExistsError:
            continue
        return first
    raise NobodyThere("two nodes are at it already: take another word")


def _own(room: Path, mine: str) -> Path:
    place = room / f"place-{mine}"
    place.mkdir()
    return place


def _greet(trial: Trial, talk: Talk) -> None:
    """Who is it, and what is the time there? How far the clocks are apart is known to half of a way there and back."""
    me = Onlooker(Path("/")).answer({"do": "who"})
    talk.say(me)
    other = talk.hear()
    begun = time.time()
    talk.say({})
    talk.hear()
    talk.say({"time": time.time()})
    theirs = talk.hear()["time"]
    took = time.time() - begun
    off = theirs - time.time()
    trial.figures |= {
        "other_host": other["host"],
        "clocks_apart_seconds": round(off, 2),
        "answer_seconds": round(took / 2, 3),
    }
    if me["boot"] and me["boot"] == other["boot"]:
        trial.told(
            "warn", "the other node", "is this machine", "run it on another one: this proves nothing of two nodes"
        )
    else:
        trial.told("ok", "the other node", f"{other['host']} answers within {took / 2:.2f} s")
    trial.holds(
        "clocks of the nodes",
        abs(off) <= SKEW + took,
        so="agree",
        otherwise=f"are {abs(off):.1f} s apart; have both ask the same time server (chrony)",
        worse="warn",
    )


def _answer(talk: Talk, place: Path) -> None:
    onlooker = Onlooker(place)
    try:
        while (question := talk.hear()) != {"do": "end"}:
            answer: Answer = onlooker.answer(question)
            talk.say(answer)
    finally:
        onlooker.close()
