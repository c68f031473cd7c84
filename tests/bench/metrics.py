"""What it costs that commands are counted and timed, and lines of the log have an id.

    tests/bench/run metrics [--commands 100] [--rounds 101]

Two servers in memory, on the same messages, one of which counts and the other does not: they take turns, so that what
else the machine does meets both. The figure is the median of the rounds' ratios of processor time.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from proxy.wire import trace
from proxy.wire.tally import LOGINS, Tally, now
from tests.dialogues.memory import MemoryChannel
from tests.proxy.imap.imap_rig import Rig, lines

COMMANDS = {"NOOP": b"NOOP", "FETCH": b"FETCH 1:* (UID FLAGS BODY.PEEK[])"}


class Uncounted(Tally):
    """As if nobody watched."""

    def command(self, protocol: str, name: str, began: float) -> None:
        pass


def connected(directory: Path, tally: Tally) -> tuple[Rig, MemoryChannel]:
    rig = Rig(directory)
    rig.factory.terms = replace(rig.factory.terms, tally=tally)
    return rig, rig.logged_in(select=True)


def seconds(channel: MemoryChannel, command: bytes, times: int) -> float:
    began = time.process_time()
    for _ in range(times):
        channel.send(b"a " + command + b"\r\n")
        channel.transport.out.clear()
    return time.process_time() - began


def each(work: Callable[[], object], times: int = 100_000) -> float:
    """Microseconds."""
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times * 1e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--commands", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=101)
    asked = parser.parse_args()
    tally = Tally()
    began = now()
    timed = each(lambda: tally.command("imap", "NOOP", began))
    counted = each(lambda: tally.count(LOGINS, "imap", "ok", ""))
    print(f"an observation: {timed:.2f} µs of a command's time, {counted:.2f} µs of a count")
    print(f"a session's id: {each(trace.new):.2f} µs")
    with tempfile.TemporaryDirectory(prefix="bench.") as root:
        servers = {}
        for name, kept in (("with", tally), ("without", Uncounted())):
            place = Path(root) / name
            place.mkdir()
            servers[name] = connected(place, kept)
        for name, command in COMMANDS.items():
            ratios = []
            for _ in range(asked.rounds):
                took = {which: seconds(channel, command, asked.commands) for which, (_, channel) in servers.items()}
                ratios.append(took["with"] / took["without"])
            each_took = took["with"] / asked.commands * 1e6
            print(f"{name}: {statistics.median(ratios):.3f} of the time without, {each_took:.0f} µs each")
        for rig, channel in servers.values():
            channel.send(b"z LOGOUT\r\n")
            assert lines(channel)
            rig.close()


if __name__ == "__main__":
    main()
