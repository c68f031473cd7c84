"""What a session needs of the world around it, as Protocols: a log, and the connection that carries it.

`proxy.imap.server` has the connection, the daemon the log; tests have their own of both.
"""

from __future__ import annotations

from typing import Any, Protocol


class Log(Protocol):
    """What the server needs of a structlog logger."""

    def bind(self, **fields: Any) -> Any: ...
    def info(self, event: str, **fields: Any) -> Any: ...
    def warning(self, event: str, **fields: Any) -> Any: ...
    def error(self, event: str, **fields: Any) -> Any: ...


class Connection(Protocol):
    """What a session asks of the connection that carries it."""

    peer: str
    secure: bool
    loopback: bool

    def speak_for(self, address: str) -> bool:
        """The peer says that it speaks for a user at this address. Counts where it is trusted; False where there are
        too many from there that have not logged in."""

    def arrived(self) -> None:
        """Somebody has logged in: the connection no longer counts as a stranger's. Idempotent."""

    def departed(self) -> bool:
        """Nobody is logged in any more: the connection is a stranger's again. False where there are too many."""

    def start_tls(self) -> None:
        """Speak TLS from here on."""

    def pause(self) -> None:
        """Take no more input until `resume`. Idempotent, as is `resume`."""

    def resume(self) -> None:
        """Take input again."""

    def close(self) -> None:
        """Send what was written, then close."""
