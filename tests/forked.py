"""`subprocess.Popen` for tests: what is begun as `python -m proxy.cli.main …`, or as one of the tests' own modules that
stand on it, is forked from a process that has loaded it already (`tests.forking`), and everything else is begun as
ever.

All processes of the tests fork from one, which is begun with them, or when it is first needed. What is about an
interpreter's own start is begun as ever too: other descriptors than the standard ones (systemd's), or an environment
that an interpreter reads.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any, Final

VARIABLE: Final = "TESTS_FORK_FROM"
ROOT: Final = Path(__file__).parents[1]
BEGINNING: Final = (sys.executable, "-m", "proxy.cli.main")
MODULES: Final = {
    *(BEGINNING[-1], "tests.faults.nursery", "tests.peers.at_dns_port", "tests.postgres.quick_node"),
    "installed_ferry",  # tests/proxy/daemon/test_reloading.py
}
UNDERSTOOD: Final = {
    *("stdin", "stdout", "stderr", "cwd", "env", "text", "universal_newlines", "encoding", "errors", "bufsize"),
    *("start_new_session", "close_fds"),
}
INTERPRETERS: Final = ("PYTHON", "LC_", "LANG", "LISTEN_", "LD_")  # variables that count before the first module
PLACES: Final = "PYTHONPATH"  # which counts for what is run
ODD_CLOCK: Final = ROOT / "tests" / "faults" / "odd_clock"  # a place that `tests.forking` does the same as
OTHERS: Final = ("proxy", "mailstore", "sitecustomize.py", "usercustomize.py")  # in a place: another program than ours


class Source:
    """A connection to the process to fork from."""

    def __init__(self, address: str) -> None:
        self._lock = Lock()
        self._by = os.getpid()
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1_000_000)
        self._connection.connect(address)

    def ask(self, request: Any, *given: int) -> int:
        with self._lock:
            socket.send_fds(self._connection, [json.dumps(request).encode()], given)
            said = self._connection.recv(100)
        if not said:
            raise RuntimeError("the process that commands are forked from has ended")
        return int(said)

    @property
    def usable(self) -> bool:
        """Not after the tests' end, nor in a process that was forked from the one whose it is."""
        return self._connection.fileno() != -1 and self._by == os.getpid()

    def close(self) -> None:
        """What was begun by it is told to end."""
        self._connection.close()


_sources: dict[int, Source] = {}  # by the process id of who asks
_processes: list[subprocess.Popen[bytes]] = []  # what this process has begun itself, one at most


def prepare() -> None:
    """Begin the process to fork from, for this one and those that it begins. It takes seconds to be ready, for which
    nobody waits who has nothing to ask yet."""
    address = f"\0{os.urandom(16).hex()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(address)
        listening.listen(100)
        _sources[os.getpid()] = Source(address)
        command = [sys.executable, "-m", "tests.forking", "." * 500]  # its place is for what they show as theirs
        _processes.append(subprocess.Popen(command, stdin=listening, cwd=ROOT))
    os.environ[VARIABLE] = address[1:]


def source() -> Source:
    mine = os.getpid()
    if mine not in _sources and VARIABLE in os.environ:
        _sources[mine] = Source("\0" + os.environ[VARIABLE])
    elif mine not in _sources:
        prepare()
    return _sources[mine]


class Popen(subprocess.Popen[Any]):
    """See above."""

    def __init__(self, args: Any, *positional: Any, **how: Any) -> None:
        self._forked = not positional and how.keys() <= UNDERSTOOD and _plain(args) and as_ours(how.get("env"))
        self._gone = -1
        self._session = bool(how.get("start_new_session"))
        super().__init__(args, *positional, **how)

    def _execute_child(self, args: Any, *rest: Any) -> None:
        if not self._forked:
            super()._execute_child(args, *rest)  # type: ignore[misc]
            return
        _, _, _, _, directory, environment, *_ = rest
        ends = rest[9:15]  # p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite
        given = [end if end != -1 else number for number, end in enumerate((ends[0], ends[3], ends[5]))]
        variables = dict(os.environ if environment is None else environment)
        where = os.fspath(directory or Path.cwd())
        words = [os.fspath(each) for each in args]
        self._source = source()
        self.pid = self._source.ask([words, variables, where, self._session], *given)
        self._gone = os.pidfd_open(self.pid)
        self._child_created = True
        self._close_pipe_fds(*ends)  # type: ignore[attr-defined]

    def _internal_poll(self, *rest: Any, **how: Any) -> int | None:
        if not self._forked:
            return super()._internal_poll(*rest, **how)  # type: ignore[misc,no-any-return]
        with self._waitpid_lock:  # type: ignore[attr-defined]
            if self.returncode is None and self._gone != -1 and select.select([self._gone], [], [], 0)[0]:
                self._reap()
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if not self._forked:
            return super()._wait(timeout)  # type: ignore[misc,no-any-return]
        if self.returncode is None:
            with select.epoll() as ended:
                ended.register(self._gone, select.EPOLLIN)
                if not ended.poll(timeout):
                    assert timeout is not None
                    raise subprocess.TimeoutExpired(self.args, timeout)
        result = self._internal_poll()
        assert result is not None
        return result

    def _reap(self) -> None:
        gone, self._gone = self._gone, -1
        os.close(gone)
        # Where nobody knows how it ended: as `subprocess` has it where there is no such child.
        status = self._source.ask(self.pid) if self._source.usable else 0
        self.returncode = os.waitstatus_to_exitcode(status)


def _plain(args: Any) -> bool:
    return isinstance(args, list) and tuple(args[:2]) == BEGINNING[:2] and args[2] in MODULES


def _of_interpreters(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: said for name, said in variables.items() if name.startswith(INTERPRETERS) and name != PLACES}


_OURS: Final = _of_interpreters(os.environ)


def as_ours(environment: Mapping[str, str] | None) -> bool:
    """Does it say to an interpreter what ours was told? None: what is in the environment now, as processes have it that
    are begun."""
    variables = os.environ if environment is None else environment
    places = [Path(place) for place in variables.get(PLACES, "").split(os.pathsep) if place]
    foreign = (
        place for place in places if place not in (ROOT, ODD_CLOCK) for name in OTHERS if (place / name).exists()
    )
    return _of_interpreters(variables) == _OURS and not any(foreign)


def inherit() -> None:
    """In a process that was forked from another one of the tests': what that has of its own stays with it."""
    while _sources:
        _sources.popitem()[1].close()
    while _processes:
        _processes.pop().returncode = 0  # nobody waits for it here


def begin() -> None:
    """Have `subprocess` begin commands so, in this process."""
    subprocess.Popen = Popen  # type: ignore[misc]


def end() -> None:
    """No more of them."""
    connection = _sources.pop(os.getpid(), None)
    if connection is not None:
        connection.close()
    while _processes:
        _processes.pop().wait()
        os.environ.pop(VARIABLE, None)
