"""When the legacy server, or what is here, cannot be looked at: it is said, and never taken for whole."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from mailstore.accounts import State
from mailstore.entries import Listed
from mailstore.index.opening import open_index
from mailstore.landing import Landing
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome
from proxy.admin.verify.account import Surroundings
from proxy.admin.verify.kinds import Kind
from proxy.admin.verify.outcome import Verdict
from proxy.admin.verify.passwords import BadPasswordFile, Passwords, parse, read
from proxy.admin.verify.run import Room, Run, connections_for
from proxy.login.legacy import LegacyDoor
from proxy.login.names import Name
from proxy.migration.source import Source
from proxy.wire.door import Secret
from tests.legacy.server import unique_id
from tests.proxy.admin.test_verify_found import from_coroutine
from tests.proxy.admin.verify_rig import FULL, VerifyCase, reactor
from tests.proxy.login.login_rig import PASSWORD
from tests.proxy.login.test_login_end_to_end import SMALL
from tests.proxy.migration.scripted import direct, folder, mail


class TheLegacyServer(VerifyCase):
    async def not_compared(self, why: str, **behaviour: Any) -> None:
        """The local half is compared all the same."""
        for name, value in behaviour.items():
            setattr(self.legacy.behaviour, name, value)
        outcome = await self.verified()
        self.assertIn(why, outcome.not_compared)
        self.assertNotIn(PASSWORD.decode(), repr(outcome))
        self.assertEqual((outcome.verdict, outcome.listed, outcome.files), (Verdict.NOT_COMPARED, None, 30))
        self.file_of(4).unlink()
        self.assertIs((await self.verified()).verdict, Verdict.INCOMPLETE)

    @from_coroutine
    async def test_a_password_that_is_no_longer_taken_is_tried_once(self) -> None:
        server = await self.carried(SMALL)
        await self.not_compared("the legacy server refused the login: [AUTH] wrong", password=b"another")
        self.assertEqual(server.passwords, 2)  # two verifications

    @from_coroutine
    async def test_a_password_that_the_administrator_gives(self) -> None:
        server = await self.carried(SMALL)
        server.behaviour.password = b"another"
        outcome = await self.verified(given={"user@123.com": Secret(b"another")})
        self.assertIs(outcome.verdict, Verdict.WHOLE)

    @from_coroutine
    async def test_a_password_that_is_not_known(self) -> None:
        server = await self.carried(SMALL)
        account = self.accounts.find("user", "123.com")
        assert account is not None
        self.accounts._change(account.id, sealed_password=None)
        await self.not_compared("its password is not known here")
        self.assertEqual(server.passwords, 0)

    @from_coroutine
    async def test_a_sealed_password_of_another_key(self) -> None:
        await self.carried(SMALL)
        account = self.accounts.find("user", "123.com")
        assert account is not None
        self.accounts._change(account.id, sealed_password=b"\x01" + b"x" * 40)
        await self.not_compared("the sealed password does not open with this key")

    @from_coroutine
    async def test_a_final_account_is_not_asked_for(self) -> None:
        server = await self.carried(SMALL)
        account = self.accounts.find("user", "123.com")
        assert account is not None
        self.accounts._change(account.id, state=State.FINAL)
        await self.not_compared("the account is final")
        self.assertEqual(server.connections, 1)

    @from_coroutine
    async def test_a_paused_account_is_not_asked_for_whoever_gives_its_password(self) -> None:
        server = await self.carried(SMALL)
        before = server.passwords
        account = self.accounts.find("user", "123.com")
        assert account is not None
        self.accounts._change(account.id, paused=1)
        await self.not_compared("it is paused")
        outcome = await self.verified(given={"user@123.com": Secret(PASSWORD)})
        self.assertIn("`mailferry resume` ends that", outcome.not_compared)
        self.assertEqual(server.passwords, before)

    @from_coroutine
    async def test_in_use_is_tried_again_and_then_said(self) -> None:
        server = await self.carried(SMALL)
        await self.not_compared("[IN-USE] locked (tried 4 times)", login_refusal=b"-ERR [IN-USE] locked")
        self.assertEqual(server.passwords, 8)

    @from_coroutine
    async def test_in_use_for_a_moment(self) -> None:
        server = await self.carried(SMALL)
        server.behaviour.login_refusal = b"-ERR [IN-USE] locked"
        told = self.told.progress

        def free(account: str, progress: Any) -> None:
            told(account, progress)
            if progress.step.startswith("waiting"):
                server.behaviour.login_refusal = None

        self.patch(self.told, "progress", free)
        self.assertIs((await self.verified()).verdict, Verdict.WHOLE)

    @from_coroutine
    async def test_a_login_that_is_not_allowed(self) -> None:
        await self.carried(SMALL)
        await self.not_compared("POP3 is switched off", login_refusal=b"-ERR [SYS/PERM] POP3 is switched off")

    @from_coroutine
    async def test_a_listing_that_does_not_come(self) -> None:
        await self.carried(SMALL)
        await self.not_compared("refused LIST: not today", answers={b"LIST": b"-ERR not today\r\n"})

    @from_coroutine
    async def test_a_connection_that_breaks_again_and_again(self) -> None:
        server = await self.carried(SMALL)
        server.behaviour.hang_up_at = frozenset({b"RETR"})
        outcome = await self.verified()
        self.assertEqual((outcome.verdict, outcome.listed), (Verdict.NOT_COMPARED, 30))
        self.assertIn("of 30 messages were compared, then: the connection was", outcome.not_compared)
        self.assertEqual(server.passwords, 4)

    @from_coroutine
    async def test_nobody_listens(self) -> None:
        server = await self.carried(SMALL)
        await server.close()
        await self.not_compared("refuses connections")


class Here(VerifyCase):
    @from_coroutine
    async def test_nobody_has_logged_in_yet(self) -> None:
        server = await self.serve(SMALL)
        self.accounts.add("user", "123.com")
        outcome = await self.verified()
        self.assertIs(outcome.verdict, Verdict.NOT_COMPARED)
        self.assertIn("nobody has logged in here yet", outcome.not_compared)
        self.assertEqual((server.connections, self.maildir.parent.exists()), (0, False))

    @from_coroutine
    async def test_a_move_that_was_interrupted_or_is_under_way(self) -> None:
        await self.carried(SMALL)
        for uid in (29, 30):
            self.file_of(uid).unlink()
        self.sql(
            "UPDATE ledger SET outcome = 'listed', sha256 = NULL WHERE uid >= 29",
            "UPDATE ledger SET updated = 1700000000",
            "DELETE FROM messages WHERE uid >= 29",
        )
        outcome = await self.verified()
        last = "compared as of its last barrier (2023-11-14 22:13:20 UTC)"
        self.assertEqual(outcome.under_way, f"a move was interrupted; {last}")
        self.assertEqual(self.kinds(outcome), {Kind.MISSING: 2})
        self.assertEqual(outcome.findings[0].what, "it was listed and has not been fetched yet")
        self.assertIs(outcome.verdict, Verdict.INCOMPLETE)
        outcome = await self.verified(daemon=True)
        self.assertEqual(outcome.under_way, f"a move is under way; {last}")

    @from_coroutine
    async def test_a_message_that_is_in_the_index_before_it_is_here_is_missing_once(self) -> None:
        await self.carried(SMALL)
        self.file_of(30).unlink()
        self.sql(
            "UPDATE ledger SET outcome = 'listed', sha256 = NULL WHERE uid = 30",
            "UPDATE messages SET file = '' WHERE uid = 30",
        )
        outcome = await self.verified()
        self.assertEqual((self.kinds(outcome), outcome.stored), ({Kind.MISSING: 1}, 29))

    @from_coroutine
    async def test_beside_an_open_mailbox_with_changes_in_its_log(self) -> None:
        await self.carried(SMALL)
        account = self.accounts.find("user", "123.com")
        assert account is not None
        home = MailHome(MailboxEngine(), account.id, self.maildir)
        try:
            home.remove([3])
            outcome = await self.verified()
            self.assertEqual(self.kinds(outcome), {Kind.DELETED_HERE: 1})
            home.remove([4])
            self.assertEqual(self.kinds(await self.verified()), {Kind.DELETED_HERE: 2})
        finally:
            home.close()

    @from_coroutine
    async def test_what_changes_while_it_is_compared_is_looked_at_again(self) -> None:
        await self.carried(SMALL)
        told = self.told.progress

        def meddle(account: str, progress: Any) -> None:
            told(account, progress)
            if progress.step == "reading files" and progress.done == 0:
                self.patch(self.told, "progress", told)
                self.at_home(lambda home: home.remove([3, 4]))

        self.patch(self.told, "progress", meddle)
        self.patch(self, "files", dict)  # somebody does change something
        outcome = await self.verified()
        self.assertEqual(self.kinds(outcome), {Kind.DELETED_HERE: 2})
        self.assertEqual((outcome.files, outcome.verdict), (28, Verdict.WHOLE))

    @from_coroutine
    async def test_what_the_daemon_fetches_while_it_is_compared_is_not_missing(self) -> None:
        server = await self.carried(SMALL)
        server.messages.append(mail(31))
        told = self.told.progress

        def fetch(home: MailHome) -> None:
            listed = Listed(31, unique_id(mail(31)).decode(), len(mail(31)))
            landing = Landing(home.maildir, home.token, seen="none", clock=home.clock)
            written = landing.write([(*home.ledger.record_listing([listed], (), hold_uids=False), mail(31))])
            landing.settle(written)
            landing.close()
            home.enter([message.landed for message in written])

        def meddle(account: str, progress: Any) -> None:
            told(account, progress)
            if progress.step == "reading files":
                self.patch(self.told, "progress", told)
                self.at_home(fetch)

        self.patch(self.told, "progress", meddle)
        self.patch(self, "files", dict)
        outcome = await self.verified()
        self.assertEqual((outcome.verdict, outcome.listed, outcome.stored), (Verdict.WHOLE, 31, 31))
        self.assertEqual(outcome.files, 31)

    @from_coroutine
    async def test_a_damaged_index(self) -> None:
        await self.carried(SMALL)
        self.maildir.with_name("Maildir.db").write_bytes(b"nonsense" * 1000)
        outcome = await self.verified()
        self.assertIn("the database is damaged", self.only(outcome, Kind.UNREADABLE).what)
        self.assertIs(outcome.verdict, Verdict.INCOMPLETE)

    @from_coroutine
    async def test_no_index(self) -> None:
        await self.carried(SMALL)
        self.maildir.with_name("Maildir.db").unlink()
        self.assertIn("there is no index", self.only(await self.verified(), Kind.UNREADABLE).what)

    @from_coroutine
    async def test_an_index_of_a_former_version_is_read_as_it_is(self) -> None:
        await self.carried(SMALL)
        self.sql("ALTER TABLE messages DROP COLUMN line_ends", "UPDATE alembic_version SET version_num = '0003'")
        self.assertIs((await self.verified()).verdict, Verdict.WHOLE)
        self.sql("UPDATE alembic_version SET version_num = '9999'")
        self.assertIn("of a later version", self.only(await self.verified(), Kind.UNREADABLE).what)

    @from_coroutine
    async def test_a_log_that_a_crash_left_is_read_and_left(self) -> None:
        await self.carried(SMALL)
        index = self.maildir.with_name("Maildir.db")
        database = open_index(MailboxEngine(), index, lambda *_a, **_k: None)
        with database.write() as connection:
            connection.exec_driver_sql("DELETE FROM messages WHERE uid = 12")
        left = {
            name: index.with_name(name).read_bytes() for name in ("Maildir.db", "Maildir.db-wal", "Maildir.db.open")
        }
        database.close()
        for name, octets in left.items():
            index.with_name(name).write_bytes(octets)
        self.assertTrue(self.maildir.with_name("Maildir.db-wal").stat().st_size)
        self.assertEqual(self.kinds(await self.verified()), {Kind.INDEX_ROW_MISSING: 1, Kind.UNNOTICED: 1})

    @from_coroutine
    async def test_what_nobody_expected_of_one_account_is_told_as_its_own(self) -> None:
        await self.carried(SMALL)
        self.sql("UPDATE ledger SET outcome = 'nonsense' WHERE uid = 3")
        found = self.only(await self.verified(), Kind.UNREADABLE)
        self.assertIn("verify itself failed: ValueError at ", found.what)


class Counting:
    """A door that counts who is behind it."""

    def __init__(self, door: LegacyDoor) -> None:
        self._door = door
        self._inside: set[object] = set()
        self.most = 0

    async def open(self, name: Name, password: Secret) -> Source:
        place = object()
        self._inside.add(place)
        self.most = max(self.most, len(self._inside))
        source: Any = await self._door.open(name, password)
        for way_out in ("close", "abort"):
            setattr(source, way_out, self._leaving(place, getattr(source, way_out)))
        opened: Source = source
        return opened

    def _leaving(self, place: object, way_out: Any) -> Any:
        def leave() -> Any:
            self._inside.discard(place)
            return way_out()

        return leave


class Many(VerifyCase):
    @from_coroutine
    async def test_several_at_a_time_and_no_more_than_allowed(self) -> None:
        server = await self.serve([mail(1)])
        names = [f"u{number}" for number in range(12)]
        settings = self.settings
        sealed = self.sealed
        for name in names:
            self.accounts.admit(name, "123.com", sealed(f"{name}@123.com"), "hash")
        door = Counting(LegacyDoor(settings, reactor))
        around = Surroundings(FULL, door, reactor, direct, False)
        run = Run(settings, Passwords({}, self.sealer), around, self.told, connections={"123.com": 3})
        outcomes = await run.run(list(self.accounts.list()))
        self.assertEqual([outcome.account for outcome in outcomes], [f"{name}@123.com" for name in sorted(names)])
        self.assertEqual((door.most, server.passwords), (3, 12))
        await self.until(lambda: not server.open)

    @from_coroutine
    async def test_a_server_that_does_not_answer_is_not_asked_for_each(self) -> None:
        server = await self.serve([])
        settings = self.settings
        await server.close()
        for number in range(8):
            self.accounts.admit(f"u{number}", "123.com", self.sealed(f"u{number}@123.com"), "hash")
        around = Surroundings(FULL, LegacyDoor(settings, reactor), reactor, direct, False)
        run = Run(settings, Passwords({}, self.sealer), around, self.told, connections={"123.com": 1})
        outcomes = await run.run(list(self.accounts.list()))
        told = [outcome.not_compared for outcome in outcomes]
        self.assertEqual([text.endswith("this one was not tried)") for text in told], [False] * 3 + [True] * 5)
        self.assertTrue(all("refuses connections" in text for text in told))
        self.assertTrue(all(outcome.verdict is Verdict.INCOMPLETE for outcome in outcomes))  # nothing is here

    @from_coroutine
    async def test_who_does_not_wait_any_longer_ends_it(self) -> None:
        await self.serve([])
        waiting: list[Deferred[Source]] = []

        class Slow:
            async def open(self, _name: Name, _password: Secret) -> Source:
                waiting.append(Deferred())
                return await waiting[-1]

        for number in range(8):
            self.accounts.admit(f"u{number}", "123.com", self.sealed(f"u{number}@123.com"), "hash")
        around = Surroundings(FULL, Slow(), reactor, direct, False)
        run = Run(self.settings, Passwords({}, self.sealer), around, self.told, connections={"123.com": 3})
        running = Deferred.fromCoroutine(run.run(list(self.accounts.list())))
        self.assertEqual(len(waiting), 3)
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.assertEqual((len(waiting), self.told.outcomes), (3, []))

    @property
    def sealer(self) -> Any:
        from mailstore.secrets import KEY_OCTETS, Sealer

        return Sealer(b"k" * KEY_OCTETS)

    def sealed(self, name: str) -> bytes:
        sealed: bytes = self.sealer.seal(name, PASSWORD)
        return sealed

    def test_beside_a_daemon_half_of_the_connections_are_left_to_it(self) -> None:
        from proxy import config
        from tests.proxy.login.login_rig import CONFIG

        text = CONFIG.format(state=folder(self), accounts="open", port=110, connections=5)
        (domain,) = config.parse(text.encode()).domains.values()
        self.assertEqual(connections_for(domain, None, daemon=False), 5)
        self.assertEqual(connections_for(domain, None, daemon=True), 2)
        self.assertEqual(connections_for(domain, 4, daemon=True), 4)
        self.assertEqual(connections_for(domain, 40, daemon=False), 5)

    def test_room(self) -> None:
        room, leaving = Room(10), []

        def enter(wanted: int) -> Deferred[Any]:
            return room.enter(wanted).addCallback(leaving.append)

        first, large, small = enter(6), enter(50), enter(1)
        self.assertEqual((first.called, large.called, small.called), (True, False, False))
        leaving[0]()
        self.assertEqual((large.called, small.called), (True, False))
        leaving[1]()
        self.assertTrue(small.called)


class PasswordFiles(VerifyCase):
    def test_a_file(self) -> None:
        given = parse("# who\n\nWang@123.com:a:b c \nli@456.com:x\n", "file")
        self.assertEqual(
            {name: secret.reveal() for name, secret in given.items()}, {"wang@123.com": b"a:b c ", "li@456.com": b"x"}
        )

    def test_what_is_wrong_is_said_without_a_word_of_it(self) -> None:
        for text in ("secret", "wang@123.com", "wang@123.com:", "wang@123.com secret"):
            with self.assertRaises(BadPasswordFile) as caught:
                parse(f"li@123.com:x\n{text}\n", "file")
            self.assertEqual(str(caught.exception), "file: line 2 is not user@domain:password")

    def test_a_file_that_others_may_read(self) -> None:
        path = folder(self) / "passwords"
        path.write_text("li@123.com:x\n")
        path.chmod(0o640)
        with self.assertRaises(BadPasswordFile) as caught:
            read(str(path))
        self.assertIn("give it mode 0600", str(caught.exception))
        path.chmod(0o600)
        self.assertEqual(set(read(str(path))), {"li@123.com"})
        with self.assertRaises(BadPasswordFile):
            read(str(path) + "x")
