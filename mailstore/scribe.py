"""A process that writes messages, so that the one that takes them off the wire need not.

Python runs one thread at a time in a process. To write a message takes about as long as to receive one, and half of it
is Python's: with a process for each, both go on at once.

    daemon ── control ──► scribe     a socket for each landing, handed over with SCM_RIGHTS
    daemon ◄── landing ─► scribe     a `Writer`, asked and answered there by a thread of its own

Both ends are the same program on the same machine. What goes to and fro is marshalled values, and behind them the
octets of messages as they are. Two batches of a landing are under way at a time, so that the scribe has something to do
while its answer is read.

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
import select
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from mailstore.errors import DiskFull, StorageFailed
from mailstore.writing import Answer, Given, Writer

_FORMAT: Final = 2  # of marshalled values: later ones look for objects that come twice
_LENGTH: Final = 8  # octets
_HEAD: Final = 2 * _LENGTH  # how long the value is, and the octets behind it
_BUFFER: Final = 1 << 20
_BUFFERS: Final = 512  # that are sent at once; Linux takes twice as many
_SOME: Final = 64 * 1024
_PATIENCE: Final = 120.0  # seconds for one answer; a process that takes longer hangs
_AT_ONCE: Final = 2  # threads that write; more would take the interpreter from each other

_COLLECTED: Final = (20_000, 20, 20)  # objects: it makes thousands a second, and hardly a cycle
FOR_THE_DAEMON: Final = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGTERM})  # and it goes on
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)

_DONE, _REFUSED, _FULL = range(3)


def _packed(value: Any, octets: Sequence[bytes] = ()) -> list[bytes]:
    """A value, and octets that are not copied for it, as they are sent."""
    data = marshal.dumps(value, _FORMAT)
    return [len(data).to_bytes(_LENGTH, "big") + sum(map(len, octets)).to_bytes(_LENGTH, "big") + data, *octets]


def _request(given: Sequence[Given], now: float) -> list[bytes]:
    """The octets of messages stand behind the rest of what there is to say of them."""
    octets: list[bytes] = []
    about = []
    for row, marked, data, ended in given:
        if isinstance(data, bytes):
            octets.append(data)
            about.append((row, marked, len(data), True, ended))
        else:
            octets += data
            about.append((row, marked, sum(map(len, data)), False, ended))
    return _packed((about, now), octets)


class _Reader:
    """Values and octets off a socket, into one buffer."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._buffer = bytearray(_BUFFER)

    def next(self) -> tuple[Any, memoryview]:
        """A value, and its octets, which are there until the next. Raises EOFError where no more comes."""
        with self._take(_HEAD) as lengths:
            value, octets = (int.from_bytes(lengths[at : at + _LENGTH], "big") for at in (0, _LENGTH))
        with self._take(value) as data:
            said = marshal.loads(data)  # noqa: S302 - the other end is this program
        return said, self._take(octets)

    def _take(self, octets: int) -> memoryview:
        if octets > len(self._buffer):
            self._buffer = bytearray(octets)
        view = memoryview(self._buffer)[:octets]
        at = 0
        while at < octets:
            taken = self._channel.recv_into(view[at:])
            if not taken:
                raise EOFError
            at += taken
        return view

    def request(self) -> tuple[Sequence[Given], float]:
        """What `_request` made."""
        (about, now), octets = self.next()
        given: list[Given] = []
        at = 0
        with octets:
            for row, marked, count, whole, ended in about:
                with octets[at : at + count] as data:
                    cut = bytes(data) if whole else [bytes(data[n : n + _SOME]) for n in range(0, count, _SOME)]
                given.append((row, marked, cut, ended))
                at += count
        return given, now


def hand_over(control: socket.socket, landing: socket.socket) -> None:
    """Give the scribe a landing's socket. Raises OSError where there is no scribe."""
    socket.send_fds(control, [b"."], [landing.fileno()])


class _Begun(NamedTuple):
    """What the scribe was given and has not answered."""

    given: Sequence[Given]
    now: float
    goes_on: bool  # does it begin with more of a message of which some was given before?


