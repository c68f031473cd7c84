"""A daemon with two workers: the same as with one, and what is between them."""

from __future__ import annotations

import errno
import os
import signal
import sys
from typing import Any, cast

from twisted.internet.defer import Deferred

from proxy import config
from proxy.config import Config, Listen
from proxy.daemon import crew
from proxy.daemon.crew import Crew, WorkerFailed
from proxy.daemon.employed import Employed
from proxy.daemon.service import Daemon
from tests.proxy.daemon import test_daemon
from tests.proxy.daemon.test_daemon import LOGIN, MESSAGES, Client, DaemonTestCase, reactor
from tests.proxy.login.login_rig import CONFIG, PASSWORD
from tests.proxy.migration.scripted import mail

FREE = ("tcp:0:interface=127.0.0.1",)


class WithWorkers(DaemonTestCase):
    timeout = 60  # each worker is a Python of its own, and the machine may be busy
    refresh = "5m"

    def settings(self, port: int) -> Config:
        text = CONFIG.format(state=self.state, accounts="open", port=port, connections=5)
        text = text.replace("workers = 1", "workers = 2").replace("5m", self.refresh)
        return config.parse(text.encode()).model_copy(update={"listen": Listen.model_construct(imap=FREE, pop3=FREE)})


class LoginsWithWorkers(WithWorkers, test_daemon.Logins):
    """All that holds for one process."""


