"""Two workers against one, under a mixed load whose clients cost next to nothing.

    tests/bench/run workers [--seconds 6] [--rounds 3] [--clients 8]

The clients are one program: each has a mailbox of its own, sends its round of commands as one piece (SELECT, FETCH of
headers and bodies, STORE, SEARCH, STATUS, NOOP), throws away what comes until the last is answered, and sends them
again. So what limits is the servers. In each round a daemon with one worker and one with two take turns.

Printed are commands completed in a second of the clock, how busy the clients were, the processor time that a command
took all processes of the daemon, and the share of the busiest worker. Where other programs, or the clients, take part
of the cores, the clock's ratio says less than what follows from the processor time: how many commands a second two
workers can answer when each has a core, to how many one worker can. The larger of the two ratios is compared with 1.6.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from tests.bench.ground import ground
from tests.faults.stage import Stage, processor_of
from tests.faults.storms import numbered

WANTED = 1.6
BODY = b"From: a@example.org\r\nSubject: mixed\r\n\r\n" + b"A line of a message that is not very long.\r\n" * 90
MESSAGES = 40
ROUND = (
    b"a SELECT INBOX",
    b"a FETCH 1:20 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (FROM SUBJECT DATE)])",
    b"a FETCH 5 BODY.PEEK[]",
    b"a STORE 5 +FLAGS (\\Seen)",
    b"a STORE 5 -FLAGS (\\Seen)",
    b"a UID SEARCH UNSEEN SUBJECT mixed",
    b"a FETCH 21:30 (ENVELOPE BODYSTRUCTURE)",
    b'a STATUS INBOX (MESSAGES UNSEEN UIDNEXT)',
    b"z NOOP",
)  # fmt: skip


class Replay(asyncio.Protocol):
    """One client."""

    def __init__(self, user: str) -> None:
        self.rounds = 0
        self._login = b"z LOGIN %b pass\r\n" % user.encode()
        self._piece = b"\r\n".join(ROUND) + b"\r\n"
        self._greeted = False
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._tail = self._tail[-4:] + data[-600:]
        if not self._greeted:
            self._greeted = True
            self._transport.write(self._login)
        elif (at := self._tail.rfind(b"\nz ")) >= 0 and self._tail.endswith(b"\r\n"):
            assert self._tail.startswith(b"OK", at + 3), self._tail
            self._tail = b""
            self.rounds += 1
            self._transport.write(self._piece)


async def _replay(who: Sequence[tuple[int, str]], seconds: float, pipe: Connection) -> None:
    loop = asyncio.get_running_loop()
    clients = [Replay(user) for _, user in who]
    for client, (port, _) in zip(clients, who, strict=True):
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.sleep(2.0)
    before, work = sum(client.rounds for client in clients), time.process_time()
    pipe.send(None)
    await asyncio.sleep(seconds)
    pipe.send((sum(client.rounds for client in clients) - before, time.process_time() - work))


def _clients(who: Sequence[tuple[int, str]], seconds: float, pipe: Connection) -> None:
    asyncio.run(_replay(who, seconds, pipe))


class Playing:
    """Clients that replay for so many seconds, as a process of its own: `who` are ports and users."""

    def __init__(self, who: Sequence[tuple[int, str]], seconds: float) -> None:
        """They have begun when this returns."""
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.Process(target=_clients, args=(who, seconds, theirs))
        self._process.start()
        self._pipe.recv()
        self._begun = time.monotonic()

    def end(self) -> tuple[int, float, float]:
        """Wait for it: commands, seconds, and the clients' processor time."""
        rounds, work = self._pipe.recv()
        took = time.monotonic() - self._begun
        return rounds * len(ROUND), took, work

    def join(self) -> None:
        self._process.join()


@dataclass(frozen=True)
class Measured:
    commands: float  # a second
    clients: float  # cores that they took
    each: float  # seconds of processor time of all processes for a command
    share: float  # of the busiest worker, of what all workers took


def measure(root: Path, workers: int, clients: int, seconds: float) -> Measured:
    users = numbered("user", clients)
    with Stage(root, workers=workers, finals=users, messages=[BODY] * MESSAGES) as stage:
        playing = Playing([(stage.daemon.ports["imap"], user) for user in users], seconds)
        serving = stage.worker_processes() or [stage.pid]
        before, of_each = stage.taken().processor, [processor_of(pid) for pid in serving]
        commands, took, work = playing.end()
        all_of_it = stage.taken().processor - before
        workers_took = [processor_of(pid) - earlier for pid, earlier in zip(serving, of_each, strict=True)]
        playing.join()
        stage.legacy.drop()
    return Measured(commands / took, work / took, all_of_it / commands, max(workers_took) / sum(workers_took))


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/bench/run workers")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    by_clock, by_work = [], []
    for _ in range(options.rounds):
        found = {}
        for workers in (1, 2):
            with ground() as place:
                now = found[workers] = measure(place.fresh("workers"), workers, options.clients, options.seconds)
            print(
                f"{workers} worker{'s' if workers > 1 else ' '}  {now.commands:7.0f} commands/s   "
                f"clients {now.clients:4.0%} of a core   {1e6 * now.each:4.0f} µs of processor time each   "
                f"busiest worker {now.share:4.0%}",
                flush=True,
            )
        by_clock.append(found[2].commands / found[1].commands)
        by_work.append((1 / (found[2].each * found[2].share)) / (1 / found[1].each))
    clock, work = statistics.median(by_clock), statistics.median(by_work)
    print(f"two workers to one: {clock:.2f}× by the clock, {work:.2f}× by processor time; {WANTED:g} is wanted")
    return 0 if max(clock, work) >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
