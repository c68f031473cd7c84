"""`mailferry migrate`, `pause`, `resume` and `retry`, by subprocess: with a daemon and without one."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred

from mailstore.accounts import State
from tests.proxy.cli.company import PASSWORD, CompanyTestCase
from tests.proxy.migration.scripted import mail

WORD = PASSWORD.decode()
BOXES = {name: [mail(n) for n in range(1, 11)] for name in ("anna", "li", "wang", "chen")}
NOT_TAKEN = "the legacy server does not take the password that was given for this account"
LONG = {"long": [mail(n) for n in range(200)]}  # whose server stops in the middle of it until it is told to go on


class MigrateCase(CompanyTestCase):
    def run_async(self, test: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
        return ensureDeferred(test)

    def known(self, *names: str) -> tuple[str, ...]:
        """Options that give these accounts' passwords, whether or not their domain is proven."""
        return "--force", "--passwords", self.passwords(*(f"{name}@123.com,{WORD}" for name in names))


class WithoutDaemon(MigrateCase):
    def test_accounts_are_made_and_moved_and_each_is_said(self) -> Deferred[None]:
        async def test() -> None:
            server = self.serve_old_mail(BOXES)
            ran = await self.mailferry("migrate", *self.known("anna", "li"))
            self.assertEqual(ran.err, "")
            self.assertEqual(ran.status, 0)
            self.assertEqual(ran.lines[-1], "2 of 2 accounts are here")
            self.assertEqual(sorted(ran.lines[:-1])[0], "anna@123.com  here  messages 10  bytes 692 B")
            self.assertEqual({name: a.state for name, a in self.accounts().items()}["li@123.com"], State.MOVED)
            act, end = (json.loads(line) for line in (self.state / "audit.log").read_text().splitlines())
            self.assertEqual((act["did"], act["passwords"], end["status"]), ("migrate", 2, 0))
            self.assertEqual({act["trace"], end["trace"]}, {a.trace for a in self.accounts().values()})
            self.assertEqual((server.passwords, server.deletions), (2, 0))
            server.mailboxes[b"li"].append(mail(11))
            ran = await self.mailferry("migrate", "--all", "--force", "--json")
            self.assertEqual(ran.events[-1], {"event": "end", "over": True, "here": 2, "accounts": 2})
            self.assertEqual(self.accounts()["li@123.com"].messages_done, 11)

        return self.run_async(test())

    def test_those_that_are_not_here_are_listed_with_their_reasons(self) -> Deferred[None]:
        async def test() -> None:
            server = self.serve_old_mail(BOXES)
            file = self.passwords(f"anna@123.com,{WORD}", "li@123.com,wrong")
            ran = await self.mailferry("migrate", "nobody@123.com", "--force", "--passwords", file)
            self.assertEqual((ran.status, ran.err), (1, ""))
            self.assertEqual(
                sorted(ran.lines),
                [
                    "1 of 3 accounts are here",
                    "anna@123.com  here  messages 10  bytes 692 B",
                    f"li@123.com  not here  {NOT_TAKEN}",
                    "nobody@123.com  not here  there is no such account here yet: give its password with --passwords",
                ],
            )
            ran = await self.mailferry("migrate", "--domain", "123.com", "--force")
            self.assertEqual(ran.status, 0)
            self.assertIn("1 more account is not asked for", ran.lines[0])
            self.assertEqual(server.passwords, 3)  # the wrong one was sent once
            self.assertNotIn("wrong", ran.out + ran.err)

        return self.run_async(test())

    def test_a_server_that_is_not_there_ends_it_soon(self) -> Deferred[None]:
        async def test() -> None:
            server = self.serve_old_mail(BOXES)
            await server.close()
            ran = await self.mailferry("migrate", *self.known(*BOXES))
            self.assertEqual((ran.status, ran.lines[-1]), (1, "0 of 4 accounts are here"))
            self.assertIn("refuses connections", ran.out)

        return self.run_async(test())

    def test_ctrl_c_ends_it_at_the_last_barrier_and_the_next_goes_on(self) -> Deferred[None]:
        async def test() -> None:
            server = self.serve_old_mail(LONG, stop_in=150)
            command = self.begin("migrate", *self.known("long"))
            await self.until(lambda: server.asked(b"RETR") >= 150)
            command.interrupt()
            ran = await command.ended
            self.assertEqual(ran.status, 1)
            self.assertIn("the next move goes on from there", ran.err)
            account = self.accounts()["long@123.com"]
            self.assertEqual((account.state, account.asked), (State.MOVING, None))
            server.behaviour.stop_in = 0
            ran = await self.mailferry("migrate", "long@123.com")
            self.assertEqual((ran.status, ran.lines[-1]), (0, "1 of 1 accounts are here"))
            self.assertEqual(self.accounts()["long@123.com"].messages_done, 200)

        return self.run_async(test())

    def test_what_failed_is_tried_again(self) -> Deferred[None]:
        async def test() -> None:
            server = self.serve_old_mail(BOXES, vanished=frozenset({4}))
            ran = await self.mailferry("migrate", *self.known("anna", "li"))
            self.assertEqual(ran.status, 1)
            self.assertIn("anna@123.com  not here  1 message", ran.out)
            await self.mailferry("migrate", "anna@123.com")  # as often as it is asked for by itself
            server.behaviour.vanished = frozenset()
            ran = await self.mailferry("retry", "123.com")
            self.assertEqual((ran.status, ran.lines[-1]), (0, "2 of 2 accounts are here"))

        return self.run_async(test())