class Scribed:
    """A `Writer` in another process. One thread at a time, which waits for it."""

    def __init__(self, give: Callable[[socket.socket], None], tmp: Path, token: str, seen: str) -> None:
        """`give` does `hand_over`. Raises OSError, as `Writer`."""
        self._make: Callable[[], Writer] = lambda: Writer(tmp, token, seen)
        self._own: Writer | None = None  # once the scribe is lost
        self._begun: deque[_Begun] = deque()
        self._in_pieces = False  # has some of a large message been given?
        self._answers = bytearray()  # what has come of them
        ours, theirs = socket.socketpair()
        self._channel = ours
        self._poll = select.poll()
        self._poll.register(ours)
        try:
            with theirs:
                give(theirs)
            ours.setblocking(False)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            self._send(_packed((os.fspath(tmp), token, seen)))
            self._answer()
        except (OSError, EOFError):
            ours.close()
            self._own = self._make()

    @property
    def ahead(self) -> int:
        return 0 if self._own is not None else 1

    def begin(self, given: Sequence[Given], now: float) -> None:
        if self._own is not None:
            self._own.begin(given, now)
            return
        self._begun.append(_Begun(given, now, self._in_pieces))
        if given:
            self._in_pieces = not given[-1][-1]
        with suppress(OSError, EOFError):  # its last answer may be there all the same: `finish` finds out
            self._send(_request(given, now))

    def finish(self) -> Answer:
        """Raises StorageFailed besides, where the scribe has ended in the middle of a message."""
        if self._own is None:
            try:
                kind, first, second = self._answer()
            except (OSError, EOFError):
                self._write_for_itself()
            else:
                self._begun.popleft()
                if kind == _FULL:
                    raise DiskFull(first)
                if kind == _REFUSED:
                    raise OSError(first, second)
                return first, second
        assert self._own is not None
        return self._own.finish()

    def _write_for_itself(self) -> None:
        """The scribe is lost: what it has not answered is written again. Raises StorageFailed; OSError."""
        self._channel.close()
        if self._begun and self._begun[0].goes_on:
            raise StorageFailed("the process that was writing a message has ended; it is fetched again")
        self._own = self._make()
        while self._begun:
            given, now, _ = self._begun.popleft()
            self._own.begin(given, now)

    def _send(self, octets: list[bytes]) -> None:
        """The scribe may have to get rid of an answer before it takes any more."""
        at = 0
        rest: list[bytes | memoryview] = [*octets]
        while at < len(rest):
            try:
                sent = self._channel.sendmsg(rest[at : at + _BUFFERS])
            except BlockingIOError:
                if self._wait(select.POLLIN | select.POLLOUT) & select.POLLIN:
                    self._take_some()
                continue
            while sent >= len(rest[at]):
                sent -= len(rest[at])
                at += 1
                if at == len(rest):
                    return
            rest[at] = memoryview(rest[at])[sent:]

    def _answer(self) -> Any:
        """The next. Raises OSError or EOFError where none comes."""
        answers = self._answers
        while len(answers) < _HEAD or len(answers) < _HEAD + int.from_bytes(answers[:_LENGTH], "big"):
            self._wait(select.POLLIN)
            self._take_some()
        end = _HEAD + int.from_bytes(answers[:_LENGTH], "big")
        said = marshal.loads(answers[_HEAD:end])  # noqa: S302 - the other end is this program
        del answers[:end]
        return said

    def _wait(self, events: int) -> int:
        """For one of `events`, or an end; gives back which."""
        self._poll.modify(self._channel, events)
        found = self._poll.poll(_PATIENCE * 1000)
        if not found:
            raise TimeoutError
        return found[0][1]

    def _take_some(self) -> None:
        with suppress(BlockingIOError):
            taken = self._channel.recv(_SOME)
            if not taken:
                raise EOFError
            self._answers += taken

    def close(self) -> None:
        """Returns when the scribe has nothing open any more."""
        with suppress(OSError), self._channel:
            self._channel.shutdown(socket.SHUT_WR)
            self._channel.settimeout(_PATIENCE)
            while self._channel.recv(_SOME):
                pass
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
        reader = _Reader(channel)
        (tmp, token, seen), _ = reader.next()
        writer = Writer(Path(tmp), token, seen)
        try:
            channel.sendall(b"".join(_packed(None)))
            kind = _DONE
            while kind == _DONE:  # what comes behind a refusal is not to be written
                given, now = reader.request()
                with turn:
                    kind, *rest = _answer(writer, given, now)
                del given
                channel.sendall(b"".join(_packed((kind, *rest))))
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
    # The daemon goes on writing for a moment, or for long.
    for number in FOR_THE_DAEMON:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FOR_THE_DAEMON)
    gc.freeze()
    gc.set_threshold(*_COLLECTED)
    serve(socket.socket(fileno=control))


if __name__ == "__main__":
    main(int(sys.argv[1]))
