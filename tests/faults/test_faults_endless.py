"""A legacy server whose answer has no end: a line, a listing, a message, or one octet in a long while. Memory stays
bounded, nobody waits for ever, and it is nobody's wrong password."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mailstore.entries import Outcome
from proxy.pop3.client import replies, unproven
from proxy.wire.door import Refusal
from tests.faults.injecting import Fault, Injector, Kind
from tests.faults.matrix import BOX, LOCKSTEP
from tests.faults.rig import Rig
from tests.legacy.server import Behaviour, LegacyServer
from tests.proxy.login.login_rig import PASSWORD

MIB = 1024 * 1024
PIECE = 64 * 1024


class Flood:
    """Sends what `pieces` gives, one at a time, for as long as the other side is there. Then counts."""

    def __init__(self, begin: bytes, pieces: Callable[[int], bytes], every: float = 1e-6) -> None:
        self.octets = 0
        self._begin = begin
        self._pieces = pieces
        self._every = every
        self._number = 0

    def __call__(self, injector: Injector, _data: bytes, _at: int) -> None:
        injector.dead = True
        self._send(injector.end, self._begin)
        self._more(injector.end)

    def _send(self, end: Any, data: bytes) -> None:
        self.octets += len(data)
        end.write(data)

    def _more(self, end: Any) -> None:
        if end.over:
            return
        self._send(end, self._pieces(self._number))
        self._number += 1
        end.network.clock.callLater(self._every, self._more, end)


def server() -> LegacyServer:
    return LegacyServer(BOX, Behaviour(password=PASSWORD, capabilities=dict(LOCKSTEP.behaviour)["capabilities"]))


@pytest.fixture
def peak() -> Iterator[Callable[[], int]]:
    """Octets of memory that were in use at most since the test began."""
    tracemalloc.start()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    yield lambda: tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()


def refused(step: str, flood: Flood, *, always: bool = True) -> float:
    """A login with it, which is to be refused as temporary, with one warning; the seconds that it took."""
    fault = Fault(Kind.SILENCE, step, does=flood)
    with Rig(server(), lambda number: fault if always or number == 1 else None) as rig:
        assert rig.login() is Refusal.UNAVAILABLE
        took = rig.network.clock.seconds()
        rig.settle()
        assert len(rig.warnings()) == 1, rig.warnings()
        assert "; " in rig.warnings()[0][1]["reason"]
        return took


@pytest.mark.parametrize("step", ["greeting", "CAPA", "USER", "PASS", "LIST", "UIDL"])
def test_a_line_without_an_end(step: str, peak: Callable[[], int]) -> None:
    begin = b"" if step == "greeting" else b"+OK "
    flood = Flood(begin, lambda _number: b"x" * PIECE)
    took = refused(step, flood)
    assert flood.octets < 6 * 4 * PIECE  # for all connections together
    assert took < 60
    assert peak() < 12 * MIB


@pytest.mark.parametrize("step", ["LIST", "UIDL"])
def test_an_entry_without_an_end(step: str, peak: Callable[[], int]) -> None:
    flood = Flood(b"+OK\r\n1 ", lambda _number: b"x" * PIECE)
    refused(step, flood)
    assert flood.octets < 6 * 4 * PIECE
    assert peak() < 12 * MIB


def test_capabilities_without_an_end(peak: Callable[[], int]) -> None:
    flood = Flood(b"+OK\r\n", lambda number: b"X-%d\r\n" % number * 1000)
    refused("CAPA", flood)
    assert flood.octets < 4 * PIECE
    assert peak() < 12 * MIB


@pytest.mark.parametrize("step", ["LIST", "UIDL"])
def test_a_listing_without_an_end(step: str, peak: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A million messages are believed, and no more. What that costs is measured on a hundredth of it."""
    assert replies.LISTED_LIMIT == 1_000_000
    monkeypatch.setattr(replies, "LISTED_LIMIT", 10_000)

    def lines(number: int) -> bytes:
        return b"".join(b"%d %020d\r\n" % (n, n) for n in range(number * 1000 + 1, number * 1000 + 1001))

    refused(step, Flood(b"+OK\r\n", lines))
    assert peak() / 10_000 < 1024  # octets a message, the network's own among them


def test_a_message_without_an_end(peak: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is quarantined, what came of it is removed, and all others are here."""
    assert unproven.ENDLESS == 256 * MIB
    monkeypatch.setattr(unproven, "ENDLESS", 4 * MIB)
    flood = Flood(b"+OK\r\n", lambda _number: (b"x" * 62 + b"\r\n") * 1024)
    fault = Fault(Kind.SILENCE, "RETR 3", does=flood)
    with Rig(server(), lambda _number: fault) as rig:
        assert rig.login() is None
        rig.settle()
        assert [kept.data for kept in rig.inbox()] == BOX[:2] + BOX[3:]
        (bad,) = [entry for entry in rig.ledger() if entry.outcome is Outcome.QUARANTINED]
        assert bad.position == 3
        assert rig.files("tmp") == []
        assert len(rig.warnings()) == 1
    assert flood.octets < 3 * 5 * MIB
    assert peak() < 12 * MIB


@pytest.mark.parametrize("step", ["greeting", "CAPA", "USER", "PASS", "LIST", "UIDL"])
def test_an_octet_in_a_long_while(step: str) -> None:
    """Less than nothing: there is always something more to wait for."""
    begin = b"" if step == "greeting" else b"+OK "
    assert refused(step, Flood(begin, lambda _number: b"x", every=50.0)) < 3 * 3600


def test_a_message_of_which_an_octet_comes_in_a_long_while() -> None:
    flood = Flood(b"+OK\r\n", lambda _number: b"x", every=50.0)
    fault = Fault(Kind.SILENCE, "RETR 3", does=flood)
    with Rig(server(), lambda _number: fault) as rig:
        assert rig.login() is None
        assert rig.network.clock.seconds() < 3600
        rig.settle()
        assert [kept.data for kept in rig.inbox()] == BOX[:2] + BOX[3:]


def test_challenges_without_an_end() -> None:
    how = Behaviour(password=PASSWORD, capabilities=(b"UIDL", b"SASL PLAIN"), answers={b"AUTH": b"+ \r\n" * 3})
    with Rig(LegacyServer(BOX, how)) as rig:
        assert rig.login() is Refusal.UNAVAILABLE
        rig.settle()
        assert len(rig.warnings()) == 1
