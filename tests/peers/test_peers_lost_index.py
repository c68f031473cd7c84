"""An index that is lost, with the accounts too, and a plain copy of the state directory that was made while the daemon
moved mail: real clients fetch nothing again, and the old server is asked for what is missing alone."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator, Sequence
from imaplib import IMAP4
from pathlib import Path

import pytest

from tests.browser.old_server import OldServer, letters
from tests.peers.daemon import Daemon
from tests.peers.test_peers_left_on_server import Client, Fetchmail, GetmailOverImap
from tests.peers.test_peers_sync import mbsync

pytestmark = pytest.mark.peers

MOVED, MOVING = letters(30), letters(700, 200)


@pytest.fixture
def old() -> Iterator[OldServer]:
    with OldServer({"wang": ("pass", MOVED), "li": ("pass", MOVING)}) as server:
        yield server


def daemon_in(root: Path, old: OldServer) -> Daemon:
    legacy = f'port = {old.port}\ntls = "none"\n'
    return Daemon(root, legacy, 'refresh = "0s"', workers=1)


@pytest.fixture
def daemon(tmp_path: Path, old: OldServer) -> Iterator[Daemon]:
    daemon = daemon_in(tmp_path / "first", old)
    daemon.start()
    yield daemon
    daemon.kill()


def told(daemon: Daemon, user: str) -> tuple[bytes, Sequence[bytes]]:
    """UIDVALIDITY, and UID and flags of each message."""
    with IMAP4(*daemon.imap) as imap:
        imap.login(f"{user}@123.com", "pass")
        imap.select()
        validity = imap.response("UIDVALIDITY")[1][0]
        return validity, imap.uid("FETCH", "1:*", "(FLAGS)")[1]


def lose(*paths: Path) -> None:
    for path in paths:
        for file in path.parent.glob(f"{path.name}*"):
            if not file.name.endswith(".record"):
                file.unlink()


def test_clients_fetch_nothing_again(daemon: Daemon, old: OldServer, ground: Path) -> None:
    clients: list[Client] = []
    for kind in (Fetchmail, GetmailOverImap):
        home = ground / f"lost-{kind.__name__}"
        home.mkdir()
        clients.append(kind(home))
    (ground / "lost-mbsync").mkdir()
    sync, synced = mbsync(daemon, "wang", ground / "lost-mbsync"), ground / "lost-mbsync" / "mail" / "INBOX" / "cur"
    ports = [daemon.ports["pop3"], daemon.ports["imap"]]
    for client, port in zip(clients, ports, strict=True):
        assert client.fetch(port, "wang@123.com") == len(MOVED)
    with IMAP4(*daemon.imap) as imap:
        imap.login("wang@123.com", "pass")
        imap.select()
        imap.uid("STORE", "3:5", "+FLAGS", r"(\Flagged $Label)")
        imap.uid("STORE", "7", "+FLAGS", r"(\Deleted)")
        imap.expunge()
    sync()
    near = {path.name: path.stat().st_mtime_ns for path in synced.iterdir()}
    before = told(daemon, "wang")
    old.commands.clear()
    index = daemon.maildir("wang").with_name("Maildir.db")
    daemon.kill()
    lose(index, daemon.root / "state" / "accounts.db")
    daemon.start()
    assert told(daemon, "wang") == before
    assert [client.fetch(port, "wang@123.com") for client, port in zip(clients, ports, strict=True)] == [0, 0]
    sync()
    assert {path.name: path.stat().st_mtime_ns for path in synced.iterdir()} == near
    assert old.commands.count("RETR") == 0
    assert "index is made again from its record" in daemon.log


def test_copies_of_the_state_directory_while_mail_is_moved(daemon: Daemon, old: OldServer, tmp_path: Path) -> None:
    told(daemon, "wang")
    copies = [tmp_path / "beside a daemon", tmp_path / "after its end"]  # the second is what a snapshot would be
    with socket.create_connection(daemon.imap) as held:
        held.sendall(b"a LOGIN li@123.com pass\r\n")
        while not any((daemon.maildir("li") / "cur").glob("*")):
            pass
        for copy in copies:
            copy.mkdir()
            # What has gone when cp comes to it is not in the copy; it says so with its status.
            subprocess.run(["cp", "-a", daemon.root / "state", copy], check=False, stderr=subprocess.DEVNULL)
            daemon.kill()
    for copy in copies:
        another = daemon_in(copy, old)
        another.start()
        try:
            for user, mail in (("wang", MOVED), ("li", MOVING)):
                with IMAP4(*another.imap) as imap:
                    imap.login(f"{user}@123.com", "pass")
                    imap.select()
                    answers = imap.uid("FETCH", "1:*", "(BODY.PEEK[])")[1]
                assert sorted(each[1] for each in answers if isinstance(each, tuple)) == sorted(mail)
        finally:
            another.kill()
