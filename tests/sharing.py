"""Tests by several processes: `pytest --processes 5`.

Tests are looked for once, and each process is forked from the one that has found them: that takes sixteen seconds of
processor time, which each would need to find them by itself. A file is one process's, in the order of the collection,
and who has nothing left gets the next. What they report goes to the first process, which says it. A process that dies
is replaced; the test that it had is reported as failed, and so is what the file still had.
"""

from __future__ import annotations

import os
import pickle
import select
import socket
import struct
import sys
import traceback
from collections import deque
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final, NoReturn

import pytest

from tests import forked

_LENGTH: Final = struct.Struct("!I")
NEXT: Final = "next"  # what a process says when it comes to the end of what it has
REPORT: Final = "report"
STARTED: Final = "started"
FINISHED: Final = "finished"
ENDED: Final = "ended"  # with what went wrong at the end, or nothing


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--processes", type=int, default=0, help="that share the tests")


def is_wanted(config: pytest.Config) -> bool:
    return config.getoption("processes") > 1 and not config.getoption("usepdb")  # type: ignore[no-any-return]


def pytest_configure(config: pytest.Config) -> None:
    if is_wanted(config):
        config.pluginmanager.register(Sharing(config, config.getoption("processes")))


class Channel:
    """Messages, whole, one after the other, between two processes."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def send(self, *message: Any) -> None:
        octets = pickle.dumps(message)
        self.connection.sendall(_LENGTH.pack(len(octets)) + octets)

    def receive(self) -> Any:
        """Raises EOFError when the other one is gone."""
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        return pickle.loads(self._exactly(length))

    def _exactly(self, count: int) -> bytes:
        found = bytearray()
        while len(found) < count:
            more = self.connection.recv(count - len(found))
            if not more:
                raise EOFError
            found += more
        return bytes(found)


class Running:
    """A process that runs tests, as the first one sees it."""

    def __init__(self, number: int, process: int, channel: Channel) -> None:
        self.number, self.process, self.channel = number, process, channel
        self.files: deque[list[pytest.Item]] = deque()  # that it has; of the last it may have done nothing yet
        self.ended = False

    def fileno(self) -> int:
        return self.channel.connection.fileno()

    @property
    def left(self) -> list[pytest.Item]:
        return [item for file in self.files for item in file]

    def done(self, name: str) -> None:
        """A test is through."""
        while self.files and self.files[0][0].nodeid != name:
            self.files[0].pop(0)
            if not self.files[0]:
                self.files.popleft()


class Sharing:
    """In the place of pytest's own loop over the tests."""

    def __init__(self, config: pytest.Config, processes: int) -> None:
        self._config = config
        self._processes = processes
        self._numbers = iter(range(1_000_000))
        self._running: list[Running] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        option = session.config.option
        if option.collectonly or (session.testsfailed and not option.continue_on_collection_errors):
            return None
        reporter: Any = self._config.pluginmanager.getplugin("terminalreporter")
        reporter.showfspath = False
        files = deque(list(items) for _, items in groupby(session.items, lambda item: item.path))
        self._base = session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
        for _ in range(min(self._processes, len(files))):
            self._fork(session, files)
        try:
            while self._running:
                for one in select.select(self._running, [], [])[0]:
                    self._hear(one, session, files)
                if session.shouldfail or session.shouldstop:
                    files.clear()
        finally:
            for one in self._running:
                one.channel.connection.close()
                os.waitpid(one.process, 0)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        return True

    def _fork(self, session: pytest.Session, files: deque[list[pytest.Item]]) -> None:
        number = next(self._numbers)
        ours, theirs = socket.socketpair()
        sys.stdout.flush(), sys.stderr.flush()
        process = os.fork()
        if process == 0:
            ours.close()
            for other in self._running:
                other.channel.connection.close()
            Run(session, Channel(theirs), self._base / f"process{number}").run()
        theirs.close()
        one = Running(number, process, Channel(ours))
        self._running.append(one)
        self._give(one, files)

    def _give(self, one: Running, files: deque[list[pytest.Item]]) -> None:
        """The next file, or nothing any more."""
        if files:
            one.files.append(files.popleft())
            one.channel.send([id(item) for item in one.files[-1]])
        else:
            one.channel.send([])

    def _hear(self, one: Running, session: pytest.Session, files: deque[list[pytest.Item]]) -> None:
        hook = self._config.hook
        try:
            what, *about = one.channel.receive()
        except EOFError:
            self._lost(one, session, files)
            return
        if what == NEXT:
            self._give(one, files)
        elif what == STARTED:
            one.done(about[0])
            hook.pytest_runtest_logstart(nodeid=about[0], location=about[1])
        elif what == FINISHED:
            hook.pytest_runtest_logfinish(nodeid=about[0], location=about[1])
        elif what == REPORT:
            report = hook.pytest_report_from_serializable(config=self._config, data=about[0])
            hook.pytest_runtest_logreport(report=report)
        elif what == ENDED:
            one.ended = True
            if about[0]:
                self._fail(f"process {one.number}, at its end", "", about[0])

    def _lost(self, one: Running, session: pytest.Session, files: deque[list[pytest.Item]]) -> None:
        """Nothing comes from it any more."""
        self._running.remove(one)
        one.channel.connection.close()
        status = os.waitstatus_to_exitcode(os.waitpid(one.process, 0)[1])
        if one.ended:
            return
        words = f"process {one.number} died with status {status}"
        for item in one.left:
            self._fail(item.nodeid, item.location, words)
        if files:
            self._fork(session, files)

    def _fail(self, name: str, location: Any, words: str) -> None:
        report = pytest.TestReport(name, location or (name, None, name), {}, "failed", words, "call")
        self._config.hook.pytest_runtest_logreport(report=report)


