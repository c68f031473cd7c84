"""The end of a move in the daemon, for an administrator who does not wait for it (`proxy.admin.tasks`).

    a last round → a comparison → the judgement → the end, and the report

It may be stopped, and the daemon may end, until accounts become final: nothing is changed then but that mail has come
which would have come anyway. From there on it goes to its end: one thread makes the accounts final, wipes their sealed
passwords and keeps the report, whoever waits for it. What a crash interrupts is gone on with by a second run.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from twisted.internet.task import deferLater

from mailstore.database import AccountsDatabase
from mailstore.finishing import Finishing
from mailstore.queue import Queue
from mailstore.secrets import Sealer
from proxy.admin import databases
from proxy.admin.filing import NotFiled
from proxy.admin.finishing import filed
from proxy.admin.finishing.run import QUICK, Judged, Made, Run, said
from proxy.admin.finishing.summary import Foreseen, Summary, foreseen, summed
from proxy.admin.tasks import Task, TaskFailed, Work
from proxy.admin.verify.account import Progress
from proxy.admin.verify.comparing import DaemonsDoor, Few, compare
from proxy.admin.verify.outcome import AccountOutcome
from proxy.admin.watch import Watch
from proxy.config import Config
from proxy.login.legacy import LegacyDoor
from proxy.wire import trace
from proxy.wire.in_thread import InThread

LOOK: Final = 1.0  # seconds between two looks how far a last round is


class Step(enum.StrEnum):
    """What a task is at."""

    LOOK = "look"  # all of a rehearsal
    ROUND = "round"
    COMPARE = "compare"
    JUDGE = "judge"
    END = "end"


@dataclass(frozen=True, slots=True)
class Meant:
    """A domain, or an account by its number."""

    name: str
    number: int | None = None


class Course:
    """Of one daemon."""

    def __init__(
        self,
        config: Config,
        database: AccountsDatabase,
        sealer: Sealer,
        door: LegacyDoor,
        *,
        in_thread: InThread,
        reactor: Any,
    ) -> None:
        self._config = config
        self._database = database
        self._finishing = Finishing(database)
        self._sealer = sealer
        self._door = DaemonsDoor(door)
        self._in_thread = in_thread
        self._few = Few(in_thread)
        self._reactor = reactor

    def _numbers(self, meant: Meant) -> Sequence[int]:
        numbers = [meant.number] if meant.number is not None else self._finishing.numbers(meant.name)
        if not numbers:
            raise TaskFailed(f"{meant.name}: no accounts are known here")
        return numbers

    def _made(self, meant: Meant, *, rehearsed: bool) -> Run:
        """Called in a thread."""
        asked_for, numbers = (meant.name,), self._numbers(meant)
        return Run(self._config, self._database, self._sealer, asked_for, numbers, rehearsed=rehearsed)

    def foreseen(self, meant: Meant, last: Summary | None) -> Foreseen:
        """What would come of it. Called in a thread. Raises TaskFailed, MailstoreError."""
        return foreseen(self._finishing.standing(self._numbers(meant)), last)

    def rehearsal(self, meant: Meant) -> Work:
        """Who would be left behind? Its result is a Summary."""

        async def work(task: Task) -> Summary:
            _at(task, Step.LOOK)
            run = await self._in_thread(lambda: self._made(meant, rehearsed=True))
            await self._compare(task, run)
            judged = await self._in_thread(run.judge)
            return await self._in_thread(self._told, run, judged, Made(judged.accounts, ""), "", None)

        return work

    def ending(self, meant: Meant, agreed: frozenset[int] | None) -> Work:
        """To the end. `agreed` are the accounts that may leave something behind, None: nobody may. Its result is a
        Summary."""

        async def work(task: Task) -> Summary:
            _at(task, Step.ROUND)
            run = await self._in_thread(lambda: self._made(meant, rehearsed=False))
            await self._carry(task, run)
            _at(task, Step.COMPARE)
            await self._compare(task, run)
            _at(task, Step.JUDGE)
            judged = await self._in_thread(run.judge)
            _at(task, Step.END, judged.todo)

            def told(count: int) -> None:
                self._reactor.callFromThread(_count, task, count)

            return await self._in_thread(self._end, run, judged, agreed, told)

        return work

    async def _carry(self, task: Task, run: Run) -> None:
        """The last round, by the daemon's own moves."""
        ready = await self._in_thread(run.to_carry)
        task.total = len(ready)
        queue = Queue(self._database)
        watch = Watch(queue, ready, time.time, time.monotonic)
        await self._in_thread(partial(queue.ask, [account.id for account in ready], trace=trace.current()))
        del ready  # a large company's are a hundred megabytes
        while task.total:
            progress = await self._in_thread(watch.look)
            run.carried(progress.ended)
            task.done = progress.done
            if progress.over:
                return
            await deferLater(self._reactor, LOOK)

    async def _compare(self, task: Task, run: Run) -> None:
        accounts = await self._in_thread(run.to_compare)
        task.total = len(accounts)
        if not accounts:
            return
        found = await compare(
            *(self._config, accounts, run.passwords, QUICK, _Counting(task)),
            door=self._door,
            in_thread=self._few.run,
            reactor=self._reactor,
            daemon=True,
            mailboxes=databases.mailboxes(self._database),
        )
        run.compared(accounts, found)

    def _end(self, run: Run, judged: Judged, agreed: frozenset[int] | None, told: Callable[[int], None]) -> Summary:
        """In one thread."""
        refused = ""
        if agreed is None and judged.left:
            refused = judged.refusal
        elif others := sum(one.account.id not in (agreed or ()) for one in judged.left):
            refused = f"{judged.refusal}, and that was not said of {said(others)}"
        made = Made(judged.accounts, "") if refused else run.end(judged, told)
        return self._told(run, judged, made, refused, agreed)

    def _told(self, run: Run, judged: Judged, made: Made, refused: str, agreed: frozenset[int] | None) -> Summary:
        """What there is to say, with the report kept. In a thread."""
        found = run.finished(made.accounts, refused=refused, leave_behind=agreed is not None)
        kept, unkept = [], ""
        if not found.circumstances.rehearsed:
            try:
                kept = filed.keep(self._config.state, found)
            except NotFiled as error:
                unkept = str(error)
        agreed = agreed or frozenset()
        return summed(found, judged.to_come, agreed=agreed, trouble=made.trouble, kept=kept, unkept=unkept)


def _at(task: Task, step: Step, total: int = 0) -> None:
    task.step, task.done, task.total = step, 0, total


def _count(task: Task, count: int) -> None:
    task.done += count


class _Counting:
    """A `Told` of verify's: how many accounts are compared."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def began(self, account: str) -> None:
        pass

    def progress(self, account: str, progress: Progress) -> None:
        pass

    def ended(self, outcome: AccountOutcome) -> None:
        self._task.done += 1
