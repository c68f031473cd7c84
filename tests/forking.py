"""The process that commands are forked from (`tests.forked`): it has loaded what they load, which would take each of
them two seconds of processor time. What a command is, and what it does, is as if it had been begun as
`python -m MODULE …`: `runpy` runs that module in a process of its own, with these arguments, this environment,
directory, input and output, and Twisted's reactor is not loaded before. So are its exit status and what it says of an
exception. A worker is one as it is as `python -P -m proxy.daemon.worker N`, and so is the process that writes messages.

Its standard input is a listening socket. Each connection to it carries requests, `[words, environment, directory,
session]` in JSON with the new process's first descriptors, which are answered with its process id; or a process id,
once that process has ended, which is answered with the status that waitpid(2) gives. What was begun for a connection
and still runs when that is closed, is ended: tests that are interrupted, or killed, leave nothing behind. It ends
itself when the first connection is closed.
"""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import threading
import time
import traceback
import types
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

REACTOR = "twisted.internet.reactor"
MODULE = "proxy.cli.main"
PATIENCE = 30.0  # seconds that what is told to end may take
forking_workers: Any
_clock = time.time
_odd: Path | None = None  # see tests/faults/odd_clock, which this is the same as


def now() -> float:
    """The time of day, in the place of time.time."""
    return _clock() if _odd is None else _clock() + float(_odd.read_text() or 0)


def load() -> None:
    """All that commands load, but for the module that is run, and the reactor: each process has one of its own. What
    names it when it is loaded, and does not use it (klein), gets something else."""
    time.time = now
    sys.modules[REACTOR] = types.ModuleType(REACTOR)
    import proxy.cli

    for module in pkgutil.walk_packages(proxy.cli.__path__, "proxy.cli."):
        if module.name != MODULE:
            importlib.import_module(module.name)
    for name in (
        *("proxy.daemon.service", "proxy.daemon.succession", "proxy.daemon.metrics", "proxy.daemon.moving"),
        *("proxy.web.opening", "proxy.web.console", "proxy.web.portal", "proxy.admin.dns", "mailstore.backups"),
        *("twisted.internet.epollreactor", "twisted.internet.default", "twisted.internet.unix", "alembic.command"),
        *("rich.console", "rich.table", "rich.progress", "openpyxl", "stringprep", "encodings.idna"),
    ):
        importlib.import_module(name)
    global forking_workers  # noqa: PLW0603 - it loads what the daemon does
    forking_workers = importlib.import_module("tests.forking_workers")
    importlib.import_module("proxy.daemon.logs")._structlog()
    compile_pages()
    del sys.modules[REACTOR]
    gc.collect()
    gc.freeze()


def compile_pages() -> None:
    """Whoever makes pages finds their templates compiled: it is the same text each time."""
    from jinja2 import Environment

    from proxy.web.pages import Pages

    compiled: dict[tuple[Any, ...], Any] = {}
    usual: Any = Environment.compile

    def compile_once(self: Environment, source: Any, *about: Any, **more: Any) -> Any:
        manner = (self.autoescape, self.trim_blocks, self.lstrip_blocks, self.undefined)
        what = (source, manner, about, tuple(more.items()))
        if what not in compiled:
            compiled[what] = usual(self, source, *about, **more)
        return compiled[what]

    Environment.compile = compile_once  # type: ignore[assignment]
    environment = Pages()._environment
    for name in environment.list_templates():
        environment.get_template(name)


