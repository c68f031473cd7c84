"""Faults that are the machine's, or the old server's: descriptors, disk, databases, clock, processes that halt."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from tests.faults import loops
from tests.faults.crowds import SECRET, require_whole
from tests.faults.relaying import Network
from tests.faults.stage import STAYERS, Stage
from tests.faults.storms import Fault, Play, numbered, usual
from tests.legacy.dovecot import select_nothing
from tests.legacy.threaded import reset

HOUR, DAY = 3600, 86_400
IN_OR_LATER: Final = (b"a OK", b"a NO [UNAVAILABLE]")
DISK: Final = 96 * loops.MIB
_ODD: Final = Path(__file__).with_name("odd_clock")


@contextmanager
def _at_most(processes: Sequence[int], spare: int) -> Iterator[None]:
    """Let these have so many descriptors more than they have now, and no more."""
    before = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in processes}
    for pid, (_, hard) in before.items():
        numbers = [int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (max(numbers) + 1 + spare, hard))
    try:
        yield
    finally:
        for pid, limits in before.items():
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


def descriptors(play: Play) -> str:
    """None left: first in the workers, then in the process that accepts. Sessions that are there go on; who comes is
    not let in, and nothing spins or fills the log meanwhile."""
    play.allowed = {"dropped", "late", "refused"}
    count, seconds = play.size["count"], play.size["seconds"]
    told, shares = [], []
    for processes in (play.stage.worker_processes() or [play.stage.pid], [play.stage.pid]):
        before, lines = play.stage.taken(), len(play.stage.daemon.log.splitlines())
        with _at_most(processes, 8), play.stage.storm("hold", count) as storm:
            storm.hear()
            play.last(seconds)
            shares.append((play.stage.taken().processor - before.processor) / seconds)
            told.append(len(play.stage.daemon.log.splitlines()) - lines)
            storm.say("")
            storm.end()
        play.require(_comes_in(play), "nobody comes in when there are descriptors again")
    most = max(told)
    play.require(most < 40 + 20 * seconds, f"{most} lines of log")
    play.require(max(shares) < 1.2, f"{100 * max(shares):.0f} % of a core")
    return f"{count} clients beyond the limit, twice; {100 * max(shares):.0f} % of a core, {most} lines of log at most"


def _comes_in(play: Play) -> bool:
    def tried() -> bool:
        try:
            return play.stage.daemon.ask("imap", b"a LOGIN caller0 pass")[1].startswith(b"a OK")
        except OSError:
            return False

    return play.stage.until(tried, 20)


def full_disk(play: Play) -> str:
    """To the last octet. What is here can be read, what cannot be stored is refused, first logins are told later."""
    play.allowed = {"refused"}
    filler = play.stage.root / "filler"
    with filler.open("wb", buffering=0) as file:
        for piece in (loops.MIB, 1024):
            with contextlib.suppress(OSError):
                while file.write(bytes(piece)):
                    pass
    said = play.stage.daemon.ask("imap", b"a LOGIN first0 " + SECRET.encode())[1]
    play.require(said.startswith(b"a NO [UNAVAILABLE]"), f"a first login was told {said!r}")
    play.last(play.size["seconds"])
    filler.unlink()
    said = play.stage.daemon.ask("imap", b"a LOGIN first0 " + SECRET.encode())[1]
    play.require(said.startswith(b"a OK"), f"with room a first login was told {said!r}")
    return f"{play.size['seconds']:g} s without room"


@contextmanager
def small_disk(root: Path, size: dict[str, Any]) -> Iterator[Stage]:
    with loops.small_memory(root / "disk", DISK), usual(root / "disk" / "ferry", size) as stage:
        yield stage


def locked(play: Play) -> str:
    """Another program holds the accounts, and after that one user's mailbox. Nobody else waits for it."""
    seconds = play.size["seconds"]
    with _held(play.stage.root / "state" / "accounts.db"):
        play.last(seconds)
        first = _Client(play, b"a LOGIN first0 " + SECRET.encode())
        play.last(seconds / 2)
    heard = first.answer()
    play.require(heard.startswith(IN_OR_LATER), f"a first login in the midst of it was told {heard!r}")
    play.stage.daemon.ask("imap", b"a LOGIN user0 pass")  # so that it is there
    with _held(play.stage.daemon.maildir("user0").with_name("Maildir.db")):
        other = _Client(play, b"a LOGIN user0 pass")
        play.last(seconds)
    heard = other.answer()
    play.require(heard.startswith(IN_OR_LATER), f"the user of the mailbox was told {heard!r}")
    return f"the accounts for {1.5 * seconds:g} s, then a mailbox for {seconds:g} s"


