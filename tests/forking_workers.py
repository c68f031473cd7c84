"""The daemon's own processes, where the daemon itself was forked (`tests.forking`): its workers, the one that writes
messages, and the trial of the daemon that is to take over are forked too, from a process that the daemon has begun
before it did anything else. They are the daemon's children, as they are where it begins them by itself: the process
that they are forked from ends at once, and the daemon takes in what that leaves (PR_SET_CHILD_SUBREAPER).

A daemon that takes over is an interpreter of its own, by execve(2), in the same process. It goes on to fork its
processes from where the one before it did (`tests.forked_again`).
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

import twisted.internet.process

from mailstore import scribe
from proxy.daemon import worker

PR_SET_CHILD_SUBREAPER: Final = 36  # prctl(2)
MAINS: Final[Mapping[str, Callable[[int], None]]] = {
    "proxy.daemon.worker": lambda _number: worker.main(),
    "mailstore.scribe": scribe.main,
}
AGAIN: Final = str(Path(__file__).with_name("forked_again.py"))
VARIABLE: Final = "TESTS_GO_ON_FROM"  # the daemon's process, and the descriptor by which it asks

Environment = Mapping[str, str]
Dress = Callable[[list[str], Mapping[int, int], Environment], None]  # see `tests.forking.dress`
Begin = Callable[[Mapping[int, int], list[str], Environment], NoReturn]  # … and `begin`


def ours(words: list[str]) -> bool:
    """Is it a worker, or the process that writes?"""
    return words[0] == sys.executable and words[1:3] == ["-P", "-m"] and words[3] in MAINS and len(words) == 5


def prepare(begin: Begin, dress: Dress) -> None:
    """In the daemon's process, before the reactor is loaded."""
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        return
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        mine.close()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        while _answer(theirs, begin, dress):
            pass
        os._exit(0)
    theirs.close()
    mine.set_inheritable(True)
    os.environ[VARIABLE] = f"{os.getpid()} {mine.fileno()}"
    if sys.orig_argv[1] == "-m":
        sys.orig_argv[1:3] = [AGAIN, sys.orig_argv[2]]  # which it begins the daemon with that takes over
    _take_the_place(mine)


def go_on() -> None:
    """In a daemon that has taken over."""
    process, descriptor = map(int, os.environ[VARIABLE].split())
    if process == os.getpid():
        _take_the_place(socket.socket(fileno=descriptor))


def _take_the_place(asked: socket.socket) -> None:
    """… of what Twisted does to begin a process, where it is one of these."""
    usual = twisted.internet.process.Process._fork

    def fork(
        self: Any, path: Any, uid: Any, gid: Any, executable: Any, args: Any, environment: Any, **how: Any
    ) -> None:
        words = [os.fsdecode(word) for word in args]
        if not ours(words) and words[:2] != [sys.executable, AGAIN]:
            usual(self, path, uid, gid, executable, args, environment, **how)
            return
        variables = dict(os.environ if environment is None else environment)
        numbers = list(how["fdmap"])
        request = json.dumps([words, variables, numbers]).encode()
        try:
            socket.send_fds(asked, [request], [how["fdmap"][number] for number in numbers])
            said = asked.recv(100)
        except ConnectionError:
            said = b""
        if said:
            self.pid, self.status = int(said), -1
        else:  # nobody to fork from is left: somebody ended all of them
            usual(self, path, uid, gid, executable, args, environment, **how)

    twisted.internet.process.Process._fork = fork


def _answer(asked: socket.socket, begin: Begin, dress: Dress) -> bool:
    """Fork one, by way of a process that ends. False where there is nobody any more to ask for one."""
    request, given, _, _ = socket.recv_fds(asked, 1_000_000, 100)
    if not request:
        return False
    reading, writing = os.pipe()
    between = os.fork()
    if between == 0:
        itself = os.pidfd_open(os.getpid())
        signal.pthread_sigmask(signal.SIG_BLOCK, scribe.FOR_THE_DAEMON)
        child = os.fork()
        if child == 0:
            select.select([itself], [], [])  # whose child it is then, it is for good
            words, environment, numbers = json.loads(request)
            descriptors = dict(zip(numbers, given, strict=True))
            if ours(words):
                work(words, environment, descriptors, dress)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, scribe.FOR_THE_DAEMON)
            begin(descriptors, words, environment)
        os.write(writing, str(child).encode())
        os._exit(0)
    os.waitpid(between, 0)
    asked.send(os.read(reading, 100))
    for each in (reading, writing, *given):
        os.close(each)
    return True


def work(words: list[str], environment: Environment, given: Mapping[int, int], dress: Dress) -> NoReturn:
    """Be a worker, or the process that writes."""
    status = 1
    try:
        dress(words, given, environment)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        _, _, _, module, number = words
        if MAINS[module] is not scribe.main:  # which does so when it has come to ignore them
            signal.pthread_sigmask(signal.SIG_UNBLOCK, scribe.FOR_THE_DAEMON)
        sys.argv = [module, number]
        MAINS[module](int(number))
        threading._shutdown()  # type: ignore[attr-defined]
        sys.stdout.flush()
        status = 0
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
    finally:
        os._exit(status)
