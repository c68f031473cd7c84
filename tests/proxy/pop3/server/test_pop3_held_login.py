"""Held logins: what the client sees, and how a wait may end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mailstore.errors import StorageFailed
from tests.dialogues.memory import MemoryChannel
from tests.proxy.pop3.server.desk import LOGIN, Desk


def held(desk: Desk) -> MemoryChannel:
    desk.gate.told("hold")
    channel = desk.connect()
    channel.send(LOGIN)
    assert channel.read_line() == b"+OK"
    return channel


def test_nothing_is_said_before_the_password_is_accepted(desk: Desk) -> None:
    channel = held(desk)
    desk.advance(120)
    assert channel.leftover() == b""
    assert not channel.closed


def test_a_client_with_a_time_out_of_five_seconds_is_kept(desk: Desk) -> None:
    channel = held(desk)
    desk.advance(3.5)
    desk.gate.told("accepted")
    seen = len(channel.leftover())
    waited = 3.5
    for _ in range(100):
        desk.advance(0.5)
        waited = waited + 0.5 if len(channel.leftover()) == seen else 0
        seen = len(channel.leftover())
        assert waited < 5
    assert channel.leftover().startswith(b"+OK ..........")


def test_the_line_never_passes_512_octets(desk: Desk) -> None:
    channel = held(desk)
    desk.gate.told("accepted")
    desk.advance(20 * 60, 3)
    after_hold_limit = len(channel.leftover())
    desk.advance(3 * 3600, 3)
    assert len(channel.leftover()) > after_hold_limit
    desk.gate.told("release")
    channel.settle()
    line = channel.read_line()
    assert line is not None
    assert line.endswith(b" 5 messages (700 octets)")
    assert 400 < len(line) + 2 < 480  # room for the longest figures
    assert channel.leftover() == b""


def test_an_error_after_the_reply_was_begun_ends_the_connection_within_the_line(desk: Desk) -> None:
    channel = held(desk)
    desk.gate.told("accepted")
    desk.advance(4)
    desk.store_fault = StorageFailed("the disk refused: no space")
    desk.gate.told("release")
    channel.settle()
    assert channel.closed
    assert channel.leftover() == b"+OK"
    assert "pop3 maildrop cannot be opened" in desk.events()
    assert "pop3 reply cut off" in desk.events()


def test_a_locked_maildrop_after_the_reply_was_begun_ends_the_connection(desk: Desk) -> None:
    channel = held(desk)
    desk.gate.told("accepted")
    desk.advance(4)
    desk.gate.told("open")
    other = desk.logged_in()
    desk.gate.told("release")
    channel.settle()
    assert channel.closed
    assert channel.leftover() == b"+OK"
    other.send(b"STAT\r\n")
    assert other.read_line() == b"+OK 5 700"


def test_a_client_that_leaves_ends_the_wait(desk: Desk) -> None:
    channel = held(desk)
    channel.hang_up()
    assert desk.gate.cancelled == 1
    assert [entry.get("reason") for entry in desk.log.entries] == ["left while held"]


def test_a_client_that_half_closes_while_held_has_left(desk: Desk) -> None:
    channel = held(desk)
    channel.protocol.readConnectionLost()
    channel.settle()
    assert desk.gate.cancelled == 1
    assert channel.closed


def test_a_home_that_comes_after_the_client_left_is_closed(desk: Desk) -> None:
    desk.slow_store = True
    channel = desk.connect()
    channel.send(LOGIN)
    assert len(desk.operations) == 1
    channel.hang_up()
    assert not desk.gate.homes[-1].closed
    desk.step()
    assert desk.gate.homes[-1].closed
    assert not desk.gate.maildrop_locked


def test_a_flood_while_held_ends_the_connection(desk: Desk) -> None:
    channel = held(desk)
    channel.send(b"NOOP\r\n" * 20_000)
    assert channel.closed
    assert desk.gate.cancelled == 1
    assert desk.log.entries[0]["reason"] == "too much sent ahead of a login"


def test_commands_sent_ahead_while_held_are_obeyed_afterwards(desk: Desk) -> None:
    channel = held(desk)
    channel.send(b"STAT\r\nQUIT\r\n")
    desk.advance(30)
    desk.gate.told("release")
    channel.settle()
    assert channel.leftover() == b"+OK 5 messages (700 octets)\r\n+OK 5 700\r\n+OK bye\r\n"
    assert channel.closed


def test_the_login_time_does_not_run_out_while_held_but_a_refusal_then_ends_it(desk: Desk) -> None:
    channel = held(desk)
    desk.advance(600)
    assert not channel.closed
    desk.gate.told("refuse unavailable")
    channel.settle()
    assert channel.read_line() == b"-ERR [SYS/TEMP] The old mail server cannot be reached"
    assert channel.closed


@pytest.mark.parametrize(
    ("begun", "said"), [(False, b"-ERR [SYS/TEMP] the server is going down, try again later\r\n"), (True, b"+OK .")]
)
def test_draining_ends_the_wait(desk: Desk, begun: bool, said: bytes) -> None:
    channel = held(desk)
    if begun:
        desk.gate.told("accepted")
        desk.advance(7)
    fired: list[None] = []
    desk.factory.drain().addCallback(fired.append)
    channel.settle()
    assert channel.closed
    assert channel.leftover() == said
    assert desk.gate.cancelled == 1
    assert fired == [None]


def test_a_gate_with_a_defect_is_no_end(desk: Desk) -> None:
    desk.gate_fault = ZeroDivisionError("a defect")
    channel = desk.connect()
    channel.send(LOGIN)
    assert channel.read_line() == b"+OK"
    assert channel.read_line() == b"-ERR [SYS/TEMP] something went wrong here, try again later"
    assert [entry["log_level"] for entry in desk.log.entries] == ["error"]
    desk.gate_fault = None
    channel.send(LOGIN)
    assert channel.leftover() == b"+OK\r\n+OK 5 messages (700 octets)\r\n"


def test_the_slow_reply_stops_with_the_wait(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(hold_notice=6.0)
    channel = held(desk)
    desk.gate.told("accepted")
    desk.advance(6.5)
    assert channel.leftover() == b"+OK"
    desk.advance(12)
    assert channel.leftover() == b"+OK .."
    desk.gate.told("release")
    channel.settle()
    desk.advance(60)
    assert channel.leftover() == b"+OK .. 5 messages (700 octets)\r\n"
