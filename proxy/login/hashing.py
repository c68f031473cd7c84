"""Passwords on their way through Argon2: few at a time, however many come.

A flood of guesses would otherwise stand before everybody: a hash costs 30 ms of a core. So hashes are computed in
threads of their own, and there are two lines: who comes from where nobody has guessed lately is asked for first, three
times out of four, and the others have half of the cores at most; the rest answers commands. Who asks the same at
the same time, as a mail program with many connections does, is answered together; whoever has left is not asked for any
more.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from mailstore import secrets
from proxy.wire.door import Because, LoginRefused, Refusal, Secret
from proxy.wire.in_thread import InThread

AT_ONCE: Final = max(2, len(os.sched_getaffinity(0)))
MOST: Final = 1_000  # that wait in the line of those who may be guessing; the next are told to come later
TOO_BUSY: Final = "too many logins at the moment; try again later"
TURNS: Final = 4  # each so many, one of that line has its turn before the others


_Key = tuple[str, bytes, bool]  # a stored hash, a password, whether it is doubted


@dataclass(eq=False, slots=True)
class _Wanted:
    """One hash, and who waits for what comes of it."""

    compute: Callable[[], Any]
    waiting: list[Deferred[Any]] = field(default_factory=list)
    key: _Key | None = None

    def wait(self) -> Deferred[Any]:
        result: Deferred[Any] = Deferred()
        self.waiting.append(result)
        return result

    @property
    def is_wanted(self) -> bool:
        return any(not result.called for result in self.waiting)

    def came(self, value: Any) -> None:
        for result in self.waiting:
            if result.called:  # cancelled: the client has left
                continue
            if isinstance(value, Failure):
                result.errback(value)
            else:
                result.callback(value)


class Hashing:
    """The two lines of a gate."""

    def __init__(self, in_thread: InThread, at_once: int = AT_ONCE) -> None:
        self._in_thread = in_thread
        self._at_once = at_once
        self._doubted_at_once = max(1, at_once // 2)
        self._trusted: deque[_Wanted] = deque()
        self._doubted: deque[_Wanted] = deque()
        self._verifying: dict[_Key, _Wanted] = {}
        self._under_way = self._doubted_under_way = 0
        self._turn = 0

    def hash(self, password: Secret) -> Deferred[str]:
        """Of a password that is right."""
        wanted = _Wanted(lambda: secrets.hash_password(password.reveal()))
        return self._line_up(wanted, self._trusted)

    def verify(self, stored: str, password: Secret, *, doubted: bool) -> Deferred[bool]:
        """Does the password fit? `doubted`: there have been guesses from where it comes from. Fails with LoginRefused
        where too many such wait."""
        key = (stored, password.reveal(), doubted)
        same = self._verifying.get(key)
        if same is not None:
            return same.wait()
        if doubted and len(self._doubted) >= MOST and not self._without_those_who_left():
            return fail(LoginRefused(Refusal.UNAVAILABLE, TOO_BUSY, Because.BUSY))
        wanted = self._verifying[key] = _Wanted(lambda: secrets.verify_password(stored, password.reveal()))
        wanted.key = key
        return self._line_up(wanted, self._doubted if doubted else self._trusted)

    def _without_those_who_left(self) -> bool:
        """Is there room then?"""
        lined_up = list(self._doubted)
        self._doubted.clear()
        for wanted in lined_up:
            if wanted.is_wanted:
                self._doubted.append(wanted)
            else:
                self._forget(wanted)
        return len(self._doubted) < MOST

    def _forget(self, wanted: _Wanted) -> None:
        if wanted.key is not None:
            del self._verifying[wanted.key]

    def _line_up(self, wanted: _Wanted, line: deque[_Wanted]) -> Deferred[Any]:
        result = wanted.wait()
        line.append(wanted)
        self._next()
        return result

    def _next(self) -> None:
        while self._under_way < self._at_once and (line := self._line()):
            wanted = line.popleft()
            if not wanted.is_wanted:
                self._forget(wanted)
                continue
            self._turn += 1
            self._under_way += 1
            self._doubted_under_way += line is self._doubted
            self._in_thread(wanted.compute).addBoth(self._done, wanted, line)

    def _line(self) -> deque[_Wanted]:
        """Whose turn it is."""
        if self._doubted_under_way >= self._doubted_at_once:
            return self._trusted
        first, second = self._trusted, self._doubted
        if self._turn % TURNS == TURNS - 1:
            first, second = second, first
        return first or second

    def _done(self, value: Any, wanted: _Wanted, line: deque[_Wanted]) -> None:
        self._under_way -= 1
        self._doubted_under_way -= line is self._doubted
        self._forget(wanted)
        self._next()
        wanted.came(value)
