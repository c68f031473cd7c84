"""The same as `tests.forked` for what Twisted begins (`reactor.spawnProcess`), but on a terminal of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import twisted.internet.process
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.process import Process
from zope.interface import implementer

from tests.forked import BEGINNING, as_ours, source

WORKERS: Final = [  # a daemon's, where it is in the tests' process
    [sys.executable, "-P", "-m", module] for module in ("proxy.daemon.worker", "mailstore.scribe")
]


@implementer(IReadDescriptor)
class _Ended:
    """Hears of the end of a process, which is no child of this one, and tells what Twisted knows it as."""

    def __init__(self, process: Any, begun_by: Any) -> None:
        self._process = process
        self._begun_by = begun_by
        self._gone = os.pidfd_open(process.pid)

    def fileno(self) -> int:
        return self._gone

    def logPrefix(self) -> str:
        return type(self).__name__

    def doRead(self) -> None:
        process = self._process
        process._reactor.removeReader(self)
        os.close(self._gone)
        status = self._begun_by.ask(process.pid)
        process.processEnded(status)

    def connectionLost(self, reason: Any) -> None:
        """The reactor gives it up."""


def begin() -> None:
    """Have Twisted begin commands so, in this process."""
    usual: Callable[..., None] = Process._fork
    register = twisted.internet.process.registerReapProcessHandler
    forked = set[int]()

    def register_children(pid: int, process: Any) -> None:
        if pid in forked:
            forked.discard(pid)  # waitpid(2) knows nothing of it
        else:
            register(pid, process)

    def fork(
        self: Any,
        path: str | None,
        uid: int | None,
        gid: int | None,
        executable: Any,
        args: Any,
        environment: Mapping[str, str] | None,
        **how: Any,
    ) -> None:
        words, descriptors = [os.fsdecode(word) for word in args], how["fdmap"]
        known = tuple(words[: len(BEGINNING)]) == BEGINNING or words[:-1] in WORKERS
        if not known or sorted(descriptors) != list(range(len(descriptors))) or not as_ours(environment):
            usual(self, path, uid, gid, executable, args, environment, **how)
            return
        variables = dict(os.environ if environment is None else environment)
        given = [descriptors[number] for number in range(len(descriptors))]
        asked = source()
        self.pid = asked.ask([words, variables, path or str(Path.cwd()), False], *given)
        self.status = -1
        forked.add(self.pid)
        self._reactor.addReader(_Ended(self, asked))

    Process._fork = fork
    twisted.internet.process.registerReapProcessHandler = register_children
