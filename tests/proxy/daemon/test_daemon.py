"""A whole daemon on loopback: a client at one end, a legacy server at the other."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from mailstore import secrets
from mailstore.accounts import State
from mailstore.errors import StorageFailed
from proxy import config
from proxy.config import Config, Listen
from proxy.daemon.alone import NotAlone
from proxy.daemon.listeners import PLAIN, CannotListen
from proxy.daemon.service import Daemon
from proxy.login import throttle
from proxy.login.throttle import FAILURES
from proxy.migration import pauses
from tests.legacy.server import Behaviour, LegacyServer
from tests.proxy.login.login_rig import CHEAP, CONFIG, PASSWORD
from tests.proxy.migration.scripted import folder, mail
from tests.proxy.recording import RecordingLog

reactor: Any = _reactor

MESSAGES = [mail(n) for n in range(1, 21)]
LOGIN = b'LOGIN user "' + PASSWORD + b'"'


class Client(Protocol):
    """Sends lines, and waits for what begins a line of the answer."""

    def __init__(self) -> None:
        self.seen = b""
        self.gone: Deferred[None] = Deferred()
        self._waiting: tuple[bytes, Deferred[bytes]] | None = None

    def dataReceived(self, data: bytes) -> None:
        self.seen += data
        self._look()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)
        if self._waiting is not None:
            waiting, self._waiting = self._waiting[1], None
            waiting.errback(EOFError(self.seen))

    def _look(self) -> None:
        if self._waiting is None:
            return
        start, waiting = self._waiting
        lines = self.seen.split(b"\r\n")
        for number, line in enumerate(lines[:-1]):
            if line.startswith(start):
                self.seen = b"\r\n".join(lines[number + 1 :])
                self._waiting = None
                waiting.callback(line)
                return

    def expect(self, start: bytes) -> Deferred[bytes]:
        waiting: Deferred[bytes] = Deferred()
        self._waiting = (start, waiting)
        self._look()
        return waiting

    def ask(self, line: bytes, start: bytes) -> Deferred[bytes]:
        assert self.transport is not None
        self.transport.write(line + b"\r\n")
        return self.expect(start)


class DaemonTestCase(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.patch(secrets, "_hasher", CHEAP)
        self.patch(pauses, "PAUSES", (0.0, 0.0, 0.0, 0.0))
        self.state = folder(self)
        self.log = RecordingLog()
        self.clients: list[Client] = []

    def legacy(self, messages: list[bytes] = MESSAGES, **behaviour: Any) -> LegacyServer:
        server = LegacyServer(messages, Behaviour(password=PASSWORD, **behaviour))
        server.listen(reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(server.close()))
        return server

    def settings(self, port: int) -> Config:
        """As a file says, but for the ports, of which a file must name one."""
        text = CONFIG.format(state=self.state, accounts="open", port=port, connections=5)
        free = ("tcp:0:interface=127.0.0.1",)
        return config.parse(text.encode()).model_copy(update={"listen": Listen.model_construct(imap=free, pop3=free)})

    async def daemon(self, port: int) -> Daemon:
        daemon = Daemon(self.settings(port), reactor, self.log)
        await daemon.start()
        return daemon

    async def connect(self, daemon: Daemon, service: int) -> Client:
        return await self.connect_to(daemon._listening._ports[service].getHost().port)  # type: ignore[attr-defined]

    async def connect_to(self, port: int) -> Client:
        client = Client()
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), client)
        self.clients.append(client)
        return client

    async def pop3(self, daemon: Daemon) -> Client:
        client = await self.connect(daemon, PLAIN.index("pop3"))
        await client.expect(b"+OK")
        return client

    async def imap(self, daemon: Daemon) -> Client:
        client = await self.connect(daemon, PLAIN.index("imap"))
        await client.expect(b"* OK")
        return client

    async def until(self, true: Callable[[], bool]) -> None:
        while not true():
            await deferLater(reactor, 0.005)

    def account_state(self, daemon: Daemon) -> State | None:
        account = daemon._mover._accounts.find("user", "123.com")
        return account.state if account else None

    async def stop(self, daemon: Daemon) -> None:
        await daemon.stop()
        for client in self.clients:
            await client.gone
        self.clients.clear()
        self.assertNotIn("unexpected", self.log.events())
        self.assertNotIn(PASSWORD.decode(), repr(self.log.lines))

    def run_async(self, test: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
        return Deferred.fromCoroutine(test)


class Logins(DaemonTestCase):
    def test_a_first_login_over_imap_and_a_second_over_pop3_with_the_old_server_gone(self) -> Deferred[None]:
        async def test() -> None:
            legacy = self.legacy()
            daemon = await self.daemon(legacy.port)
            imap = await self.imap(daemon)
            self.assertTrue((await imap.ask(b"a " + LOGIN, b"a ")).startswith(b"a OK"))
            await imap.ask(b"b SELECT INBOX", b"* 20 EXISTS")
            self.assertEqual((legacy.deletions, legacy.passwords), (0, 1))
            await legacy.close()
            pop3 = await self.pop3(daemon)
            await pop3.ask(b"USER user@123.com", b"+OK")
            await pop3.ask(b"PASS " + PASSWORD, b"+OK")
            self.assertTrue((await pop3.ask(b"STAT", b"+OK")).startswith(b"+OK 20 "))
            await self.stop(daemon)

        return self.run_async(test())

    def test_guesses_are_counted_together_over_which_connection_they_ever_come(self) -> Deferred[None]:
        async def test() -> None:
            self.patch(throttle, "SLOWEST", 0.0)
            legacy = self.legacy()
            daemon = await self.daemon(legacy.port)
            for number in range(FAILURES):
                imap, pop3 = await self.imap(daemon), await self.pop3(daemon)
                await imap.ask(b"a LOGIN USER@123.com imap%d" % number, b"a NO")
                await pop3.ask(b"USER user", b"+OK")
                await pop3.ask(b"PASS pop3%d" % number, b"-ERR")
            self.assertEqual(legacy.passwords, FAILURES)
            await self.stop(daemon)

        return self.run_async(test())

    def test_where_too_many_refusals_are_held_back_the_next_ends_its_connection(self) -> Deferred[None]:
        async def test() -> None:
            self.patch(throttle, "HELD_EACH", 0)
            self.patch(throttle, "SLOW_AFTER", -1)
            daemon = await self.daemon(self.legacy().port)
            imap, pop3 = await self.imap(daemon), await self.pop3(daemon)
            await imap.ask(b"a LOGIN user guess", b"* BYE")
            await imap.gone
            await pop3.ask(b"USER user", b"+OK")
            await pop3.ask(b"PASS guess", b"-ERR [AUTH]")
            await pop3.gone
            await self.stop(daemon)

        return self.run_async(test())

    def test_each_refusal_in_the_words_of_its_protocol(self) -> Deferred[None]:
        async def test() -> None:
            legacy = self.legacy()
            daemon = await self.daemon(legacy.port)
            imap, pop3 = await self.imap(daemon), await self.pop3(daemon)
            self.assertIn(b"NO [AUTHENTICATIONFAILED]", await imap.ask(b"a LOGIN user guess", b"a "))
            await pop3.ask(b"USER user", b"+OK")
            self.assertIn(b"-ERR [AUTH]", await pop3.ask(b"PASS guess", b"-ERR"))
            await legacy.close()
            self.assertIn(b"NO [UNAVAILABLE]", await imap.ask(b"b " + LOGIN, b"b "))
            await pop3.ask(b"USER user", b"+OK")
            self.assertIn(b"-ERR [SYS/TEMP]", await pop3.ask(b"PASS " + PASSWORD, b"-ERR"))
            await self.stop(daemon)

        return self.run_async(test())

    def test_two_clients_at_once_share_one_move(self) -> Deferred[None]:
        async def test() -> None:
            legacy = self.legacy()
            daemon = await self.daemon(legacy.port)
            first, second = await self.imap(daemon), await self.imap(daemon)
            answers = [first.ask(b"a " + LOGIN, b"a "), second.ask(b"a " + LOGIN, b"a ")]
            for answer in answers:
                self.assertTrue((await answer).startswith(b"a OK"))
            self.assertEqual(legacy.connections, 1)
            await self.stop(daemon)

        return self.run_async(test())

    def test_a_client_that_leaves_while_held_leaves_the_move_to_go_on(self) -> Deferred[None]:
        async def test() -> None:
            legacy = self.legacy(pieces=300)
            daemon = await self.daemon(legacy.port)
            imap = await self.imap(daemon)
            answer = imap.ask(b"a " + LOGIN, b"a ")
            answer.addErrback(lambda _: None)
            await self.until(lambda: legacy.asked(b"RETR") > 0)
            imap.transport.abortConnection()  # type: ignore[union-attr]
            await self.until(lambda: self.account_state(daemon) is State.MOVED)
            await self.until(lambda: not daemon._homes._open)
            await self.stop(daemon)

        return self.run_async(test())


class StartingAndStopping(DaemonTestCase):
    def test_a_move_is_stopped_and_goes_on_with_the_next_daemon(self) -> Deferred[None]:
        async def test() -> None:
            legacy = self.legacy(stop_in=15)
            daemon = await self.daemon(legacy.port)
            imap = await self.imap(daemon)
            answer = imap.ask(b"a " + LOGIN, b"a ")
            await self.until(lambda: legacy.asked(b"RETR") > 0 and self.account_state(daemon) is State.MOVING)
            stopping = Deferred.fromCoroutine(self.stop(daemon))
            self.assertIn(b"NO [UNAVAILABLE]", await answer)
            await stopping
            self.assertEqual(self.log.events("info")[-1], "stopped")
            legacy.behaviour.stop_in = 0
            daemon = await self.daemon(legacy.port)
            await self.until(lambda: self.account_state(daemon) is State.MOVED)
            await legacy.close()
            imap = await self.imap(daemon)
            await imap.ask(b"a " + LOGIN, b"a OK")
            await imap.ask(b"b SELECT INBOX", b"* 20 EXISTS")
            await self.stop(daemon)

        return self.run_async(test())

    def test_nobody_is_left_waiting_when_it_stops_during_a_check(self) -> Deferred[None]:
        async def test() -> None:
            legacy = self.legacy(silent_at=frozenset({b"PASS"}))
            daemon = await self.daemon(legacy.port)
            imap = await self.imap(daemon)
            answer = imap.ask(b"a " + LOGIN, b"a ")
            await self.until(lambda: legacy.asked(b"PASS") > 0)
            stopping = Deferred.fromCoroutine(self.stop(daemon))
            self.assertIn(b"NO [UNAVAILABLE]", await answer)
            await stopping
            await legacy.close()
            await deferLater(reactor, 0)

        return self.run_async(test())

    def test_an_idle_session_is_told_good_bye(self) -> Deferred[None]:
        async def test() -> None:
            daemon = await self.daemon(self.legacy().port)
            imap, pop3 = await self.imap(daemon), await self.pop3(daemon)
            await imap.ask(b"a " + LOGIN, b"a OK")
            bye = imap.expect(b"* BYE")
            await self.stop(daemon)
            await bye
            self.assertTrue(pop3.gone.called)

        return self.run_async(test())

    def test_a_port_that_is_taken(self) -> Deferred[None]:
        async def test() -> None:
            legacy = self.legacy()
            taken = (f"tcp:{legacy.port}:interface=127.0.0.1",)
            settings = self.settings(1).model_copy(update={"listen": Listen.model_construct(imap=taken)})
            daemon = Daemon(settings, reactor, self.log)
            await self.assertFailure(Deferred.fromCoroutine(daemon.start()), CannotListen)
            await self.stop(daemon)

        return self.run_async(test())

    def test_a_second_daemon_with_the_same_state(self) -> Deferred[None]:
        async def test() -> None:
            first = await self.daemon(1)
            self.assertRaises(NotAlone, Daemon, self.settings(1), reactor, self.log)
            await self.stop(first)
            await self.stop(await self.daemon(1))

        return self.run_async(test())

    def test_a_state_directory_that_cannot_be_used(self) -> None:
        (self.state / "blocked").write_bytes(b"")
        settings = self.settings(1).model_copy(update={"state": self.state / "blocked"})
        self.assertRaises(StorageFailed, Daemon, settings, reactor, self.log)

    def test_a_key_that_others_can_read(self) -> None:
        key: Path = self.state / "sealing.key"
        key.write_bytes(b"k" * secrets.KEY_OCTETS)
        key.chmod(0o644)
        self.assertRaises(StorageFailed, Daemon, self.settings(1), reactor, self.log)
