"""All real legacy servers, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import Final

from tests.legacy.courier import Courier
from tests.legacy.cyrus import Cyrus
from tests.legacy.dovecot import Dovecot
from tests.legacy.mbox_servers import Popa3d, SolidPop3d
from tests.legacy.peer import Peer, contents, unix


class DovecotPeer(Peer):
    """The Dovecot of the other tests, seen as one of many."""

    name = "dovecot"

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self._dovecot = Dovecot(root)
        self._numbers = count(1_290_000_000)
        self.pop3 = self._dovecot.pop3

    def enrol(self, user: str) -> None:
        self._dovecot.maildir(user)
        self._dovecot.own()

    def deliver(self, user: str, messages: Iterable[bytes]) -> None:
        for message in messages:
            number = next(self._numbers)
            (self._dovecot.maildir(user) / "cur" / f"{number}.M{number}P1.old:2,").write_bytes(unix(message))
        self._dovecot.own()

    def stored(self, user: str) -> dict[str, bytes]:
        return contents(self._dovecot.maildir(user) / "cur")

    def start(self) -> None:
        self._dovecot.start()

    def stop(self) -> None:
        self._dovecot.stop()


PEERS: Final[Mapping[str, Callable[[Path], Peer]]] = {
    peer.name: peer for peer in (DovecotPeer, Courier, Cyrus, SolidPop3d, Popa3d)
}
