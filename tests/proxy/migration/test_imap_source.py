"""Whole moves over IMAP from a scripted legacy server, with whatever goes wrong there: what is here afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from mailstore.entries import Sums
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome
from proxy.imap.client import connection as imap_client
from proxy.legacy.settings import Legacy
from proxy.migration import pauses
from proxy.migration.imap_source import ImapManners, ImapSource
from proxy.migration.move import Move, Terms
from proxy.migration.pop3_source import Manners, source_error
from proxy.migration.source import Source, SourceError
from proxy.migration.uidls import Maildrops
from proxy.pop3.client import connection as pop3_client
from proxy.wire.door import Secret
from tests.legacy.imap_server import ImapServer, Kept, Manner
from tests.legacy.server import Behaviour, LegacyServer
from tests.proxy.migration.scripted import NOW, DirectHome, direct, folder

SECRET = Secret(b"secret")


def mail(name: str, size: int = 0) -> bytes:
    return f"Message-ID: <{name}@old>\r\n\r\n{name}\r\n".encode() + b"x" * size


def kept(*names: str, first: int = 1, size: int = 0) -> list[Kept]:
    return [Kept(uid, mail(name, size)) for uid, name in enumerate(names, first)]


class ImapMoveCase(TestCase):
    """An empty account here, scripted servers there, and moves between them."""

    timeout = 60

    def setUp(self) -> None:
        self.patch(pauses, "PAUSES", (0.0, 0.0, 0.0, 0.0))
        self.manner = Manner()
        self.boxes = {b"INBOX": kept("a", "b", "c"), b"Work": kept("d", "e", first=7), b"Empty": []}
        self.server = ImapServer(self.boxes, self.manner)
        self.server.listen(reactor)
        self.addCleanup(self._close)
        self.pop3 = LegacyServer()
        self.pop3_port = 1  # nobody listens there
        self.manners, self.maildrops = ImapManners(), Maildrops()
        self.notes: list[tuple[str, dict[str, Any]]] = []
        self.now = NOW
        self.home = DirectHome(MailHome(MailboxEngine(), 1, folder(self) / "Maildir", clock=lambda: self.now))
        self.addCleanup(self.home.mail.close)

    async def _close(self) -> None:
        self.assertEqual(self.server.forbidden, [])
        self.assertEqual(self.pop3.deletions, 0)
        await self.server.close()
        await self.pop3.close()

    def open_pop3(self, boxes: Iterable[str], behaviour: Behaviour | None = None) -> None:
        """POP3 is open, too, with these messages."""
        self.pop3 = LegacyServer([mail(name) for name in boxes], behaviour)
        self.pop3_port = self.pop3.listen(reactor)

    async def reopen(self) -> Source:
        imap = Legacy("127.0.0.1", self.server.port, "none", reply_timeout=0.3, opening_timeout=0.3)
        pop3 = Legacy("127.0.0.1", self.pop3_port, "none", reply_timeout=0.3, opening_timeout=0.3)
        try:
            connection = await imap_client.connect(reactor, imap)
            await connection.login(b"joe", SECRET)
        except imap_client.LegacyError as error:
            raise source_error(error) from error

        async def open_maildrop() -> pop3_client.Connection:
            maildrop = await pop3_client.connect(reactor, pop3)
            await maildrop.login(b"joe", SECRET)
            return maildrop

        return ImapSource(
            connection,
            self.manners,
            lambda: None,
            maildrops=self.maildrops,
            open_maildrop=open_maildrop,
            note=lambda event, **figures: self.notes.append((event, figures)),
        )

    async def carry(self, *, first: bool = True) -> Sums:
        move = Move(self.home, await self.reopen(), self.reopen, Terms(first), in_thread=direct, clock=reactor)
        return await move.run()

    async def until(self, happened: Callable[[], bool]) -> None:
        while not happened():
            turn: Deferred[None] = Deferred()
            reactor.callLater(0, turn.callback, None)  # type: ignore[attr-defined]
            await turn

    async def fails(self, *, first: bool = True) -> str:
        try:
            await self.carry(first=first)
        except SourceError as error:
            return str(error)
        return self.fail("nothing failed")

    # What is here

    def here(self) -> dict[str, list[bytes]]:
        """The messages of every folder that has some."""
        found = {}
        for each in self.home.mail.folders():
            uids = self.home.mail.select(each.name, writable=False).uids
            if uids:
                found[each.name] = [self._bytes(each.id, uid) for uid in uids]
        return found

    def _bytes(self, folder_id: int, uid: int) -> bytes:
        with self.home.mail.open(folder_id, uid) as content:
            return bytes(content.whole())

    def there(self) -> dict[str, list[bytes]]:
        return {name.decode(): [each.data for each in box] for name, box in self.boxes.items() if box}

    def assert_same(self) -> None:
        self.assertEqual(self.here(), self.there())

    def outcomes(self) -> list[str]:
        return [entry.outcome.value for entry in self.home.mail.ledger.entries()]

    def uidls(self) -> list[str]:
        return [row.uidl for row in self.home.mail.maildrop()]


class FirstMoves(ImapMoveCase):
    async def test_every_folder_with_flags_and_dates(self) -> None:
        self.boxes[b"Work"][0].flags = b"\\Flagged $Forwarded \\Recent"
        self.boxes[b"Work"][0].date = b'" 1-Feb-2020 12:00:00 +0800"'
        sums = await self.carry()
        self.assert_same()
        self.assertEqual((sums.messages_done, sums.messages_total), (5, 5))
        work = self.home.mail.select("Work", writable=False)
        (first, _second) = self.home.mail.rows(work.folder.id, work.uids)
        self.assertEqual((first.flags, first.internal_date), ({"\\Flagged", "$Forwarded"}, 1_580_529_600))
        self.assertIn("Empty", [each.name for each in self.home.mail.folders()])

    async def test_large_messages(self) -> None:
        self.boxes[b"Work"] += kept("large", first=20, size=3_000_000)
        await self.carry()
        self.assert_same()

    async def test_a_server_that_lists_no_inbox(self) -> None:
        self.manner.unlisted = frozenset([b"INBOX"])
        await self.carry()
        self.assert_same()

    async def test_an_inbox_that_does_not_open_is_no_empty_one(self) -> None:
        """163.com to a client that it does not like: github.com/mscdex/node-imap issue 908."""
        self.manner.answers = {b"EXAMINE": b"%t NO EXAMINE Unsafe Login. Please contact kefu@188.com for help\r\n"}
        self.assertIn("Unsafe Login", await self.fails())
        self.assertEqual(self.outcomes(), [])
        self.manner.answers = {}
        await self.carry()
        self.assert_same()

    async def test_a_folder_that_does_not_open_is_in_quarantine_until_it_does(self) -> None:
        self.manner.extra = [b"Broken"]
        sums = await self.carry()
        self.assert_same()
        self.assertEqual((sums.messages_done, sums.messages_total, sums.quarantined), (5, 6, 1))
        self.boxes[b"Broken"] = kept("late")
        self.manner.extra = []
        sums = await self.carry(first=False)
        self.assert_same()
        self.assertEqual((sums.messages_done, sums.messages_total, sums.quarantined), (6, 6, 0))

    async def test_a_message_that_the_server_cannot_give(self) -> None:
        self.manner.refuses = frozenset({7})
        sums = await self.carry()
        self.assertEqual(sums.quarantined, 1)
        self.assertEqual(self.here()["Work"], [mail("e")])
        self.manner.refuses = frozenset()
        self.now += 4_000
        sums = await self.carry(first=False)
        self.assertEqual((sums.quarantined, len(self.here()["Work"])), (0, 2))

    async def test_of_gmails_all_mail_what_is_nowhere_else(self) -> None:
        everything = kept("a", "b", "c", "archived", first=100)
        for number, each in enumerate([*self.boxes[b"INBOX"], *self.boxes[b"Work"]], 1):
            each.gmail = number
        for number, each in zip((1, 2, 3, 9), everything, strict=True):
            each.gmail = number
        self.boxes |= {b"[Gmail]/All Mail": everything, b"[Gmail]/Starred": kept("a")}
        self.manner.capabilities += b" X-GM-EXT-1"
        self.manner.attributes = {b"[Gmail]/All Mail": b"\\All", b"[Gmail]/Starred": b"\\Flagged"}
        await self.carry()
        inbox, work = ([mail(name) for name in names] for names in ("abc", "de"))
        self.assertEqual(self.here(), {"INBOX": inbox, "Work": work, "[Gmail]/All Mail": [mail("archived")]})
        uses = {each.name: each.special_use for each in self.home.mail.folders()}
        self.assertEqual(uses["[Gmail]/All Mail"], ("\\Archive",))


class FaultsAndResuming(ImapMoveCase):
    async def test_a_break_in_any_message_is_made_good_at_once(self) -> None:
        for fault in ("reset_in", "cut_in", "stop_in", "bye_in"):
            with self.subTest(fault=fault):
                self.boxes[b"INBOX"] += kept(f"new {fault}", first=len(self.boxes[b"INBOX"]) + 1, size=100_000)
                self.boxes[b"Work"] += kept(f"late {fault}", first=self.boxes[b"Work"][-1].uid + 1)
                setattr(self.manner, fault, self.boxes[b"INBOX"][-1].uid)
                await self.interrupted(fault)
                self.assert_same()

    async def interrupted(self, fault: str) -> None:
        """A move, whose fault is lifted after the first connection that it broke."""
        before = self.server.connections
        moving = Deferred.fromCoroutine(self.carry(first=not self.home.mail.ledger.entries()))
        await self.until(lambda: self.server.connections >= before + 2)
        setattr(self.manner, fault, 0)
        await moving

    async def test_a_break_at_any_step_leaves_what_the_last_barrier_has(self) -> None:
        for verb in (b"ID", b"LIST", b"EXAMINE", b"UID"):
            for fault in ("hang_up_at", "silent_at"):
                with self.subTest(verb=verb, fault=fault):
                    setattr(self.manner, fault, frozenset([verb]))
                    await self.fails(first=not self.home.mail.ledger.entries())
                    setattr(self.manner, fault, frozenset())
        await self.carry()
        self.assert_same()

    async def test_a_move_that_was_given_up_goes_on_with_the_uids_that_it_holds(self) -> None:
        self.boxes[b"INBOX"] = kept(*"abcdef", size=50_000)
        self.manner.cut_in = 4
        failing = Deferred.fromCoroutine(self.fails())
        await self.until(lambda: any(b"BODY" in line for line in self.server.commands))
        self.manner.hang_up_at = frozenset([b"LIST"])  # there is no way to go on
        await failing
        self.assertEqual(len(self.here()["INBOX"]), 3)
        self.manner.cut_in, self.manner.hang_up_at = 0, frozenset()
        await self.carry()
        self.assert_same()
        self.assertEqual([row.uid for row in self.home.mail.maildrop()], [1, 2, 3, 4, 5, 6])


class LaterRounds(ImapMoveCase):
    async def test_what_is_new_in_any_folder_and_what_was_deleted_here(self) -> None:
        await self.carry()
        work = self.home.mail.select("Work", writable=False)
        self.home.mail.remove([1])
        self.home.mail.move(work.folder.id, [1], "Empty")
        self.boxes[b"Work"] += kept("f", first=9)
        self.boxes[b"New/One"] = kept("g")
        fetched = len(self.server.asked(b"UID"))
        await self.carry(first=False)
        self.assertEqual(
            self.here(),
            {
                "INBOX": [mail("b"), mail("c")],
                "Work": [mail("e"), mail("f")],
                "Empty": [mail("d")],
                "New/One": [mail("g")],
            },
        )
        bodies = [line for line in self.server.asked(b"UID")[fetched:] if b"BODY" in line]
        self.assertEqual([line.split(b" ")[3] for line in bodies], [b"1", b"9"])

    async def test_what_is_moved_at_the_old_server_stays_where_it_is_here(self) -> None:
        await self.carry()
        here = self.here()
        self.boxes[b"Work"].append(Kept(30, self.boxes[b"INBOX"].pop(0).data))
        sums = await self.carry(first=False)
        self.assertEqual(self.here(), here)
        self.assertEqual((sums.messages_done, sums.messages_total), (5, 5))
        self.boxes[b"Work"].append(Kept(31, mail("new")))
        await self.carry(first=False)
        self.assertEqual(self.here(), here | {"Work": [*here["Work"], mail("new")]})

    async def test_what_is_copied_at_the_old_server_is_copied(self) -> None:
        await self.carry()
        self.boxes[b"Work"].append(Kept(30, mail("a")))
        await self.carry(first=False)
        self.assert_same()

    async def test_what_was_deleted_here_does_not_come_back_from_another_folder(self) -> None:
        await self.carry()
        self.home.mail.remove([1])
        self.boxes[b"Trash"] = [Kept(1, self.boxes[b"INBOX"].pop(0).data)]
        await self.carry(first=False)
        self.assertEqual(self.here(), {"INBOX": [mail("b"), mail("c")], "Work": [mail("d"), mail("e")]})

    async def test_new_uids_for_everything_double_nothing(self) -> None:
        """UIDVALIDITY changed: a server that was restored, or exchanged."""
        await self.carry()
        here = self.here()
        self.home.mail.remove([2])
        self.manner.uidvalidity |= {b"INBOX": 78, b"Work": 79}
        for box in self.boxes.values():
            for each in box:
                each.uid += 500
        sums = await self.carry(first=False)
        self.assertEqual(self.here(), here | {"INBOX": [mail("a"), mail("c")]})
        self.assertEqual((sums.messages_done, sums.messages_total), (5, 5))
        fetched = len(self.server.asked(b"UID"))
        await self.carry(first=False)
        self.assertFalse(any(b"BODY" in line for line in self.server.asked(b"UID")[fetched:]))

    async def test_a_folder_that_was_renamed_at_the_old_server(self) -> None:
        await self.carry()
        here = self.here()
        self.boxes[b"Arbeit"] = self.boxes.pop(b"Work")
        await self.carry(first=False)
        self.assertEqual(self.here(), here)
        self.boxes[b"Arbeit"].append(Kept(90, mail("new")))
        await self.carry(first=False)
        self.assertEqual(self.here(), here | {"Arbeit": [mail("new")]})

    async def test_uidvalidity_that_changes_in_every_session(self) -> None:
        """Nothing is doubled, and from the third time on one message is fetched, to see whether the order holds."""
        self.boxes[b"INBOX"] = kept(*"abcdefgh")
        self.boxes[b"Work"] = kept(*"ijklmnop")
        await self.carry()
        for session in range(1, 5):
            self.manner.uidvalidity |= {b"INBOX": 100 + session, b"Work": 200 + session}
            fetched = len(self.server.asked(b"UID"))
            await self.carry(first=False)
            self.assert_same()
        bodies = [line for line in self.server.asked(b"UID")[fetched:] if b"BODY.PEEK[]" in line]
        self.assertLessEqual(len(bodies), 1)

    async def test_a_server_whose_uids_are_new_at_each_opening(self) -> None:
        self.manner.renews = True
        self.open_pop3("abc")
        await self.carry()
        self.assert_same()
        self.boxes[b"INBOX"] += kept("new", first=4)
        self.pop3.messages.append(mail("new"))
        fetched = len(self.server.asked(b"UID"))
        await self.carry(first=False)
        self.assert_same()
        bodies = [line for line in self.server.asked(b"UID")[fetched:] if b"BODY.PEEK[]" in line]
        self.assertIn(b" 4 ", bodies[0])  # of the INBOX nothing else: its messages are known by their UIDLs

    async def test_flags_are_the_users_from_then_on(self) -> None:
        await self.carry()
        self.boxes[b"INBOX"][0].flags = b"\\Seen"
        await self.carry(first=False)
        self.assertEqual(self.home.mail.maildrop()[0].flags, frozenset())

    async def test_an_account_that_was_carried_over_pop3_goes_on_over_imap(self) -> None:
        self.open_pop3("abc")
        from proxy.migration.pop3_source import Pop3Source

        settings = Legacy("127.0.0.1", self.pop3_port, "none")
        connection = await pop3_client.connect(reactor, settings)
        await connection.login(b"joe", SECRET)
        source = Pop3Source(connection, Manners(), lambda: None)
        await Move(self.home, source, self.reopen, Terms(True), in_thread=direct, clock=reactor).run()
        self.assertEqual(self.here(), {"INBOX": self.there()["INBOX"]})
        await self.carry(first=False)
        self.assert_same()


class UidlTests(ImapMoveCase):
    async def test_by_order_where_both_list_the_same(self) -> None:
        self.open_pop3("abc")
        await self.carry()
        self.assertEqual(self.uidls(), [name for _, name in await self.theirs()])
        self.assertEqual(self.pop3.asked(b"TOP"), 0)
        self.assertEqual(self.notes, [])

    async def test_by_message_id_where_pop3_lists_less(self) -> None:
        self.open_pop3("cb")
        await self.carry()
        names = [name for _, name in await self.theirs()]
        self.assertEqual(self.uidls()[1:], [names[1], names[0]])
        self.assertTrue(self.uidls()[0].startswith("mf"))
        self.assertEqual(self.notes, [("UIDLs matched by content", {"messages": 3, "listed": 2, "matched": 2})])

    async def theirs(self) -> list[tuple[int, str]]:
        connection = await pop3_client.connect(reactor, Legacy("127.0.0.1", self.pop3_port, "none"))
        await connection.login(b"joe", SECRET)
        found = await connection.uidl()
        await connection.quit()
        assert found is not None
        return [(number, name.decode()) for number, name in found]

    async def test_without_pop3_a_name_of_ours(self) -> None:
        await self.carry()
        self.assertTrue(all(name.startswith("mf") for name in self.uidls()))
        self.assertEqual([event for event, _ in self.notes], ["no UIDLs from the legacy server"])
        await self.carry(first=False)
        self.assertEqual(len(self.notes), 1)  # it is left alone for a while

    async def test_without_uidl_a_name_of_ours(self) -> None:
        self.open_pop3("abc", Behaviour(uidl=False))
        await self.carry()
        self.assert_same()
        self.assertTrue(all(name.startswith("mf") for name in self.uidls()))

    async def test_a_maildrop_in_use_is_waited_for(self) -> None:
        self.open_pop3("abc", Behaviour(login_refusal=b"-ERR [IN-USE] locked"))
        moving = Deferred.fromCoroutine(self.carry())
        await self.until(lambda: self.server.connections >= 3)
        self.pop3.behaviour.login_refusal = None
        await moving
        self.assertEqual(self.uidls(), [name for _, name in await self.theirs()])
