"""The process that writes messages, as the daemon has it."""

from __future__ import annotations

import os
import signal

from twisted.internet.defer import Deferred

from proxy.daemon import scribing
from proxy.daemon.service import Daemon
from tests.proxy.daemon.test_daemon import LOGIN, DaemonTestCase
from tests.proxy.migration.scripted import mail


class ScribeTestCase(DaemonTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(scribing, "AGAIN_SECONDS", 0.0)
        self.patch(os, "sched_getaffinity", lambda _pid: {0, 1})

    def process(self, daemon: Daemon) -> int:
        transport = daemon._moving.scribe.transport
        return 0 if transport is None else transport.pid or 0

    async def log_in(self, daemon: Daemon, count: int) -> None:
        imap = await self.imap(daemon)
        self.assertTrue((await imap.ask(b"a " + LOGIN, b"a ")).startswith(b"a OK"))
        await imap.ask(b"b SELECT INBOX", b"* %d EXISTS" % count)


class Scribing(ScribeTestCase):
    def test_it_is_there_before_the_first_login_and_gone_with_the_daemon(self) -> Deferred[None]:
        async def test() -> None:
            daemon = await self.daemon(self.legacy().port)
            process = self.process(daemon)
            await self.log_in(daemon, 20)
            self.assertEqual(self.process(daemon), process)
            await self.stop(daemon)
            self.assertRaises(ProcessLookupError, os.kill, process, 0)

        return self.run_async(test())

    def test_it_is_killed_during_a_move_and_replaced(self) -> Deferred[None]:
        async def test() -> None:
            messages = [mail(n) * 200 for n in range(1, 101)]
            legacy = self.legacy(messages, pieces=1000)
            daemon = await self.daemon(legacy.port)
            process = self.process(daemon)
            entering = Deferred.fromCoroutine(self.log_in(daemon, 100))
            await self.until(lambda: legacy.asked(b"RETR") > 0)
            os.kill(process, signal.SIGKILL)
            await entering
            await self.until(lambda: self.process(daemon) not in (process, 0))
            self.assertEqual(self.log.events().count("the process that writes messages died"), 1)
            await self.stop(daemon)

        return self.run_async(test())

    def test_what_is_for_the_daemon_does_not_end_it_however_early(self) -> Deferred[None]:
        """As when a terminal goes that both are in."""

        async def test() -> None:
            daemon = await self.daemon(self.legacy().port)
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
                os.kill(self.process(daemon), number)
            await self.log_in(daemon, 20)
            self.assertEqual(self.log.events().count("the process that writes messages died"), 0)
            await self.stop(daemon)

        return self.run_async(test())

    def test_one_core_has_none(self) -> Deferred[None]:
        async def test() -> None:
            self.patch(os, "sched_getaffinity", lambda _pid: {0})
            daemon = await self.daemon(self.legacy().port)
            self.assertEqual(self.process(daemon), 0)
            await self.log_in(daemon, 20)
            await self.stop(daemon)

        return self.run_async(test())
