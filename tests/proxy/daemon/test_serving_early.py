"""`login = "serve"`: let in before the mail is here, over the whole way from a client to the old server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred

from mailstore.accounts import State
from proxy import config
from proxy.config import Config, Listen
from proxy.daemon.service import Daemon
from proxy.legacy.settings import Window
from proxy.login import awaiting, hurrying
from proxy.migration import early
from tests.legacy.holding import HoldingServer
from tests.legacy.server import Behaviour, unique_id
from tests.proxy.daemon.test_daemon import LOGIN, Client, DaemonTestCase
from tests.proxy.login.login_rig import CONFIG, PASSWORD

reactor: Any = _reactor

COUNT = 20
EVERYTHING = range(1, COUNT + 1)


def letter(number: int) -> bytes:
    """From the 1st of November 2023 on, one a day; the odd ones have been read."""
    status = b"Status: RO\r\n" if number % 2 else b""
    head = b"Subject: letter %d\r\nDate: %d Nov 2023 12:00:00 +0000\r\n%b\r\n" % (number, number, status)
    return head + b"word%d " % number + b"and so on\r\n" * 300


LETTERS = [letter(n) for n in EVERYTHING]


class Early(DaemonTestCase):
    """The newest four are fetched before the login is answered, the rest is held."""

    workers = 1
    timeout = 60

    def setUp(self) -> None:
        super().setUp()
        self.patch(early, "NEAR", Window(messages=2))

    def holding(self, held: Iterable[int] = range(1, COUNT - 3), **behaviour: Any) -> HoldingServer:
        server = HoldingServer(LETTERS, Behaviour(password=PASSWORD, **behaviour), held=held)
        server.listen(reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(server.close()))
        return server

    def settings(self, port: int) -> Config:
        text = CONFIG.format(state=self.state, accounts="open", port=port, connections=5)
        text = text.replace("[migration]", '[migration]\nlogin = "serve"')
        text = text.replace("workers = 1", f"workers = {self.workers}")
        free = ("tcp:0:interface=127.0.0.1",)
        return config.parse(text.encode()).model_copy(update={"listen": Listen.model_construct(imap=free, pop3=free)})

    async def selected(self, daemon: Daemon) -> Client:
        imap = await self.imap(daemon)
        await imap.ask(b"a " + LOGIN, b"a OK")
        await imap.ask(b"b SELECT INBOX", b"* %d EXISTS" % COUNT)
        await imap.expect(b"b OK")
        return imap

    async def whole(self, daemon: Daemon, but: Iterable[int] = ()) -> None:
        """All of it is here, byte for byte."""
        await self.until(lambda: self.account_state(daemon) is State.MOVED)
        pop3 = await self.pop3(daemon)
        await pop3.ask(b"USER user", b"+OK")
        await pop3.ask(b"PASS " + PASSWORD, b"+OK")
        left = [n for n in EVERYTHING if n not in set(but)]
        for number, n in enumerate(left, 1):
            await pop3.ask(b"RETR %d" % number, b"+OK %d octets" % len(letter(n)))
            await pop3.expect(b".")
        await pop3.ask(b"QUIT", b"+OK")


class LetInEarly(Early):
    def test_what_is_opened_is_fetched_next(self) -> Deferred[None]:
        async def test() -> None:
            legacy = self.holding()
            daemon = await self.daemon(legacy.port)
            imap = await self.selected(daemon)
            await self.until(lambda: len(legacy.fetched()) == 6)  # the first look, and two that are held
            self.assertEqual(legacy.fetched(), [20, 19, 18, 17, 16, 15])
            waiting = imap.ask(b"c FETCH 4,2 BODY[]", b"c OK")
            await self.until(lambda: len(legacy.fetched(b"TOP")) == COUNT - 4)
            legacy.held -= {16, 15, 2, 4}
            await self.until_hurried(legacy)
            await waiting
            self.assertEqual(legacy.fetched()[6:8], [2, 4])
            legacy.release()
            await self.whole(daemon)
            await self.stop(daemon)

        return self.run_async(test())

    async def until_hurried(self, legacy: HoldingServer) -> None:
        """Both are asked for, once something is answered."""
        await self.until(lambda: self.go_on(legacy) and 4 in legacy.fetched())

    def go_on(self, legacy: HoldingServer) -> bool:
        legacy.go_on()
        return True

    def test_flags_come_with_the_headers_and_those_that_were_changed_stay(self) -> Deferred[None]:
        async def test() -> None:
            legacy = self.holding()
            legacy.held_headers = {10}
            daemon = await self.daemon(legacy.port)
            legacy.held_headers = set()  # the first look needs none of them; from here on all but bodies come
            answer = self.selected(daemon)
            legacy.go_on()
            imap = await answer
            await imap.ask(b"c STORE 5 +FLAGS.SILENT (\\Flagged)", b"c OK")
            await imap.ask(b"d FETCH 1:20 INTERNALDATE", b"d OK")  # all headers are here
            await imap.ask(b"e FETCH 5 FLAGS", b"* 5 FETCH (FLAGS (\\Flagged")
            await imap.ask(b"f FETCH 7 FLAGS", b"* 7 FETCH (FLAGS (\\Seen")
            await imap.ask(b"g FETCH 8 FLAGS", b"* 8 FETCH (FLAGS (")
            legacy.release()
            await self.whole(daemon)
            await imap.ask(b"h FETCH 5 FLAGS", b"* 5 FETCH (FLAGS (\\Flagged")
            await self.stop(daemon)

        return self.run_async(test())

    def test_copies_and_moves_wait_for_what_they_take(self) -> Deferred[None]:
        async def test() -> None:
            legacy = self.holding()
            daemon = await self.daemon(legacy.port)
            imap, other = await self.selected(daemon), await self.selected(daemon)
            copied = imap.ask(b"c COPY 2,19 Archive", b"c OK")
            moved = other.ask(b"c MOVE 6 Trash", b"c OK")
            await imap_turn(self, daemon)
            self.assertFalse(copied.called or moved.called)
            legacy.release()
            await copied
            await moved
            await other.ask(b"d STATUS Archive (MESSAGES SIZE)", b"* STATUS Archive (MESSAGES 2 SIZE ")
            await other.ask(b"e STATUS Trash (MESSAGES)", b"* STATUS Trash (MESSAGES 1)")
            await self.whole(daemon, but=(6,))
            await self.stop(daemon)

        return self.run_async(test())

    def test_searches_wait_for_what_they_have_to_look_at(self) -> Deferred[None]:
        async def test() -> None:
            legacy = self.holding()
            daemon = await self.daemon(legacy.port)
            imap = await self.selected(daemon)
            await imap.ask(b"c SEARCH SINCE 15-Nov-2023", b"* SEARCH 15 16 17 18 19 20")  # headers are enough
            await imap.ask(b'd SEARCH SUBJECT "letter 4"', b"* SEARCH 4\r"[:-1])
            await imap.ask(b"e SORT (REVERSE ARRIVAL) UTF-8 1:3", b"* SORT 3 2 1")
            found = imap.ask(b"f SEARCH BODY word4", b"* SEARCH")
            await imap_turn(self, daemon)
            self.assertFalse(found.called)
            legacy.release()
            self.assertEqual(await found, b"* SEARCH 4")
            await self.whole(daemon)
            await self.stop(daemon)

        return self.run_async(test())

    def test_a_pop3_session_lists_everything_and_waits_for_what_it_retrieves(self) -> Deferred[None]:
        async def test() -> None:
            legacy = self.holding()
            daemon = await self.daemon(legacy.port)
            pop3 = await self.pop3(daemon)
            await pop3.ask(b"USER user", b"+OK")
            await pop3.ask(b"PASS " + PASSWORD, b"+OK")
            self.assertEqual(await pop3.ask(b"STAT", b"+OK"), b"+OK 20 %d" % sum(map(len, LETTERS)))
            for n in (1, 9, 20):
                await pop3.ask(b"LIST %d" % n, b"+OK %d %d" % (n, len(letter(n))))
                await pop3.ask(b"UIDL %d" % n, b"+OK %d " % n + unique_id(letter(n)))
            await pop3.ask(b"RETR 20", b"+OK %d octets" % len(letter(20)))
            await pop3.expect(b".")
            waiting = pop3.ask(b"RETR 2", b"+OK")
            await imap_turn(self, daemon)
            self.assertFalse(waiting.called)
            legacy.release()
            self.assertEqual(await waiting, b"+OK %d octets" % len(letter(2)))
            await pop3.expect(b".")
            await pop3.ask(b"DELE 5", b"+OK")
            await pop3.ask(b"QUIT", b"+OK")
            await self.whole(daemon, but=(5,))
            await self.stop(daemon)

        return self.run_async(test())


async def imap_turn(case: Early, daemon: Daemon) -> None:
    """Another session comes and goes: whoever waited for no more than that has been answered."""
    imap = await case.imap(daemon)
    await imap.ask(b"a " + LOGIN, b"a OK")
    await imap.ask(b"b STATUS INBOX (MESSAGES)", b"b OK")
    await imap.ask(b"c LOGOUT", b"c OK")
    await imap.gone


class OldServersThatFail(Early):
    def test_a_daemon_that_is_started_again_goes_on_and_lets_in_at_once(self) -> Deferred[None]:
        async def test() -> None:
            legacy = self.holding()
            daemon = await self.daemon(legacy.port)
            imap = await self.selected(daemon)
            uidvalidity = await self.uidvalidity(imap)
            await imap.ask(b"d STORE 1 +FLAGS.SILENT (\\Flagged)", b"d OK")
            waiting = imap.ask(b"e FETCH 1 BODY[]", b"e ")
            await self.until(lambda: self.is_waited_for(daemon, 1))
            stopping = Deferred.fromCoroutine(self.stop(daemon))
            self.assertIn(b"NO [UNAVAILABLE]", await waiting)
            await stopping
            await legacy.close()
            daemon = await self.daemon(legacy.port)  # the old server is down
            imap = await self.selected(daemon)
            self.assertEqual(await self.uidvalidity(imap), uidvalidity)
            self.assertIn(b"NO [UNAVAILABLE]", await imap.ask(b"d FETCH 1 BODY[]", b"d "))
            await self.stop(daemon)
            legacy.listen(reactor, port=legacy.port)
            legacy.release()
            daemon = await self.daemon(legacy.port)
            await self.whole(daemon)
            imap = await self.selected(daemon)
            await imap.ask(b"d FETCH 1 FLAGS", b"* 1 FETCH (FLAGS (\\Flagged")
            await self.stop(daemon)

        return self.run_async(test())

    def is_waited_for(self, daemon: Daemon, uid: int) -> bool:
        running = daemon._mover.moves.of(1)
        return running is not None and uid in running.move._hurries.whole

    async def uidvalidity(self, imap: Client) -> bytes:
        return await imap.ask(b"c STATUS INBOX (UIDVALIDITY UIDNEXT)", b"* STATUS")

    def test_one_without_top(self) -> Deferred[None]:
        async def test() -> None:
            legacy = self.holding(answers={b"TOP": b"-ERR what is TOP?\r\n"})
            daemon = await self.daemon(legacy.port)
            imap = await self.selected(daemon)
            await imap.ask(b"c FETCH 1:20 (UID RFC822.SIZE FLAGS)", b"* 1 FETCH")
            await imap.expect(b"c OK")
            waiting = imap.ask(b"d FETCH 2 INTERNALDATE", b"* 2 FETCH")
            await imap_turn(self, daemon)
            self.assertFalse(waiting.called)
            legacy.release()
            self.assertIn(b'" 2-Nov-2023', await waiting)
            await self.whole(daemon)
            self.assertLess(len(legacy.fetched(b"TOP")), COUNT)
            await self.stop(daemon)

        return self.run_async(test())

    def test_one_whose_sizes_are_wrong_holds_the_login(self) -> Deferred[None]:
        async def test() -> None:
            legacy = self.holding(held={3}, sizes={n: b"%d" % (7000 * n) for n in EVERYTHING})
            daemon = await self.daemon(legacy.port)
            imap = await self.imap(daemon)
            answer = imap.ask(b"a " + LOGIN, b"a OK")
            await self.until(lambda: "login is held until all is here" in self.log.events("info"))
            self.assertFalse(answer.called)
            legacy.release()
            await answer
            await imap.ask(b"b FETCH 1 RFC822.SIZE", b"b BAD")
            await imap.ask(b"b SELECT INBOX", b"b OK")
            await imap.ask(b"c FETCH 3 RFC822.SIZE", b"* 3 FETCH (RFC822.SIZE %d)" % len(letter(3)))
            await self.whole(daemon)
            await self.stop(daemon)

        return self.run_async(test())

    def test_one_that_refuses_a_message(self) -> Deferred[None]:
        async def test() -> None:
            legacy = self.holding(held=(), vanished=frozenset({7}))
            daemon = await self.daemon(legacy.port)
            imap = await self.selected(daemon)
            self.assertIn(b"NO [UNAVAILABLE]", await imap.ask(b"c FETCH 6:8 BODY.PEEK[TEXT]", b"c "))
            await imap.ask(b"d FETCH 7 (UID ENVELOPE)", b"* 7 FETCH")  # its header is here
            await self.until(lambda: self.account_state(daemon) is State.MOVED)
            await imap.ask(b"e SEARCH BODY word", b"* SEARCH 1 2 3 4 5 6 8 9 10 11 12 13 14 15 16 17 18 19 20")
            await imap.ask(b"f STATUS INBOX (MESSAGES)", b"* STATUS INBOX (MESSAGES 20)")
            await self.stop(daemon)

        return self.run_async(test())


class InWhateverProcess(Early):
    """Where sessions are, and where the move is, makes no difference."""

    def test_the_whole_mailbox_is_listed_at_once_and_what_is_opened_is_waited_for(self) -> Deferred[None]:
        async def test() -> None:
            legacy = self.holding()
            daemon = await self.daemon(legacy.port)
            imap, other = await self.selected(daemon), await self.selected(daemon)
            self.assertEqual(self.account_state(daemon), State.MOVING)
            for n in EVERYTHING:
                said = await imap.ask(b"c FETCH %d (UID RFC822.SIZE)" % n, b"* %d FETCH" % n)
                self.assertIn(b"UID %d RFC822.SIZE %d" % (n, len(letter(n))), said)
            waiting = imap.ask(b"d FETCH 3 (INTERNALDATE BODY[])", b"* 3 FETCH")
            self.assertIn(b"+OK", await (await self.pop3(daemon)).ask(b"CAPA", b"+OK"))
            await other.ask(b"c FETCH 18 BODY.PEEK[TEXT]", b"* 18 FETCH")  # others go on meanwhile
            await other.ask(b"d FETCH 3 (INTERNALDATE ENVELOPE)", b'* 3 FETCH (INTERNALDATE " 3-Nov-2023')
            self.assertFalse(waiting.called)
            legacy.release()
            self.assertIn(b"{%d}" % len(letter(3)), await waiting)
            await imap.expect(b"d OK")
            await self.whole(daemon)
            self.assertEqual((legacy.deletions, legacy.passwords), (0, 1))
            await self.stop(daemon)

        return self.run_async(test())

    def test_what_is_removed_before_it_is_here_never_comes(self) -> Deferred[None]:
        async def test() -> None:
            legacy = self.holding()
            daemon = await self.daemon(legacy.port)
            imap = await self.selected(daemon)
            await imap.ask(b"c STORE 3,16 +FLAGS.SILENT (\\Deleted)", b"c OK")  # 16 is on its way
            await imap.ask(b"d EXPUNGE", b"d OK")
            await imap.ask(b"e STATUS INBOX (MESSAGES)", b"* STATUS INBOX (MESSAGES 18)")
            legacy.release()
            await self.whole(daemon, but=(3, 16))
            await imap.ask(b"f STATUS INBOX (MESSAGES)", b"* STATUS INBOX (MESSAGES 18)")
            await self.stop(daemon)

        return self.run_async(test())

    def test_one_that_goes_away_leaves_the_listing_and_what_is_here(self) -> Deferred[None]:
        self.patch(awaiting, "PATIENCE", 2.0)

        async def test() -> None:
            legacy = self.holding()
            daemon = await self.daemon(legacy.port)
            imap = await self.selected(daemon)
            waiting = imap.ask(b"c FETCH 2:18 BODY.PEEK[TEXT]", b"c ")
            await legacy.close()
            self.assertIn(b"NO [UNAVAILABLE]", await waiting)
            await imap.ask(b"d FETCH 16:18 BODY.PEEK[TEXT]", b"* 17 FETCH")  # first what is here, then 16 is waited for
            self.assertIn(b"NO [UNAVAILABLE]", await imap.expect(b"d "))
            other = await self.selected(daemon)  # nobody is asked: the mailbox is listed
            await other.ask(b"c FETCH 1:20 (UID RFC822.SIZE)", b"* 1 FETCH")
            await other.expect(b"c OK")
            pop3 = await self.pop3(daemon)
            await pop3.ask(b"USER user", b"+OK")
            await pop3.ask(b"PASS " + PASSWORD, b"+OK")
            await pop3.ask(b"RETR 1", b"-ERR [SYS/TEMP]")
            await pop3.ask(b"RETR 20", b"+OK")
            await pop3.expect(b".")
            await pop3.ask(b"QUIT", b"+OK")
            self.assertEqual(self.account_state(daemon), State.MOVING)
            await self.until(lambda: not daemon._mover._going_on)  # what the login began
            legacy.listen(reactor, port=legacy.port)
            legacy.release()
            self.patch_again()
            await self.until_moved_by(imap, daemon)
            await self.whole(daemon)
            await self.stop(daemon)

        return self.run_async(test())

    def patch_again(self) -> None:
        self.patch(hurrying, "AGAIN", 0.0)

    async def until_moved_by(self, imap: Client, daemon: Daemon) -> None:
        """Whoever opens a message has the move go on."""
        await imap.ask(b"e FETCH 2 BODY.PEEK[TEXT]", b"* 2 FETCH")
        await imap.expect(b"e OK")
        await self.until(lambda: self.account_state(daemon) is State.MOVED)


class InThreeProcesses(InWhateverProcess):
    """Sessions are in two workers, and the move in the daemon."""

    workers = 2
