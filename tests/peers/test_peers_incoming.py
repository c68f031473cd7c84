"""Mail from a real Postfix, configured by conf/postfix: before, during and after a user's first login."""

from __future__ import annotations

import imaplib
import smtplib
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from proxy.cli.demo_clients import Mail
from tests.legacy.dovecot import PASSWORD, Dovecot, free_port, select_nothing
from tests.legacy.threaded import Relay
from tests.peers.daemon import Daemon
from tests.peers.ground import reachable
from tests.peers.mailboxes import over_imap, over_pop3, write_letters
from tests.peers.needs import needed
from tests.peers.postfix import Postfix

pytestmark = pytest.mark.peers

CONF = Path(__file__).parents[2] / "conf" / "postfix"
MESSAGE = (
    "Received: from far by away; Thu, 26 Nov 2026 21:48:43 +0000\r\nFrom: Wang <wang@example.com>\r\n"
    "To: you@example.com\r\nSubject: {0}\r\nMessage-ID: <{0}@example.com>\r\nContent-Transfer-Encoding: 8bit\r\n"
    "Date: Thu, 26 Nov 2026 21:48:43 +0000\r\n\r\n.dot\r\n..\r\n. \r\n中文 {0}\r\n\r\nend\r\n"
)


def written(name: str) -> str:
    """A file of conf/postfix as an administrator enters it."""
    return "".join(line + "\n" for line in (CONF / name).read_text().splitlines() if line and line[0] != "#")


class Gate(Relay):
    """Between mailferry and the old server: while it is shut, asking for a message gets no answer."""

    def __init__(self, target: int) -> None:
        self.open = threading.Event()
        self.open.set()
        self.asked = threading.Event()  # … while it was shut
        super().__init__(target)

    def serve(self, client: socket.socket) -> None:
        with self._held(self.reached()) as server:
            self.pass_on(client, server, up=self._up)

    def _up(self, data: bytes) -> bytes:
        if b"RETR" in data and not self.open.is_set():
            self.asked.set()
            self.open.wait(60)
        return data


@dataclass
class Site:
    gate: Gate
    daemon: Daemon
    postfix: Postfix
    old: Dovecot

    def add(self, *names: str) -> None:
        """As a list that is imported does."""
        database = AccountsDatabase(self.daemon.root / "state" / "accounts.db")
        for name in names:
            Accounts(database).add(*name.split("@"))
        database.close()

    def swaks(self, to: str, name: str, *more: str) -> subprocess.CompletedProcess[str]:
        """Hand a message in at Postfix's port 25."""
        data = self.postfix.root / f"{name}.eml"
        data.write_bytes(MESSAGE.format(name).replace("\r\n", "\n").removesuffix("\n").encode())
        command = [needed("swaks"), "--server", f"127.0.0.1:{self.postfix.port}", "--ehlo", "mx.example.com"]
        command += ["--from", "wang@example.com", "--to", to, "--data", f"@{data}", "--hide-all", *more]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def send(self, to: str, name: str) -> None:
        ran = self.swaks(to, name)
        assert ran.returncode == 0, ran.stdout + ran.stderr

    def stored(self) -> int:
        """Messages that mailferry has taken."""
        return self.daemon.log.count('"event": "mail"') + self.daemon.log.count("event=mail ")


def until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, what
        select_nothing(0.05)


@pytest.fixture(scope="module")
def site(legacy: Dovecot) -> Iterator[Site]:
    """Postfix in front of a mailferry with two workers."""
    with reachable("incoming") as root:
        sockets, queue = root / "run", root / "postfix"
        sockets.mkdir()
        queue.mkdir()
        gate = Gate(legacy.pop3)
        daemon = Daemon(
            root / "ferry",
            f'port = {gate.port}\ntls = "none"',
            'refresh = "0s"',
            workers=2,
            ports={"imap": free_port(), "pop3": free_port()},
            encrypted=False,
            listen=f'lmtp = ["unix:{sockets}/lmtp"]',
            domain='[domain."456.com"]\naccounts = "listed"\n[domain."456.com".legacy]\nhost = "127.0.0.1"',
        )
        daemon.start()
        main = written("incoming.cf").replace("/run/mailferry", str(sockets))
        main = main.replace("domains = 123.com", "domains = 123.com, 456.com")
        main = main.replace("{ { 123.com = reject", "{ { 456.com = reject_unverified_recipient } { 123.com = reject")
        main += "address_verify_negative_refresh_time = 1s\nminimal_backoff_time = 1s\nqueue_run_delay = 1s\n"
        server = Postfix(queue, [], main, written("incoming-transport.cf"))
        yield Site(gate, daemon, server, legacy)
        server.stop()
        assert daemon.stop() == 0
        assert not (sockets / "lmtp").exists()
        gate.close()


def content(mail: Mail | bytes) -> bytes:
    """What the sender wrote: without the lines of mailferry and Postfix."""
    octets = mail if isinstance(mail, bytes) else mail.raw
    return b"Received: from far" + octets.partition(b"Received: from far")[2] if b"from far" in octets else octets


