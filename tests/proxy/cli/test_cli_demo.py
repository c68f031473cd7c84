"""The demo's parts: its mail, its old server, its clients and its comparison. All of it together is in tests/peers."""

from __future__ import annotations

import poplib
from collections.abc import Iterator

import pytest

from proxy.cli.demo_clients import Mail, Pop3Client, Refused, differences
from proxy.cli.demo_legacy import OldServer, as_sent, stuffed
from proxy.cli.demo_mail import KINDS, samples
from tests.proxy.cli.command import mailferry

MAILBOX = samples(2 * len(KINDS))


@pytest.fixture
def old() -> Iterator[OldServer]:
    server = OldServer(MAILBOX, "demo", "secret")
    server.start()
    yield server
    server.stop()


def test_the_mail_is_the_same_at_every_run() -> None:
    assert samples(40) == samples(40)
    assert len({sample.uidl for sample in samples()}) == 300


def test_the_mail_has_what_real_mailboxes_have() -> None:
    every = b"".join(sample.raw for sample in MAILBOX)
    assert "，".encode("gb18030") in every and "附件".encode("gb2312") in every
    assert b"\r\n.\r\n" in every and b"\r\n.a leading dot" in every and b"one\ntwo" in every and b"\0" in every
    assert any(len(line) > 998 for line in every.split(b"\r\n"))
    assert any(not sample.raw.endswith(b"\r\n") for sample in MAILBOX)
    assert any(sample.raw.startswith(b"\r\n") for sample in MAILBOX)
    assert b"Content-Type: message/rfc822" in every and b"\r\nStatus: RO\r\n" in every


def test_dot_stuffing() -> None:
    assert stuffed(b".a\r\n.\r\nb\n.c") == b"..a\r\n..\r\nb\n.c\r\n.\r\n"
    assert stuffed(b"") == b"\r\n.\r\n"


def test_every_byte_comes_out_of_the_old_server(old: OldServer) -> None:
    with Pop3Client(("127.0.0.1", old.port)) as client:
        client.login("demo", "secret")
        found = client.inbox()
    assert found == [Mail(sample.uidl, as_sent(sample.raw)) for sample in MAILBOX]


def test_the_old_server_as_pythons_client_sees_it(old: OldServer) -> None:
    client = poplib.POP3("127.0.0.1", old.port, timeout=10)
    assert "PIPELINING" in client.capa()
    client.user("demo")
    client.pass_("secret")
    assert client.stat() == (len(MAILBOX), sum(len(as_sent(sample.raw)) for sample in MAILBOX))
    assert client.list(3) == b"+OK 3 %d" % len(as_sent(MAILBOX[2].raw))
    assert client.uidl(3) == b"+OK 3 " + MAILBOX[2].uidl.encode()
    assert client.top(1, 0)[1][0].startswith(b"Received: ")
    with pytest.raises(poplib.error_proto, match="no such message"):
        client.retr(999)
    with pytest.raises(poplib.error_proto, match="only shown"):
        client.dele(1)
    client.quit()
    old.stop()
    assert old.deletions == 1


def test_the_old_server_refuses_a_wrong_password(old: OldServer) -> None:
    with Pop3Client(("127.0.0.1", old.port)) as client, pytest.raises(Refused, match=r"\[AUTH\]"):
        client.login("demo", "guess")


def test_a_stopped_server_drops_its_clients_and_comes_back_at_its_port(old: OldServer) -> None:
    with Pop3Client(("127.0.0.1", old.port)) as client:
        client.login("demo", "secret")
        old.stop()
        with pytest.raises((Refused, OSError)):
            client.inbox()
    with pytest.raises(ConnectionRefusedError):
        Pop3Client(("127.0.0.1", old.port))
    port = old.port
    old.start()
    assert old.port == port
    with Pop3Client(("127.0.0.1", port)) as client:
        client.login("demo", "secret")


def test_differences_are_told() -> None:
    old = [Mail("a", b"one"), Mail("b", b"two"), Mail("c", b"three")]
    assert differences(old, [Mail("", b"one"), Mail("", b"two"), Mail("", b"three")]) == (3, [])
    assert differences(old, [Mail("", b"one"), Mail("", b"twx")]) == (
        1,
        [
            "message 2 (b): 3 octets at the old server, 3 here, different from octet 2 on",
            "message 3 is only at the old server",
        ],
    )
    assert differences(old[:1], [Mail("x", b"one"), Mail("", b"")]) == (
        0,
        ["message 1: UIDL x instead of a", "message 2 is only here"],
    )


def test_the_demo_listens_at_addresses_only() -> None:
    result = mailferry("demo", "--host", "localhost")
    assert result.exit_code == 2
    assert "no IPv4 address" in result.stderr
