"""Clients that leave mail on the server, fetchmail, mpop and getmail: nothing comes twice, whether it came from the
old server or from here."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.legacy.dovecot import Dovecot
from tests.legacy.threaded import Relay
from tests.peers.daemon import Daemon
from tests.peers.mailboxes import looking, original, texts
from tests.peers.needs import needed
from tests.peers.programs import private, run

pytestmark = pytest.mark.peers


class Fetchmail:
    """Runs fetchmail against a port; what it delivers is a file each in `new`."""

    protocol, words = "pop3", "uidl bad-header accept"

    def __init__(self, home: Path) -> None:
        self.home = home
        self.program = needed("fetchmail")
        (home / "new").mkdir()

    def fetch(self, port: int, user: str) -> int:
        """How many messages came."""
        before = len(texts(self.home))
        rc = private(
            self.home / "rc",
            f"poll mail.123.com via 127.0.0.1 protocol {self.protocol} service {port} {self.words} auth password\n"
            f'  user "{user}" password "pass" keep no rewrite sslproto ""\n'
            f"  mda \"/bin/sh -c 'cat >$(mktemp {self.home}/new/XXXXXXXX)'\"\n",
        )
        files = ("--idfile", self.home / "ids", "--pidfile", self.home / "pid")
        run(self.program, "-f", rc, *files, home=self.home, allowed=(0, 1))
        return len(texts(self.home)) - before


class FetchmailOverImap(Fetchmail):
    """It fetches what is not \\Seen, and marks what it fetched."""

    protocol, words = "imap", ""


class Mpop:
    """Runs mpop into a Maildir."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.program = needed("mpop")
        for name in ("cur", "new", "tmp"):
            (home / name).mkdir()

    def fetch(self, port: int, user: str) -> int:
        before = len(texts(self.home))
        rc = private(
            self.home / "rc",
            f"account a\nhost 127.0.0.1\nport {port}\nuser {user}\npassword pass\nauth user\ntls off\nkeep on\n"
            f"uidls_file {self.home}/uidls\ndelivery maildir {self.home}\n",
        )
        run(self.program, "-q", "-C", rc, "a", home=self.home)
        return len(texts(self.home)) - before


class Getmail:
    """Runs getmail into a Maildir. It knows what it has by server, port and user."""

    retriever = "SimplePOP3Retriever"

    def __init__(self, home: Path) -> None:
        self.home = home
        self.program = needed("getmail")
        for name in ("cur", "new", "tmp"):
            (home / "mail" / name).mkdir(parents=True)

    def fetch(self, port: int, user: str) -> int:
        before = len(texts(self.home))
        destination = f"[destination]\ntype=Maildir\npath={self.home}/mail/\n"
        rc = private(
            self.home / "rc",
            f"[retriever]\ntype={self.retriever}\nserver=127.0.0.1\nport={port}\nusername={user}\npassword=pass\n"
            f"{destination}"
            "[options]\nread_all=false\ndelete=false\nverbose=0\ndelivered_to=false\nreceived=false\n",
        )
        # It delivers nothing as root but by a child, and waits for its end for minutes if that has come by then.
        by: list[str] = []
        if os.geteuid() == 0:
            run("chown", "-R", "nobody", self.home, home=self.home)
            by = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        run(*by, self.program, "-q", "-g", self.home, "-r", rc, home=self.home)
        return len(texts(self.home)) - before


class GetmailOverImap(Getmail):
    """It knows what it has by UIDVALIDITY and UID."""

    retriever = "SimpleIMAPRetriever"


Client = Fetchmail | Mpop | Getmail
OVER_POP3 = [Fetchmail, Mpop, Getmail]
OVER_IMAP = [FetchmailOverImap, GetmailOverImap]
LETTERS = 8  # what letters_user has


@pytest.fixture
def home(ground: Path, request: pytest.FixtureRequest) -> Path:
    """Where another user may go, too."""
    path = ground / request.node.name.translate({ord(mark): "-" for mark in "[]/"})
    path.mkdir()
    return path


@pytest.mark.parametrize("kind", OVER_POP3)
def test_each_message_once(
    legacy: Dovecot, daemon: Daemon, smooth_user: str, home: Path, kind: Callable[[Path], Client]
) -> None:
    client, old = kind(home), original(legacy, smooth_user)
    assert client.fetch(daemon.ports["pop3"], smooth_user) == len(old)
    assert client.fetch(daemon.ports["pop3"], smooth_user) == 0


@pytest.mark.parametrize("kind", OVER_IMAP)
def test_each_message_once_over_imap(
    daemon: Daemon, letters_user: str, home: Path, kind: Callable[[Path], Client]
) -> None:
    client = kind(home)
    assert client.fetch(daemon.ports["imap"], letters_user) == LETTERS
    assert client.fetch(daemon.ports["imap"], letters_user) == 0
    with looking(daemon.ports["imap"], letters_user) as other:
        other.append("INBOX", b"Subject: new\r\nFrom: a@123.com\r\n\r\ntext\r\n")
    assert client.fetch(daemon.ports["imap"], letters_user) == 1
    assert client.fetch(daemon.ports["imap"], letters_user) == 0


@pytest.mark.parametrize("kind", OVER_POP3)
def test_what_came_from_the_old_server_does_not_come_again_when_its_name_moves(
    legacy: Dovecot, daemon: Daemon, smooth_user: str, home: Path, kind: Callable[[Path], Client]
) -> None:
    client, old = kind(home), original(legacy, smooth_user)
    with Relay(legacy.pop3) as name:  # a host name that moves: clients see the same address as before
        assert client.fetch(name.port, smooth_user) == len(old)
        name.target = daemon.ports["pop3"]
        assert client.fetch(name.port, smooth_user) == 0
        with looking(daemon.ports["imap"], smooth_user) as other:
            other.append("INBOX", b"Subject: new\r\nFrom: a@123.com\r\n\r\ntext\r\n")
        assert client.fetch(name.port, smooth_user) == 1
        assert client.fetch(name.port, smooth_user) == 0


def test_fetchmail_over_imap_goes_on_where_old_mail_counts_as_read(
    legacy: Dovecot, make_daemon: Callable[..., Daemon], letters_user: str, home: Path
) -> None:
    """Its state is the server's \\Seen, which POP3 does not tell: `seen = "all"` is for such users."""
    daemon = make_daemon(f'port = {legacy.pop3}\ntls = "none"', 'seen = "all"')
    client = FetchmailOverImap(home)
    with Relay(legacy.imap) as name:
        assert client.fetch(name.port, letters_user) == LETTERS
        name.target = daemon.ports["imap"]
        assert client.fetch(name.port, letters_user) == 0
    assert daemon.stop() == 0


def test_mpop_has_every_byte(legacy: Dovecot, daemon: Daemon, smooth_user: str, home: Path) -> None:
    Mpop(home).fetch(daemon.ports["pop3"], smooth_user)
    found = [text.partition(b"\r\n")[2] if text.startswith(b"Received: from") else text for text in texts(home)]
    assert len(found) == len(original(legacy, smooth_user))
