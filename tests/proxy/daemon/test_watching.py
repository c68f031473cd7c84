"""A change by another program in the Maildir reaches a session that idles, by inotify and without."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import inotify
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from mailstore.index.special import ACCOUNT
from proxy.daemon import watching
from proxy.daemon.watching import DirectoryWatcher
from proxy.login.attention import Attention
from tests.proxy.daemon.test_daemon import LOGIN, DaemonTestCase
from tests.proxy.migration.scripted import folder

reactor: Any = _reactor


class Idling(DaemonTestCase):
    async def idle(self) -> None:
        legacy = self.legacy()
        daemon = await self.daemon(legacy.port)
        self.addCleanup(lambda: Deferred.fromCoroutine(daemon.stop()))
        client = await self.connect(daemon, 0)
        await client.expect(b"* OK")
        await client.ask(b"a " + LOGIN, b"a OK")
        await client.ask(b"b SELECT INBOX", b"b OK")
        await client.ask(b"c IDLE", b"+ idling")
        (maildir,) = (self.state / "mail").rglob("Maildir")
        deliver(maildir)
        await client.expect(b"* 21 EXISTS")
        await client.expect(b"* 21 RECENT")
        lying = min(maildir.glob("cur/*"))
        lying.rename(lying.with_name(lying.name.partition(":2,")[0] + ":2,F"))
        self.assertIn(b"\\Flagged", await client.expect(b"* "))
        await client.ask(b"DONE", b"c OK")

    def test_inotify(self) -> Deferred[None]:
        self.patch(watching, "POLL", 1000.0)
        return Deferred.fromCoroutine(self.idle())

    def test_without_inotify(self) -> Deferred[None]:
        self.patch(watching, "inotify", None)
        self.patch(watching, "POLL", 0.05)
        return Deferred.fromCoroutine(self.idle())


class Notified(DaemonTestCase):
    """What other programs do in any folder reaches a session that said NOTIFY and idles not (RFC 5465)."""

    def test_other_programs(self) -> Deferred[None]:
        self.patch(watching, "POLL", 1000.0)
        return Deferred.fromCoroutine(self.notified())

    async def notified(self) -> None:
        legacy = self.legacy()
        daemon = await self.daemon(legacy.port)
        self.addCleanup(lambda: Deferred.fromCoroutine(daemon.stop()))
        client, other = await self.connect(daemon, 0), await self.connect(daemon, 0)
        for each in (client, other):
            await each.expect(b"* OK")
            await each.ask(b"a " + LOGIN, b"a OK")
        await client.ask(b"b NOTIFY SET (PERSONAL (MessageNew MessageExpunge FlagChange MailboxName))", b"b OK")
        (maildir,) = (self.state / "mail").rglob("Maildir")
        deliver(maildir)
        self.assertIn(b"(MESSAGES 21 ", await client.expect(b"* STATUS INBOX"))
        deliver(maildir / ".Archive")
        self.assertIn(b"(MESSAGES 1 ", await client.expect(b"* STATUS Archive"))
        passing = maildir / "tmp" / "folder"
        (passing / "cur").mkdir(parents=True)
        (passing / "new").mkdir()
        passing.rename(maildir / ".Lists.friends")
        await client.expect(b'* LIST (\\HasChildren) "/" Lists')
        await client.expect(b'* LIST (\\HasNoChildren) "/" Lists/friends')
        deliver(maildir / ".Lists.friends")
        self.assertIn(b"(MESSAGES 1 ", await client.expect(b"* STATUS Lists/friends"))
        # and what another session does, through threads
        await other.ask(b"b RENAME Lists/friends Friends", b"b OK")
        await client.expect(b'* LIST (\\HasNoChildren) "/" Friends ("OLDNAME" (Lists/friends))')
        await other.ask(b"c SELECT Archive", b"c OK")
        await other.ask(b"d STORE 1 +FLAGS (\\Seen)", b"d OK")
        self.assertIn(b" UNSEEN 0 ", await client.expect(b"* STATUS Archive"))
        await client.ask(b"c LOGOUT", b"c OK")


def deliver(folder: Path) -> None:
    (folder / "tmp").mkdir(exist_ok=True)
    (folder / "tmp" / "1.x.host").write_bytes(b"Subject: x\n\nx\n")
    (folder / "tmp" / "1.x.host").rename(folder / "new" / "1.x.host")


class Watching(TestCase):
    timeout = 60

    def test_each_directory_is_watched_once_and_let_go_with_the_last(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.watched())

    async def watched(self) -> None:
        watcher = DirectoryWatcher(reactor)
        self.addCleanup(watcher.close)
        directory = folder(self)
        told: Deferred[None] = Deferred()

        def first() -> None:
            if not told.called:
                told.callback(None)

        ends = [watcher.watch([directory], first), watcher.watch([directory], lambda: None)]
        self.assertEqual(len(watcher._inotify._watchpoints), 1)
        (directory / "x").touch()
        await told
        ends[0]()
        self.assertEqual(len(watcher._inotify._watchpoints), 1)
        ends[1]()
        ends[1]()
        self.assertEqual(len(watcher._inotify._watchpoints), 0)

    def test_a_directory_that_is_gone_when_the_watch_ends(self) -> None:
        watcher = DirectoryWatcher(reactor)
        self.addCleanup(watcher.close)
        directory = folder(self) / "x"
        directory.mkdir()
        end = watcher.watch([directory], lambda: None)
        directory.rmdir()
        end()
        self.assertEqual(watcher._callbacks, {})

    def test_events_that_were_lost(self) -> None:
        watcher = DirectoryWatcher(reactor)
        self.addCleanup(watcher.close)
        told: list[str] = []
        watcher.watch([folder(self)], lambda: told.append("changed"))
        watcher._inotify._doRead(struct.pack("=LLLL", 0xFFFFFFFF, inotify.IN_Q_OVERFLOW, 0, 0))
        self.assertEqual(told, ["changed"])


class Polling(SynchronousTestCase):
    def polled(self, watcher: DirectoryWatcher, directory: Path, clock: Clock) -> None:
        told: list[float] = []
        end = watcher.watch([directory], lambda: told.append(clock.seconds()))
        clock.pump([0.5] * 5)
        self.assertEqual(told, [1.0, 2.0])
        end()
        end()
        clock.pump([1.0] * 3)
        self.assertEqual(told, [1.0, 2.0])

    def test_where_inotify_is_missing(self) -> None:
        clock = Clock()
        self.polled(DirectoryWatcher(clock, polling=True), folder(self), clock)

    def test_where_the_kernel_allows_no_more_watches(self) -> None:
        def refused() -> int:
            raise inotify.INotifyError(24, "Too many open files")

        self.patch(inotify.INotify, "_inotify", type("Refusing", (), {"init": staticmethod(refused)}))
        clock = Clock()
        self.polled(DirectoryWatcher(clock), folder(self), clock)

    def test_a_directory_that_is_not_there(self) -> None:
        watcher = DirectoryWatcher(reactor)
        self.addCleanup(watcher.close)
        end = watcher.watch([folder(self) / "missing"], lambda: None)
        self.assertEqual(watcher._callbacks, {})
        end()


class FakeHome:
    def __init__(self) -> None:
        self.looks = self.looks_for_folders = 0

    def directories(self, _folder_id: int) -> tuple[Path, Path]:
        return Path(os.devnull), Path(os.devnull)

    def reconcile(self, folder_id: int) -> bool:
        assert folder_id != ACCOUNT
        self.looks += 1
        return False

    def reconcile_folders(self) -> bool:
        self.looks_for_folders += 1
        return False


class Attending(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.home = FakeHome()
        self.changed: list[Callable[[], None]] = []
        self.held: list[Deferred[Any]] = []
        self.holding = False
        self.attention = Attention(self, self.run_, lambda *_a, **_k: None)

    def watch(self, _directories: object, changed: Callable[[], None]) -> Callable[[], None]:
        self.changed.append(changed)
        return lambda: self.changed.remove(changed)

    def run_(self, operation: Callable[[Any], Any]) -> Deferred[Any]:
        result = operation(self.home)
        if self.holding:
            self.held.append(Deferred())
            return self.held[-1]
        return succeed(result)

    def test_one_watch_for_many_sessions_and_a_look_at_the_start(self) -> None:
        ends = [self.attention.attend(1), self.attention.attend(1)]
        self.assertEqual((len(self.changed), self.home.looks), (1, 1))
        ends[0]()
        ends[0]()
        self.assertEqual(len(self.changed), 1)
        ends[1]()
        self.assertEqual(self.changed, [])

    def test_which_folders_there_are(self) -> None:
        end = self.attention.attend(ACCOUNT)
        self.changed[0]()
        self.clock.advance(0.1)
        self.assertEqual((self.home.looks, self.home.looks_for_folders), (0, 2))
        end()

    def test_many_events_are_one_look(self) -> None:
        end = self.attention.attend(1)
        for _ in range(5):
            self.changed[0]()
        self.clock.advance(0.1)
        self.assertEqual(self.home.looks, 2)
        self.changed[0]()
        end()
        self.clock.advance(1)
        self.assertEqual(self.home.looks, 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_slow_folder_is_looked_at_less_often(self) -> None:
        self.attention.attend(1)
        self.holding = True
        self.changed[0]()
        self.clock.advance(0.1)
        self.changed[0]()  # while it is looked at
        self.clock.advance(1)
        self.assertEqual(self.home.looks, 2)
        self.held[0].callback(False)
        self.clock.advance(3.9)
        self.assertEqual(self.home.looks, 2)
        self.clock.advance(0.2)
        self.assertEqual(self.home.looks, 3)