class BetweenWorkers(WithWorkers):
    def workers(self, daemon: Daemon) -> list[crew._Worker]:
        assert daemon._crew is not None
        return sorted(daemon._crew._workers, key=lambda worker: worker.number)

    async def until_ready(self, daemon: Daemon, count: int) -> None:
        await self.until(lambda: sum(worker.serving for worker in self.workers(daemon)) == count)

    async def both_in_the_inbox(self, daemon: Daemon) -> tuple[Client, Client]:
        """Two sessions of one account, each in a worker of its own."""
        clients = await self.imap(daemon), await self.imap(daemon)
        for client in clients:
            await client.ask(b"a " + LOGIN, b"a OK")
            await client.ask(b"b SELECT INBOX", b"b OK")
        return clients

    def test_connections_go_to_the_worker_that_has_the_fewest(self) -> Deferred[None]:
        async def test() -> None:
            daemon = await self.daemon(self.legacy().port)
            clients = [await self.imap(daemon) for _ in range(6)]
            self.assertEqual([worker.connections for worker in self.workers(daemon)], [3, 3])
            await clients[0].ask(b"a LOGOUT", b"a OK")
            await clients[0].gone
            await self.until(lambda: sorted(worker.connections for worker in self.workers(daemon)) == [2, 3])
            await self.imap(daemon)
            self.assertEqual([worker.connections for worker in self.workers(daemon)], [3, 3])
            await self.stop(daemon)

        return self.run_async(test())

    def test_what_one_does_the_sessions_of_the_other_are_told(self) -> Deferred[None]:
        async def test() -> None:
            daemon = await self.daemon(self.legacy().port)
            first, second = await self.both_in_the_inbox(daemon)
            await second.ask(b"c IDLE", b"+")
            told = second.expect(b"* 3 FETCH")
            await first.ask(b"c STORE 3 +FLAGS (\\Flagged)", b"c OK")
            self.assertIn(b"\\Flagged", await told)
            told = second.expect(b"* 21 EXISTS")
            await first.ask(b"d APPEND INBOX {5}", b"+")
            await first.ask(b"a: b\n", b"d OK")
            await told
            told = second.expect(b"* 3 EXPUNGE")
            await first.ask(b"e STORE 3 +FLAGS.SILENT (\\Deleted)", b"e OK")
            await first.ask(b"f EXPUNGE", b"f OK")
            await told
            await self.stop(daemon)

        return self.run_async(test())

    def test_what_one_has_answered_the_other_knows(self) -> Deferred[None]:
        async def test() -> None:
            daemon = await self.daemon(self.legacy().port)
            first, second = await self.both_in_the_inbox(daemon)
            for n in range(1, 21):
                await first.ask(b"c STORE %d +FLAGS.SILENT (\\Flagged)" % n, b"c OK")
                told = await second.ask(b"d NOOP", b"")
                self.assertTrue(told.startswith(b"* %d FETCH" % n), told)
                await second.expect(b"d OK")
            self.assertEqual(daemon._crew._news, {})  # type: ignore[union-attr]
            await self.stop(daemon)

        return self.run_async(test())

    def test_a_worker_that_hangs_keeps_no_other_waiting_for_long(self) -> Deferred[None]:
        async def test() -> None:
            self.patch(crew, "SHARE_SECONDS", 0.1)
            daemon = await self.daemon(self.legacy().port)
            first, second = await self.both_in_the_inbox(daemon)
            _, other = self.workers(daemon)
            assert other.transport is not None
            pid = other.transport.pid  # type: ignore[attr-defined]
            os.kill(pid, signal.SIGSTOP)
            await first.ask(b"c STORE 3 +FLAGS (\\Flagged)", b"c OK")
            os.kill(pid, signal.SIGCONT)
            await second.ask(b"d IDLE", b"* 3 FETCH")  # what it is told waits with the command, in whichever order
            await self.stop(daemon)

        return self.run_async(test())

    def test_a_worker_that_never_answers_is_replaced_and_the_other_goes_on(self) -> Deferred[None]:
        async def test() -> None:
            daemon = await self.daemon(self.legacy().port)
            sessions = [await self.imap(daemon) for _ in range(2)]
            one, other = self.workers(daemon)
            self.assertEqual(daemon.status(), "1 domain, 2 sessions, 0 moves")
            assert other.transport is not None
            os.kill(other.transport.pid, signal.SIGSTOP)  # type: ignore[attr-defined]
            for _ in range(crew.PATIENCE + 1):
                self.assertEqual(self.log.events("error"), [])
                self.assertTrue(daemon.lives())
                daemon._crew.look_after()  # type: ignore[union-attr]
                await self.until(lambda: one.owing == 0)
            await self.until(lambda: other not in self.workers(daemon))
            self.assertEqual(daemon.status(), "1 domain, 1 session, 0 moves, 1 of 2 workers")
            self.assertEqual(self.log.events("error"), ["worker does not answer", "worker died"])
            await self.until_ready(daemon, 2)
            gone = [session for session in sessions if session.gone.called]
            self.assertEqual(len(gone), 1)
            await self.stop(daemon)

        return self.run_async(test())

    def test_one_that_does_not_answer_is_given_no_more_clients(self) -> Deferred[None]:
        async def test() -> None:
            daemon = await self.daemon(self.legacy().port)
            one, other = self.workers(daemon)
            other.owing = 2
            for _ in range(3):
                await self.imap(daemon)
            self.assertEqual([one.connections, other.connections], [3, 0])
            other.owing = 0
            await self.imap(daemon)
            self.assertEqual([one.connections, other.connections], [3, 1])
            await self.stop(daemon)

        return self.run_async(test())

    def test_a_daemon_that_halts_keeps_no_command_waiting_for_long(self) -> Deferred[None]:
        """Nobody can be told of the change: whoever made it is answered all the same."""

        async def test() -> None:
            daemon = await self.daemon(self.legacy().port)
            first, second = await self.both_in_the_inbox(daemon)
            self.patch(Crew, "_pass_on", lambda *_: None)
            await first.ask(b"c STORE 3 +FLAGS (\\Flagged)", b"c OK")
            await first.ask(b"d NOOP", b"d OK")
            await second.ask(b"c NOOP", b"c OK")
            await self.stop(daemon)

        return self.run_async(test())

    def test_where_none_can_be_started_for_now_it_is_tried_again(self) -> Deferred[None]:
        async def test() -> None:
            daemon = await self.daemon(self.legacy().port)
            start = Employed.start
            left = [2]

            def refused(worker: Employed, reactor: Any) -> None:
                if left[0]:
                    left[0] -= 1
                    raise OSError(errno.EMFILE, "Too many open files")
                start(worker, reactor)

            self.patch(Employed, "start", refused)
            _, other = self.workers(daemon)
            os.kill(cast(int, other.pid), signal.SIGKILL)
            await self.until(lambda: left == [0])
            await self.until_ready(daemon, 2)
            self.assertEqual(self.log.events("error"), ["worker died", "worker not started", "worker not started"])
            await self.stop(daemon)

        return self.run_async(test())

    def test_they_say_nothing_of_an_account_that_only_one_has_open(self) -> Deferred[None]:
        async def test() -> None:
            daemon = await self.daemon(self.legacy().port)
            first, second = await self.imap(daemon), await self.imap(daemon)
            await first.ask(b"a " + LOGIN, b"a OK")
            one, _ = self.workers(daemon)
            self.assertEqual(one.sharing, set())
            await second.ask(b"a " + LOGIN, b"a OK")
            self.assertEqual(len(one.sharing), 1)
            await second.ask(b"b LOGOUT", b"b OK")
            await self.until(lambda: not one.sharing)
            await self.stop(daemon)

        return self.run_async(test())

    def test_a_pop3_session_has_the_maildrop_for_itself_whichever_worker_it_is_in(self) -> Deferred[None]:
        async def test() -> None:
            daemon = await self.daemon(self.legacy().port)
            first, second = await self.pop3(daemon), await self.pop3(daemon)
            for client in (first, second):
                await client.ask(b"USER user", b"+OK")
            await first.ask(b"PASS " + PASSWORD, b"+OK")
            self.assertIn(b"[IN-USE]", await second.ask(b"PASS " + PASSWORD, b"-ERR"))
            await first.ask(b"DELE 1", b"+OK")
            await first.ask(b"QUIT", b"+OK")
            await first.gone
            await second.ask(b"USER user", b"+OK")
            await second.ask(b"PASS " + PASSWORD, b"+OK")
            self.assertTrue((await second.ask(b"STAT", b"+OK")).startswith(b"+OK 19 "))
            await self.stop(daemon)

        return self.run_async(test())

    def test_what_a_later_move_brings_is_told_to_sessions_of_workers(self) -> Deferred[None]:
        async def test() -> None:
            legacy = self.legacy(list(MESSAGES))
            self.refresh = "0s"
            daemon = await self.daemon(legacy.port)
            first = await self.imap(daemon)
            await first.ask(b"a " + LOGIN, b"a OK")
            await first.ask(b"b SELECT INBOX", b"b OK")
            await first.ask(b"c IDLE", b"+")
            told = first.expect(b"* 21 EXISTS")
            legacy.messages.append(mail(21))
            second = await self.imap(daemon)
            await second.ask(b"a " + LOGIN, b"a OK")
            await told
            await self.until(lambda: not daemon._homes._open)
            await self.stop(daemon)

        return self.run_async(test())

    def test_one_that_dies_costs_its_own_sessions_and_is_replaced(self) -> Deferred[None]:
        async def test() -> None:
            daemon = await self.daemon(self.legacy().port)
            first, second = await self.imap(daemon), await self.imap(daemon)
            for client in (first, second):
                await client.ask(b"a " + LOGIN, b"a OK")
            one, other = self.workers(daemon)
            assert one.transport is not None
            os.kill(one.transport.pid, signal.SIGKILL)  # type: ignore[attr-defined]
            await first.gone
            await second.ask(b"b SELECT INBOX", b"b OK")
            await self.until(lambda: one not in self.workers(daemon))
            self.assertEqual(other.sharing, set())
            await self.until_ready(daemon, 2)
            clients = [await self.imap(daemon) for _ in range(3)]
            for client in clients:
                await client.ask(b"a " + LOGIN, b"a OK")
            self.assertEqual([worker.connections for worker in self.workers(daemon)], [2, 2])
            self.assertEqual(self.log.events("error"), ["worker died"])
            await self.stop(daemon)

        return self.run_async(test())

    def test_a_client_waits_while_there_is_no_worker(self) -> Deferred[None]:
        async def test() -> None:
            daemon = await self.daemon(self.legacy().port)
            for worker in self.workers(daemon):
                assert worker.transport is not None
                os.kill(worker.transport.pid, signal.SIGKILL)  # type: ignore[attr-defined]
            await self.until(lambda: not self.workers(daemon))
            client = await self.imap(daemon)
            await client.ask(b"a " + LOGIN, b"a OK")
            await self.stop(daemon)

        return self.run_async(test())

    def test_a_worker_that_is_told_to_end_answers_what_is_under_way(self) -> Deferred[None]:
        async def test() -> None:
            daemon = await self.daemon(self.legacy().port)
            client = await self.imap(daemon)
            await client.ask(b"a " + LOGIN, b"a OK")
            one, _ = self.workers(daemon)
            bye = client.expect(b"* BYE")
            assert one.transport is not None
            one.transport.signalProcess("TERM")  # type: ignore[attr-defined]
            await bye
            await client.gone
            await self.until(lambda: one not in self.workers(daemon))
            await self.until_ready(daemon, 2)
            await self.stop(daemon)

        return self.run_async(test())

    def test_workers_that_do_not_start(self) -> Deferred[None]:
        async def test() -> None:
            self.patch(sys, "executable", "/bin/false")
            daemon = Daemon(self.settings(self.legacy().port), reactor, self.log)
            await self.assertFailure(Deferred.fromCoroutine(daemon.start()), WorkerFailed)
            await daemon.stop()

        return self.run_async(test())