class Asking:
    """A connection, and what was begun for it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.running = set[int]()

    def answer(self) -> bool:
        """One request. False where there are no more: whoever asked may have been killed."""
        try:
            request, given, _, _ = socket.recv_fds(self.connection, 1_000_000, 10)
            if not request:
                return False
            self.connection.send(str(self._done(json.loads(request), given)).encode())
        except ConnectionError:
            return False
        return True

    def _done(self, wanted: Any, given: list[int]) -> int:
        if isinstance(wanted, int):
            if wanted not in self.running:
                return 0  # as `subprocess` has it where there is no such child
            self.running.discard(wanted)
            return os.waitpid(wanted, 0)[1]
        child = os.fork()
        if child == 0:
            words, environment, directory, session = wanted
            begin(dict(enumerate(given)), words, environment, directory, session)
        self.running.add(child)
        for each in given:
            os.close(each)
        return child

    def close(self) -> set[int]:
        """Gives back what was still running, and is told to end."""
        self.connection.close()
        for each in self.running:
            os.kill(each, signal.SIGTERM)
        return self.running


def end(running: set[int]) -> None:
    """Wait for them, and not for ever."""
    until = time.monotonic() + PATIENCE
    for each in running:
        ended = os.pidfd_open(each)
        if not select.select([ended], [], [], max(0.0, until - time.monotonic()))[0]:
            os.kill(each, signal.SIGKILL)
        os.waitpid(each, 0)
        os.close(ended)


def begin(
    given: Mapping[int, int],
    words: list[str],
    environment: Mapping[str, str],
    directory: str = ".",
    session: bool = False,
) -> NoReturn:
    """Be the command. As the interpreter does it, at its start and its end."""
    status = 1
    try:
        if session:
            os.setsid()
        os.chdir(directory)
        if forking_workers.ours(words):
            forking_workers.work(words, environment, given, dress)
        _, how, module, *arguments = words
        dress(words, given, environment)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv, sys.orig_argv = [module, *arguments], words
        sys.path[1:1] = [place for place in environment.get("PYTHONPATH", "").split(os.pathsep) if place]
        standard()
        if "serve" in arguments and how == "-m":
            forking_workers.prepare(begin, dress)
        status = run(module)
    finally:
        os._exit(status)


def dress(words: list[str], given: Mapping[int, int], environment: Mapping[str, str]) -> None:
    """Have this command line, these descriptors (by what they are to be), this environment, and no others."""
    kept = {number: fcntl.fcntl(each, fcntl.F_DUPFD, 100) for number, each in given.items()}
    for number, each in kept.items():
        os.dup2(each, number)
    for number in range(max(kept) + 1):
        if number not in kept:
            close(number)
    os.closerange(max(kept) + 1, 1024)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    global _odd  # noqa: PLW0603 - it is the process's
    _odd = Path(environment["MAILFERRY_ODD_CLOCK"]) if "MAILFERRY_ODD_CLOCK" in environment else None
    show(words)


def close(number: int) -> None:
    with suppress(OSError):
        os.close(number)


def show(words: list[str]) -> None:
    """In /proc/…/cmdline, for those who look there. All of the place for it has to be filled: by slashes before the
    first word, which is the interpreter's path."""
    start, end = (int(field) for field in Path("/proc/self/stat").read_text().rpartition(")")[2].split()[45:47])
    line = b"\0".join(os.fsencode(word) for word in words) + b"\0"
    if len(line) <= end - start:
        ctypes.memmove(start, line.rjust(end - start, b"/"), end - start)


def standard() -> None:
    """Input and output, as they are opened at an interpreter's start."""
    encoding, errors = sys.stdout.encoding, sys.stdout.errors
    sys.stdin = sys.__stdin__ = open(0, encoding=encoding, errors=errors, closefd=False)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", encoding=encoding, errors=errors, closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(  # noqa: SIM115
        2, "w", encoding=encoding, errors="backslashreplace", buffering=1, closefd=False
    )


def run(module: str) -> int:
    """Gives back the exit status."""
    status = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        status = 120
    return status & 0xFF


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the asker's
    listening = socket.socket(fileno=os.dup(0))
    load()
    first, _ = listening.accept()
    own = first.fileno()
    asking = {own: Asking(first)}
    left = set[int]()
    waiting = select.poll()
    for each in (listening, first):
        waiting.register(each, select.POLLIN)
    while own in asking:
        for descriptor, _ in waiting.poll():
            if descriptor == listening.fileno():
                another, _ = listening.accept()
                asking[another.fileno()] = Asking(another)
                waiting.register(another, select.POLLIN)
            elif not asking[descriptor].answer():
                waiting.unregister(descriptor)
                left |= asking.pop(descriptor).close()
    for rest in asking.values():
        left |= rest.close()
    end(left)


if __name__ == "__main__":
    main()
