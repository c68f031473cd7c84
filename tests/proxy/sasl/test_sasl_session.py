"""Dialogues with the password service: as Postfix, Exim and Dovecot's own programs speak, and as nobody should."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from proxy.sasl import server
from proxy.sasl.session import ALL_AT_ONCE, AT_ONCE, GREETING_SECONDS, LONGEST, REST_SECONDS, UNFINISHED
from proxy.wire.door import Because, LoginRefused, Refusal
from tests.proxy.sasl.desk import AS_POSTFIX, DOWN, HELLO, Desk, auth, plain

OK = ["OK\t1\tuser=user@123.com"]
WRONG = ["FAIL\t1\treason=wrong user name or password"]
TEMPORARY = "\ttemp\tcode=temp_fail"


def test_the_greeting_offers_what_shows_the_password_and_says_so(desk: Desk) -> None:
    protocol = desk.factory.buildProtocol(None)
    assert protocol is not None
    channel = desk.connect()
    desk.channels.append(channel)
    said = desk.said(type(channel)(protocol, desk.clock))
    assert said[:3] == ["VERSION\t1\t2", "MECH\tPLAIN\tplaintext", "MECH\tLOGIN\tplaintext"]
    assert [line.partition("\t")[0] for line in said[3:]] == ["SPID", "CUID", "COOKIE", "DONE"]
    protocol.connectionLost()


def test_a_right_password_and_a_wrong_one(desk: Desk) -> None:
    channel = desk.connect()
    channel.send(auth(1))
    assert desk.said(channel) == OK
    channel.send(auth(2, plain(password="guess")))
    assert desk.said(channel) == ["FAIL\t2\treason=wrong user name or password"]
    assert not channel.server_has_closed()


def test_the_gate_is_told_where_the_user_is(desk: Desk) -> None:
    desk.answer(auth(more=b"service=smtp\trip=192.0.2.7\tsecured"))
    desk.answer(auth())
    desk.answer(auth(), address="192.0.2.80")
    desk.answer(auth(more=b"rip=unknown\tsecured"), address="192.0.2.80")
    assert [each.peer for each in desk.gate.asked] == ["192.0.2.7", "unix", "192.0.2.80", "192.0.2.80"]
    assert {each.protocol for each in desk.gate.asked} == {"submission"}


@pytest.mark.parametrize("hello", [HELLO, AS_POSTFIX])
def test_asked_for_the_rest(desk: Desk, hello: bytes) -> None:
    channel = desk.connect(hello)
    channel.send(b"AUTH\t1\tPLAIN\tsecured\n")
    assert desk.said(channel) == ["CONT\t1\t"]
    channel.send(b"CONT\t1\t" + plain() + b"\n")
    assert desk.said(channel) == OK
    channel.send(b"AUTH\t2\tLOGIN\tsecured\n")
    assert desk.said(channel) == ["CONT\t2\t" + base64.b64encode(b"Username:").decode()]
    channel.send(b"CONT\t2\tdXNlcg==\n")
    assert desk.said(channel) == ["CONT\t2\t" + base64.b64encode(b"Password:").decode()]
    channel.send(b"CONT\t2\tcGFzcw==\n")
    assert desk.said(channel) == ["OK\t2\tuser=user@123.com"]


def test_exims_empty_response_is_none(desk: Desk) -> None:
    channel = desk.connect(AS_POSTFIX)
    channel.send(b"AUTH\t1\tLOGIN\tservice=smtp\tsecured\trip=192.0.2.7\tlip=192.0.2.1\tnologin\tresp=\n")
    assert desk.said(channel) == ["CONT\t1\t" + base64.b64encode(b"Username:").decode()]


def test_login_with_the_name_at_once(desk: Desk) -> None:
    channel = desk.connect()
    channel.send(b"AUTH\t1\tLOGIN\tsecured\tresp=dXNlcg==\n")
    assert desk.said(channel)[0].startswith("CONT\t1\t")
    channel.send(b"CONT\t1\tcGFzcw==\n")
    assert desk.said(channel) == OK


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (auth(response=b"A"), "not base64"),
        (auth(response=b"AAAA"), "not a PLAIN response"),
        (auth(response=plain(authorize="other")), "nobody may log in for another user"),
        (auth(response=base64.b64encode(b"\0user\0pa\0ss")), "not a PLAIN response"),
        (auth(response=base64.b64encode(b"\0\0pass")), "no user name"),
        (b"AUTH\t1\tPLAIN\tresp=\tsecured\n", "resp= must be last"),
        (b"AUTH\t1\tCRAM-MD5\tsecured\n", "no such mechanism\tcode=auth_mech_invalid"),
        (b"AUTH\t1\tPLAIN\tsecured\tresp=" + b"A" * LONGEST + b"\n", "too long"),
        (b"CONT\t1\tAAAA\n", "no such login, or it took too long"),
    ],
)
def test_one_request_is_wrong_and_the_next_is_answered(desk: Desk, line: bytes, reason: str) -> None:
    channel = desk.connect()
    channel.send(line + auth(2))
    assert desk.said(channel) == [f"FAIL\t1\treason={reason}", "OK\t2\tuser=user@123.com"]
    assert len(desk.gate.asked) == 1


def test_who_may_act_for_himself(desk: Desk) -> None:
    assert desk.answer(auth(response=plain(authorize="user"))) == OK


@pytest.mark.parametrize(
    "data",
    [
        b"VERSION\t2\t0\n", b"CPID\t1\n", auth(), HELLO + b"CPID\t2\n", HELLO + b"VERSION\t1\t2\n",
        b"GET / HTTP/1.0\r\n", b"EHLO x\n" + HELLO + auth(), HELLO + b"NOOP\n" + auth(),
        HELLO + b"AUTH\tx\tPLAIN\n" + auth(),
        b"VERSION\t1\t2\n" + auth(response=b"A"), b"A" * (LONGEST + 2), HELLO + b"B" * (LONGEST + 2) + b"\n" + auth(),
    ],
)  # fmt: skip
def test_what_ends_the_connection(desk: Desk, data: bytes) -> None:
    channel = desk.connect(b"")
    channel.send(data)
    assert desk.said(channel) == []
    assert channel.server_has_closed()
    assert desk.gate.asked == []


def test_an_id_in_use_ends_the_connection(desk: Desk) -> None:
    desk.gate.holds = True
    for second in (auth(1), auth(1, b"A"), b"AUTH\t1\tLOGIN\tsecured\n"):
        channel = desk.connect()
        channel.send(auth(1) + second)
        assert channel.server_has_closed()
    channel = desk.connect()
    channel.send(b"AUTH\t1\tLOGIN\tsecured\nAUTH\t1\tLOGIN\tsecured\n")
    assert channel.server_has_closed()
    assert desk.gate.cancelled == len(desk.gate.held) == 3


def test_several_at_a_time_each_answered_when_it_is_known(desk: Desk) -> None:
    desk.gate.holds = True
    channel = desk.connect()
    channel.send(auth(1) + auth(2, plain(password="no")) + auth(3))
    assert desk.said(channel) == []
    desk.let_go_on(lambda held: held.pop(1))
    assert desk.said(channel) == ["FAIL\t2\treason=wrong user name or password"]
    desk.let_go_on(lambda held: held.pop(1))
    desk.let_go_on()
    assert desk.said(channel) == ["OK\t3\tuser=user@123.com", "OK\t1\tuser=user@123.com"]


def test_a_cancelled_request_is_not_answered(desk: Desk) -> None:
    desk.gate.holds = True
    channel = desk.connect()
    channel.send(auth(1) + b"AUTH\t2\tLOGIN\tsecured\nCANCEL\t1\nCANCEL\t2\nCANCEL\t99\n")
    assert len(desk.said(channel)) == 1  # what LOGIN asked
    assert desk.gate.cancelled == 1
    desk.gate.holds = False
    channel.send(b"CONT\t2\tdXNlcg==\n" + auth(1))
    assert desk.said(channel) == ["FAIL\t2\treason=no such login, or it took too long", *OK]


@pytest.mark.parametrize(
    ("trouble", "text"),
    [
        (DOWN, "the old mail server does not answer"),
        (LoginRefused(Refusal.IN_USE, "in use"), "in use"),
        (LoginRefused(Refusal.UNAVAILABLE, "too many", Because.TOO_MANY), "too many"),
        (RuntimeError("pass"), "something went wrong here, try again later"),
    ],
)
def test_what_is_temporary_is_never_called_a_wrong_password(desk: Desk, trouble: Exception, text: str) -> None:
    desk.gate.trouble = trouble
    assert desk.answer(auth()) == [f"FAIL\t1\treason={text}{TEMPORARY}"]
    channel = desk.connect(AS_POSTFIX)
    channel.send(auth())
    assert desk.said(channel) == []
    assert channel.server_has_closed()
    assert channel.transport.aborted


def test_a_blocked_account_is_not_temporary(desk: Desk) -> None:
    desk.gate.trouble = LoginRefused(Refusal.BLOCKED, "this account needs attention")
    for hello in (HELLO, AS_POSTFIX):
        said = desk.answer(auth(), hello)
        assert said == ["FAIL\t1\treason=this account needs attention\tuser_disabled\tcode=user_disabled"]


@pytest.mark.parametrize(
    ("plaintext_login", "secured", "rip", "allowed"),
    [
        ("never", True, "192.0.2.7", True), ("never", False, "127.0.0.1", False), ("never", False, "", False),
        ("loopback", True, "192.0.2.7", True), ("loopback", False, "192.0.2.7", False),
        ("loopback", False, "127.0.0.1", True), ("loopback", False, "::1", True), ("loopback", False, "", True),
        ("loopback", False, "::ffff:127.0.0.1", True), ("always", False, "192.0.2.7", True),
    ],
)  # fmt: skip
def test_who_may_show_a_password_unencrypted(
    open_desk: Callable[..., Desk], plaintext_login: str, secured: bool, rip: str, allowed: bool
) -> None:
    desk = open_desk(plaintext_login=plaintext_login)
    more = b"\t".join(filter(None, [b"service=smtp", f"rip={rip}".encode() if rip else b"", b"secured" * secured]))
    refused = ["FAIL\t1\treason=no login without encryption\tcode=auth_mech_ssl_required"]
    assert desk.answer(auth(more=more)) == (OK if allowed else refused)
    assert len(desk.gate.asked) == allowed


def test_a_program_that_is_elsewhere_does_not_make_its_users_be_here(open_desk: Callable[..., Desk]) -> None:
    more = b"service=smtp\trip=127.0.0.1\tsecured"
    for address, believed in (("192.0.2.80", True), ("192.0.2.81", False), ("127.0.0.2", True)):
        (said,) = open_desk().answer(auth(more=more), address=address)
        assert ("ssl_required" in said) is not believed
    (said,) = open_desk().answer(auth(more=b"service=smtp"), address="192.0.2.80")
    assert "ssl_required" in said
    desk = open_desk(plaintext_login="always")
    desk.answer(auth(more=more), address="192.0.2.81")
    assert [each.peer for each in desk.gate.asked] == ["192.0.2.81"]


# Bounds


def test_more_at_a_time_than_may_be(desk: Desk) -> None:
    desk.gate.holds = True
    channel = desk.connect()
    channel.send(b"".join(auth(n) for n in range(AT_ONCE + 1)))
    assert desk.said(channel) == [
        f"FAIL\t{AT_ONCE}\treason=too many logins at the same time, try again later{TEMPORARY}"
    ]
    assert len(desk.gate.asked) == AT_ONCE
    channel.send(b"CANCEL\t1\n" + auth(1))
    assert desk.gate.cancelled == 0  # it is not read
    desk.clock.advance(REST_SECONDS)
    channel.settle()
    assert (desk.gate.cancelled, len(desk.gate.asked)) == (1, AT_ONCE + 1)
    channel.hang_up()
    assert desk.gate.cancelled == AT_ONCE + 1


def test_more_in_all_than_may_be(desk: Desk) -> None:
    desk.gate.holds = True
    channels = [desk.connect() for _ in range(ALL_AT_ONCE // AT_ONCE)]
    for channel in channels:
        channel.send(b"".join(auth(n) for n in range(AT_ONCE)))
    one_more, postfix = desk.connect(), desk.connect(AS_POSTFIX)
    one_more.send(auth())
    postfix.send(auth())
    assert TEMPORARY in desk.said(one_more)[0]
    assert postfix.server_has_closed()
    desk.let_go_on()
    assert desk.said(channels[0]) == ["OK\t0\tuser=user@123.com"]
    desk.connect().send(auth())
    assert len(desk.gate.asked) == ALL_AT_ONCE + 1


def test_logins_that_nobody_goes_on_with_do_not_keep_others_out(desk: Desk) -> None:
    channel = desk.connect(AS_POSTFIX)
    for n in range(3 * UNFINISHED):
        channel.send(b"AUTH\t%d\tLOGIN\tsecured\n" % n)
    desk.said(channel)
    channel.send(auth(9_999) + b"CONT\t0\tdXNlcg==\nCONT\t299\tdXNlcg==\n")
    said = desk.said(channel)
    assert said[:2] == ["OK\t9999\tuser=user@123.com", "FAIL\t0\treason=no such login, or it took too long"]
    assert said[2].startswith("CONT\t299\t")


def test_who_does_not_greet_is_not_waited_for(desk: Desk) -> None:
    silent, half, greeted = desk.connect(b""), desk.connect(b"VERSION\t1\t2\n"), desk.connect()
    desk.clock.advance(GREETING_SECONDS)
    for channel in (silent, half, greeted):
        channel.settle()
    assert (silent.server_has_closed(), half.server_has_closed(), greeted.server_has_closed()) == (True, True, False)


def test_who_does_not_read_is_cut_off(desk: Desk) -> None:
    channel = desk.connect(slow=True)
    channel.send(b"CONT\t1\tAAAA\n" * 5_000)
    channel.send(b"CONT\t1\tAAAA\n")
    assert channel.server_has_closed()


def test_more_connections_than_may_be(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECTIONS", 2)
    first = desk.connect()
    desk.connect()
    assert desk.factory.buildProtocol(None) is None
    first.hang_up()
    assert desk.answer(auth()) == OK


# The end


def test_who_leaves_is_not_checked_for(desk: Desk) -> None:
    desk.gate.holds = True
    channel = desk.connect()
    channel.send(auth())
    channel.hang_up()
    assert desk.gate.cancelled == 1


def test_a_stop_sends_who_waits_away_for_now(desk: Desk) -> None:
    desk.gate.holds = True
    idle, waiting, postfix = desk.connect(), desk.connect(), desk.connect(AS_POSTFIX)
    waiting.send(auth(1) + b"AUTH\t2\tPLAIN\tsecured\n")
    postfix.send(auth(1))
    desk.said(waiting)
    ended = desk.factory.drain()
    text = "the server is going down, try again later"
    assert desk.said(waiting) == [f"FAIL\t{n}\treason={text}{TEMPORARY}" for n in (1, 2)]
    assert desk.said(postfix) == desk.said(idle) == []
    assert all(channel.server_has_closed() for channel in (idle, waiting, postfix))
    assert ended.called
    assert desk.factory.buildProtocol(None) is None
