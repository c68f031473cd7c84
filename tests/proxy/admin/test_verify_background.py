"""A verification that a daemon makes: what is kept of it, who is not asked for, users who need its connection, and its
end before the end."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThread

from mailstore.proofs import Proofs
from mailstore.queue import Queue
from mailstore.secrets import KEY_OCTETS, Sealer
from proxy.admin.proving import standings
from proxy.admin.reports import Reports
from proxy.admin.tasks import Task, Tasks
from proxy.admin.verify.background import Verifying
from proxy.admin.verify.kinds import Finding, Kind
from proxy.admin.verify.outcome import AccountOutcome, Verdict
from proxy.admin.verify.sample import How
from proxy.admin.verify.seen import FEW, ROWS, Seen, Watching
from proxy.admin.verify.shelf import Shelf
from proxy.legacy.settings import Legacy
from proxy.login import legacy
from proxy.login.asking import ask
from proxy.login.legacy import LegacyDoor
from proxy.migration.schedule import Errand, Urgency
from tests.proxy.admin.test_verify_found import from_coroutine
from tests.proxy.admin.verify_rig import FULL, VerifyCase, reactor
from tests.proxy.login.login_rig import PASSWORD
from tests.proxy.login.test_login_end_to_end import SMALL


class InTheDaemon(VerifyCase):
    """One account, and whoever a test adds."""

    def begin(self, how: How = FULL) -> Task:
        self.door = LegacyDoor(
            self.settings, reactor, logins=partial(ask, self.accounts, deferToThread, self.accounts.legacy_login)
        )
        self.database = self.accounts._database
        self.tasks = Tasks(lambda _event, **_about: None)
        self.verifying = Verifying(
            *(self.settings, self.database, self.accounts, Sealer(b"k" * KEY_OCTETS), self.door),
            in_thread=deferToThread,
            reactor=reactor,
        )
        return self.tasks.begin("verify", "123.com", "ada", lambda task: self.verifying.domain(task, "123.com", how))

    async def over(self, task: Task) -> Seen:
        await self.until(lambda: not task.under_way)
        self.assertEqual(task.trouble, "")
        self.assertIsNone(self.verifying.watched(task))
        assert isinstance(task.result, Seen)
        return task.result

    @property
    def reports(self) -> list[Path]:
        return [path for path in (self.settings.state / "reports").rglob("*") if path.is_file()]

    @from_coroutine
    async def test_what_is_found_is_kept_and_what_it_proves_written_down(self) -> None:
        server = await self.carried(SMALL)
        task = self.begin()
        seen = await self.over(task)
        self.assertEqual((seen.totals.verdict, task.done, task.total), (Verdict.WHOLE, 1, 1))
        self.assertEqual([proof.account for proof in seen.proven], ["user@123.com"])
        self.assertTrue(standings(self.settings, Proofs(self.database))["123.com"].proven)
        self.assertEqual(seen.report, Reports(self.settings.state).of("123.com")[0])
        self.assertEqual(len(self.reports), 3)
        self.assertNotIn(PASSWORD, b"".join(path.read_bytes() for path in self.reports))
        self.assertEqual([row.number for row in seen.rows], [self.accounts.add("user", "123.com").id])
        self.assertEqual(server.deletions, 0)

    @from_coroutine
    async def test_who_is_paused_is_not_asked_for(self) -> None:
        server = await self.carried(SMALL)
        before = server.passwords
        Queue(self.accounts._database).pause_domain("123.com", paused=True)
        seen = await self.over(self.begin())
        self.assertIs(seen.totals.verdict, Verdict.NOT_COMPARED)
        self.assertIn("it is paused", seen.rows[0].not_compared)
        self.assertEqual((server.passwords, seen.totals.files), (before, 30))

    @from_coroutine
    async def test_nobody_listens(self) -> None:
        server = await self.carried(SMALL)
        await server.close()
        seen = await self.over(self.begin())
        self.assertIn("refuses connections", seen.rows[0].not_compared)
        self.assertEqual(seen.proven, [])

    @from_coroutine
    async def test_it_is_stopped_in_the_midst_of_a_message(self) -> None:
        server = await self.carried(SMALL)
        server.behaviour.stop_in = 20
        task = self.begin()
        await self.until(lambda: server.asked(b"RETR") > 0)
        self.tasks.stop("verify", "123.com")
        self.assertEqual((task.under_way, task.given_up, task.result), (False, True, None))
        await self.until(lambda: not server.open)
        self.assertIsNone(self.verifying.watched(task))
        self.assertEqual(self.reports, [])
        self.assertEqual(self.door.host_of("123.com").schedule.in_use, 0)
        server.behaviour.stop_in = 0
        self.assertIs((await self.over(self.begin())).totals.verdict, Verdict.WHOLE)

    @from_coroutine
    async def test_a_user_who_needs_the_connection_gets_it_and_the_comparison_goes_on(self) -> None:
        self.connections = 1
        server = await self.carried(SMALL)
        self.patch(legacy, "Legacy", Legacy)  # as patient as usual
        server.behaviour.stop_in = 20
        task = self.begin()
        await self.until(lambda: server.asked(b"RETR") > 0)
        place = await self.door.host_of("123.com").schedule.acquire(Errand("123.com", Urgency.HELD))
        server.behaviour.stop_in = 0
        self.assertTrue(task.under_way)
        place.release()
        seen = await self.over(task)
        self.assertEqual((seen.totals.verdict, seen.totals.contents), (Verdict.WHOLE, 30))
        self.assertEqual(seen.rows[0].not_compared, "")

    @from_coroutine
    async def test_an_account_that_goes_meanwhile_and_one_that_comes(self) -> None:
        await self.carried(SMALL)
        gone = self.accounts.add("aa", "123.com")
        task = self.begin()
        with self.database.write() as connection:
            connection.exec_driver_sql(f"DELETE FROM accounts WHERE id = {gone.id}")
        self.accounts.add("zz", "123.com")
        seen = await self.over(task)
        self.assertLessEqual({row.account for row in seen.rows}, {"user@123.com", "zz@123.com"})
        self.assertEqual(task.done, task.total)

    @from_coroutine
    async def test_a_report_that_cannot_be_kept_is_told_and_proves_all_the_same(self) -> None:
        await self.carried(SMALL)
        (self.settings.state / "reports").write_text("in the way")
        seen = await self.over(self.begin())
        self.assertIsNone(seen.report)
        self.assertIn("reports", seen.unkept)
        self.assertEqual(len(seen.proven), 1)

    @from_coroutine
    async def test_a_domain_without_accounts(self) -> None:
        await self.serve([])
        task = self.begin()
        await self.until(lambda: not task.under_way)
        self.assertEqual(task.trouble, "123.com has no accounts yet")


def outcome(name: str, *kinds: Kind, **figures: Any) -> AccountOutcome:
    found = AccountOutcome(f"{name}@123.com", "123.com", "moved", listed=3, **figures)
    for number, kind in enumerate(kinds, 1):
        found.found(Finding(kind, "what \udcff 话", number, "u\x00", 10, None, "=Old"))
    return found


def test_a_shelf_gives_back_what_was_put(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    some = [
        outcome("li", Kind.OCTETS_DIFFER),
        outcome("zhao", Kind.MISSING, Kind.GONE),
        outcome("anna", not_compared="no"),
        outcome("a-b", seconds=1.5),
    ]
    some[3].count(Kind.EXTRA_HERE, 7)
    for one in some:
        shelf.put(one)
    assert list(shelf) == [some[3], some[2], some[0], some[1]] == list(shelf)
    assert list(shelf.worst_first()) == [some[1], some[2], some[0], some[3]]
    assert list(tmp_path.iterdir()) == []
    shelf.close()


def test_of_many_accounts_the_worst_are_shown() -> None:
    watching = Watching(Task("verify", "123.com", "ada", 0.0))
    for number in range(5 * ROWS):
        kinds = [Kind.NO_DIGEST, *[Kind.MISSING] * 9] if number % 10 == 0 else []
        watching.ended(outcome(f"n{number:04}", *kinds))
    rows = watching.rows()
    assert len(rows) == ROWS and watching.totals.accounts == 5 * ROWS
    worst = [row for row in rows if row.verdict is Verdict.INCOMPLETE]
    assert [row.account for row in worst[:2]] == ["n0000@123.com", "n0010@123.com"] and len(worst) == ROWS // 2
    assert worst == rows[: len(worst)] and rows[len(worst)].account == "n0001@123.com"
    assert (len(worst[0].findings), worst[0].more) == (FEW, 10 - FEW)
    assert {finding.kind for finding in worst[0].findings} == {Kind.MISSING}
