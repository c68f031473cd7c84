"""What it costs to decide how long a login is held back, with every memory full, as in a flood of guesses.

    tests/bench/run throttle [--decisions 20000]

The first figure is for a guesser that comes again, the second for ever new addresses and accounts; a decision is all
that `Throttle` is asked and told about one login. The limit is 50 µs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from itertools import count, islice

from proxy.login import throttle as throttling
from proxy.login.throttle import Throttle
from proxy.wire.door import Secret


def strangers() -> Iterator[tuple[str, str]]:
    """Addresses, half of them IPv6 and each of a network of its own, and accounts."""
    for number in count():
        high, low = divmod(number, 65_536)
        address = f"2001:{high:x}:{low:x}::1" if number % 2 else f"{10 + high}.{low // 256}.{low % 256}.1"
        yield address, f"user{number}@123.com"


def decide(throttle: Throttle, peer: str, account: str, password: Secret) -> None:
    """A guess, from its arrival to its refusal."""
    if not throttle.known_wrong(account, password) and throttle.may_ask(account):
        throttle.legacy_said_no(account, password, account)
    if throttle.refused(peer, account, guessed=True):
        leave = throttle.hold_back(peer)
        if leave is not None:
            leave()


def microseconds(throttle: Throttle, guesses: list[tuple[str, str]]) -> float:
    """Each."""
    passwords = [Secret(b"guess %d" % number) for number in range(len(guesses))]
    began = time.perf_counter()
    for (peer, account), password in zip(guesses, passwords, strict=True):
        decide(throttle, peer, account, password)
    return (time.perf_counter() - began) / len(guesses) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--decisions", type=int, default=20_000)
    decisions = parser.parse_args().decisions
    throttle = Throttle(time.monotonic)
    coming = strangers()
    full = microseconds(throttle, list(islice(coming, throttling._MOST)))
    again = microseconds(throttle, [("192.0.2.1", "user@123.com")] * decisions)
    new = microseconds(throttle, list(islice(coming, decisions)))
    print(f"{throttling._MOST:,} networks, machines and accounts remembered: {full:.1f} µs each until then")
    print(f"a decision: {again:.1f} µs for one who comes again, {new:.1f} µs for a new one; at most 50 µs are wanted")
    if max(again, new) > 50:
        raise SystemExit("too slow")


if __name__ == "__main__":
    main()
