"""Python's imaplib and poplib as clients: plain, by STARTTLS and STLS, and over TLS from the first byte."""

from __future__ import annotations

import imaplib
import poplib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from proxy.cli.demo_clients import Mail
from tests.legacy.dovecot import Dovecot
from tests.peers.daemon import Daemon
from tests.peers.mailboxes import original

pytestmark = pytest.mark.peers


def imap(daemon: Daemon, way: str) -> imaplib.IMAP4:
    if way == "imaps":
        return imaplib.IMAP4_SSL("localhost", daemon.ports["imaps"], ssl_context=daemon.trust(), timeout=60)
    client = imaplib.IMAP4("localhost", daemon.ports["imap"], timeout=60)
    if way == "starttls":
        client.starttls(daemon.trust())
    return client


@contextmanager
def pop3(daemon: Daemon, way: str, user: str) -> Iterator[poplib.POP3]:
    """Logged in."""
    if way == "pop3s":
        client: poplib.POP3 = poplib.POP3_SSL("localhost", daemon.ports["pop3s"], context=daemon.trust(), timeout=60)
    else:
        client = poplib.POP3("localhost", daemon.ports["pop3"], timeout=60)
    try:
        if way == "stls":
            client.stls(daemon.trust())
        client.user(f"{user}@123.com")
        client.pass_("pass")
        yield client
    finally:
        client.close()


@pytest.mark.parametrize("way", ["imap", "starttls", "imaps"])
def test_imaplib(legacy: Dovecot, daemon: Daemon, user: str, way: str) -> None:
    old = original(legacy, user)
    with imap(daemon, way) as client:
        assert client.login(f"{user}@123.com", "pass")[0] == "OK"
        assert client.select("INBOX") == ("OK", [b"%d" % len(old)])
        _, answers = client.fetch("1:*", "(UID RFC822.SIZE BODY.PEEK[])")
        found = [part[1] for part in answers if isinstance(part, tuple)]
        assert found == [mail.raw for mail in old]
        assert client.store("1", "+FLAGS", r"(\Draft)")[0] == "OK"
        assert client.search(None, "DRAFT") == ("OK", [b"1"])
        assert client.create("Projects")[0] == "OK"
        assert client.copy("2:3", "Projects")[0] == "OK"
        assert client.status("Projects", "(MESSAGES)") == ("OK", [b"Projects (MESSAGES 2)"])
        assert client.append("Projects", r"(\Seen)", None, b"Subject: new\r\n\r\ntext\r\n")[0] == "OK"
        assert client.select("Projects", readonly=True) == ("OK", [b"3"])


@pytest.mark.parametrize("way", ["pop3", "stls", "pop3s"])
def test_poplib(legacy: Dovecot, daemon: Daemon, user: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poplib, "_MAXLINE", 1 << 20)
    old = original(legacy, user)
    with pop3(daemon, way, user) as client:
        assert client.stat() == (len(old), sum(len(mail.raw) for mail in old))
        uidls = [line.split()[1].decode() for line in client.uidl()[1]]
        found = [Mail(uidl, b"".join(line + b"\r\n" for line in client.retr(n)[1])) for n, uidl in enumerate(uidls, 1)]
        assert found == old
        client.dele(1)
        client.quit()
    with pop3(daemon, way, user) as client:
        assert client.stat()[0] == len(old) - 1
        client.quit()
    assert original(legacy, user) == old  # nothing is deleted at the old server