def test_before_during_and_after_the_first_login(site: Site) -> None:
    old = write_letters(site.old, "mover", 4)
    site.add("mover@123.com")
    site.send("mover@123.com", "before-1")
    site.send("Mover+anything@123.com", "before-2")
    until(lambda: site.stored() >= 2, "Postfix hands on what it has taken")
    here: list[list[Mail]] = []
    user = threading.Thread(target=lambda: here.append(over_imap(site.daemon, "mover")))
    site.gate.open.clear()
    user.start()
    assert site.gate.asked.wait(30), "the move begins"
    site.send("mover@123.com", "during")
    until(lambda: site.stored() >= 3, "Postfix hands on what it has taken")
    assert user.is_alive(), "nobody is let in before the old mail is here"
    site.gate.open.set()
    user.join(60)
    expected = [MESSAGE.format(name).encode() for name in ("before-1", "before-2", "during")]
    assert [content(mail) for mail in here[0]] == [*old, *expected]
    with imaplib.IMAP4("127.0.0.1", site.daemon.ports["imap"]) as watching:
        watching.login("mover@123.com", PASSWORD)
        watching.select("INBOX")
        watching.send(b"i IDLE\r\n")
        assert watching.readline().startswith(b"+")
        site.send("mover@123.com", "after")
        until(lambda: watching.readline().endswith(b" EXISTS\r\n"), "who is logged in hears of it")
        watching.send(b"DONE\r\n")
        until(lambda: watching.readline().startswith(b"i OK"), "IDLE ends")
        assert watching.uid("SEARCH", "ALL")[1] == [b"1 2 3 4 5 6 7 8"]
    assert content(over_pop3(site.daemon, "mover")[-1]) == MESSAGE.format("after").encode()
    late = site.old.maildir("mover") / "cur" / "2000000000.M9P9.old:2,"
    late.write_bytes(b"Subject: late\r\n\r\nlate at the old server\r\n")
    site.old.own()
    until(lambda: len(over_imap(site.daemon, "mover")) == 9, "what came late to the old server is fetched")
    assert b"late at the old server" in over_imap(site.daemon, "mover")[-1].raw


def test_the_lines_before_a_message(site: Site) -> None:
    site.add("lines@456.com")
    site.send("Lines@456.com", "lines")
    new = site.daemon.root / "state" / "mail" / "456.com" / "lines" / "Maildir" / "new"
    until(lambda: new.is_dir() and bool(list(new.iterdir())), "it arrives")
    (file,) = new.iterdir()
    head = file.read_bytes().split(b"\r\n")
    assert head[0] == b"Return-Path: <wang@example.com>"
    assert head[1].startswith(b"Received: from ") and head[2].startswith(b"\tby localhost with LMTP id ")
    assert head[3].startswith(b"\tfor <Lines@456.com>; ") or head[3].startswith(b"\tfor <lines@456.com>; ")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert content(file.read_bytes()) == MESSAGE.format("lines").encode()
    assert "wang@example.com" not in site.daemon.log and "lines@example" not in site.daemon.log


def test_who_is_refused_and_how(site: Site) -> None:
    nobody = site.swaks("nobody@456.com", "nobody", "--quit-after", "RCPT", "--hide-all", "--show-raw-text")
    assert nobody.returncode == 24
    with smtplib.SMTP("127.0.0.1", site.postfix.port) as client:
        client.ehlo("mx.example.com")
        client.mail("wang@example.com")
        code, words = client.rcpt("nobody@456.com")
        assert (code, words[:6]) == (550, b"5.1.1 ")
        assert b"there is no such user here" in words and b"/run" not in words
        assert client.rcpt("somebody@elsewhere.example")[0] in {450, 250, 554}  # not asked about at mailferry
        write_letters(site.old, "newcomer", 2)
        assert client.rcpt("newcomer@123.com")[0] == 450
        assert len(over_imap(site.daemon, "newcomer")) == 2
        until(lambda: client.rcpt("newcomer@123.com")[0] == 250, "whoever has come takes mail")


def test_addresses_beyond_ascii(site: Site) -> None:
    site.add("用户@456.com")
    with smtplib.SMTP("127.0.0.1", site.postfix.port) as client:
        message = MESSAGE.format("utf8").encode()
        client.sendmail("王@example.com", ["用户@456.com"], message, mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    maildir = site.daemon.root / "state" / "mail" / "456.com"
    until(lambda: any(b"UTF8LMTP" in path.read_bytes() for path in maildir.glob("*/Maildir/new/*")), "it arrives")
    (octets,) = [o for path in maildir.glob("*/Maildir/new/*") if b"UTF8LMTP" in (o := path.read_bytes())]
    assert octets.startswith("Return-Path: <王@example.com>\r\n".encode())
    assert content(octets) == MESSAGE.format("utf8").encode()
