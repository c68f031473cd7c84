"""What no dialogue shows: the end of the process, clients that do not read, errors that nobody expected."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailstore.content import Content
from mailstore.errors import MessageLost, StorageCorrupt, StorageFailed
from mailstore.mailhome import MailHome
from tests.proxy.imap.imap_rig import Rig, lines


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.close()


def test_drain_lets_idle_connections_go_at_once(rig: Rig) -> None:
    stranger, user, idler = rig.connect(), rig.logged_in(), rig.logged_in(select=True)
    idler.send(b"i IDLE\r\n")
    assert lines(idler) == [b"+ idling"]
    drained: list[object] = []
    rig.factory.drain().addCallback(drained.append)
    for channel in (stranger, user, idler):
        channel.settle()
        assert lines(channel) == [b"* BYE Server is shutting down."]
        assert channel.server_has_closed()
    assert drained == [None]
    assert not rig.factory.connections
    assert not rig.clock.getDelayedCalls()


def test_drain_waits_for_the_command_in_progress(rig: Rig) -> None:
    channel = rig.connect()
    rig.gate.told("hold")
    channel.send(b"a LOGIN user@123.com pass\r\nb NOOP\r\n")
    rig.gate.told("progress 1 2")
    drained: list[object] = []
    rig.factory.drain().addCallback(drained.append)
    channel.settle()
    assert lines(channel) == [
        b"a NO [UNAVAILABLE] Server is shutting down; try again later.",
        b"* BYE Server is shutting down.",
    ]
    assert rig.gate.cancelled == 1
    assert drained == [None]


def test_drain_answers_an_append_that_is_still_coming(rig: Rig) -> None:
    channel = rig.logged_in()
    channel.send(b"p APPEND INBOX {10}\r\n12345")
    rig.factory.drain()
    channel.settle()
    assert lines(channel) == [
        b"+ OK",
        b"p NO [UNAVAILABLE] Server is shutting down.",
        b"* BYE Server is shutting down.",
    ]
    assert channel.server_has_closed()


def test_a_damaged_index_ends_the_session(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next login opens it anew; to go on would be NO after NO."""

    def damaged(_name: str, **_how: object) -> None:
        raise StorageCorrupt("the database is damaged")

    channel = rig.logged_in()
    monkeypatch.setattr(rig.mail, "status", damaged)
    channel.send(b"s STATUS INBOX (MESSAGES)\r\nn NOOP\r\n")
    assert lines(channel) == [
        b"s NO [UNAVAILABLE] The mail cannot be reached at the moment; try again later.",
        b"* BYE The mailbox has to be repaired; log in again.",
    ]
    assert channel.server_has_closed()


def test_drain_finishes_a_slow_fetch(rig: Rig) -> None:
    rig.mail.append("INBOX", io.BytesIO(b"Subject: big\r\n\r\n" + b"x" * 500_000), (), None)
    channel = rig.logged_in(select=True, slow=True)
    channel.send(b"f FETCH 6 BODY.PEEK[]\r\n")
    rig.factory.drain()
    assert not channel.server_has_closed()
    channel.transport.slow = False
    channel.settle()
    assert channel.transport.out.endswith(b"\r\nf OK Fetch completed.\r\n* BYE Server is shutting down.\r\n")
    assert channel.server_has_closed()


def test_who_connects_during_a_drain_is_told(rig: Rig) -> None:
    rig.factory.drain()
    from tests.dialogues.memory import MemoryChannel

    channel = MemoryChannel(rig.factory.buildProtocol(None), rig.clock)
    assert lines(channel) == [b"* BYE Server is shutting down."]
    assert channel.server_has_closed()


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_large_message_is_sent_as_it_is_read(rig: Rig, monkeypatch: pytest.MonkeyPatch, *, in_memory: bool) -> None:
    monkeypatch.setattr(Content, "at_hand", lambda self, *where: self.read(*where) if in_memory else None)
    body = bytes(range(1, 251)) * 20_000
    rig.mail.append("INBOX", io.BytesIO(b"Subject: big\r\n\r\n" + body), (), None)
    channel = rig.logged_in(select=True, slow=True)
    channel.send(b"f FETCH 6 BODY.PEEK[TEXT]\r\n")
    held = []
    received = bytearray()
    while not channel.transport.out.endswith(b"f OK Fetch completed.\r\n"):
        held.append(len(channel.transport.out))
        received += channel.transport.out
        channel.transport.out.clear()
        channel.transport.read()
        channel.settle()
        assert held[-1] or len(held) < 3, "the transfer has stopped"
    received += channel.transport.out
    assert body in received
    assert max(held) < 400_000
    channel.hang_up()


