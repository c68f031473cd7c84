"""Faults that are clients: too many, wrong ones, slow ones, and ones that do not read."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

from tests.faults.stage import OLD, Stage
from tests.faults.storms import Fault, Play, alternating, numbered, usual

FLOOD: Final = 2_000  # guesses under way
MIB: Final = 1024 * 1024
SECRET: Final = "secret"


def connections(play: Play) -> str:
    """As many sessions over TLS at the same time, idling."""
    count, accounts = play.size["count"], play.size["accounts"]
    before = play.stage.taken()
    with play.stage.storm("idle", count, "imaps", users=numbered("user", accounts)) as storm:
        there = storm.hear()
        now = play.measure()
        play.last(play.size["seconds"])
        storm.say("")
        came = storm.end()["came"]
    play.require(there["came"].get("idle") == count, f"not all came in: {there['came']}")
    play.require(not came.get("dropped"), f"dropped: {came}")
    each = (now.memory - before.memory) * 1024 / count
    return f"{count:,} idle sessions, there after {there['seconds']:.0f} s, {each:.0f} KiB each"


def guesses(play: Play) -> str:
    """Wrong passwords of accounts whose mail is here, of others whose mail is not, and of nobody's."""
    count, accounts = play.size["count"], play.size["accounts"]
    users = alternating(numbered("user", accounts), numbered("old", accounts), numbered("caller", accounts))
    began = play.stage.taken()
    with play.stage.storm("guess", count, users=users, at_once=FLOOD, each=play.size["each"]) as storm:
        there = storm.hear()
        storm.end()
    play.measure()
    came = there["came"]
    took = play.stage.taken().processor - began.processor
    play.require("t OK" not in came and "capability" not in came, f"somebody came in: {came}")
    play.require(play.stage.legacy.refused <= 8 * accounts, f"{play.stage.legacy.refused} reached the old server")
    said = ", ".join(f"{often:,} {what}" for what, often in sorted(came.items()))
    return (
        f"{count:,} in {there['seconds']:.0f} s: {said}; {play.stage.legacy.refused} asked about at the old server; "
        f"{1000 * took / count:.1f} ms of processor time each"
    )


def slow(play: Play) -> str:
    """An octet a second: before login, in literals, in handshakes."""
    count, seconds = play.size["count"], play.size["seconds"]
    with play.stage.storm("drip", count, "imap", implicit=play.stage.daemon.ports["imaps"]) as storm:
        storm.hear()
        play.last(seconds)
        storm.say("")
        came = storm.end()["came"]
    ended = sum(often for what, often in came.items() if what.endswith(" ended"))
    play.require(came["connected"] == count, f"not all connected: {came}")
    if not play.small:
        play.require(ended == count, f"not all were ended: {came}")
    return f"{count:,} in 7 ways, {ended:,} ended by the daemon, the last after {came.get('slowest', 0)} s"


def unread(play: Play) -> str:
    """Ask for everything and read nothing."""
    count, seconds = play.size["count"], play.size["seconds"]
    before = play.stage.taken()
    users, implicit = numbered("user", play.size["accounts"]), play.stage.daemon.ports["imaps"]
    with play.stage.storm("unread", count, users=users, implicit=implicit) as storm:
        storm.hear()
        play.last(seconds)
        storm.say("")
        came = storm.end()["came"]
    grown = play.peak.memory - before.memory
    asked = play.size["accounts"] and 20 * play.size["messages"] * play.size["octets"] // MIB
    play.require(came["asked"] == count, f"not all asked: {came}")
    play.require(grown < 20 + 3 * count, f"{grown} MiB of memory for {count} who do not read")
    if not play.small:
        play.require(came.get("given up") == count, f"not all were given up: {came}")
    return f"{count} for {asked:,} MiB each, {came.get('given up', 0)} given up; {grown} MiB of memory at most"


def heavy(root: Path, size: dict[str, Any]) -> Stage:
    message = b"Subject: large\r\n\r\n" + b"x" * 70 + b"\r\n"
    message += (b"0123456789" * 7 + b"\r\n") * (size["octets"] // 72)
    return Stage(root, finals=numbered("user", size["accounts"]), messages=[message] * size["messages"])


def first_logins(play: Play) -> str:
    """All at once, at an old server that takes few connections."""
    count = play.size["count"]
    users = numbered("first", count)
    with play.stage.storm("arrive", count, users=users, password=SECRET) as storm:
        there = storm.hear()
        storm.end()
    play.measure()
    require_whole(play, there, users)
    most = play.stage.legacy.most
    play.require(most <= play.stage.connections, f"{most} connections to the old server")
    return (
        f"{count} of {len(OLD)} messages, all in after {there['seconds']:.1f} s, {most} connections to the old server "
        f"at most"
    )


def require_whole(play: Play, there: Any, users: list[str]) -> None:
    """Each has the old mailbox, once and in order, and was never told that the password is wrong."""
    whole = hashlib.sha256(b"".join(OLD)).hexdigest()
    here = sum(there["digests"].get(user) == whole for user in users)
    play.require(here == len(users), f"{here} of {len(users)} mailboxes are whole: {there['came']}")
    play.require(not there["came"].get("told wrong"), "a right password was called wrong")
    play.require(not play.stage.legacy.deletions, "something was deleted at the old server")


CROWDS: Final = (
    Fault(
        "connections",
        connections,
        {"count": 5_000, "accounts": 500, "seconds": 10},
        {"count": 60, "accounts": 20, "seconds": 0.5},
        usual,
    ),
    Fault(
        "wrong logins",
        guesses,
        {"count": 10_000, "accounts": 100, "each": 20},
        {"count": 60, "accounts": 20, "each": 1},
        usual,
    ),
    Fault("slowloris", slow, {"count": 700, "seconds": 75}, {"count": 70, "seconds": 1}, usual),
    Fault(
        "never read",
        unread,
        {"count": 20, "accounts": 10, "messages": 10, "octets": MIB, "seconds": 135},
        {"count": 6, "accounts": 2, "messages": 4, "octets": MIB, "seconds": 1},
        heavy,
    ),
    Fault("first logins", first_logins, {"count": 200}, {"count": 25}, usual),
)
