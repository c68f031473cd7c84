"""`login = "serve"` in front of a real Dovecot: in at once, and in the end the same mailbox as with `hold`."""

from __future__ import annotations

import json
import poplib
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from imapclient import IMAPClient

from proxy.cli.demo_clients import Pop3Client, differences
from tests.legacy.dovecot import PASSWORD, Dovecot
from tests.peers.daemon import Daemon
from tests.peers.mailboxes import assert_identical, fill, looking, original, over_imap

pytestmark = pytest.mark.peers

SERVE = 'login = "serve"'
MANY = 400
DELAY = Path(__file__).parents[1] / "bench" / "delay.py"


@dataclass(frozen=True)
class Hop:
    """A port behind which the legacy server is 60 ms away, and nothing comes through after SIGSTOP."""

    process: subprocess.Popen[str]
    port: int


@pytest.fixture
def far(legacy: Dovecot) -> Iterator[Hop]:
    command = [sys.executable, str(DELAY), str(legacy.pop3), "60"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield Hop(process, int(process.stdout.readline()))
    process.send_signal(signal.SIGCONT)
    process.communicate("")


def state(daemon: Daemon, user: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "proxy.cli.main", "status", "--json", "--accounts", "--config", str(daemon.config)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["accounts"]
    account: dict[str, Any] = next(each for each in found if each["account"] == f"{user}@123.com")
    return account


def until_moved(daemon: Daemon, user: str, seconds: int = 60) -> None:
    for _ in range(seconds * 5):
        if state(daemon, user)["state"] == "moved":
            return
        select.select([], [], [], 0.2)
    raise AssertionError(f"not moved:\n{daemon.log}")


def listed_sizes(legacy: Dovecot, user: str) -> list[int]:
    """Octets of each message, by the legacy server's LIST."""
    client = poplib.POP3("127.0.0.1", legacy.pop3, timeout=60)
    client.user(user)
    client.pass_(PASSWORD)
    lines = client.list()[1]
    client.quit()
    return [int(line.split()[1]) for line in lines]


def listing(daemon: Daemon, user: str) -> tuple[dict[int, tuple[object, ...]], list[str]]:
    """All that a client keeps of a mailbox: by UID size, date and flags; and the UIDLs."""
    with looking(daemon.ports["imap"], f"{user}@123.com") as client:
        client.select_folder("INBOX", readonly=True)
        found = client.fetch(client.search(), ["RFC822.SIZE", "INTERNALDATE", "FLAGS"])
    with Pop3Client(daemon.pop3) as pop3:
        pop3.login(f"{user}@123.com", PASSWORD)
        uidls = [mail.uidl for mail in pop3.inbox()]
    about = {
        uid: (each[b"RFC822.SIZE"], each[b"INTERNALDATE"], tuple(sorted(set(each[b"FLAGS"]) - {b"\\Recent"})))
        for uid, each in found.items()
    }
    return about, uidls


def test_every_byte_of_everything_odd(legacy: Dovecot, make_daemon: Callable[..., Daemon], user: str) -> None:
    daemon = make_daemon(f'port = {legacy.pop3}\ntls = "none"', SERVE)
    assert_identical(original(legacy, user), daemon, user)
    assert daemon.stop() == 0


def test_the_first_screen_of_a_mailbox_far_away_and_the_same_as_with_hold_in_the_end(
    legacy: Dovecot, make_daemon: Callable[..., Daemon], far: Hop
) -> None:
    fill(legacy, "distant", MANY, smooth=True)
    old = original(legacy, "distant")
    early = make_daemon(f'port = {far.port}\ntls = "none"', SERVE)
    with IMAPClient("127.0.0.1", early.ports["imap"], ssl=False, timeout=60) as client:
        client.login("distant@123.com", PASSWORD)
        assert client.select_folder("INBOX")[b"EXISTS"] == len(old)
        screen = client.fetch(
            list(range(len(old) - 49, len(old) + 1)), ["ENVELOPE", "FLAGS", "RFC822.SIZE", "INTERNALDATE"]
        )
        assert len(screen) == 50
        newest = client.fetch([len(old)], ["BODY.PEEK[]"])
        assert newest[len(old)][b"BODY[]"] == old[-1].raw
        first = client.fetch([1], ["BODY.PEEK[]"])
        assert first[1][b"BODY[]"] == old[0].raw
        sizes = client.fetch(client.search(), ["RFC822.SIZE"])
        # What is not here yet is as long as LIST says; Dovecot's leaves out the line end that a last line without gets.
        for uid, mail, octets in zip(sorted(sizes), old, listed_sizes(legacy, "distant"), strict=True):
            assert sizes[uid][b"RFC822.SIZE"] in {octets, len(mail.raw)}
            assert octets in {len(mail.raw), len(mail.raw) - len(b"\r\n")}
    until_moved(early, "distant")
    held = make_daemon(f'port = {legacy.pop3}\ntls = "none"')
    assert listing(early, "distant") == listing(held, "distant")
    assert_identical(old, early, "distant")
    assert early.stop() == 0 and held.stop() == 0


def test_killed_while_mail_is_awaited(legacy: Dovecot, make_daemon: Callable[..., Daemon], far: Hop) -> None:
    fill(legacy, "awaiting", MANY, smooth=True)
    old = original(legacy, "awaiting")
    daemon = make_daemon(f'port = {far.port}\ntls = "none"', SERVE)
    with looking(daemon.ports["imap"], "awaiting@123.com") as client:
        far.process.send_signal(signal.SIGSTOP)
        uidvalidity = client.select_folder("INBOX")[b"UIDVALIDITY"]
        client.add_flags([5], [b"\\Flagged"])
        client.delete_messages([7])
        client.expunge()
        daemon.kill()
    daemon.start()
    with looking(daemon.ports["imap"], "awaiting@123.com") as client:  # nobody has to be asked
        told = client.select_folder("INBOX")
        assert (told[b"UIDVALIDITY"], told[b"EXISTS"]) == (uidvalidity, len(old) - 1)
        assert state(daemon, "awaiting")["state"] == "moving"
        far.process.send_signal(signal.SIGCONT)
        assert client.fetch([5], ["BODY.PEEK[]"])[5][b"BODY[]"] == old[4].raw
    until_moved(daemon, "awaiting")
    del old[6]
    assert differences(old, over_imap(daemon, "awaiting")) == (len(old), [])
    with looking(daemon.ports["imap"], "awaiting@123.com") as client:
        client.select_folder("INBOX")
        assert b"\\Flagged" in client.get_flags([5])[5]
    assert daemon.stop() == 0
