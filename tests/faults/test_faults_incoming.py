"""The daemon is killed while mail is handed in, again and again: what it said it had is there, once, in its order."""

from __future__ import annotations

import re
import smtplib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome
from tests.legacy.dovecot import free_port, select_nothing
from tests.mailstore.store_rig import bodies, debris
from tests.peers.daemon import Daemon
from tests.peers.ground import reachable

USERS = ("waiting", "moved")
KILLED_AFTER = (1, 17)  # messages, each time
WHOLE = re.compile(rb"Subject: (\d+)\r\n\r\n(?:text\r\n){500}\Z")


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with reachable("lmtp") as root:
        made = Daemon(
            root / "ferry",
            f'port = {free_port()}\ntls = "none"',
            ports={"imap": free_port()},
            workers=1,
            listen=f'lmtp = ["unix:{root}/lmtp"]',
            domain='accounts = "listed"',
            encrypted=False,
        )
        database = AccountsDatabase(root / "ferry" / "state" / "accounts.db")
        accounts = Accounts(database)
        for user in USERS:
            accounts.add(user, "123.com")
        accounts.moved(2)
        database.close()
        yield made
        made.kill()


class HandingIn(threading.Thread):
    """Hands in messages one after another; `told` are those that the daemon said it had, by user."""

    def __init__(self, socket: Path, first: int) -> None:
        super().__init__()
        self.told: dict[str, list[int]] = {user: [] for user in USERS}
        self.changed = threading.Condition()
        self._socket = socket
        self._number = first

    def wait(self, messages: int) -> None:
        """Until so many are said to be there."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.told[USERS[1]]) >= messages, 30)

    def run(self) -> None:
        try:
            with self._reached() as client:
                while True:
                    self._hand_in(client)
        except (smtplib.SMTPException, OSError):
            """It was killed."""

    def _reached(self) -> smtplib.LMTP:
        """A little after the daemon serves mail clients."""
        for _ in range(500):
            try:
                return smtplib.LMTP(str(self._socket))
            except (FileNotFoundError, ConnectionRefusedError):
                select_nothing(0.02)
        raise AssertionError("nobody takes mail")

    def _hand_in(self, client: smtplib.LMTP) -> None:
        client.ehlo_or_helo_if_needed()
        client.mail("<>")
        for user in USERS:
            client.rcpt(f"{user}@123.com")
        code, _ = client.data(b"Subject: %d\r\n\r\n" % self._number + b"text\r\n" * 500)  # the first reply
        with self.changed:
            if code == 250:
                self.told[USERS[0]].append(self._number)
            if client.getreply()[0] == 250:
                self.told[USERS[1]].append(self._number)
            self._number += 1
            self.changed.notify()


def numbers(daemon: Daemon, user: str, account_id: int) -> list[int]:
    """What is in the inbox, once the old mail would be."""
    home = MailHome(MailboxEngine(), account_id, daemon.maildir(user))
    home.carried_over()
    found = [
        int(re.findall(rb"Subject: (\d+)\r\n\r\n(?:text\r\n){500}\Z", octets)[0]) for octets in bodies(home).values()
    ]
    lying = debris(home)
    home.close()
    assert len(lying) <= len(KILLED_AFTER)  # a file for each death, of which nobody was told
    return found


def test_what_was_told_is_there(daemon: Daemon) -> None:
    told: dict[str, list[int]] = {user: [] for user in USERS}
    for turn, after in enumerate(KILLED_AFTER):
        daemon.start()
        handing_in = HandingIn(daemon.root.parent / "lmtp", 1000 * turn)
        handing_in.start()
        handing_in.wait(after)
        daemon.kill()
        handing_in.join(30)
        for user in USERS:
            told[user] += handing_in.told[user]
    for account_id, user in enumerate(USERS, 1):
        found = numbers(daemon, user, account_id)
        assert found == sorted(set(found)), "in the order in which it came, and once"
        assert set(told[user]) <= set(found)
        assert len(found) - len(told[user]) <= len(KILLED_AFTER), "at most the one that it was at, each time"
