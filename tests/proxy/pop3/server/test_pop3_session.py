"""What dialogues cannot say: time, a client that does not read, faults of the store, the end of the daemon."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress

from mailstore.content import Content
from mailstore.errors import StorageFailed
from proxy.wire.peers import peer_of
from tests.dialogues.memory import MemoryChannel
from tests.dialogues.store import deliver
from tests.proxy.pop3.server.desk import LOGIN, Desk

LARGE = b"Subject: large\r\n\r\n" + b"." * 75 + b"\r\n" + b"x" * 400_000 + b"\r\n"


def add_large(desk: Desk) -> None:
    deliver(desk.mail, [(LARGE, "large", (), 1_700_000_000)])


def test_what_comes_with_stls_is_thrown_away(desk: Desk) -> None:
    channel = desk.connect()
    channel.send(b"STLS\r\n" + LOGIN + b"STAT\r\nUSER us")
    assert channel.leftover() == b"+OK begin TLS\r\n"
    assert channel.transport.tls_started is desk.factory.terms.tls
    channel.read_line()
    channel.send(LOGIN)
    assert channel.leftover() == b"+OK\r\n+OK 5 messages (700 octets)\r\n"
    assert len(desk.gate.asked) == 1


def test_a_client_that_does_not_read_is_given_up(desk: Desk) -> None:
    add_large(desk)
    channel = desk.logged_in(slow=True)
    channel.send(b"RETR 6\r\n")
    sent = len(channel.leftover())
    assert 65_536 <= sent < 3 * 65_536  # no more is read from the store than the client takes
    desk.advance(119)
    assert (len(channel.leftover()), channel.closed) == (sent, False)
    desk.advance(2)
    assert channel.transport.aborted
    assert channel.closed
    assert desk.log.entries[-1]["reason"] == "the client does not read"


def test_a_slow_client_that_reads_a_little_now_and_then_is_served(desk: Desk) -> None:
    add_large(desk)
    channel = desk.logged_in(slow=True)
    channel.send(b"RETR 6\r\nNOOP\r\n")
    for _ in range(5):
        desk.advance(100)
        channel.transport.read()
        channel.settle()
    assert channel.leftover().endswith(b"x\r\n.\r\n+OK\r\n")
    assert not channel.closed


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_large_message_goes_in_pieces_and_is_exact(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, *, in_memory: bool
) -> None:
    add_large(desk)
    channel = desk.logged_in()
    desk.hops = 0
    monkeypatch.setattr(Content, "at_hand", lambda self, *where: self.read(*where) if in_memory else None)
    channel.send(b"RETR 6\r\nTOP 6 1\r\n")
    body = LARGE.replace(b"\n.", b"\n..")
    top = body[: body.index(b"xx")]
    assert channel.leftover() == b"+OK %d octets\r\n" % len(LARGE) + body + b".\r\n" + b"+OK\r\n" + top + b".\r\n"
    assert (desk.hops < 6) is in_memory


def test_a_client_that_asks_and_does_not_read_is_not_listened_to(desk: Desk) -> None:
    add_large(desk)
    channel = desk.logged_in(slow=True)
    channel.send(b"RETR 6\r\n" * 10_000)
    assert channel.transport.paused
    assert not channel.closed
    channel.hang_up()


def test_a_file_that_is_cut_while_it_is_sent_ends_the_connection(desk: Desk) -> None:
    add_large(desk)
    channel = desk.logged_in(slow=True)
    channel.send(b"RETR 6\r\n")
    path = desk.mail.maildir.find("", desk.mail.maildrop()[5].file)
    assert path is not None
    os.truncate(path, 1000)
    channel.transport.slow = False
    channel.settle()
    assert channel.closed
    assert not channel.leftover().endswith(b".\r\n")
    assert "pop3 reply cut off" in desk.events()


def test_a_large_message_that_is_gone_is_an_error_like_any_other(desk: Desk) -> None:
    add_large(desk)
    channel = desk.logged_in()
    desk.mail.remove([6])
    channel.send(b"RETR 6\r\nNOOP\r\n")
    assert channel.leftover() == b"-ERR message 6 was removed by another session\r\n+OK\r\n"


def test_a_message_that_another_session_removed_keeps_its_number(desk: Desk) -> None:
    channel = desk.logged_in()
    desk.mail.remove([2])
    channel.send(b"RETR 2\r\nSTAT\r\nUIDL 2\r\nUIDL 3\r\nTOP 2 0\r\nDELE 2\r\nQUIT\r\n")
    assert channel.leftover().split(b"\r\n") == [
        b"-ERR message 2 was removed by another session",
        b"+OK 5 700",
        b"+OK 2 letter-2",
        b"+OK 3 letter-3",
        b"-ERR message 2 was removed by another session",
        b"+OK message 2 deleted",
        b"+OK 1 messages deleted",
        b"",
    ]


def test_what_was_read_ahead_is_forgotten_when_the_folder_changes(desk: Desk) -> None:
    channel = desk.logged_in()
    channel.send(b"RETR 1\r\n")
    desk.mail.remove([3])
    desk.gate.pass_on_changes()
    channel.settle()
    channel.transport.out.clear()
    channel.send(b"RETR 3\r\n")
    assert channel.leftover() == b"-ERR message 3 was removed by another session\r\n"


@pytest.mark.parametrize("pipelined", [True, False])
def test_many_messages_cost_few_hops(open_desk: Callable[..., Desk], pipelined: bool) -> None:
    desk = open_desk("fifty")
    channel = desk.logged_in()
    desk.hops = 0
    commands = [b"RETR %d\r\n" % number for number in range(1, 51)]
    for piece in [b"".join(commands)] if pipelined else commands:
        channel.send(piece)
    assert desk.hops <= (1 if pipelined else 4)
    assert [b"body %d\r\n.\r\n" % n in channel.leftover() for n in range(1, 51)] == [True] * 50


def test_messages_that_cannot_be_removed(desk: Desk) -> None:
    channel = desk.logged_in()
    channel.send(b"DELE 1\r\n")
    desk.store_fault = StorageFailed("the disk refused: read-only")
    channel.send(b"QUIT\r\n")
    assert channel.leftover() == b"+OK message 1 deleted\r\n-ERR [SYS/TEMP] some deleted messages not removed\r\n"
    assert channel.closed
    assert desk.events()[-2:] == ["pop3 messages not removed", "pop3 session ended"]


def test_a_maildrop_that_cannot_be_opened(desk: Desk) -> None:
    desk.store_fault = StorageFailed("the database refused: locked")
    channel = desk.connect()
    channel.send(LOGIN)
    assert channel.leftover() == b"+OK\r\n-ERR [SYS/TEMP] the database refused: locked\r\n"
    assert desk.gate.homes[-1].closed
    desk.store_fault = None
    channel.read_line()
    channel.read_line()
    channel.send(LOGIN)
    assert channel.leftover() == b"+OK\r\n+OK 5 messages (700 octets)\r\n"


def test_a_defect_is_answered_logged_once_and_survived(desk: Desk) -> None:
    channel = desk.logged_in()
    desk.store_fault = ZeroDivisionError("a secret in its text")
    channel.send(b"RETR 1\r\n")
    assert channel.read_line() == b"-ERR [SYS/TEMP] something went wrong here, try again later"
    desk.store_fault = None
    (fault,) = [entry for entry in desk.log.entries if entry["log_level"] == "error"]
    assert (fault["event"], fault["error"]) == ("pop3 fault", "ZeroDivisionError")
    assert "desk.py:" in fault["where"]
    assert "a secret in its text" not in repr(desk.log.entries)
    channel.send(b"STAT\r\n")
    assert channel.read_line() == b"+OK 5 700"


def test_a_client_that_quits_and_hangs_up_has_quit(desk: Desk) -> None:
    channel = desk.logged_in()
    channel.send(b"DELE 1\r\n")
    desk.slow_store = True
    channel.send(b"QUIT\r\n")
    channel.hang_up()
    assert desk.factory.connections  # it is not done yet
    desk.step()
    assert [row.uid for row in desk.mail.maildrop()] == [2, 3, 4, 5]


def test_a_client_that_half_closes_gets_all_its_answers(desk: Desk) -> None:
    channel = desk.connect()
    desk.slow_store = True
    channel.send(LOGIN + b"STAT\r\nDELE 1\r\nQUIT\r\n")
    channel.protocol.readConnectionLost()
    desk.slow_store = False
    desk.step()
    assert channel.leftover().endswith(b"+OK 5 700\r\n+OK message 1 deleted\r\n+OK 1 messages deleted\r\n")
    assert channel.closed


def test_a_client_that_half_closes_without_quit_removes_nothing(desk: Desk) -> None:
    channel = desk.logged_in()
    channel.send(b"DELE 1\r\nQUI")
    channel.protocol.readConnectionLost()
    channel.settle()
    assert channel.closed
    assert len(desk.mail.maildrop()) == 5


def test_draining_answers_the_command_in_progress_and_no_other(desk: Desk) -> None:
    earlier, stranger = desk.logged_in(), desk.connect()
    earlier.send(b"DELE 1\r\nQUIT\r\n")
    busy = desk.logged_in()
    busy.send(b"DELE 1\r\n")
    desk.slow_store = True
    busy.send(b"RETR 2\r\nQUIT\r\n")
    fired: list[None] = []
    desk.factory.drain().addCallback(fired.append)
    stranger.settle()
    assert stranger.closed
    assert desk.factory.buildProtocol(None) is None
    assert not fired
    desk.slow_store = False
    desk.step()
    assert busy.leftover().endswith(b"body 3\r\n.\r\n")
    assert busy.closed
    assert fired == [None]
    assert [row.uid for row in desk.mail.maildrop()] == [2, 3, 4, 5]  # by the earlier session's QUIT alone


def test_draining_an_idle_server_is_done_at_once(desk: Desk) -> None:
    fired: list[None] = []
    desk.factory.drain().addCallback(fired.append)
    assert fired == [None]


def test_draining_lets_a_quit_in_progress_end(desk: Desk) -> None:
    channel = desk.logged_in()
    channel.send(b"DELE 1\r\n")
    desk.slow_store = True
    channel.send(b"QUIT\r\n")
    desk.factory.drain()
    desk.step()
    assert channel.leftover() == b"+OK message 1 deleted\r\n+OK 1 messages deleted\r\n"
    assert len(desk.mail.maildrop()) == 4


def test_a_closing_connection_that_is_not_read_is_cut_off(desk: Desk) -> None:
    channel = desk.logged_in()
    channel.transport.loseConnection = lambda: None  # as with a client whose window is full
    channel.send(b"QUIT\r\n")
    desk.advance(119)
    assert not channel.closed
    desk.advance(2)
    assert channel.transport.aborted


def test_a_stop_does_not_wait_long_for_who_does_not_hang_up(desk: Desk) -> None:
    channel = desk.logged_in()
    channel.transport.loseConnection = lambda: None  # as over TLS, where the client has to agree
    fired: list[None] = []
    desk.factory.drain().addCallback(fired.append)
    desk.advance(9)
    assert not fired
    desk.advance(2)
    assert channel.transport.aborted
    assert fired == [None]


def test_one_line_a_login_with_peer_and_account(desk: Desk) -> None:
    channel = desk.connect(address="203.0.113.9")
    channel.transport.startTLS(object())
    channel.send(b"USER user@123.com\r\nPASS wrong-secret\r\n" + LOGIN)
    refused, accepted = desk.log.entries
    assert (refused["event"], refused["peer"], refused["user"], refused["refusal"]) == (
        "pop3 login refused",
        "203.0.113.9",
        "user@123.com",
        "wrong",
    )
    assert (accepted["event"], accepted["peer"], accepted["account"]) == (
        "pop3 login",
        "203.0.113.9",
        "user@123.com",
    )
    assert "secret" not in repr(desk.log.entries)


def test_a_strangers_name_cannot_forge_a_log_line(desk: Desk) -> None:
    channel = desk.connect()
    channel.send(b"USER a\x1b[2Jb\rc" + b"\xff" * 200 + b"\r\nPASS x\r\n")
    name = desk.log.entries[0]["user"]
    assert name.isprintable()
    assert name.startswith("a?[2Jb?c\\xff")
    assert len(name) <= 400


@pytest.mark.parametrize(
    ("address", "peer", "loopback"),
    [
        (IPv4Address("TCP", "127.0.0.1", 1), "127.0.0.1", True),
        (IPv4Address("TCP", "10.0.0.1", 1), "10.0.0.1", False),
        (IPv6Address("TCP", "::1", 1), "::1", True),
        (IPv6Address("TCP", "::ffff:127.0.0.1", 1), "127.0.0.1", True),
        (IPv6Address("TCP", "::ffff:10.0.0.1", 1), "10.0.0.1", False),
        (IPv6Address("TCP", "fe80::1%eth0", 1), "fe80::1%eth0", False),
        (UNIXAddress(b"/run/pop3"), "unix", True),
        (HostnameAddress(b"localhost", 1), "unknown", False),
    ],
)
def test_who_is_there(address: object, peer: str, loopback: bool) -> None:
    if isinstance(address, HostnameAddress):
        peer = "localhost" if hasattr(address, "host") else peer
    assert peer_of(address, "unix") == (peer, loopback)  # type: ignore[arg-type]


LINES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            *(b"STAT LIST UIDL NOOP RSET CAPA AUTH UTF8 DELE RETR TOP USER PASS XXXX".split()),
            b"RETR 1",
            b"TOP 2 1",
            b"DELE 3",
            b"LIST 9",
            b"UIDL -1",
            b"RETR 99999999999999999999",
            b"AUTH PLAIN",
            b"AUTH LOGIN",
            b"AUTH PLAIN \xff",
            b"*",
            b"",
            b"USER \xff\x00",
        ]
    ),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINES, max_size=12), login=st.booleans(), ends=st.sampled_from([b"\r\n", b"\n"]))
@example(lines=[b"AUTH PLAIN", b"*", b"NOOP"], login=False, ends=b"\n")
def test_any_input_is_answered_and_cutting_it_makes_no_difference(
    desk: Desk, lines: list[bytes], login: bool, ends: bytes
) -> None:
    assume(not any(line.upper().startswith(b"STLS") for line in lines))  # it throws away what came with it
    desk.log.entries.clear()
    sent = b"".join(line + ends for line in lines)
    answers = []
    for bytewise in (False, True):
        channel: MemoryChannel = desk.logged_in() if login else desk.connect()
        channel.send(sent, bytewise=bytewise)
        answers.append((channel.leftover(), channel.closed))
        channel.hang_up()
    assert answers[0] == answers[1]
    assert answers[0][0] == b"" or answers[0][0].endswith(b"\r\n")
    assert not [entry for entry in desk.log.entries if entry["log_level"] == "error"]


def test_who_is_quiet_is_told_to_go_where_nothing_is_lost_by_that(desk: Desk) -> None:
    """`proxy.daemon.easing` asks."""
    stranger, channel = desk.connect(), desk.logged_in()
    desk.advance(7)
    assert (stranger.protocol.quiet_for(), channel.protocol.quiet_for()) == (0.0, 7)
    channel.send(b"NOOP\r\n")
    assert channel.protocol.quiet_for() == 0.0
    channel.send(b"DELE 1\r\n")
    desk.advance(7)
    assert channel.protocol.quiet_for() == 0.0  # only QUIT deletes it
    channel.send(b"RSET\r\n")
    desk.slow_store = True
    channel.send(b"RETR 1\r\n")
    desk.advance(7)
    assert channel.protocol.quiet_for() == 0.0
    desk.slow_store = False
    desk.step()
    assert channel.protocol.quiet_for() == 7
    channel.protocol.leave()
    channel.settle()
    assert channel.closed and not stranger.closed
    assert len(desk.mail.maildrop()) == 5