@contextmanager
def _held(database: Path) -> Iterator[None]:
    with closing(sqlite3.connect(database, isolation_level=None)) as holding:
        holding.execute("BEGIN EXCLUSIVE")
        yield
        holding.execute("ROLLBACK")


class _Client:
    """Who has said something, and hears the answer when it is asked for."""

    def __init__(self, play: Play, command: bytes) -> None:
        self._connection = socket.create_connection(play.stage.daemon.imap, 90)
        self._connection.sendall(command + b"\r\n")

    def answer(self) -> bytes:
        said = b""
        with self._connection, self._connection.makefile("rb") as lines:
            while not said.startswith(b"a ") and (line := lines.readline()):
                said = line
        return said


def gone(play: Play) -> str:
    """Moved away for a while: the accounts, the whole state directory. And a mailbox's index is lost, for good."""
    play.allowed = {"refused", "dropped"}
    state, seconds = play.stage.root / "state", play.size["seconds"]
    mailbox = play.stage.daemon.maildir(STAYERS[0])
    accounts = _accounts(play)
    for paths in ([state / f"accounts.db{more}" for more in ("", "-wal", "-shm")], [state]):
        with _moved_away(paths):
            play.last(seconds)
        play.last(2.0)
    for more in ("", "-wal", "-shm"):
        mailbox.with_name(f"Maildir.db{more}").unlink(missing_ok=True)
    play.last(seconds)
    play.require(_accounts(play) == accounts, "accounts are others than before")
    play.require(not state.with_name("new-state").exists(), "mail was stored where the state directory had been")
    return f"the accounts and the state directory for {seconds:g} s each; a mailbox's index for good"


def _accounts(play: Play) -> list[Any]:
    with closing(sqlite3.connect(play.stage.root / "state" / "accounts.db")) as database:
        return database.execute("SELECT id, local, state FROM accounts ORDER BY id").fetchall()


@contextmanager
def _moved_away(paths: Sequence[Path]) -> Iterator[None]:
    moved = [(path, path.with_name("away-" + path.name)) for path in paths if path.exists()]
    for path, aside in moved:
        path.rename(aside)
    yield
    for path, aside in moved:
        if path.is_dir():  # something made it anew: with nothing in it that was there before
            path.rename(path.with_name("new-" + path.name))
        aside.rename(path)


def clock(play: Play) -> str:
    """The time of day jumps an hour ahead, then a day back: who is there stays, refusals that are held back come, and
    sessions that do not log in are ended in time."""
    off, count = play.stage.root / "off", play.size["count"]
    for seconds in (HOUR, HOUR - DAY):
        callers = numbered("caller", 20)
        with play.stage.storm("idle", 20, "imaps", users=callers) as quiet:
            quiet.hear()
            with play.stage.storm("guess", count, users=numbered(f"at{abs(seconds)}.", 5)) as storm:
                play.last(play.size["seconds"])
                off.write_text(str(seconds))
                there = storm.hear()
                storm.end()
            quiet.say("")
            came = quiet.end()["came"]
        play.require(not came.get("dropped") and came.get("idle") == 20, f"quiet sessions: {came}")
        play.require(there["came"].get("authenticationfailed"), f"guesses were told {there['came']}")
        play.require(there["seconds"] < 40 + play.size["seconds"], f"refusals came after {there['seconds']:.0f} s")
        said = play.stage.daemon.ask("imap", b"a LOGIN first%d " % abs(seconds) + SECRET.encode())[1]
        play.require(said.startswith(b"a OK"), f"a first login was told {said!r}")
    return f"an hour ahead, then a day back, with {play.size['count']} wrong logins under way"


