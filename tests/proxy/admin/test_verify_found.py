"""Each kind of finding, made for real: at the legacy server, in the ledger, in the index, and in the Maildir."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from mailstore.index.folders import INBOX_ID
from proxy.admin.verify.kinds import Kind, Weight
from proxy.admin.verify.outcome import Verdict
from proxy.admin.verify.sample import How
from tests.legacy.server import unique_id
from tests.proxy.admin.verify_rig import VerifyCase
from tests.proxy.login.test_login_end_to_end import ODD, SMALL
from tests.proxy.migration.scripted import mail

SIZED = [mail(n, 100 + n) + b"\r\n" for n in range(1, 31)]

Case = TypeVar("Case", bound=VerifyCase)


def from_coroutine(test: Callable[[Case], Coroutine[Deferred[Any], Any, None]]) -> Callable[[Case], Deferred[None]]:
    """An `async def` as a test."""

    @wraps(test)
    def run(case: Case) -> Deferred[None]:
        return Deferred.fromCoroutine(test(case))

    return run


class Whole(VerifyCase):
    @from_coroutine
    async def test_all_of_it_is_here(self) -> None:
        server = await self.carried(SMALL + ODD)
        outcome = await self.verified()
        self.assertEqual((outcome.verdict, self.kinds(outcome), outcome.findings), (Verdict.WHOLE, {}, []))
        figures = (outcome.listed, outcome.ledger, outcome.stored, outcome.files, outcome.contents)
        self.assertEqual(figures, (35, 35, 35, 35, 35))
        octets = sum(map(len, SMALL + ODD))
        self.assertEqual((outcome.file_octets, outcome.content_octets), (octets, octets))
        self.assertEqual(server.passwords, 1)

    @from_coroutine
    async def test_a_sample_is_some_of_it_and_the_same_for_the_same_seed(self) -> None:
        server = await self.carried(SMALL)
        asked = []
        for seed in (1, 1, 2):
            server.commands.clear()
            outcome = await self.verified(How("sample", 8, seed))
            self.assertEqual((outcome.verdict, outcome.contents, outcome.files), (Verdict.WHOLE, 8, 30))
            asked.append([line for line in server.commands if line.startswith(b"RETR")])
        self.assertEqual(asked[0], asked[1])
        self.assertNotEqual(asked[0], asked[2])
        for numbers in asked:  # the first, the last
            self.assertTrue({b"RETR 1", b"RETR 2", b"RETR 29", b"RETR 30"} <= set(numbers))

    @from_coroutine
    async def test_without_a_sample_nothing_is_fetched(self) -> None:
        server = await self.carried(SMALL)
        outcome = await self.verified(How("none"))
        self.assertEqual((outcome.verdict, outcome.listed, outcome.contents), (Verdict.WHOLE, 30, 0))
        self.assertEqual(server.asked(b"RETR"), 0)

    @from_coroutine
    async def test_what_is_here_alone(self) -> None:
        server = await self.carried(SMALL)
        outcome = await self.verified(How("none", legacy=False))
        self.assertEqual((outcome.verdict, outcome.listed, outcome.files), (Verdict.WHOLE, None, 30))
        self.assertEqual(server.connections, 1)

    @from_coroutine
    async def test_an_empty_mailbox(self) -> None:
        await self.carried([])
        outcome = await self.verified()
        self.assertEqual((outcome.verdict, outcome.listed), (Verdict.WHOLE, 0))


class AtTheLegacyServer(VerifyCase):
    @from_coroutine
    async def test_mail_that_arrived_since_is_missing(self) -> None:
        server = await self.carried(SMALL)
        server.messages.append(mail(31))
        outcome = await self.verified()
        found = self.only(outcome, Kind.MISSING)
        self.assertEqual((found.position, found.octets, found.uid), (31, len(mail(31)), None))
        self.assertEqual(found.uidl, unique_id(mail(31)).decode())
        self.assertEqual(found.what, "the ledger does not have it: it arrived since the last move")
        self.assertIs(outcome.verdict, Verdict.INCOMPLETE)

    @from_coroutine
    async def test_mail_deleted_there_is_no_longer_listed_and_fine(self) -> None:
        server = await self.carried(SMALL)
        del server.messages[3:6]
        outcome = await self.verified()
        self.assertEqual(self.kinds(outcome), {Kind.NO_LONGER_LISTED: 3})
        self.assertEqual((outcome.verdict, outcome.contents), (Verdict.WHOLE, 27))

    @from_coroutine
    async def test_a_message_in_quarantine_with_its_reason(self) -> None:
        await self.carried(SMALL, vanished=frozenset({5}))
        outcome = await self.verified()
        found = self.only(outcome, Kind.QUARANTINED)
        self.assertEqual(found.position, 5)
        self.assertIn("the legacy server refuses this message: no such message", found.what)
        self.assertIs(outcome.verdict, Verdict.INCOMPLETE)

    @from_coroutine
    async def test_what_was_quarantined_and_is_no_longer_listed_is_a_note(self) -> None:
        server = await self.carried(SMALL, vanished=frozenset({30}))
        server.messages.pop()
        outcome = await self.verified()
        self.assertIn("it never came here", self.only(outcome, Kind.GONE).what)
        self.assertIs(outcome.verdict, Verdict.NOTES)

    @from_coroutine
    async def test_bytes_that_changed_there(self) -> None:
        names = {number: b"n%d" % number for number in range(1, 31)}
        server = await self.carried(SMALL, uidls=names)
        server.messages[6] = SMALL[6].replace(b"body", b"bode")
        outcome = await self.verified()
        found = self.only(outcome, Kind.CONTENT_DIFFERS)
        self.assertEqual((found.position, found.uidl), (7, "n7"))
        self.assertIs(outcome.verdict, Verdict.INCOMPLETE)

    @from_coroutine
    async def test_status_lines_that_the_server_writes_anew_are_a_note(self) -> None:
        names = {number: b"n%d" % number for number in range(1, 31)}
        large = b"Subject: large\r\n\r\n" + b"x" * 300_000 + b"\r\n"
        server = await self.carried([*SMALL[:29], large], uidls=names)
        for at in (6, 29):
            server.messages[at] = b"Status: RO\r\nX-Keywords: a\r\n b\r\n" + server.messages[at]
        outcome = await self.verified()
        self.assertEqual(self.kinds(outcome), {Kind.STATUS_LINES: 2})
        self.assertIs(outcome.verdict, Verdict.NOTES)

    @from_coroutine
    async def test_all_uidls_changed_is_known_by_content(self) -> None:
        server = await self.carried(SMALL)
        server.behaviour.uidls = {number: b"new%d" % number for number in range(1, 31)}
        outcome = await self.verified()
        self.assertEqual((self.kinds(outcome), outcome.verdict), ({Kind.UIDL_CHANGED: 30}, Verdict.NOTES))
        self.assertEqual(outcome.findings[0].uidl, "new1")

    @from_coroutine
    async def test_a_sample_says_that_unknown_mail_may_be_known(self) -> None:
        server = await self.carried(SIZED)
        server.behaviour.uidls = {number: b"new%d" % number for number in range(1, 31)}
        outcome = await self.verified(How("sample", 8, 1))
        self.assertEqual(self.kinds(outcome), {Kind.UIDL_CHANGED: 8, Kind.MISSING: 22, Kind.NO_LONGER_LISTED: 22})
        missing = next(finding for finding in outcome.findings if finding.kind is Kind.MISSING)
        self.assertIn("it may be one that is here under another UIDL: verify --full tells", missing.what)

    @from_coroutine
    async def test_a_uidl_that_names_another_message_now(self) -> None:
        names = {number: b"n%d" % number for number in range(1, 31)}
        server = await self.carried(SMALL, uidls=names)
        server.messages[0] = mail(99, 500)
        outcome = await self.verified(How("sample", 4, 1))  # LIST says another size: it is among the sample
        self.assertEqual(self.only(outcome, Kind.CONTENT_DIFFERS).position, 1)

    @from_coroutine
    async def test_another_order(self) -> None:
        server = await self.carried(SMALL)
        server.messages.append(server.messages.pop(9))
        outcome = await self.verified()
        found = self.only(outcome, Kind.ORDER_CHANGED)
        self.assertEqual((found.position, found.what), (30, "it is listed as message 30, and was listed as 10 first"))
        self.assertIs(outcome.verdict, Verdict.NOTES)

    @from_coroutine
    async def test_list_counts_wrong_and_that_is_a_note(self) -> None:
        await self.carried(SMALL, sizes={2: b"999"})
        outcome = await self.verified()
        found = self.only(outcome, Kind.OCTETS_DIFFER)
        self.assertEqual((found.position, found.octets), (2, 999))
        self.assertIs(outcome.verdict, Verdict.NOTES)

    @from_coroutine
    async def test_a_message_at_which_the_connection_breaks_is_not_given(self) -> None:
        server = await self.carried(SMALL)
        server.behaviour.reset_in = 7
        outcome = await self.verified()
        self.assertEqual(self.only(outcome, Kind.NOT_GIVEN).position, 7)
        self.assertEqual((outcome.contents, outcome.verdict), (29, Verdict.NOTES))

    @from_coroutine
    async def test_a_server_that_loses_commands_sent_together(self) -> None:
        await self.carried(SMALL, capabilities=(b"UIDL",), pipelining="drops")
        outcome = await self.verified()
        self.assertEqual((outcome.contents, outcome.verdict), (30, Verdict.WHOLE))

    @from_coroutine
    async def test_without_uidl_what_was_deleted_in_between_does_not_shift_the_rest(self) -> None:
        boxes = SIZED
        server = await self.carried(boxes, capabilities=None, uidl=False)
        del server.messages[4:7]
        outcome = await self.verified()
        self.assertEqual(self.kinds(outcome), {Kind.NO_LONGER_LISTED: 3})
        self.assertEqual((outcome.contents, outcome.verdict), (27, Verdict.WHOLE))

    @from_coroutine
    async def test_without_uidl_and_of_one_size_the_bytes_tell(self) -> None:
        boxes = [mail(n) for n in range(10, 40)]  # all of one size
        server = await self.carried(boxes, capabilities=None, uidl=False)
        del server.messages[4:7]
        outcome = await self.verified()
        self.assertEqual(self.kinds(outcome), {Kind.NO_LONGER_LISTED: 3})

    @from_coroutine
    async def test_the_same_uidl_for_all(self) -> None:
        server = await self.carried(SMALL, uidls=dict.fromkeys(range(1, 31), b"same"))
        self.assertIs((await self.verified()).verdict, Verdict.WHOLE)
        del server.messages[0]
        outcome = await self.verified()
        self.assertEqual(self.kinds(outcome), {Kind.NO_LONGER_LISTED: 1})

    @from_coroutine
    async def test_fetched_again_under_a_new_uidl_may_be_doubled(self) -> None:
        names = {number: b"n%d" % number for number in range(1, 4)}
        server = await self.carried([mail(1), mail(2), mail(1)], uidls=names)
        server.messages[:] = server.messages[1:]
        server.behaviour.uidls = {1: b"n2", 2: b"n3"}
        outcome = await self.verified()
        self.assertEqual(self.kinds(outcome), {Kind.PERHAPS_DOUBLED: 1, Kind.NO_LONGER_LISTED: 1})
        self.assertEqual(self.only(outcome, Kind.PERHAPS_DOUBLED).uidl, "n1")


class Here(VerifyCase):
    @from_coroutine
    async def test_a_file_that_is_missing(self) -> None:
        await self.carried(SMALL)
        self.file_of(4).unlink()
        outcome = await self.verified()
        found = self.only(outcome, Kind.FILE_MISSING)
        self.assertEqual((found.position, found.uid), (4, 4))
        self.assertIn("the legacy server still gives it unchanged, as message 4", found.what)
        self.assertIs(outcome.verdict, Verdict.INCOMPLETE)

    @from_coroutine
    async def test_a_file_that_was_altered(self) -> None:
        await self.carried(SMALL)
        cut, same_size = self.file_of(4), self.file_of(5)
        cut.write_bytes(cut.read_bytes()[:10])
        same_size.write_bytes(same_size.read_bytes().replace(b"body", b"bode"))
        outcome = await self.verified(How("none", legacy=False))
        self.assertEqual(self.kinds(outcome), {Kind.FILE_ALTERED: 2})
        self.assertEqual([finding.uid for finding in outcome.findings], [4, 5])
        self.assertEqual(outcome.findings[0].what, f"its file has 10 octets instead of {len(SMALL[3])}")

    @from_coroutine
    async def test_what_is_no_file(self) -> None:
        await self.carried(SMALL)
        path = self.file_of(4)
        path.unlink()
        os.mkfifo(path)
        found = self.only(await self.verified(), Kind.FILE_UNREADABLE)
        self.assertIn("what should be the message's file is none", found.what)

    @from_coroutine
    async def test_a_renamed_file_is_the_same_file(self) -> None:
        await self.carried(SMALL)
        path = self.file_of(4)
        path.rename(path.with_name(path.name + "S"))
        path = self.file_of(5)
        path.rename(self.maildir / "new" / path.name)
        self.assertIs((await self.verified()).verdict, Verdict.WHOLE)

    @from_coroutine
    async def test_an_index_row_that_is_missing(self) -> None:
        await self.carried(SMALL)
        self.sql("DELETE FROM messages WHERE folder_id = 1 AND uid = 12")
        outcome = await self.verified()
        self.assertEqual(self.kinds(outcome), {Kind.INDEX_ROW_MISSING: 1, Kind.UNNOTICED: 1})
        self.assertEqual(self.only(outcome, Kind.INDEX_ROW_MISSING).position, 12)
        # and its remedy is one
        self.at_home(lambda home: home.reconcile())
        self.assertEqual(self.kinds(await self.verified()), {Kind.WRONG_ORDER: 1})

    @from_coroutine
    async def test_a_uidl_that_the_index_has_otherwise(self) -> None:
        await self.carried(SMALL)
        self.sql("UPDATE messages SET uidl = 'other' WHERE folder_id = 1 AND uid = 12")
        found = self.only(await self.verified(), Kind.UIDL_DIFFERS)
        self.assertIn("POP3 clients are told other, the ledger has", found.what)

    @from_coroutine
    async def test_a_wrong_order_here(self) -> None:
        await self.carried(SMALL)
        for table in ("messages", "ledger"):
            self.sql(f"UPDATE {table} SET uid = 99 WHERE uid = 12")
        outcome = await self.verified()
        found = self.only(outcome, Kind.WRONG_ORDER)
        self.assertEqual((found.uid, found.position, found.kind.weight), (99, 12, Weight.FAULT))

    @from_coroutine
    async def test_what_came_at_a_later_attempt_stands_behind_and_that_is_a_note(self) -> None:
        await self.carried(SMALL)
        self.sql(
            "UPDATE messages SET uid = 99 WHERE uid = 12",
            "UPDATE ledger SET uid = 99, attempts = 1 WHERE uid = 12",
        )
        self.assertEqual(self.only(await self.verified(), Kind.CAME_LATE).position, 12)

    @from_coroutine
    async def test_a_message_that_is_here_twice(self) -> None:
        await self.carried(SMALL)
        path = self.file_of(12)
        path.with_name("1.copy:2,").write_bytes(path.read_bytes())
        columns = "account_id, folder_id, modseq, flags, size, internal_date, uidl"
        self.sql(
            f"INSERT INTO messages ({columns}, uid, file) SELECT {columns}, 50, '1.copy' FROM messages WHERE uid = 12"
        )
        outcome = await self.verified()
        self.assertEqual(self.only(outcome, Kind.DOUBLED).uid, 50)

    @from_coroutine
    async def test_what_the_user_deletes_stores_and_moves_is_fine(self) -> None:
        await self.carried(SMALL)

        def use(home: Any) -> None:
            import io

            home.remove([3, 4])
            home.append("INBOX", io.BytesIO(b"Subject: new\r\n\r\n"), (), None)
            home.create("Old")
            home.move(INBOX_ID, [5], "Old")

        self.at_home(use)
        outcome = await self.verified()
        self.assertEqual(self.kinds(outcome), {Kind.DELETED_HERE: 2, Kind.MOVED_HERE: 1, Kind.EXTRA_HERE: 1})
        self.assertEqual((outcome.verdict, outcome.stored, outcome.contents), (Verdict.WHOLE, 27, 27))
        outcome = await self.verified(How("sample"))  # other mail is not read then
        self.assertEqual(self.kinds(outcome), {Kind.DELETED_HERE: 3, Kind.EXTRA_HERE: 2})

    @from_coroutine
    async def test_a_file_missing_in_another_folder(self) -> None:
        await self.carried(SMALL)

        def use(home: Any) -> None:
            home.create("Old/旧")
            home.move(INBOX_ID, [5, 6], "Old/旧")

        self.at_home(use)
        (gone, cut) = sorted((self.maildir / ".Old.旧" / "cur").iterdir())
        gone.unlink()
        cut.write_bytes(b"")
        outcome = await self.verified()
        found = {(finding.kind, finding.folder) for finding in outcome.findings}
        self.assertEqual(found, {(Kind.FILE_MISSING, "Old/旧"), (Kind.FILE_ALTERED, "Old/旧")})

    @from_coroutine
    async def test_files_that_nobody_has_noticed_yet(self) -> None:
        await self.carried(SMALL)
        (self.maildir / "new" / "1.delivered").write_bytes(b"Subject: x\n\n")
        outcome = await self.verified()
        self.assertEqual((self.kinds(outcome), outcome.verdict), ({Kind.UNNOTICED: 1}, Verdict.WHOLE))

    @from_coroutine
    async def test_a_ledger_without_digests_is_compared_by_the_files_themselves(self) -> None:
        await self.carried(SMALL)
        self.sql("UPDATE ledger SET sha256 = NULL")
        outcome = await self.verified()
        self.assertEqual((self.kinds(outcome), outcome.contents), ({}, 30))
        self.file_of(4).write_bytes(SMALL[3].replace(b"body", b"bode"))
        self.assertEqual(self.only(await self.verified(), Kind.CONTENT_DIFFERS).uid, 4)
        outcome = await self.verified(How("none", legacy=False))
        self.assertEqual((self.kinds(outcome), outcome.verdict), ({Kind.NO_DIGEST: 30}, Verdict.NOTES))
