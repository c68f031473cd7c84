"""How far a move is, on a disk that refuses to have it written down."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from mailstore.entries import Sums
from mailstore.errors import StorageFailed
from proxy.login.progress import FEW, PROGRESS_SECONDS, Progress
from tests.proxy.migration.scripted import direct, folder


class ProgressTest(SynchronousTestCase):
    def test_it_is_tried_each_second_and_said_once(self) -> None:
        database = AccountsDatabase(folder(self) / "accounts.db")
        self.addCleanup(database.close)
        accounts = Accounts(database)
        account = accounts.add("ann", "123.com")
        now, said, tried = [0.0], list[Failure](), list[int]()

        def apart(work: Coroutine[Deferred[Any], Any, Any]) -> Deferred[None]:
            return Deferred.fromCoroutine(work).addErrback(said.append)

        def full(_account: int, messages: tuple[int, int], _octets: tuple[int, int]) -> None:
            tried.append(messages[0])
            raise StorageFailed("the database refused: disk I/O error")

        written = accounts.progress
        self.patch(accounts, "progress", full)
        progress = Progress(account.id, accounts, seconds=lambda: now[0], in_thread=direct, apart=apart)
        for done in range(5):
            progress.tell(Sums(done, 2 * FEW, done, 2 * FEW, 0))
            now[0] += PROGRESS_SECONDS
        self.assertEqual(tried, [0, 1, 2, 3, 4])
        self.assertEqual([failure.type for failure in said], [StorageFailed])
        self.patch(accounts, "progress", written)
        progress.tell(Sums(9, 2 * FEW, 9, 2 * FEW, 0))
        self.successResultOf(Deferred.fromCoroutine(progress.settled()))
        self.assertEqual(accounts.get(account.id).messages_done, 9)
