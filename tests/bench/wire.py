"""What goes over the wire, and onto the disk: a first login, the next one, and a mixed load.

    tests/bench/run wire [--box small] [--clients 20] [--seconds 60]

A forwarder counts octets on the way to the old server and on the way from clients; the system counts what mailferry's
processes and the disk below the directory wrote. A first login carries a mailbox over: beside its messages there is
what their listing and the requests for them add. The mixed load is that of `tests/bench/run load`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tests.bench import corpus
from tests.bench.counting import Count, counted
from tests.bench.ferry import DOMAIN, Ferry, served
from tests.bench.ground import legacy_ground
from tests.bench.load import MESSAGES, _client

_SETTINGS: Final = """
[migration]
refresh = "0s"
"""


@dataclass(frozen=True, slots=True)
class Written:
    """By processes, and by the device that a directory is on."""

    calls: int
    octets: int
    operations: int
    device: int  # octets

    def since(self, before: Written) -> Written:
        mine, theirs = ((w.calls, w.octets, w.operations, w.device) for w in (self, before))
        return Written(*(a - b for a, b in zip(mine, theirs, strict=True)))


def written(ferry: Ferry, place: Path) -> Written:
    """So far."""
    calls = octets = 0
    children = Path(f"/proc/{ferry.process.pid}/task/{ferry.process.pid}/children").read_text().split()
    for pid in (str(ferry.process.pid), *children):
        about = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
        calls, octets = calls + int(about["syscw"]), octets + int(about["write_bytes"])
    device = place.stat().st_dev
    path = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat")
    fields = path.read_text().split() if path.exists() else ["0"] * 11
    return Written(calls, octets, int(fields[4]), 512 * int(fields[6]))


def _said(name: str, count: Count, before: tuple[int, int, int]) -> str:
    connections, up, down = before
    some = count.connections - connections
    return f"    {name:<24} {some:>6,} connections, {count.up - up:>13,} octets up, {count.down - down:>13,} down"


def _now(*counts: Count) -> list[tuple[int, int, int]]:
    return [(each.connections, each.up, each.down) for each in counts]


def measure(box: str, clients: int, seconds: float) -> None:
    users = [f"load{n}" for n in range(clients)]
    of_load = corpus.Box(MESSAGES, 1_000, 6_000)
    mailboxes = corpus.boxes([box]) | {user: partial(corpus.fill, box=of_load, seed=user) for user in users}
    with legacy_ground(mailboxes) as (ground, legacy), counted(legacy.pop3) as (old, to_old):
        root = ground.fresh("mailferry")
        with served(root, old, tables=_SETTINGS, old="connections = 60") as ferry, counted(ferry.imap) as (port, to_us):
            count = corpus.BOXES[box].count
            octets = sum(_crlf(path) for path in legacy.maildir(box).rglob("*") if path.is_file())
            print(f"a first login of {count:,} messages, {octets:,} octets of mail")
            before, disk = _now(to_old), written(ferry, root)
            ferry.login(box)
            disk = written(ferry, root).since(disk)
            print(_said("the old server", to_old, before[0]))
            _, up, down = before[0]
            print(
                f"    {'beyond the mail':<24} {(to_old.up - up) / count:.1f} octets up, "
                f"{(to_old.down - down - octets) / count:.1f} down for each message: "
                f"{100 * (to_old.up - up + to_old.down - down - octets) / octets:.1f} %"
            )
            print(_disk(disk, count, "message"))
            print("the next login, with nothing new")
            before = _now(to_old)
            ferry.login(box)
            _settled(to_old)
            print(_said("the old server", to_old, before[0]))
            addresses = [f"{user}@{DOMAIN}" for user in users]
            _client(port, addresses, 0, seconds=0.0)  # first logins: the mail comes over
            before, disk = _now(to_old, to_us), written(ferry, root)
            done = _client(port, addresses, clients, seconds=seconds)
            disk = written(ferry, root).since(disk)
            print(f"a mixed load of {clients} clients, {done['commands']:,.0f} commands in {done['seconds']:.0f} s")
            print(_said("the old server", to_old, before[0]))
            print(_said("clients", to_us, before[1]))
            _, up, down = before[1]
            each = done["commands"]
            print(
                f"    {'of each command':<24} {(to_us.up - up) / each:.0f} octets up, "
                f"{(to_us.down - down) / each:.0f} down"
            )
            print(_disk(disk, int(each), "command"))


def _crlf(path: Path) -> int:
    """Octets as POP3 sends them."""
    data = path.read_bytes()
    return len(data) + data.count(b"\n") - data.count(b"\r\n")


def _disk(found: Written, count: int, of: str) -> str:
    return (
        f"    {'written':<24} {found.calls / count:.1f} calls, {found.octets / count:,.0f} octets by mailferry a {of}; "
        f"{found.operations / count:.2f} operations, {found.device / count:,.0f} octets of the whole disk"
    )


def _settled(count: Count) -> None:
    """A look for new mail goes on behind its login."""
    from time import sleep

    before = -1
    while before != count.down:
        before = count.down
        sleep(0.5)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="tests/bench/run wire")
    parser.add_argument("--box", default="small", choices=sorted(corpus.BOXES), metavar="BOX")
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args(arguments)
    measure(options.box, options.clients, options.seconds)


if __name__ == "__main__":
    main()