class Run:
    """In a process that runs tests."""

    def __init__(self, session: pytest.Session, channel: Channel, place: Any) -> None:
        self._session, self._channel = session, channel
        self._items = {id(item): item for item in session.items}
        self._config = session.config
        self._place = place

    def run(self) -> NoReturn:
        try:
            self._become()
            wrong = ""
            try:
                for item, following in self._pairs():
                    self._config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                    if self._session.shouldfail or self._session.shouldstop:
                        break
                self._config._ensure_unconfigure()
            except BaseException:  # noqa: BLE001 - whatever it is, it is told
                wrong = traceback.format_exc()
            self._channel.send(ENDED, wrong)
        finally:
            os._exit(0)

    def _become(self) -> None:
        """What belongs to a process, anew."""
        plugins = self._config.pluginmanager
        plugins.unregister(name="terminalreporter")
        plugins.register(self)
        capturing: Any = plugins.getplugin("capturemanager")
        if capturing.is_globally_capturing():
            capturing.stop_global_capturing()
            capturing.start_global_capturing()
        self._place.mkdir(mode=0o700)
        self._config._tmp_path_factory._basetemp = self._place  # type: ignore[attr-defined]
        forked.inherit()
        _own_reactor()

    def _files(self) -> Iterator[list[pytest.Item]]:
        while numbers := self._channel.receive()[0]:
            yield [self._items[number] for number in numbers]

    def _pairs(self) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
        """Each test with the one that comes after it, by which pytest knows what is to be kept up. What comes next is
        asked for with the last test of a file: another process may have more time for it."""
        files = self._files()
        items = next(files, [])
        while items:
            for number, item in enumerate(items[:-1]):
                yield item, items[number + 1]
            self._channel.send(NEXT)
            following = next(files, [])
            yield items[-1], following[0] if following else None
            items = following

    def pytest_runtest_logstart(self, nodeid: str, location: Any) -> None:
        self._channel.send(STARTED, nodeid, location)

    def pytest_runtest_logfinish(self, nodeid: str, location: Any) -> None:
        self._channel.send(FINISHED, nodeid, location)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._channel.send(REPORT, data)


def _own_reactor() -> None:
    """Twisted's has an epoll descriptor and a pipe, which are the first process's as well, if it was loaded there."""
    reactor: Any = sys.modules.get("twisted.internet.reactor")
    if reactor is None:
        return
    assert set(reactor._selectables) == {reactor.waker.fileno()}, "nothing is open when tests are looked for"
    reactor._poller.close()
    reactor._poller = select.epoll()
    reactor._reads.clear(), reactor._selectables.clear(), reactor._internalReaders.clear()
    reactor.waker.connectionLost(None)
    reactor.waker = None
    reactor.installWaker()
