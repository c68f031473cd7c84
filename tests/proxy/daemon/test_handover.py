"""Connections on their way to a worker where descriptors run out: none is counted for ever, and the log stays quiet."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.task import Clock

from proxy.daemon import handover
from proxy.daemon.handover import Acceptor, Receiver, send


class Reactor(Clock):
    """Knows who reads, and adopts no connection."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.readers: set[Any] = set()
        self.adopted = 0
        self.refuses = False

    def addReader(self, reader: Any) -> None:
        self.readers.add(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.discard(reader)

    def adoptStreamConnection(self, _descriptor: int, _family: int, _factory: object) -> None:
        if self.refuses:
            raise OSError(errno.EMFILE, "Too many open files")
        self.adopted += 1


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_connection_that_the_worker_cannot_take_is_told_of(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    reactor, lost = Reactor(), []
    receiver = Receiver(reactor, theirs, lambda service: service, lambda: lost.append(1))
    client, other = socket.socketpair()
    with client, other:
        assert send(ours, client, "imap")
        receiver.doRead()
        assert (reactor.adopted, lost) == (1, [])
        reactor.refuses = True
        assert send(ours, client, "imap")
        receiver.doRead()
        assert (reactor.adopted, lost) == (1, [1])


def test_a_connection_that_the_kernel_has_dropped_is_told_of(ends: tuple[socket.socket, socket.socket]) -> None:
    """Without a descriptor left there comes the name alone."""
    ours, theirs = ends
    lost: list[int] = []
    ours.sendall(b"imap")
    Receiver(Reactor(), theirs, lambda service: service, lambda: lost.append(1)).doRead()
    assert lost == [1]


class Exhausted:
    """A listening socket for which there are no descriptors."""

    def accept(self) -> Any:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_without_descriptors_it_rests_and_says_so_once_in_a_while() -> None:
    reactor, said = Reactor(), []
    listening: Any = Exhausted()
    acceptor = Acceptor(reactor, listening, lambda _: None, lambda event, **about: said.append((event, about)))
    acceptor.start()
    for _ in range(int(handover.QUIET / handover.PAUSE) - 1):
        acceptor.doRead()
        assert not reactor.readers
        reactor.advance(handover.PAUSE)
        assert reactor.readers == {acceptor}
    assert said == [("cannot accept connections", {"reason": "Too many open files"})]
    reactor.advance(handover.QUIET)
    acceptor.doRead()
    assert len(said) == 2
    acceptor.stop()
    assert not reactor.getDelayedCalls()