def odd_clock(root: Path, size: dict[str, Any]) -> Stage:
    root.mkdir(exist_ok=True)
    (root / "off").write_text("0")
    environment = {"PYTHONPATH": str(_ODD), "MAILFERRY_ODD_CLOCK": str(root / "off")}
    return Stage(root, environment=environment)


def halted_worker(play: Play) -> str:
    """SIGSTOP: it is replaced. Its own sessions are lost with it; whoever comes is served by the others."""
    play.allowed = {"dropped", "late"}
    worker = play.stage.worker_processes()[0]
    os.kill(worker, signal.SIGSTOP)
    replaced = play.stage.until(lambda: worker not in play.stage.worker_processes(), 60)
    play.require(replaced, "it is not replaced")
    play.last(play.size["seconds"])
    return "one of two, replaced"


def halted_daemon(play: Play) -> str:
    """SIGSTOP of the process that has the gate: sessions go on, and logins wait."""
    seconds = play.size["seconds"]
    os.kill(play.stage.pid, signal.SIGSTOP)
    try:
        play.last(seconds)
    finally:
        os.kill(play.stage.pid, signal.SIGCONT)
    play.require(len(play.stage.worker_processes()) == play.stage.workers, "a worker was ended")
    return f"for {seconds:g} s"


class Flapping(Network):
    """In front of an old server, and each second otherwise: it is there, gone, silent, or resets what there is."""

    MANNERS: Final = ("there", "gone", "silent", "there", "resets")

    def __init__(self, target: int) -> None:
        self.manner = "there"
        super().__init__(target)

    def serve(self, client: socket.socket) -> None:
        if self.manner == "silent":
            select_nothing(3.0)
        if self.manner in {"gone", "resets"}:
            reset(client)
            return
        super().serve(client)


def flapping(play: Play) -> str:
    """While users log in for the first time, who try again when they are told later."""
    relay, count = play.stage.old, play.size["count"]
    assert isinstance(relay, Flapping)
    relay.target = play.stage.legacy.port
    users = numbered("first", count)
    seconds = play.size["seconds"]
    with play.stage.storm("arrive", count, users=users, password=SECRET, spread=seconds) as storm:
        turns = int(seconds / play.size["every"])
        for turn in range(turns):
            relay.manner = Flapping.MANNERS[turn % len(Flapping.MANNERS)]
            if relay.manner == "resets":
                relay.drop()
            play.last(play.size["every"])
        relay.manner = "there"
        there = storm.hear()
        storm.end()
    require_whole(play, there, users)
    later = there["came"].get("told later", 0)
    play.require(later or play.small, "nobody noticed")
    return f"{count} first logins, {turns} changes; told later {later} times, all in after {there['seconds']:.0f} s"


@contextmanager
def behind_flapping(root: Path, _size: dict[str, Any]) -> Iterator[Stage]:
    with Flapping(0) as relay, Stage(root, old=relay) as stage:
        yield stage


PLACES: Final = (
    Fault("no descriptors", descriptors, {"count": 400, "seconds": 10}, {"count": 60, "seconds": 1.5}, usual),
    Fault("full disk", full_disk, {"seconds": 20}, {"seconds": 1}, small_disk),
    Fault("locked database", locked, {"seconds": 35, "accounts": 1}, {"seconds": 1, "accounts": 1}, usual),
    Fault("database gone", gone, {"seconds": 10}, {"seconds": 1}, usual),
    Fault("clock jumps", clock, {"count": 40, "seconds": 5}, {"count": 6, "seconds": 1.5}, odd_clock),
    Fault("stopped worker", halted_worker, {"seconds": 5}, {"seconds": 0.5}, usual),
    Fault("stopped daemon", halted_daemon, {"seconds": 60}, {"seconds": 4}, usual),
    Fault(
        "old server flaps", flapping, {"count": 60, "seconds": 30, "every": 1.0},
        {"count": 8, "seconds": 2.5, "every": 0.5}, behind_flapping,
    ),
)  # fmt: skip