def test_a_client_that_does_not_read_is_left(rig: Rig) -> None:
    rig.mail.append("INBOX", io.BytesIO(b"Subject: big\r\n\r\n" + b"x" * 1_000_000), (), None)
    channel = rig.logged_in(select=True, slow=True)
    channel.send(b"f FETCH 6 BODY.PEEK[]\r\n")
    rig.clock.advance(119)
    channel.settle()
    assert not channel.server_has_closed()
    rig.clock.advance(2)
    channel.settle()
    assert channel.transport.aborted
    assert channel.server_has_closed()
    assert all(home.closed for home in rig.gate.homes)
    assert rig.log.lines[-1][2]["reason"] == "the client does not read"
    assert not rig.clock.getDelayedCalls()


def test_a_stop_does_not_wait_long_for_who_does_not_hang_up(rig: Rig) -> None:
    channel = rig.logged_in(select=True)
    channel.transport.loseConnection = lambda: None  # as over TLS, where the client has to agree
    stopped = rig.factory.drain()
    channel.settle()
    rig.clock.advance(9)
    assert not stopped.called
    rig.clock.advance(2)
    channel.settle()
    assert channel.transport.aborted
    assert stopped.called


def test_pipelining_without_reading_is_held_back(rig: Rig) -> None:
    channel = rig.logged_in(select=True, slow=True)
    channel.send(b"f FETCH 1:* (FLAGS UID)\r\n" * 20_000)
    for _ in range(3):
        channel.send(b"f FETCH 1:* (FLAGS UID)\r\n" * 20_000)
    assert len(channel.transport.out) < 400_000
    assert channel.transport.paused
    channel.hang_up()
    assert all(home.closed for home in rig.gate.homes)


