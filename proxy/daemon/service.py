"""Everything wired together: the daemon.

    listeners → proxy.imap.server, proxy.pop3.server → proxy.login.gate → proxy.migration → mailstore

On SIGTERM or SIGINT the listeners close first; each session is answered the command it is at and then told
good-bye; moves end at their last barriers and go on at the next start.
"""

from __future__ import annotations

import ctypes
import gc
import resource
from typing import IO, Any, Final

from twisted.internet import reactor as _installed_reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.python.failure import Failure

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase, MailboxEngine
from mailstore.errors import MailstoreError
from mailstore.secrets import Sealer, load_key
from proxy.config import Config
from proxy.daemon import logs
from proxy.daemon.alone import Alone, NotAlone
from proxy.daemon.listeners import PLAIN, WITH_TLS, CannotListen, Listening
from proxy.daemon.threads import Threads
from proxy.daemon.tls import ServerTls
from proxy.daemon.watching import DirectoryWatcher
from proxy.imap.server import ImapFactory, spooled
from proxy.login.furnishing import Furnishing
from proxy.login.gate import LoginGate
from proxy.login.homes import Homes
from proxy.login.legacy import LegacyDoor
from proxy.login.mover import Mover
from proxy.login.notes import LoginNotes
from proxy.pop3.server import Pop3Factory
from proxy.wire.door import Terms
from proxy.wire.faults import kind, where

_M_MMAP_THRESHOLD: Final = -3  # mallopt(3)
_M_ARENA_MAX: Final = -8
THREADS: Final = 4  # for files, databases and password hashes: see `proxy.daemon.threads`


class Daemon:
    """One process of mailferry. `reactor` is Twisted's, not yet running."""

    def __init__(self, config: Config, reactor: Any, log: Any) -> None:
        """Open what is in the state directory. Raises MailstoreError, NotAlone, OSError, ValueError (certificate)."""
        self._config = config
        self._reactor = reactor
        self._log = log
        self._threads = Threads(THREADS, reactor.callFromThread)
        in_thread = self._threads.run
        self._database = AccountsDatabase(config.accounts_file)
        self._alone = Alone(config.state)
        sealer = Sealer(load_key(config.key_file))
        accounts = Accounts(self._database)
        self._watcher = DirectoryWatcher(reactor)
        self._homes = Homes(
            MailboxEngine(),
            in_thread=in_thread,
            from_thread=reactor.callFromThread,
            clock=reactor,
            watcher=self._watcher,
            report=log.warning,
        )
        self._homes.furnish = Furnishing(config)
        door = LegacyDoor(config, reactor)
        self._mover = Mover(config, accounts, sealer, self._homes, door, reactor=reactor, in_thread=in_thread, log=log)
        self._notes = LoginNotes(accounts, clock=reactor, in_thread=in_thread, log=log)
        gate = LoginGate(
            config,
            accounts,
            sealer,
            self._homes,
            door,
            self._mover,
            reactor=reactor,
            in_thread=in_thread,
            log=log,
            notes=self._notes,
        )
        tls = config.tls
        self._tls = ServerTls(tls.certificate, tls.key) if tls.certificate and tls.key else None
        terms = Terms(config.hostname, self._tls, tls.plaintext_login)
        self._factories: dict[str, ImapFactory | Pop3Factory] = {
            "imap": ImapFactory(gate, terms, log, reactor, self._spool),
            "pop3": Pop3Factory(gate, terms, log, reactor),
        }
        self._listening = Listening(reactor)

    def _spool(self) -> IO[bytes]:
        """On the disk that the message is for: the system's own temporary directory may be memory."""
        return spooled(self._config.state)

    async def start(self) -> None:
        """Listen, and go on with what was interrupted. Raises CannotListen."""
        endpoints = {name: getattr(self._config.listen, name) or () for name in (*PLAIN, *WITH_TLS)}
        factories = {name: self._factories[name.removesuffix("s")] for name in endpoints}
        listening = await self._listening.open(endpoints, factories, self._tls)
        self._log.info("listening", on=listening, domains=sorted(self._config.domains))
        for warning in self._config.warnings:
            self._log.warning("configuration", about=str(warning))
        await self._mover.resume()

    async def stop(self) -> None:
        """Take no more, answer what is under way, end moves at their last barriers."""
        self._log.info("stopping")
        await self._listening.close()
        await self._mover.stop()
        await gatherResults([factory.drain() for factory in self._factories.values()])
        await self._notes.flush()
        await self._homes.closed()
        self._watcher.close()
        self._database.close()
        self._threads.stop()
        self._alone.end()
        self._log.info("stopped")


def _allow_many_descriptors() -> None:
    """As many open files as the system lets this process have: each session is one, and each message being read."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _give_memory_back() -> None:
    """Have the C library return what is large and freed at once: the 19 MiB of a password's hash above all. Without
    this it keeps them, once for each thread that ever hashed."""
    libc = ctypes.CDLL(None)
    mallopt = getattr(libc, "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1024 * 1024)
        mallopt(_M_ARENA_MAX, 2)


def _collect_less() -> None:
    """What is there when the daemon starts stays: the garbage collector need not look at it again. And sessions make
    few cycles but many objects: with the usual threshold a tenth of the time went into looking for nothing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def serve(config: Config) -> int:
    """Run the daemon until it is told to stop; gives back the exit status. Call once in a process."""
    reactor: Any = _installed_reactor
    log = logs.start()
    _allow_many_descriptors()
    _give_memory_back()
    status = 0
    try:
        daemon = Daemon(config, reactor, log)
    except (MailstoreError, NotAlone, OSError, ValueError) as error:
        log.error("cannot start", reason=str(error))  # noqa: TRY400 - a line, no traceback
        return 1

    def failed(failure: Failure) -> None:
        nonlocal status
        status = 1
        if isinstance(failure.value, (CannotListen, MailstoreError)):
            log.error("cannot start", reason=failure.getErrorMessage())
        else:
            log.error("cannot start", error=kind(failure), where=where(failure))
        reactor.stop()

    def stop_failed(failure: Failure) -> None:
        log.error("stopping failed", error=kind(failure), where=where(failure))

    def start() -> None:
        Deferred.fromCoroutine(daemon.start()).addErrback(failed)

    def stop() -> Deferred[None]:
        return Deferred.fromCoroutine(daemon.stop()).addErrback(stop_failed)

    _collect_less()
    reactor.callWhenRunning(start)
    reactor.addSystemEventTrigger("before", "shutdown", stop)
    reactor.run()
    return status
