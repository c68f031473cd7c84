"""What two see of one directory: another process of this machine here, and, with the same questions, another node
(`across`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from proxy.cli.checks.storage.onlooker import BEGUN, Answer, Onlooker, Question
from proxy.cli.checks.storage.trial import Trial, write

RACED: Final = 100  # names
BEGIN_SECONDS: Final = 5.0
LATE: Final = 1.5  # seconds
REPLACED_WITHIN: Final = 5.0  # … the index is not asked for it; GlusterFS has a name for one second
NOT_SEEN: Final = 90.0  # … NFS keeps a directory's time for 60 at most, if not told otherwise
END_SECONDS: Final = 10.0

# What follows where a lock is none.
_LOCKS: Final = {
    "flock": "two sessions could have one POP3 maildrop, and two backups one directory",
    "record": "SQLite's indexes would be damaged: do not use it with storage.database = sqlite",
}


class Other(Protocol):
    """Who is asked. One question at a time. Both raise OSError where nobody answers."""

    def ask(self, question: Question) -> None: ...

    def hear(self) -> Answer: ...


class Process:
    """A second process. A context."""

    def __init__(self, place: Path) -> None:
        command = [sys.executable, "-P", "-m", "proxy.cli.checks.storage.onlooker", str(place)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603

    def ask(self, question: Question) -> None:
        assert self._process.stdin is not None
        print(json.dumps(question), file=self._process.stdin, flush=True)

    def hear(self) -> Answer:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise OSError("the second process has ended")
        answer: Answer = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(subprocess.TimeoutExpired, BrokenPipeError):
            self._process.communicate(timeout=END_SECONDS)
            return
        self._process.kill()
        self._process.communicate()


def tried(trial: Trial) -> None:
    trial.at = "second process"
    place = trial.place / "second"
    place.mkdir()
    with Process(place) as other:
        held_together(trial, place, other, "another process")


def held_together(trial: Trial, place: Path, other: Other, who: str) -> None:
    """Ask `who` about `place`."""
    mine = Onlooker(place)
    try:
        with trial.tried(f"seen by {who}", "two processes would see different mailboxes: do not use it"):
            _contents(trial, place, other, who)
            _entries(trial, place, other, who)
        for kind, follows in _LOCKS.items():
            with trial.tried(f"{kind} lock against {who}", follows):
                _lock(trial, mine, other, kind, who)
        with trial.tried(f"O_EXCL against {who}", "two deliveries could take one name: do not use it"):
            _race(trial, place, mine, other, who)
    finally:
        mine.close()


def _asked(other: Other, **question: object) -> Answer:
    other.ask(question)
    answer = other.hear()
    if "error" in answer:
        raise OSError(answer["error"])
    return answer


def _contents(trial: Trial, place: Path, other: Other, who: str) -> None:
    """Close-to-open: what was written before the close is read after the opening."""
    path, seen = place / "contents", []
    write(path, b"first")
    seen.append(_asked(other, do="read", name="contents"))
    write(path, b"then", flags=os.O_APPEND)
    seen.append(_asked(other, do="read", name="contents"))
    write(place / "replacing", b"replaced")
    (place / "replacing").rename(path)
    begun = time.monotonic()
    seen.append(_asked(other, do="read", name="contents"))
    while seen[-1]["text"] != "replaced" and time.monotonic() - begun < REPLACED_WITHIN:
        time.sleep(0.02)
        seen[-1] = _asked(other, do="read", name="contents")
    late = time.monotonic() - begun
    when = f"; another file of the same name after {late:.1f} s" if late > 0.3 else ""
    trial.figures[f"replaced_late_seconds_{who.replace(' ', '_')}"] = round(late, 2)
    trial.holds(
        f"contents seen by {who}",
        [each["text"] for each in seen] == ["first", "firstthen", "replaced"],
        so=f"what is closed here is read there (close-to-open){when}",
        otherwise="old contents are read there after they were closed here; mailboxes would be damaged: do not use it "
        "(NFS: without nocto; CIFS: cache=strict; GlusterFS: performance.stat-prefetch off, mounted with "
        "attribute-timeout=0,entry-timeout=0)",
    )
    trial.holds(
        f"inode seen by {who}",
        seen[0]["inode"] == seen[1]["inode"] and seen[2]["inode"] == path.stat().st_ino,
        so="the same",
        otherwise="another one; each login there takes the index for a copy (FUSE: mount it with use_ino)",
    )


def _entries(trial: Trial, place: Path, other: Other, who: str) -> None:
    directory = place / "entries"
    directory.mkdir()
    write(directory / "a", b"")
    first = _asked(other, do="list", name="entries")["names"]
    was = _asked(other, do="read", name="entries/a")["mtime"]
    time.sleep(0.05)  # beyond the tick in which the directory was changed
    (directory / "a").rename(directory / "b")
    renamed = _asked(other, do="list", name="entries")["names"]
    late = _asked(other, do="moved", name="entries", was=was, limit=NOT_SEEN)["seconds"]
    trial.holds(
        f"names seen by {who}",
        (first, renamed) == (["a"], ["b"]),
        so="as they are",
        otherwise="as they were; messages would be missed, and taken for removed: do not use it",
    )
    trial.figures[f"directory_time_late_seconds_{who.replace(' ', '_')}"] = None if late is None else round(late, 2)
    trial.holds(
        f"time of a directory seen by {who}",
        late is not None and late <= LATE,
        so="at once" if late is None or late < 0.1 else f"after {late:.1f} s",
        otherwise=f"{f'not for {NOT_SEEN:.0f} s' if late is None else f'{late:.0f} s late'}; what other programs "
        "deliver shows so late on other nodes (NFS: acdirmin=1,acdirmax=1)",
        worse="warn",
    )


def _lock(trial: Trial, mine: Onlooker, other: Other, kind: str, who: str) -> None:
    name = f"lock-{kind}"
    first = mine.lock(kind, name)
    refused = _asked(other, do="lock", kind=kind, name=name)["got"]
    if refused:
        _asked(other, do="unlock", kind=kind, name=name)
    mine.unlock(kind, name)
    then = _asked(other, do="lock", kind=kind, name=name)["got"]
    back = mine.lock(kind, name)
    if back:
        mine.unlock(kind, name)
    if then:
        _asked(other, do="unlock", kind=kind, name=name)
    trial.holds(
        f"{kind} lock against {who}",
        (first, refused, then, back) == (True, False, True, False),
        so="one at a time",
        otherwise=f"both have it at once, or it does not come free; {_LOCKS[kind]} (NFS: not with nolock, local_lock)",
    )


def _race(trial: Trial, place: Path, mine: Onlooker, other: Other, who: str) -> None:
    other.ask({"do": "race", "count": RACED})
    until = time.monotonic() + BEGIN_SECONDS
    while BEGUN not in os.listdir(place) and time.monotonic() < until:  # noqa: PTH208 - names only
        time.sleep(0.001)
    won = mine.race(RACED, backwards=False)
    lost = other.hear().get("won", [])
    trial.holds(
        f"O_EXCL against {who}",
        sorted(won + lost) == list(range(RACED)),
        so=f"each of {RACED} names was made by one ({len(won)} here, {len(lost)} there)",
        otherwise="a name was made by both, or by none; two deliveries could take one name: do not use it",
    )