def test_an_unexpected_error_is_a_reply_and_one_log_line(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret words of a mail")

    monkeypatch.setattr(MailHome, "folders", broken)
    channel = rig.logged_in()
    channel.send(b'a LIST "" *\r\nb NOOP\r\n')
    assert lines(channel) == [b"a NO [SERVERBUG] Internal error; it was logged.", b"b OK NOOP completed."]
    errors = [line for line in rig.log.lines if line[0] == "error"]
    assert len(errors) == 1
    assert errors[0][2]["error"] == "RuntimeError"
    assert "secret" not in repr(rig.log.lines)
    channel.hang_up()


def test_a_store_that_refuses_is_temporary(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise StorageFailed("no space left")

    channel = rig.logged_in(select=True)
    monkeypatch.setattr(MailHome, "store", full)
    monkeypatch.setattr(MailHome, "append", full)
    channel.send(b"a STORE 1 +FLAGS (\\Seen)\r\nb APPEND INBOX {4+}\r\nabcd\r\nc FETCH 1 BODY[]\r\n")
    assert [line[:20] for line in lines(channel)] == [
        b"a NO [UNAVAILABLE] T",
        b"b NO [UNAVAILABLE] T",
        b"c NO [UNAVAILABLE] T",
    ]
    channel.hang_up()


def test_changes_that_cannot_be_read_are_told_later(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise StorageFailed("locked")

    channel = rig.logged_in(select=True)
    rig.mail.append("INBOX", io.BytesIO(b"new"), (), None)
    rig.gate.pass_on_changes()
    rig.clock.advance(0)
    with monkeypatch.context() as patch:
        patch.setattr(MailHome, "changes", broken)
        channel.send(b"a NOOP\r\n")
        assert lines(channel) == [b"a OK NOOP completed."]
    channel.send(b"b NOOP\r\n")
    assert lines(channel) == [b"* 6 EXISTS", b"* 6 RECENT", b"b OK NOOP completed."]
    channel.hang_up()


def test_no_password_in_the_log(rig: Rig) -> None:
    channel = rig.connect()
    channel.send(b"a LOGIN user@123.com hunter2\r\nb LOGIN user@123.com pass\r\nc LOGOUT\r\n")
    assert "hunter2" not in repr(rig.log.lines)
    assert [line[1] for line in rig.log.lines] == ["imap login refused", "imap login", "imap session ended"]


def test_a_client_that_leaves_while_held_ends_the_wait(rig: Rig) -> None:
    rig.gate.told("hold")
    channel = rig.connect()
    channel.send(b"a LOGIN user@123.com pass\r\n")
    channel.hang_up()
    assert rig.gate.cancelled == 1
    assert not rig.clock.getDelayedCalls()
    assert [fields["reason"] for _, _, fields in rig.log.lines] == ["the client left while its login was held"]


def test_a_message_damaged_while_it_is_sent_ends_the_connection_without_a_word(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.mail.append("INBOX", io.BytesIO(b"Subject: big\r\n\r\n" + b"x" * 1_000_000), (), None)
    channel = rig.logged_in(select=True, slow=True)
    channel.send(b"f FETCH 6 BODY.PEEK[]\r\nn NOOP\r\n")

    def cut(*_: Any) -> bytes:
        raise MessageLost("cut")

    monkeypatch.setattr(Content, "read", cut)
    monkeypatch.setattr(Content, "at_hand", lambda *_: None)
    channel.transport.slow = False
    channel.settle()
    assert channel.server_has_closed()
    assert channel.transport.out.endswith(b"xxxx"), "no reply within a literal"
    assert rig.log.lines[-1][2]["reason"] == "a response was cut short"


def test_plaintext_behind_starttls_is_thrown_away(rig: Rig) -> None:
    """RFC 3501 6.2.1: who injects a command before TLS must not have it carried out inside."""
    channel = rig.connect()
    channel.send(b"a STARTTLS\r\nb LOGIN user@123.com pass\r\nc LOGIN {4}\r\n")
    assert lines(channel) == [b"a OK Begin TLS negotiation now."]
    assert not rig.gate.asked
    channel.send(b"d NOOP\r\n")
    assert lines(channel) == [b"d OK NOOP completed."]
    channel.hang_up()


def test_too_large_an_answer_for_one_message_is_refused(rig: Rig) -> None:
    header = b"".join(b"X-%d: %s\r\n" % (n, b"y" * 900) for n in range(500))
    rig.mail.append("INBOX", io.BytesIO(header + b"\r\nbody"), (), None)
    channel = rig.logged_in(select=True)
    items = b" ".join(b"BODY.PEEK[HEADER.FIELDS.NOT (A%d)]" % n for n in range(40))
    channel.send(b"a FETCH 6 (%b)\r\n" % items)
    assert lines(channel)[-1].startswith(b"a NO [LIMIT]")
    channel.hang_up()


def test_who_is_quiet_and_who_is_in_the_midst_of_something(rig: Rig) -> None:
    """`proxy.daemon.easing` asks, and has the quiet ones go."""
    stranger, user, idler = rig.connect(), rig.logged_in(), rig.logged_in(select=True)
    idler.send(b"i IDLE\r\n")
    held = rig.connect()
    rig.gate.told("hold")
    held.send(b"a LOGIN user@123.com pass\r\n")
    rig.clock.advance(7)
    quiet = [channel.protocol.quiet_for() for channel in (stranger, user, idler, held)]
    assert quiet == [0.0, 7.0, 7.0, 0.0]
    user.send(b"n NOOP\r\n")
    idler.send(b"DONE\r\n")
    assert (user.protocol.quiet_for(), idler.protocol.quiet_for()) == (0.0, 0.0)
    user.send(b"p APPEND INBOX {10}\r\n12345")
    rig.clock.advance(7)
    assert (user.protocol.quiet_for(), idler.protocol.quiet_for()) == (0.0, 7.0)
    for channel in (user, idler):
        lines(channel)
        channel.protocol.leave()
        channel.settle()
        assert lines(channel)[-1] == b"* BYE Server is going out of service, connect again."
        assert channel.server_has_closed()
