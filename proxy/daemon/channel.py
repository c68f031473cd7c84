"""What the daemon and its workers say to each other: one JSON object a message, each behind its length.

A socket pair a worker. Both ends are this program, started together: a message that cannot be understood is a defect,
and ends the channel. Passwords pass here on their way to the gate; nothing of a message is ever logged.

    daemon to worker                          worker to daemon
    begin    the configuration                ready
    home     a login's answer: an account     login    a client's credentials, as `id`
    refused  … or why not                     cancel   the client of a login has left
    hold     how far a held login is          left     a session of an account has ended
    share    other workers have sessions of   shared   … understood
             an account as well: tell me of
             its changes
    alone    … not any more                   closed   a client's connection has ended
    changed  another worker, or a move,       changed  a session of this worker changed a folder of an account
             changed a folder of an account            that others have open, as `id`
    heard    the others know of a change      noted    … understood, where it has a number (`news`)
    in_vain  nothing of an account's old      hurry    a session waits for messages of an account (`uids`) that
             mailbox comes at the moment               are listed and not here, or (not `whole`) their headers
    stop     answer what is under way, end
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure

Message = dict[str, Any]


class Channel(Int32StringReceiver):
    """One end."""

    MAX_LENGTH = 4 * 1024 * 1024  # a configuration, at most

    def __init__(self, told: Callable[[str, Message], None], lost: Callable[[], None]) -> None:
        """`told(kind, message)` is called with each message, `lost()` when there will be no more."""
        self._told = told
        self._lost = lost

    def tell(self, kind: str, **fields: Any) -> None:
        """Say something, unless the other end is gone."""
        if self.transport is not None and self.connected:
            self.sendString(json.dumps([kind, fields]).encode())  # type: ignore[no-untyped-call]

    def stringReceived(self, string: bytes) -> None:
        kind, fields = json.loads(string)
        self._told(kind, fields)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost()


def text_of(octets: bytes) -> str:
    """Octets as JSON can carry them."""
    return octets.decode("latin-1")


def octets_of(text: str) -> bytes:
    return text.encode("latin-1")
