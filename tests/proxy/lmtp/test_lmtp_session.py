"""Conversations: commands, their order, their replies, and their bounds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.defer import Deferred

from mailstore.spool import Spooled
from proxy.lmtp.commands import COMMANDS
from tests.proxy.lmtp.lmtp_rig import DATE, Desk, answers, ask, mail

MESSAGE = b"Subject: hello\r\n\r\n.dot\r\ntext\r\n"


def test_a_message(desk: Desk) -> None:
    desk.moved()
    channel = desk.connect()
    assert ask(channel, b"LHLO mx.123.com") == [
        b"250-mail.123.com",
        b"250-PIPELINING",
        b"250-8BITMIME",
        b"250-SMTPUTF8",
        b"250-ENHANCEDSTATUSCODES",
        b"250 SIZE 200000",
    ]
    assert ask(channel, b"mail from:<wang@example.com> size=30") == [b"250 2.1.0 ok"]
    assert ask(channel, b"rcpt to:<Anna@123.COM>") == [b"250 2.1.5 ok"]
    assert ask(channel, b"data") == [b"354 end with a line that is a dot"]
    (stored,) = ask(channel, b"Subject: hello", b"", b"..dot", b"text", b".")
    code, enhanced, number, *words = stored.split()
    assert (code, enhanced, b" ".join(words)) == (b"250", b"2.0.0", b"stored")
    assert ask(channel, b"quit") == [b"221 2.0.0 bye"]
    assert channel.closed
    (found,) = desk.inbox("anna@123.com")
    head = (
        "Return-Path: <wang@example.com>\r\nReceived: from mx.123.com ([127.0.0.9])\r\n"
        f"\tby mail.123.com with LMTP id {number.decode()}\r\n\tfor <Anna@123.COM>; {DATE}\r\n"
    )
    assert found == head.encode() + MESSAGE
    figures = {"octets": len(found), "stored": 1, "refused": 0, "accounts": ["anna@123.com"]}
    assert desk.log.lines == [("info", "mail", {"id": number.decode(), **figures})]


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
def test_all_sent_ahead(desk: Desk, bytewise: bool) -> None:
    """As RFC 2920 allows, and further: behind DATA as well, as long as it is accepted."""
    desk.moved()
    channel = desk.connect()
    letters = [b"letter %d\r\n" % n for n in range(5)]
    sent = b"LHLO a\r\n" + b"".join(mail(each, "anna@123.com", "nobody@123.com", "bob@123.com") for each in letters)
    channel.send(sent + b"QUIT\r\n", bytewise=bytewise)
    codes = [line.split()[0] for line in answers(channel)][6:]
    assert codes == [b"250", b"250", b"550", b"250", b"354", b"250", b"250"] * 5 + [b"221"]
    for user in ("anna@123.com", "bob@123.com"):
        found = desk.inbox(user)
        assert [each.partition(b"+0000\r\n")[2] for each in found] == letters
        assert b"\tfor " not in found[0]


def test_bounces_smtputf8_and_a_return_path_that_is_there(desk: Desk) -> None:
    desk.moved()
    channel = desk.ready()
    channel.send(mail(b"Return-Path: <old@example.com>\r\nA: b\r\n\r\n", "bob@123.com", sender="<>"))
    channel.send(mail("主题\r\n".encode(), "用户@邮局.com", sender="<王@example.com> SMTPUTF8 BODY=8BITMIME"))
    answers(channel)
    (bounce,) = desk.inbox("bob@123.com")
    assert bounce.startswith(b"Return-Path: <>\r\nReceived: ")
    assert bounce.endswith(b"+0000\r\nA: b\r\n\r\n")
    assert bounce.count(b"Return-Path") == 1
    (letter,) = desk.inbox("用户@邮局.com")
    assert letter.startswith("Return-Path: <王@example.com>\r\n".encode())
    assert b" with UTF8LMTP id " in letter
    assert "\tfor <用户@邮局.com>; ".encode() in letter


@pytest.mark.parametrize(
    ("lines", "reply"),
    [
        ([b"NONSENSE"], b"500 5.5.2"),
        ([b""], b"500 5.5.2"),
        ([b"EHLO a"], b"500 5.5.2"),
        ([b"HELO a"], b"500 5.5.2"),
        ([b"BDAT 1 LAST"], b"500 5.5.2"),
        ([b"STARTTLS"], b"500 5.5.2"),
        ([b"LHLO"], b"501 5.5.4"),
        ([b"DATA"], b"503 5.5.1"),
        ([b"RCPT TO:<anna@123.com>"], b"503 5.5.1"),
        ([b"MAIL FROM:<>", b"MAIL FROM:<>"], b"503 5.5.1"),
        ([b"MAIL FROM:<>", b"DATA"], b"503 5.5.1"),
        ([b"MAIL FROM:<>", b"RCPT TO:<x@123.com>", b"DATA"], b"503 5.5.1"),
        ([b"MAIL FROM:<>", b"RCPT TO:<anna@123.com>", b"RSET", b"DATA"], b"503 5.5.1"),
        ([b"MAIL FROM:<>", b"RCPT TO:<anna@123.com>", b"LHLO a", b"RCPT TO:<anna@123.com>"], b"503 5.5.1"),
        ([b"MAIL FROM:<> SIZE=200001"], b"552 5.3.4"),
        (["MAIL FROM:<用@户>".encode()], b"553 5.6.7"),
        ([b"MAIL FROM:<>", "RCPT TO:<用户@邮局.com>".encode()], b"553 5.6.7"),
        ([b"MAIL FROM:<a\0@b>"], b"501 5.5.4"),
        ([b"DATA now"], b"503 5.5.1"),
        ([b"NOOP and so on"], b"250 2.0.0"),
        ([b"VRFY anna"], b"252 2.5.2"),
        ([b"HELP"], b"214 2.0.0"),
        ([b"rset"], b"250 2.0.0"),
        ([b"x" * 5000], b"500 5.5.2"),
    ],
)
def test_what_is_out_of_order_or_wrong(desk: Desk, lines: list[bytes], reply: bytes) -> None:
    channel = desk.ready()
    assert ask(channel, *lines)[-1].startswith(reply)
    assert ask(channel, b"NOOP") == [b"250 2.0.0 ok"]


def test_before_lhlo(desk: Desk) -> None:
    channel = desk.connect()
    assert ask(channel, b"MAIL FROM:<>")[0].startswith(b"503 5.5.1")
    assert ask(channel, b"NOOP", b"RSET", b"VRFY a")[-1].startswith(b"252")
    assert ask(channel, b"MAIL FROM:<>")[0].startswith(b"503 5.5.1")


def test_a_message_that_is_too_large_and_the_next_one(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(message=1000)
    desk.moved()
    channel = desk.ready()
    channel.send(mail(b"x" * 1001, "anna@123.com", "bob@123.com"))
    assert [line[:9] for line in answers(channel)[-2:]] == [b"552 5.3.4"] * 2
    channel.send(mail(b"y" * 998, "anna@123.com"))
    assert answers(channel)[-1].startswith(b"250 ")
    assert [len(each.rpartition(b"+0000\r\n")[2]) for each in desk.inbox("anna@123.com")] == [1000]
    channel.send(mail(b"z" * 5000, "anna@123.com"))
    assert channel.closed


def test_a_message_in_a_loop(desk: Desk) -> None:
    desk.moved()
    channel = desk.ready()
    channel.send(mail(b"Received: x\r\n" * 100 + b"\r\n", "anna@123.com"))
    assert answers(channel)[-1] == b"554 5.4.6 the message is in a loop"
    channel.send(mail(b"Received: x\r\n" * 99 + b"\r\n" + b"Received: x\r\n" * 9, "anna@123.com"))
    assert answers(channel)[-1].startswith(b"250 ")
    assert len(desk.inbox("anna@123.com")) == 1


def test_too_many_recipients(open_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.lmtp.commands.RECIPIENTS", 2)
    channel = open_desk().ready()
    said = ask(channel, b"MAIL FROM:<>", *[b"RCPT TO:<anna@123.com>"] * 3, b"DATA")
    assert [line[:9] for line in said[1:4]] == [b"250 2.1.5", b"250 2.1.5", b"452 4.5.3"]
    assert [line[:3] for line in ask(channel, b"x", b".")] == [b"250", b"250"]


def test_too_many_errors(desk: Desk) -> None:
    channel = desk.ready()
    said = ask(channel, *[b"NONSENSE"] * 60)
    assert len(said) == 51
    assert said[-1] == b"421 4.7.0 too many bad commands"
    assert channel.closed


def test_who_says_nothing_is_hung_up_on(desk: Desk) -> None:
    channel = desk.ready()
    desk.clock.advance(299)
    assert ask(channel, b"NOOP")
    desk.clock.advance(301)
    channel.settle()
    assert answers(channel) == [b"421 4.4.2 nothing has come for too long"]
    assert channel.closed
    channel = desk.ready()
    ask(channel, b"MAIL FROM:<>", b"RCPT TO:<anna@123.com>", b"DATA", b"half a")
    desk.clock.advance(181)
    channel.settle()
    assert channel.closed
    assert desk.inbox("anna@123.com") == []


@pytest.mark.parametrize("end", [b"", b".", b".\r", b"\r\n.\n"])
def test_who_leaves_within_a_message_has_sent_none(desk: Desk, end: bytes) -> None:
    desk.moved()
    channel = desk.ready()
    channel.send(mail(b"", "anna@123.com").removesuffix(b".\r\n") + b"text\r\n" + end)
    channel.hang_up()
    assert desk.inbox("anna@123.com") == []


def test_too_many_connections(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.lmtp.server.CONNECTIONS", 1)
    desk.connect()
    with pytest.raises(AssertionError):
        desk.connect()
    assert answers(desk.channels[-1]) == []  # it was read: the refusal
    assert desk.channels[-1].closed
    assert desk.log.events("warning") == ["lmtp connection refused"]


def test_who_does_not_read_is_waited_for_and_given_up(desk: Desk) -> None:
    channel = desk.connect(slow=True)
    channel.send(b"HELP\r\n" * 5000)
    assert len(channel.leftover()) < 100_000
    desk.clock.advance(121)
    channel.settle()
    assert channel.closed


def test_much_sent_ahead_pauses_reading(desk: Desk) -> None:
    desk.moved()
    channel = desk.ready()
    desk.counter.gate = Deferred()
    channel.send(mail(b"first\r\n", "anna@123.com"))
    for _ in range(20):
        channel.send(b"NOOP " + b"x" * 4000 + b"\r\n" + b"NOOP\r\n" * 3000)
    assert channel.transport.paused
    gate, desk.counter.gate = desk.counter.gate, None
    gate.callback(None)
    channel.settle()
    said = answers(channel)
    assert not channel.transport.paused
    assert len([line for line in said if line == b"250 2.0.0 ok"]) == 20 * 3001


def test_when_the_daemon_stops(desk: Desk) -> None:
    desk.moved()
    idle, amid, storing = desk.ready(), desk.ready(), desk.ready()
    ask(amid, b"MAIL FROM:<>", b"RCPT TO:<anna@123.com>", b"DATA", b"half a")
    desk.counter.gate = Deferred()
    storing.send(mail(b"whole\r\n", "bob@123.com") + mail(b"next\r\n", "bob@123.com"))
    answers(storing)
    ended: list[None] = []
    desk.factory.drain().addCallback(ended.append)
    for channel in (idle, amid):
        channel.settle()
        assert answers(channel) == [b"421 4.3.2 the server is going down"]
        assert channel.closed
    assert not ended
    assert desk.factory.buildProtocol(None) is None
    gate, desk.counter.gate = desk.counter.gate, None
    gate.callback(None)
    storing.settle()
    stored, farewell = answers(storing)
    assert stored.startswith(b"250 ")
    assert farewell.startswith(b"421 ")
    assert ended == [None]
    assert len(desk.inbox("bob@123.com")) == 1
    assert desk.inbox("anna@123.com") == []


def test_no_room_for_what_comes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.moved()
    channel = desk.ready()

    def refuse(*_: object) -> Spooled:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(desk.counter, "spool", refuse)
        said = ask(channel, b"MAIL FROM:<>", b"RCPT TO:<anna@123.com>", b"DATA", b"RSET")
        assert [line[:9] for line in said[-2:]] == [b"452 4.3.1", b"250 2.0.0"]
    with monkeypatch.context() as patch:
        patch.setattr(Spooled, "write", refuse)
        channel.send(mail(b"text\r\n", "anna@123.com", "bob@123.com"))
        assert [line[:9] for line in answers(channel)[-2:]] == [b"452 4.3.1"] * 2
    assert desk.log.events("error") == ["mail cannot be taken in"] * 2
    channel.send(mail(b"text\r\n", "anna@123.com"))
    assert answers(channel)[-1].startswith(b"250 ")


def test_a_defect_is_a_temporary_answer(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def break_(*_: object) -> None:
        raise ValueError("Subject: secret")

    monkeypatch.setattr(desk.counter, "deliver", break_)
    channel = desk.ready()
    channel.send(mail(b"text\r\n", "anna@123.com"))
    assert answers(channel)[-1].startswith(b"421 4.3.0")
    assert channel.closed
    assert desk.log.events("error") == ["lmtp fault"]
    assert "secret" not in repr(desk.log.lines)


def test_every_command_is_timed(desk: Desk) -> None:
    channel = desk.ready()
    channel.send(mail(b"x\r\n", "anna@123.com") + b"RSET\r\nNOOP\r\nVRFY x\r\nHELP\r\nQUIT\r\n")
    timed = {labels[1] for _, *labels in desk.tally.times if labels and labels[0] == "lmtp"}
    assert timed == {name.decode() for name in COMMANDS}
