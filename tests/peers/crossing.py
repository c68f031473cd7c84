"""From a real legacy server to mailferry: the server, an ear on the line between them, and a daemon in front."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from imapclient import IMAPClient

from tests.legacy.dovecot import PASSWORD, select_nothing
from tests.legacy.peer import Peer
from tests.legacy.wiretap import Wiretap
from tests.peers.daemon import Daemon

_PATIENCE = 30.0  # seconds; what is waited for takes a tenth of one
_numbers = count(1)
# Courier announces it and does not insist. mailferry keeps to it, for which most tests have no time.
_COURIERS_DELAY = b"LOGIN-DELAY 10\r\n"


@dataclass
class Crossing:
    """`peer` is spoken to through `tap` by `daemon`, which asks for new mail at every login."""

    peer: Peer
    tap: Wiretap
    daemon: Daemon

    @classmethod
    def build(cls, peer: Peer, root: Path, more: str = "") -> Crossing:
        """`more` are lines of the domain's legacy table."""
        tap = Wiretap(peer.pop3, hidden=_COURIERS_DELAY)
        daemon = Daemon(root, f'port = {tap.port}\ntls = "none"\n{more}', 'refresh = "0s"', workers=1)
        daemon.start()
        return cls(peer, tap, daemon)

    def close(self) -> None:
        self.daemon.stop()
        self.tap.close()

    def new_user(self) -> str:
        user = f"user{next(_numbers)}"
        self.peer.enrol(user)
        return user

    @contextmanager
    def imap(self, user: str) -> Iterator[IMAPClient]:
        """A session at mailferry."""
        with IMAPClient("127.0.0.1", self.daemon.ports["imap"], ssl=False, timeout=_PATIENCE) as client:
            client.login(f"{user}@123.com", PASSWORD)
            yield client

    def log_in(self, user: str) -> None:
        """Log in, and stay until mailferry has looked for what is new."""
        wanted = self.moves(user) + 1
        for _ in range(15):  # a look that is still under way when the login comes is not repeated
            with self.imap(user):
                if self._come(user, wanted, _PATIENCE / 15):
                    return
        raise AssertionError(f"no move:\n{self.daemon.log}")

    def moves(self, user: str) -> int:
        """How many moves of the user were done."""
        lines = [json.loads(line) for line in self.daemon.log.splitlines() if '"move done"' in line]
        return sum(line["account"] == f"{user}@123.com" for line in lines)

    def wait_for_moves(self, user: str, wanted: int) -> None:
        assert self._come(user, wanted, _PATIENCE), f"{self.moves(user)} moves of {wanted}:\n{self.daemon.log}"

    def _come(self, user: str, wanted: int, seconds: float) -> bool:
        """Wait until so many moves are done, and their connections over. False when it takes too long."""
        for _ in range(int(seconds / 0.02)):
            if self.moves(user) >= wanted:
                self.tap.wait(lambda sessions: all(session.over for session in sessions))
                return True
            select_nothing(0.02)
        return False
