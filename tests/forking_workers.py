"""The daemon's workers, where the daemon itself was forked (`tests.forking`): forked too, from a process that the
daemon has begun before it did anything else. They are the daemon's children, as they are where it begins them by
itself: the process that they are forked from ends at once, and the daemon takes in what that leaves
(PR_SET_CHILD_SUBREAPER).
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

import twisted.internet.process

from proxy.daemon import worker

PR_SET_CHILD_SUBREAPER: Final = 36  # prctl(2)
MODULE: Final = "proxy.daemon.worker"
BEGINNING: Final = ["-P", "-m", MODULE]  # of its arguments, before its number

Environment = Mapping[str, str]
Dress = Callable[[list[str], list[int], Environment], None]  # see `tests.forking.dress`


def prepare(dress: Dress) -> None:
    """In the daemon's process, before the reactor is loaded."""
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        return
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.close()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        while _answer(theirs, dress):
            pass
        os._exit(0)
    theirs.close()
    _take_the_place(ours)


def _take_the_place(asked: socket.socket) -> None:
    """… of what Twisted does to begin a process, where it is to be a worker."""
    usual = twisted.internet.process.Process._fork

    def fork(
        self: Any, path: Any, uid: Any, gid: Any, executable: Any, args: Any, environment: Any, **how: Any
    ) -> None:
        words = [os.fsdecode(word) for word in args]
        if words[1:-1] != BEGINNING:
            usual(self, path, uid, gid, executable, args, environment, **how)
            return
        descriptors = [how["fdmap"][number] for number in range(len(how["fdmap"]))]
        socket.send_fds(asked, [json.dumps([words, dict(os.environ)]).encode()], descriptors)
        self.pid, self.status = int(asked.recv(100)), -1

    twisted.internet.process.Process._fork = fork


def _answer(asked: socket.socket, dress: Dress) -> bool:
    """Fork one, by way of a process that ends. False where there is nobody any more to ask for one."""
    request, given, _, _ = socket.recv_fds(asked, 1_000_000, 10)
    if not request:
        return False
    reading, writing = os.pipe()
    between = os.fork()
    if between == 0:
        child = os.fork()
        if child == 0:
            work(*json.loads(request), given, dress)
        os.write(writing, str(child).encode())
        os._exit(0)
    os.waitpid(between, 0)
    asked.send(os.read(reading, 100))
    for each in (reading, writing, *given):
        os.close(each)
    return True


def work(words: list[str], environment: Environment, given: list[int], dress: Dress) -> NoReturn:
    """Be a worker."""
    status = 1
    try:
        dress(words, given, environment)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        sys.argv = [MODULE, words[-1]]
        worker.main()
        sys.stdout.flush()
        status = 0
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
    finally:
        os._exit(status)
