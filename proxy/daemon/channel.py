"""What the daemon and its workers say to each other: one JSON object a message, each behind its length.

A socket pair a worker. Both ends are this program, started together: a message that cannot be understood is a defect,
and ends the channel. Passwords pass here on their way to the gate; nothing of a message is ever logged.

    daemon to worker                          worker to daemon
    begin    the configuration, and the       ready
             certificate with its key
    renew    another certificate and key
    answer   do you turn?                     answered … yes
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
    pause    another daemon takes this        paused   … from here on nothing is said until it does
             one's place
    resume   it has: ask again whatever was
             not answered
    ease     end sessions when it suits       tally    what it has counted since it said so last, and `open`: how many
             them, `within` so many seconds;           connections of each protocol it has
             null: not any more
    stop     answer what is under way, end
    hasten   … or without an answer

`SPEAKS` changes with all this: workers that speak otherwise than the daemon that takes over are not kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any, Final

from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure

SPEAKS: Final = 2

Message = dict[str, Any]


class Channel(Int32StringReceiver):
    """One end."""

    MAX_LENGTH = 4 * 1024 * 1024  # a configuration, at most

    def __init__(self, told: Callable[[str, Message], None], lost: Callable[[], None]) -> None:
        """`told(kind, message)` is called with each message, `lost()` when there will be no more."""
        self._told = told
        self._lost = lost
        self._unsaid: list[tuple[str, Message]] | None = None  # while nothing is to be said

    def tell(self, kind: str, **fields: Any) -> None:
        """Say something, unless the other end is gone."""
        if self._unsaid is not None:
            self._unsaid.append((kind, fields))
        elif self.transport is not None and self.connected:
            self.sendString(json.dumps([kind, fields]).encode())  # type: ignore[no-untyped-call]

    def pause(self, last: str) -> None:
        """Say this, and nothing more until `resume`. May be called again."""
        unsaid, self._unsaid = self._unsaid, None
        self.tell(last)
        self._unsaid = unsaid or []

    def resume(self, but: Collection[str] = ()) -> None:
        """Say what there was to be said meanwhile, `but` for some kinds of message."""
        unsaid, self._unsaid = self._unsaid or [], None
        for kind, fields in unsaid:
            if kind not in but:
                self.tell(kind, **fields)

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
