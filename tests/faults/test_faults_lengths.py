"""Messages that are not as long as LIST said: damaged, shifted, or of a server whose LIST is not exact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from mailstore.entries import Outcome
from proxy.migration.weighing import FEW
from tests.faults.injecting import REFUSAL, Fault, Kind
from tests.faults.matrix import BOX
from tests.faults.rig import Ground, Rig
from tests.legacy.server import Behaviour, LegacyServer
from tests.proxy.login.login_rig import PASSWORD
from tests.proxy.migration.scripted import mail

ALIKE = [mail(number, 300) + b"\r\n" for number in range(10, 90)]  # of one length, as reports and alarms are


def server_of(messages: list[bytes], sizes: Mapping[int, bytes] | None = None, **behaviour: Any) -> LegacyServer:
    return LegacyServer(messages, Behaviour(password=PASSWORD, sizes=sizes or {}, **behaviour))


def bodies(rig: Rig) -> list[bytes]:
    return [kept.data for kept in rig.inbox()]


def test_a_few_wrong_lengths_cost_one_more_fetch_each_and_no_warning() -> None:
    with Rig(server_of(BOX, {3: b"17", 7: b"99999"})) as rig:
        assert rig.login() is None
        rig.settle()
        assert bodies(rig) == BOX
        assert (rig.server.connections, rig.server.asked(b"RETR")) == (1, len(BOX) + 2)
        assert rig.server.commands.count(b"RETR 3") == rig.server.commands.count(b"RETR 7") == 2
        assert rig.warnings() == []


def test_a_server_whose_list_is_not_exact_is_found_out_once() -> None:
    """As Exchange's, which estimates. The next account pays nothing for it."""
    about = {number: b"%d" % (len(message) - 11) for number, message in enumerate(BOX, 1)}
    with Rig(server_of(BOX, about)) as rig:
        assert rig.login() is None
        rig.settle()
        assert bodies(rig) == BOX
        assert rig.server.connections == 2
        assert rig.server.asked(b"RETR") <= 2 * len(BOX) + FEW + 1  # what was on its way already is asked for again
        before = rig.server.asked(b"RETR")
        rig.user = "somebodyelse"
        assert rig.login() is None
        rig.settle()
        assert bodies(rig) == BOX
        assert (rig.server.connections, rig.server.asked(b"RETR") - before) == (3, len(BOX))


def test_some_of_many_cost_one_more_fetch_each_and_the_server_is_weighed_on() -> None:
    """As with a server that lists messages without a last line end as shorter than it sends them."""
    off = {number: b"%d" % (len(ALIKE[number - 1]) - 2) for number in (3, 20, 21, 22, 50, 70)}
    with Rig(server_of(ALIKE, off)) as rig:
        assert rig.login() is None
        rig.settle()
        assert bodies(rig) == ALIKE
        assert (rig.server.connections, rig.server.asked(b"RETR")) == (1, len(ALIKE) + len(off))
        assert rig.warnings() == []
        fault = Fault(Kind.NOISE, "RETR 40", 100)
        rig.fault_of = lambda _number: fault
        rig.user = "somebodyelse"
        assert rig.login() is None
        rig.settle()
        assert bodies(rig) == ALIKE
        assert len(rig.warnings()) == 1


def test_many_in_a_row_cost_a_few_connections() -> None:
    off = {number: b"%d" % (len(message) - 2) for number, message in enumerate(ALIKE, 1) if number > 40}
    with Rig(server_of(ALIKE, off)) as rig:
        assert rig.login() is None
        rig.settle()
        assert bodies(rig) == ALIKE
        assert rig.server.connections <= 4


@pytest.mark.parametrize("number", [1, 2, 40, 77, 79])
def test_a_shift_among_messages_of_one_length_is_noticed(number: int) -> None:
    """The server breaks off in a message and goes on with the next answer: each that follows is one too early, and none
    of them can be told by its length."""
    fault = Fault(Kind.ERR, f"RETR {number}", 100)
    with Rig(server_of(ALIKE), lambda connection: fault if connection == 1 else None) as rig:
        assert rig.login() is None
        rig.settle()
        assert bodies(rig) == ALIKE
        assert len(rig.warnings()) == 1


@pytest.mark.parametrize("place", [0.3, 0.7])
@pytest.mark.parametrize("number", [1, 5, len(BOX)])
def test_where_lengths_are_not_told_what_only_looks_like_an_end_is_noticed(number: int, place: float) -> None:
    """By what follows it, which is no answer."""
    fault = Fault(Kind.FORGED, f"RETR {number}", int(len(BOX[number - 1]) * place))
    unknown = dict.fromkeys(range(1, len(BOX) + 1), b"")
    with Rig(server_of(BOX, unknown), lambda connection: fault if connection == 1 else None) as rig:
        assert rig.login() is None
        rig.settle()
        assert bodies(rig) == BOX
        assert len(rig.warnings()) == 1


def test_a_message_that_comes_with_other_bytes_each_time_is_quarantined() -> None:
    server = server_of(BOX, {4: b"17"})
    count = 0

    class Restless(list[bytes]):
        def __getitem__(self, index: Any) -> Any:
            nonlocal count
            if index == 3:
                count += 1
                return BOX[3] + b"%d\r\n" % count
            return super().__getitem__(index)

    with Rig(server) as rig:
        server.mailboxes = {rig.user.encode(): Restless(BOX)}
        assert rig.login() is None
        rig.settle()
        assert bodies(rig) == BOX[:3] + BOX[4:]
        (bad,) = [entry for entry in rig.ledger() if entry.outcome is Outcome.QUARANTINED]
        assert bad.position == 4
        assert "1 message could" in rig.account().reason
        assert rig.server.connections == 1


def test_a_server_that_always_breaks_off_in_a_message_loses_only_that_one() -> None:
    """The damage is the server's own, so that it is the same each time."""
    fault = Fault(Kind.ERR, "RETR 3", 100)
    with Rig(server_of(BOX), lambda _connection: fault) as rig:
        assert rig.login() is None
        rig.settle()
        assert bodies(rig) == BOX[:2] + BOX[3:]
        assert REFUSAL not in b"".join(bodies(rig))
        assert [entry.position for entry in rig.ledger() if entry.outcome is Outcome.QUARANTINED] == [3]


def test_listings_that_are_garbled_are_asked_for_again() -> None:
    """A UIDL with an octet that no server uses would be another message's name for ever."""
    fault = Fault(Kind.NOISE, "UIDL", 40)
    with Rig(server_of(BOX), lambda connection: fault if connection == 1 else None) as rig:
        assert rig.login() is None
        rig.settle()
        assert [kept.uidl for kept in rig.inbox()] == [entry.uidl for entry in rig.ledger()]
        assert all(kept.uidl.isascii() for kept in rig.inbox())
        assert len(rig.warnings()) == 1


def test_listings_that_are_odd_each_time_are_taken_as_they_are() -> None:
    odd = {2: b"\xff\xfe name", 5: b"x" * 90}
    with Rig(server_of(BOX, {7: b"many"}, uidls=odd)) as rig:
        assert rig.login() is None
        rig.settle()
        assert bodies(rig) == BOX
        assert (rig.server.asked(b"LIST"), rig.server.asked(b"UIDL"), rig.server.connections) == (2, 2, 1)
        assert rig.warnings() == []


def test_every_case_has_an_account_of_its_own() -> None:
    ground = Ground()
    for _ in range(2):
        with Rig(server_of(BOX[:1]), ground=ground) as rig:
            assert rig.login() is None
            assert bodies(rig) == BOX[:1]
    ground.close()
