"""Passwords that change at a legacy server that is really spoken to, and what it is asked meanwhile."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from mailstore.accounts import Account, State
from proxy.migration.pop3_source import CHANGED
from proxy.wire.door import LoginRefused, Refusal
from tests.legacy.server import LegacyServer
from tests.proxy.login.login_rig import PASSWORD
from tests.proxy.login.test_login_end_to_end import SMALL, EndToEnd
from tests.proxy.migration.scripted import mail

NEW = b"new password"


class Changed(EndToEnd):
    def account(self) -> Account:
        found = self.accounts.find("user", "123.com")
        assert found is not None
        return found

    async def refused(self, password: bytes) -> Refusal:
        refused = await self.assertFailure(self.log_in(password), LoginRefused)
        return refused.refusal

    async def moved(self) -> LegacyServer:
        """An account whose old mailbox is here."""
        server = await self.serve(SMALL)
        await self.admitted()
        await self.settled()
        return server

    def test_the_new_one_comes_in_and_the_old_one_does_not(self) -> Deferred[None]:
        async def test() -> None:
            server = await self.moved()
            server.behaviour.password = NEW
            server.messages.append(mail(99))
            home = await self.admitted(self.log_in(NEW))
            await self.settled()
            self.assertTrue(await self.inbox(home) == [*SMALL, mail(99)])
            self.assertIs(await self.refused(PASSWORD), Refusal.WRONG)
            asked = server.passwords
            for _ in range(5):
                self.assertIs(await self.refused(PASSWORD), Refusal.WRONG)
                await self.admitted(self.log_in(NEW))
            self.assertEqual(server.passwords, asked)

        return self.run_async(test())

    def test_and_back(self) -> Deferred[None]:
        async def test() -> None:
            server = await self.moved()
            for password in (NEW, PASSWORD, NEW):
                server.behaviour.password = password
                await self.admitted(self.log_in(password))
                await self.settled()
            self.assertEqual((server.passwords, server.deletions), (4, 0))

        return self.run_async(test())

    def test_two_clients_with_different_ones_at_once(self) -> Deferred[None]:
        async def test() -> None:
            server = await self.moved()
            server.behaviour.password = NEW
            old, new = self.log_in(), self.log_in(NEW)
            await self.admitted(old)
            await self.admitted(new)
            await self.settled()
            self.assertIs(await self.refused(PASSWORD), Refusal.WRONG)

        return self.run_async(test())

    def test_in_the_middle_of_a_first_move(self) -> Deferred[None]:
        async def test() -> None:
            server = await self.serve(SMALL, reset_in=20)
            login = self.log_in()
            await self.until(lambda: server.asked(b"RETR") > 0)
            server.behaviour.password = NEW
            refused = await self.assertFailure(login, LoginRefused)
            self.assertIs(refused.refusal, Refusal.UNAVAILABLE)
            await self.settled()
            self.assertIs(self.account().state, State.MOVING)
            self.assertIn(CHANGED, self.account().reason)
            self.assertNotIn(PASSWORD.decode(), repr(self.log.lines))
            server.behaviour.reset_in = 0
            self.assertIs(await self.refused(PASSWORD), Refusal.WRONG)
            home = await self.admitted(self.log_in(NEW))
            self.assertTrue(await self.inbox(home) == SMALL)
            await self.settled()
            self.assertEqual((self.account().state, self.account().reason), (State.MOVED, ""))

        return self.run_async(test())

    def test_known_while_the_move_is_under_way(self) -> Deferred[None]:
        """The connection of the old password breaks, and the next one is opened with the new password."""

        async def test() -> None:
            server = await self.serve(SMALL, stop_in=20)
            first = self.log_in()
            await self.until(lambda: server.asked(b"RETR") > 0)
            server.behaviour.password = NEW
            second = self.log_in(NEW)
            await self.until(lambda: server.passwords == 2)
            server.behaviour.stop_in = 0
            for login in (first, second):
                self.assertTrue(await self.inbox(await self.admitted(login)) == SMALL)
            await self.settled()
            self.assertEqual(server.passwords, 3)
            self.assertIs(self.account().state, State.MOVED)

        return self.run_async(test())


class ServersThatNameNothing(EndToEnd):
    """What arrives later, through the real client."""

    def later(self, **behaviour: object) -> Deferred[None]:
        async def test() -> None:
            server = await self.serve(SMALL, **behaviour)
            await self.admitted()
            await self.settled()
            for number in (50, 51):
                del server.messages[number - 48]
                server.messages.append(mail(number))
                server.behaviour.password = b"password %d" % number  # so that the login looks for what is new
                home = await self.admitted(self.log_in(server.behaviour.password))
                await self.settled()
            self.assertTrue(await self.inbox(home) == [*SMALL, mail(50), mail(51)])
            self.assertEqual(server.deletions, 0)

        return self.run_async(test())

    def test_no_uidl(self) -> Deferred[None]:
        return self.later(uidl=False, capabilities=(b"TOP", b"PIPELINING"))

    def test_no_uidl_and_no_pipelining(self) -> Deferred[None]:
        return self.later(uidl=False, capabilities=None, pipelining="drops")

    def test_no_uidl_and_no_top(self) -> Deferred[None]:
        return self.later(uidl=False, capabilities=(b"PIPELINING",), answers={b"TOP": b"-ERR what is TOP?\r\n"})

    def test_numbers(self) -> Deferred[None]:
        return self.later(uidls={number: b"%d" % number for number in range(1, 40)})

    def test_nothing_behind_the_number(self) -> Deferred[None]:
        return self.later(uidls=dict.fromkeys(range(1, 40), b""))
