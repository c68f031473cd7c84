"""A worker: a process that serves clients' connections, and leaves the gate, the moves and the ports to the daemon.

Started by `proxy.daemon.crew` as `python -m proxy.daemon.worker N`, with two sockets: the channel, and the one that
connections come by. It ends on SIGTERM, or when the daemon says so or is gone, as the daemon itself does: each session
is answered the command that it is at, and told good-bye.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any, Final

from twisted.internet import reactor as _installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase, MailboxEngine
from mailstore.errors import MailstoreError
from proxy.config import Config, parse
from proxy.daemon import logs, process
from proxy.daemon.channel import Channel, Message, octets_of
from proxy.daemon.distant import DistantGate
from proxy.daemon.handover import Receiver
from proxy.daemon.serving import Serving
from proxy.daemon.threads import THREADS, Threads
from proxy.daemon.watching import DirectoryWatcher
from proxy.login.furnishing import Furnishing
from proxy.login.homes import Homes
from proxy.wire.faults import kind, where

CHANNEL: Final = 3  # descriptors that a worker is started with
CONNECTIONS: Final = 4


class Worker:
    """One worker, once it knows the configuration."""

    def __init__(self, config: Config, channel: Channel, connections: socket.socket, reactor: Any, log: Any) -> None:
        """Raises MailstoreError, OSError, ValueError (certificate)."""
        self._log = log
        self._threads = Threads(THREADS, reactor.callFromThread)
        self._watcher = DirectoryWatcher(reactor)
        self._homes = Homes(
            MailboxEngine(),
            in_thread=self._threads.run,
            from_thread=reactor.callFromThread,
            clock=reactor,
            watcher=self._watcher,
            report=log.warning,
        )
        self._database = AccountsDatabase(config.accounts_file)
        self._homes.furnish = Furnishing(config, Accounts(self._database).quota)
        self.gate = DistantGate(channel, self._homes, log)
        self._serving = Serving(
            config,
            self.gate,
            reactor=reactor,
            log=log,
            share=config.worker_count,
            closed=lambda: channel.tell("closed"),
        )
        self._receiver = Receiver(reactor, connections, self._serving.factory)
        self._receiver.start()

    async def stop(self) -> None:
        """Take no more, and answer what is under way."""
        self._receiver.stop()
        await self._serving.drain()
        await self._homes.closed()
        self._watcher.close()
        self._threads.stop()
        self._database.close()


class _Life:
    """From the process's start to its end."""

    def __init__(self, number: int, reactor: Any, log: Any) -> None:
        self._number = number
        self._reactor = reactor
        self._log = log
        self._worker: Worker | None = None
        self._stopping = False
        self._channel = Channel(self._told, self._lost)
        self._connections = socket.socket(fileno=CONNECTIONS)
        self._connections.setblocking(False)
        reactor.adoptStreamConnection(CHANNEL, socket.AF_UNIX, Factory.forProtocol(lambda: self._channel))
        reactor.addSystemEventTrigger("before", "shutdown", self._stop)

    def _told(self, said: str, message: Message) -> None:
        if said == "begin":
            self._begin(message)
        elif said == "stop":
            self._end()
        elif self._worker is None or not self._worker.gate.told(said, message):
            raise AssertionError(f"the daemon says {said}")

    def _begin(self, message: Message) -> None:
        config = parse(octets_of(message["data"]), message["source"], Path(message["directory"]))
        try:
            self._worker = Worker(config, self._channel, self._connections, self._reactor, self._log)
        except (MailstoreError, OSError, ValueError) as error:
            self._log.error("cannot start", reason=str(error))
            self._end()
            return
        process.collect_less()
        self._channel.tell("ready")

    def _lost(self) -> None:
        """Without the daemon nobody can log in."""
        if not self._stopping:
            self._log.error("the daemon is gone")
        if self._worker is not None:
            self._worker.gate.give_up()
        self._end()

    def _end(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._reactor.callLater(0, self._reactor.stop)

    def _stop(self) -> Deferred[None] | None:
        self._stopping = True
        if self._worker is None:
            return None
        return Deferred.fromCoroutine(self._worker.stop()).addErrback(self._stop_failed)

    def _stop_failed(self, failure: Failure) -> None:
        self._log.error("stopping failed", error=kind(failure), where=where(failure))


def main() -> None:
    reactor: Any = _installed_reactor
    number = int(sys.argv[1])
    log = logs.start(worker=number)
    process.prepare()
    _Life(number, reactor, log)
    reactor.run()


if __name__ == "__main__":
    main()
