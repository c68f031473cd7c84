"""A process that writes messages, so that the one that takes them off the wire need not.

Python runs one thread at a time in a process. To write a message takes about as long as to receive one, and half of it
is Python's: with a process for each, both go on at once.

    daemon ── control ──► scribe     a socket for each landing, handed over with SCM_RIGHTS
    daemon ◄── landing ─► scribe     a `Writer`, asked and answered there by a thread of its own

Both ends are the same program on the same machine, and what goes to and fro is marshalled values behind their length.
The process, `python -m mailstore.scribe DESCRIPTOR`, ends when the daemon has closed the control socket and all
landings, or has ended itself.

What a scribe that ends leaves undone is done by a `Writer` of the daemon's own, all but the rest of a message that came
in pieces.
"""

from __future__ import annotations

import ctypes
import gc
import marshal
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from mailstore.errors import DiskFull, StorageFailed
from mailstore.writing import Found, Given, Spoilt, Writer

_FORMAT: Final = 2  # of marshalled values: later ones look for objects that come twice
_LENGTH: Final = 8  # octets
_BUFFER: Final = 1 << 20
_PATIENCE: Final = 120.0  # seconds for one answer; a process that takes longer hangs
_AT_ONCE: Final = 2  # threads that write; more would take the interpreter from each other

_COLLECTED: Final = (20_000, 20, 20)  # objects: it makes thousands a second, and hardly a cycle
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)

_DONE, _REFUSED, _FULL = range(3)


def _send(channel: socket.socket, value: Any) -> None:
    data = marshal.dumps(value, _FORMAT)
    channel.sendall(len(data).to_bytes(_LENGTH, "big"))
    channel.sendall(data)


def _receive(channel: socket.socket) -> Any:
    """Raises EOFError where no more comes."""
    octets = int.from_bytes(_take(channel, _LENGTH), "big")
    return marshal.loads(_take(channel, octets))  # noqa: S302 - the other end is this program


def _take(channel: socket.socket, octets: int) -> bytearray:
    data = bytearray(octets)
    with memoryview(data) as rest:
        at = 0
        while at < octets:
            taken = channel.recv_into(rest[at:])
            if not taken:
                raise EOFError
            at += taken
    return data


def hand_over(control: socket.socket, landing: socket.socket) -> None:
    """Give the scribe a landing's socket. Raises OSError where there is no scribe."""
    socket.send_fds(control, [b"."], [landing.fileno()])


class Scribed:
    """A `Writer` in another process. One thread at a time, which waits for it."""

    def __init__(self, give: Callable[[socket.socket], None], tmp: Path, token: str, seen: str) -> None:
        """`give` does `hand_over`. Raises OSError, as `Writer`."""
        self._make: Callable[[], Writer] = lambda: Writer(tmp, token, seen)
        self._own: Writer | None = None  # once the scribe is lost
        self._in_pieces = False  # has some of a large message been written?
        ours, theirs = socket.socketpair()
        self._channel = ours
        try:
            with theirs:
                give(theirs)
            ours.settimeout(_PATIENCE)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            self._ask((os.fspath(tmp), token, seen))
        except (OSError, EOFError):
            ours.close()
            self._own = self._make()

    def _ask(self, value: Any) -> Any:
        _send(self._channel, value)
        return _receive(self._channel)

    def write(self, given: Sequence[Given], now: float) -> tuple[Sequence[Found], Sequence[Spoilt]]:
        """Raises StorageFailed besides, where the scribe has ended in the middle of a message."""
        if self._own is not None:
            return self._own.write(given, now)
        try:
            kind, first, second = self._ask((given, now))
        except (OSError, EOFError):
            self._channel.close()
            if self._in_pieces:
                raise StorageFailed("the process that was writing a message has ended; it is fetched again") from None
            self._own = self._make()
            return self._own.write(given, now)
        if kind == _FULL:
            raise DiskFull(first)
        if kind == _REFUSED:
            raise OSError(first, second)
        self._in_pieces = bool(given) and not given[-1][-1]
        return first, second

    def close(self) -> None:
        """Returns when the scribe has nothing open any more."""
        with suppress(OSError, EOFError), self._channel:
            self._channel.shutdown(socket.SHUT_WR)
            _take(self._channel, 1)
        if self._own is not None:
            self._own.close()


def serve(control: socket.socket) -> None:
    """Write for each landing that is handed over, until there are no more."""
    turn = threading.Semaphore(_AT_ONCE)
    while True:
        said, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not said:
            return
        for descriptor in descriptors:
            threading.Thread(target=_land, args=(socket.socket(fileno=descriptor), turn)).start()


def _land(channel: socket.socket, turn: threading.Semaphore) -> None:
    """One landing, from a socket of its own."""
    with channel, suppress(EOFError, OSError):
        tmp, token, seen = _receive(channel)
        writer = Writer(Path(tmp), token, seen)
        try:
            _send(channel, None)
            while True:
                given, now = _receive(channel)
                with turn:
                    answer = _answer(writer, given, now)
                del given
                _send(channel, answer)
        finally:
            writer.close()


def _answer(writer: Writer, given: Sequence[Given], now: float) -> tuple[Any, Any, Any]:
    try:
        found, spoilt = writer.write(given, now)
    except DiskFull as error:
        return _FULL, str(error), None
    except OSError as error:
        return _REFUSED, error.errno, error.strerror
    return _DONE, found, spoilt


def _end_with_the_daemon() -> None:
    """Another daemon may be there a moment later, and write the same files."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(control: int) -> None:
    """`control` is a descriptor."""
    _end_with_the_daemon()
    for number in (signal.SIGINT, signal.SIGTERM):  # those that are for the daemon, which goes on writing for a moment
        signal.signal(number, signal.SIG_IGN)
    gc.freeze()
    gc.set_threshold(*_COLLECTED)
    serve(socket.socket(fileno=control))


if __name__ == "__main__":
    main(int(sys.argv[1]))