class WithDaemon(MigrateCase):
    def test_the_daemon_moves_them_and_goes_on_when_nobody_watches(self) -> Deferred[None]:
        async def test() -> None:
            server = self.serve_old_mail({**BOXES, **LONG}, stop_in=150)
            await self.daemon()
            ran = await self.mailferry("migrate", *self.known("anna", "li"), "--json")
            self.assertEqual((ran.status, ran.events[-1]["here"]), (0, 2))
            command = self.begin("migrate", *self.known("long"))
            await self.until(lambda: server.asked(b"RETR") >= 150)
            command.interrupt()
            ran = await command.ended
            self.assertEqual(ran.status, 1)
            self.assertIn("mailferry serve goes on with it", ran.err)
            server.behaviour.stop_in = 0
            for connection in list(server.open):
                connection.drop()
            await self.until(lambda: self.accounts()["long@123.com"].state is State.MOVED)
            self.assertEqual(server.passwords, 4)  # one more after the loss

        return self.run_async(test())

    def test_a_pause_stops_what_is_under_way_and_resume_has_it_go_on(self) -> Deferred[None]:
        async def test() -> None:
            server = self.serve_old_mail(LONG, stop_in=150)
            await self.daemon()
            command = self.begin("migrate", *self.known("long"))
            await self.until(lambda: server.asked(b"RETR") >= 150)
            paused = await self.mailferry("pause", "123.com")
            self.assertEqual((paused.status, paused.out), (0, "123.com  paused\n"))
            ran = await command.ended
            self.assertEqual(ran.lines[0], "long@123.com  not here  it is paused; `mailferry resume` ends that")
            await server.emptied()
            status = await self.mailferry("status")
            self.assertIn("123.com is paused", status.out)
            refused = await self.mailferry("migrate", "long@123.com")
            self.assertEqual(refused.status, 1)
            server.behaviour.stop_in = 0
            resumed = await self.mailferry("resume", "123.com")
            self.assertEqual((resumed.status, resumed.out), (0, "123.com  resumed\n"))
            await self.until(lambda: self.accounts()["long@123.com"].state is State.MOVED)

        return self.run_async(test())

    def test_a_daemon_that_is_gone_is_not_waited_for_for_ever(self) -> Deferred[None]:
        async def test() -> None:
            server = self.serve_old_mail(LONG, stop_in=150)
            daemon = await self.daemon()
            command = self.begin("migrate", *self.known("long"))
            await self.until(lambda: server.asked(b"RETR") >= 150)
            daemon.kill()
            ran = await command.ended
            self.assertEqual(ran.status, 1)
            self.assertIn("mailferry serve has ended", ran.err)
            server.behaviour.stop_in = 0
            await self.daemon()
            await self.until(lambda: self.accounts()["long@123.com"].state is State.MOVED)

        return self.run_async(test())
