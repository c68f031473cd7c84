"""Changes in directories as the kernel tells them: inotify, or a look each second where there is none.

One inotify descriptor a process, opened at the first watch. IN_DELETE_SELF is not asked for: Twisted would give
the whole descriptor up with the first directory that goes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime
from twisted.python.filepath import FilePath

try:
    from twisted.internet import inotify
except ImportError:  # not Linux
    inotify = None  # type: ignore[assignment]

POLL: Final = 1.0  # seconds
_HEADER: Final = struct.Struct("=LLLL")  # watch, mask, cookie, length of the name (inotify(7))


class DirectoryWatcher:
    """A `proxy.login.attention.Watcher`."""

    def __init__(self, reactor: Any, *, polling: bool = False) -> None:
        """`polling`: do without inotify."""
        self._reactor = reactor
        self._polling = polling or inotify is None
        self._inotify: Any = None
        self._callbacks: dict[Path, list[Callable[[], None]]] = {}

    @property
    def clock(self) -> IReactorTime:
        clock: IReactorTime = self._reactor
        return clock

    def watch(self, directories: Sequence[Path], changed: Callable[[], None]) -> Callable[[], None]:
        """See `Watcher.watch`."""
        watched: list[Path] = []
        try:
            for directory in directories:
                self._add(directory, changed)
                watched.append(directory)
        except (OSError, _NoInotify):  # not there, or as many watches as the kernel allows a user
            self._remove(watched, changed)
            return self._poll(changed)
        return lambda: self._remove(watched, changed)

    def _add(self, directory: Path, changed: Callable[[], None]) -> None:
        callbacks = self._callbacks.get(directory)
        if callbacks is None:
            self._begin()
            try:
                self._inotify.watch(FilePath(str(directory)), mask=_mask(), callbacks=[self._told])
            except inotify.INotifyError as error:
                raise _NoInotify from error
            callbacks = self._callbacks[directory] = []
        callbacks.append(changed)

    def _remove(self, directories: list[Path], changed: Callable[[], None]) -> None:
        for directory in directories:
            callbacks = self._callbacks.get(directory, [])
            if changed in callbacks:
                callbacks.remove(changed)
            if not callbacks and self._callbacks.pop(directory, None) is not None:
                with suppress(KeyError, OSError, inotify.INotifyError):  # the directory may be gone
                    self._inotify.ignore(FilePath(str(directory)))
        directories.clear()

    def _begin(self) -> None:
        if self._polling:
            raise _NoInotify
        if self._inotify is None:
            try:
                self._inotify = _make_inotify(self._reactor, self._overflowed)
            except inotify.INotifyError as error:
                self._polling = True
                raise _NoInotify from error
            self._inotify.startReading()

    def _told(self, _watch: object, path: FilePath[bytes], _mask: int) -> None:
        name = Path(path.asTextMode().path)
        for changed in [*self._callbacks.get(name.parent, ()), *self._callbacks.get(name, ())]:
            changed()

    def _overflowed(self) -> None:
        """Events were lost: anything may have changed."""
        for callbacks in list(self._callbacks.values()):
            for changed in list(callbacks):
                changed()

    def _poll(self, changed: Callable[[], None]) -> Callable[[], None]:
        call: Any = None

        def again() -> None:
            nonlocal call
            call = self._reactor.callLater(POLL, again)
            changed()

        call = self._reactor.callLater(POLL, again)
        return lambda: call.cancel() if call.active() else None

    def close(self) -> None:
        """Give the descriptor back."""
        if self._inotify is not None:
            self._inotify.loseConnection()
            self._inotify = None
        self._callbacks.clear()


class _NoInotify(Exception):
    """It has to do without."""


def _mask() -> int:
    return int(
        inotify.IN_CREATE
        | inotify.IN_DELETE
        | inotify.IN_MOVED_FROM
        | inotify.IN_MOVED_TO
        | inotify.IN_CLOSE_WRITE
        | inotify.IN_ONLYDIR
    )


def _make_inotify(reactor: Any, overflowed: Callable[[], None]) -> Any:
    """Twisted's, which passes over the one event that belongs to no directory: IN_Q_OVERFLOW."""

    class Noticing(inotify.INotify):
        def _doRead(self, in_: bytes) -> None:
            lost = _overflow_in(self._buffer + in_)
            super()._doRead(in_)  # type: ignore[no-untyped-call]
            if lost:
                overflowed()

    return Noticing(reactor)  # type: ignore[no-untyped-call]


def _overflow_in(events: bytes) -> bool:
    at = 0
    while at + _HEADER.size <= len(events):
        _, mask, _, length = _HEADER.unpack_from(events, at)
        if mask & inotify.IN_Q_OVERFLOW:
            return True
        at += _HEADER.size + length
    return False
