"""A worker: a process that serves clients' connections, and leaves the gate, the moves and the ports to the daemon.

Started by `proxy.daemon.crew` as `python -m proxy.daemon.worker N`, with two sockets: the channel, and the one that
connections come by. It ends on SIGTERM, or when the daemon says so or is gone, as the daemon itself does: each session
is answered the command that it is at, and told good-bye.
"""

from __future__ import annotations

import gc

if __name__ == "__main__":
    # What is loaded now stays, and is much: to look through it for garbage again and again is a tenth of the start.
    gc.set_threshold(20_000, 20, 20)

import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from mailstore.accounts import Accounts
from mailstore.errors import MailstoreError
from proxy.admin import databases
from proxy.config import Config, parse
from proxy.daemon import logs, process
from proxy.daemon.channel import Channel, Message, octets_of
from proxy.daemon.distant import DistantGate
from proxy.daemon.handover import Receiver
from proxy.daemon.serving import Serving
from proxy.daemon.standing import figures
from proxy.daemon.threads import THREADS, Threads
from proxy.daemon.tls import Pair, ServerTls
from proxy.daemon.watching import DirectoryWatcher
from proxy.login.furnishing import Furnishing
from proxy.login.homes import Homes
from proxy.login.nodes import Nodes
from proxy.login.whereabouts import Whereabouts, mooring_of
from proxy.wire.faults import kind, where
from proxy.wire.tally import Tally

CHANNEL: Final = 3  # descriptors that a worker is started with
CONNECTIONS: Final = 4
REPORT_SECONDS: Final = 2.0


class Worker:
    """One worker, once it knows the configuration."""

    def __init__(
        self,
        config: Config,
        pair: Pair | None,
        channel: Channel,
        connections: socket.socket,
        reactor: Any,
        log: Any,
    ) -> None:
        """Raises MailstoreError, OSError, ValueError (certificate)."""
        self._log = log
        self._threads = Threads(THREADS, reactor.callFromThread)
        self._watcher = DirectoryWatcher(reactor)
        self._database = databases.accounts(config, check=False)  # the daemon has looked
        self._homes = Homes(
            databases.mailboxes(self._database),
            in_thread=self._threads.run,
            from_thread=reactor.callFromThread,
            clock=reactor,
            watcher=self._watcher,
            report=log.warning,
        )
        self._nodes: Nodes | None = None
        if self._database.engine is not None:
            self._nodes = Nodes(self._database.engine, self._homes, reactor=reactor, log=log, name="mailferry nodes")
            self._nodes.start()
            self._database.go_by(self._nodes.time)
        accounts = Accounts(self._database)
        self._homes.furnish = Furnishing(config, accounts.quota)
        mooring = mooring_of(config, accounts)
        self._homes.there = mooring.hold
        self._homes.expect = Whereabouts(accounts.find, mooring)
        self.gate = DistantGate(channel, self._homes, reactor, log)
        self.tls = None if pair is None else ServerTls(pair)
        self._tally = Tally()
        self._serving = Serving(
            config,
            self.gate,
            tls=self.tls,
            reactor=reactor,
            log=log,
            share=config.worker_count,
            closed=lambda: channel.tell("closed"),
            tally=self._tally,
        )
        self._channel = channel
        self._reporting = LoopingCall(self._report)
        self._reporting.clock = reactor
        if config.listen.metrics:
            self._reporting.start(REPORT_SECONDS).addErrback(self._report_failed)
        self._receiver = Receiver(reactor, connections, self._serving.factory, lambda: channel.tell("closed"))
        self._receiver.start()

    def _report(self) -> None:
        """Have the daemon add what was counted here to its own: it outlives this process."""
        self._channel.tell("tally", open=self._serving.open, figures=figures(os.getpid()), **self._tally.take())

    def _report_failed(self, failure: Failure) -> None:
        self._log.error("unexpected", error=kind(failure), where=where(failure))

    def hasten(self) -> None:
        """Do not wait for clients any more."""
        self._serving.hasten()

    def ease(self, within: float | None) -> None:
        """See `Serving.ease`."""
        self._serving.ease(within)

    async def stop(self) -> None:
        """Take no more, and answer what is under way."""
        self._receiver.stop()
        await self._serving.drain()
        if self._reporting.running:
            self._reporting.stop()
            self._report()
        await self._homes.closed()
        if self._nodes is not None:
            self._nodes.stop()
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

    def hear(self) -> None:
        """Signals, when the reactor runs, which has its own ideas of them. Ctrl-C is for the daemon, which tells."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: self._reactor.callFromThread(self._end))

    def _told(self, said: str, message: Message) -> None:
        if said == "begin":
            self._begin(message)
        elif said == "answer":
            self._channel.tell("answered")
        elif said == "renew":
            self._renew(message)
        elif said == "pause":
            self._channel.pause("paused")
        elif said == "resume":
            self._resume()
        elif said == "stop":
            self._end()
        elif said == "ease":
            self._ease(message)
        elif said == "hasten":
            self._hasten()
        elif self._worker is None or not self._worker.gate.told(said, message):
            raise AssertionError(f"the daemon says {said}")

    def _begin(self, message: Message) -> None:
        config = parse(octets_of(message["data"]), message["source"], Path(message["directory"]))
        try:
            certificate, key = config.tls.certificate, config.tls.key
            pair = _pair_in(message, (certificate, key)) if certificate and key else None
            self._worker = Worker(config, pair, self._channel, self._connections, self._reactor, self._log)
        except (MailstoreError, OSError, ValueError) as error:
            self._log.error("cannot start", reason=str(error))
            self._end()
            return
        process.collect_less()
        self._channel.tell("ready")

    def _renew(self, message: Message) -> None:
        if self._worker is not None and self._worker.tls is not None:
            self._worker.tls.renew(_pair_in(message, self._worker.tls.pair.names))

    def _resume(self) -> None:
        self._channel.resume(but={"login", "cancel"})
        if self._worker is not None:
            self._worker.gate.ask_again()

    def _ease(self, message: Message) -> None:
        if self._worker is not None and not self._stopping:
            self._worker.ease(message["within"])

    def _hasten(self) -> None:
        self._end()
        if self._worker is not None:
            self._worker.hasten()

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


def _pair_in(message: Message, names: tuple[Path, Path]) -> Pair:
    certificate, key = message["pair"]
    return Pair(names, octets_of(certificate), octets_of(key))


def main() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the daemon tells what there is to be renewed
    from twisted.internet import reactor as installed  # noqa: PLC0415 - each process has one of its own

    reactor: Any = installed
    number = int(sys.argv[1])
    log = logs.start(worker=number)
    process.prepare(reactor)
    life = _Life(number, reactor, log)
    reactor.callWhenRunning(life.hear)
    reactor.run()


if __name__ == "__main__":
    main()
