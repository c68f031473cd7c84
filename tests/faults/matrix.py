"""The fault matrix: every step of the dialogue with a legacy server, every kind of fault, offsets spread over the
answer, and how long the fault lasts.

    for case in cases():            # what every run tries; cases(more=True) are several times as many
        found = run(case)           # raises AssertionError when the mailbox does not end whole

A fault lasts for the first connection, for the first two, or until the first login has got its answer. Then it is
lifted, and the mailbox has to be whole, in order, with its UIDLs, byte for byte, after one more login.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from proxy.wire.door import Refusal
from tests.faults.injecting import Fault, Kind
from tests.faults.rig import Ground, Rig
from tests.legacy.certificates import Authority
from tests.legacy.server import Behaviour, LegacyServer, stuffed, unique_id
from tests.proxy.login.login_rig import PASSWORD
from tests.proxy.migration.scripted import mail

SMALL: Final = [mail(number, 300 + 7 * number) + b"\r\n" for number in range(1, 13)]
DOTS: Final = b"Subject: dots\r\n\r\n" + b".\r\n..\r\n.x\r\n...\r\n\r\n" * 9 + b"end.\r\n"
LARGE: Final = b"Subject: large\r\n\r\n" + b"".join(b".%07d %s\r\n" % (n, b"x" * 90) for n in range(11_000))
BOX: Final = [*SMALL[:5], DOTS, *SMALL[6:]]
WITH_LARGE: Final = [*BOX[:7], LARGE, *BOX[8:]]


class Lasts(enum.Enum):
    ONCE = "the first connection"
    TWICE = "the first two"
    ANSWERED = "until a login is answered"


@dataclass(frozen=True, slots=True)
class Manner:
    """A way in which a server wants to be spoken to."""

    name: str
    tls: str = "none"
    behaviour: tuple[tuple[str, Any], ...] = ()


PIPELINED: Final = Manner("pipelined")
LOCKSTEP: Final = Manner("no PIPELINING", behaviour=(("capabilities", (b"USER", b"UIDL", b"TOP")),))
STARTTLS: Final = Manner("STLS", "starttls")
IMPLICIT: Final = Manner("implicit TLS", "implicit")
APOP: Final = Manner("APOP", behaviour=(("apop", "works"),))
SASL: Final = Manner("SASL", behaviour=(("capabilities", (b"UIDL", b"SASL PLAIN", b"PIPELINING")),))


@dataclass(frozen=True, slots=True)
class Case:
    manner: Manner
    fault: Fault
    lasts: Lasts

    def __str__(self) -> str:
        return f"{self.manner.name}: {self.fault}, {self.lasts.value}"


@dataclass(frozen=True, slots=True)
class Found:
    """How a case went. `refused`: what the first login was told, if it was not let in."""

    refused: Refusal | None
    connections: int
    retrievals: int
    warnings: int


# The table: where in the dialogue, in which manner of server, at which octets of the answer.

_LINE: Final = {"at its beginning": 0, "inside": 5, "before its line end": -2, "inside its line end": -1}
_LISTING: Final = {
    **_LINE,
    "at its beginning": 0,
    "inside its status line": 6,
    "before its first line": 13,
    "inside its first line": 15,
    "before its last line": -3,
    "inside its end": -2,
    "before its last octet": -1,
}
_MESSAGE: Final = {
    "at its beginning": 0,
    "inside its status line": 2,
    "inside its status line's end": 4,
    "before its first octet": 5,
    "behind its first octet": 6,
    "in its header": 14,
    "at half": 150,
    "before its last octet": -6,
    "before its last CRLF": -5,
    "inside its last CRLF": -4,
    "before the dot": -3,
    "behind the dot": -2,
    "before its very last octet": -1,
}


def _of_dots() -> dict[str, int]:
    answer = b"+OK\r\n" + stuffed(DOTS)
    dot = answer.index(b"\r\n..\r\n")
    return {
        "before a stuffed dot": dot + 2,
        "inside a stuffed dot": dot + 3,
        "behind a stuffed dot": dot + 4,
        "before a line of dots": answer.index(b"\r\n...\r\n") + 2,
        "before the dot": -3,
        "behind the dot": -2,
    }


def _of_large() -> dict[str, int]:
    answer = b"+OK\r\n" + stuffed(LARGE)
    border = 131_072
    dot = answer.index(b"\r\n..", border)
    return {
        "behind its first octet": 6,
        "before a border of TCP's": 65_535,
        "at a border of TCP's": 65_536,
        "behind a border of TCP's": 65_537,
        "before it is given on in pieces": border,
        "when it is given on in pieces": border + 1,
        "inside a stuffed dot": dot + 3,
        "at half": len(answer) // 2,
        "inside its last CRLF": -4,
        "before the dot": -3,
        "before its very last octet": -1,
    }


def _places() -> Iterator[tuple[Manner, str, dict[str, int]]]:
    yield PIPELINED, "connect", {"at its beginning": 0}
    yield PIPELINED, "greeting", _LINE
    yield PIPELINED, "CAPA", _LISTING
    yield PIPELINED, "USER", _LINE
    yield PIPELINED, "PASS", _LINE
    yield PIPELINED, "LIST", _LISTING
    yield PIPELINED, "UIDL", _LISTING
    yield PIPELINED, "RETR 1", _MESSAGE
    yield PIPELINED, "RETR 3", _MESSAGE
    yield PIPELINED, "RETR 6", _of_dots()
    yield PIPELINED, "RETR 8", _of_large()
    yield PIPELINED, "RETR 12", _MESSAGE
    yield PIPELINED, "QUIT", _LINE
    yield LOCKSTEP, "LIST", _LISTING
    yield LOCKSTEP, "UIDL", _LISTING
    yield LOCKSTEP, "NOOP", _LINE
    yield LOCKSTEP, "NOOP 2", _LINE
    yield LOCKSTEP, "RETR 3", _MESSAGE
    yield STARTTLS, "greeting", _LINE
    yield STARTTLS, "CAPA", _LISTING
    yield STARTTLS, "STLS", _LINE
    yield STARTTLS, "TLS", {"at its beginning": 0, "inside": 100, "later": 700}
    yield STARTTLS, "CAPA 2", _LISTING
    yield STARTTLS, "PASS", _LINE
    yield STARTTLS, "RETR 3", _MESSAGE
    yield IMPLICIT, "TLS", {"at its beginning": 0, "inside": 100, "later": 700}
    yield IMPLICIT, "greeting", _LINE
    yield IMPLICIT, "RETR 3", _MESSAGE
    yield APOP, "APOP", _LINE
    yield SASL, "AUTH", _LINE


def cases(*, more: bool = False) -> Iterator[Case]:
    for row, (manner, step, places) in enumerate(_places()):
        for turn, kind in enumerate(Kind):
            if step == "connect" and kind not in {Kind.RESET, Kind.SILENCE, Kind.GARBAGE, Kind.EOF}:
                continue  # nothing is said yet: refused, unanswered, no such name, no route
            if step == "TLS" and kind in {Kind.NOISE, Kind.FORGED}:
                continue  # there are no lines
            for number, (place, at) in enumerate(places.items()):
                if not more and manner is not PIPELINED and (row + turn + number) % 2:
                    continue  # what comes behind the way in is the same in all manners
                if not more and kind is Kind.ERR and at < 0:
                    continue  # from the line's beginning: as at the place before
                lasting = kind is not Kind.DRIP and (
                    more or number % 6 == 0 or (number == 1 and manner is not PIPELINED)
                )
                for lasts in Lasts if lasting else [Lasts.ONCE]:
                    yield Case(manner, Fault(kind, step, at, place), lasts)


@lru_cache
def _identity() -> Any:
    return Authority().issue("localhost")


def make_server(case: Case) -> LegacyServer:
    behaviour = Behaviour(password=PASSWORD)
    if case.manner.tls != "none":
        behaviour.tls = _identity().options()
    for name, value in case.manner.behaviour:
        setattr(behaviour, name, value)
    return LegacyServer(WITH_LARGE if case.fault.step == "RETR 8" else BOX, behaviour)


# Where a fault may change nothing of what is asked for, so that nobody has to be warned of it.
_WITHOUT: Final = frozenset({"QUIT", "CAPA", "CAPA 2", "NOOP", "NOOP 2", "STLS", "TLS"})


def _may_be_harmless(case: Case) -> bool:
    fault = case.fault
    if fault.step in _WITHOUT:
        return True
    if fault.step == "greeting" and fault.kind in {Kind.GARBAGE, Kind.FORGED}:
        return True  # there are banners of several lines
    if fault.step in {"LIST", "UIDL"} and fault.kind is Kind.TWICE:
        return True  # there are servers that list a message twice
    if fault.step == f"RETR {len(BOX)}":  # all is here, and what comes behind it is of no use
        return fault.kind in {Kind.TWICE, Kind.FORGED, Kind.GARBAGE, Kind.NOISE} and -6 < fault.at < 0
    return fault.kind is Kind.NOISE and fault.place in {*_LINE, "inside its status line"}  # the words behind +OK


def run(case: Case, ground: Ground | None = None) -> Found:
    """Play one case. Raises AssertionError."""
    lifted = False
    last = {Lasts.ONCE: 1, Lasts.TWICE: 2, Lasts.ANSWERED: 1_000_000}[case.lasts]

    def fault_of(number: int) -> Fault | None:
        return None if lifted or number > last else case.fault

    server = make_server(case)
    more = "verify = false" if case.manner.tls != "none" else ""
    with Rig(server, fault_of, tls=case.manner.tls, more=more, ground=ground) as rig:
        refused = rig.login()
        assert refused in {None, Refusal.UNAVAILABLE}, f"told {refused}"
        rig.settle()
        struck = sum(injector.struck for injector in rig.injectors)
        assert struck or case.fault.step == "connect", "the fault never happened"
        warnings = rig.warnings()
        assert all(event for event, _ in warnings)
        lifted = True
        for _ in range(3):
            rig.forget_pauses()
            again = rig.login()
            assert again in {None, Refusal.UNAVAILABLE}, f"told {again} afterwards"
            rig.settle()
            if again is None:
                break
        rig.forget_pauses()
        rig.login()
        rig.settle()
        _whole(rig, server, in_order=case.lasts is not Lasts.ANSWERED)
        assert server.deletions == 0
        assert PASSWORD.decode() not in repr(rig.log.lines)
        assert "unexpected" not in rig.log.events(), rig.log.lines
        _one_warning(case, refused, warnings)
        return Found(refused, server.connections, server.asked(b"RETR"), len(warnings))


def _whole(rig: Rig, server: LegacyServer, *, in_order: bool) -> None:
    """Byte for byte, with its UIDLs, and in order, but for what came late after a quarantine."""
    here = [(kept.uidl.encode(), kept.data) for kept in rig.inbox()]
    old = [(unique_id(message), message) for message in server.messages]
    if not in_order:
        here, old = sorted(here), sorted(old)
    assert len(here) == len(old), f"{len(here)} messages of {len(old)}: {[u for u, _ in here]}"
    wrong = [n for n, (a, b) in enumerate(zip(here, old, strict=True), 1) if a[1] != b[1]]
    assert not wrong, f"other bytes in {wrong}"
    misnamed = [n for n, (a, b) in enumerate(zip(here, old, strict=True), 1) if a[0] != b[0]]
    assert not misnamed, f"other UIDLs at {misnamed}"
    assert rig.files("tmp") == []


def _one_warning(case: Case, refused: Refusal | None, warnings: list[tuple[str, dict[str, Any]]]) -> None:
    if case.fault.kind is Kind.DRIP:
        assert refused is None and not warnings, warnings
        return
    if refused is None and _may_be_harmless(case):
        assert len(warnings) <= 1, warnings
        return
    # A host that says it is busy is one thing, of which everybody is told; that this login was refused is another.
    others = [warning for warning in warnings if warning[0] != "legacy server busy"]
    assert len(warnings) - len(others) <= 1, warnings
    warnings = others or warnings
    assert len(warnings) == 1, warnings
    (_, fields), *_ = warnings
    cause, _, remedy = fields["reason"].partition("; ")
    assert cause and remedy, fields["reason"]
