"""Logins, on their way from workers to the gate and back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from mailstore.accounts import Account
from proxy.config import Config
from proxy.daemon.channel import Message, octets_of
from proxy.daemon.employed import Employed
from proxy.login.refusing import unavailable
from proxy.wire.door import Because, Credentials, Hold, LoginRefused, Secret
from proxy.wire.faults import kind, where

HOLD_SECONDS: Final = 0.5  # how often workers are told how far held logins are

Admit = Callable[[Credentials, Hold], Awaitable[Account]]


class Sharing(Protocol):
    """Who knows which workers have sessions of an account."""

    async def share(self, worker: Employed, account_id: int) -> bool:
        """A session of the account comes to a worker: have the others that have some tell of its changes; are there
        any?"""

    def left(self, account_id: int) -> None:
        """A session has ended."""


class Entering:
    """Those of all workers."""

    def __init__(self, config: Config, admit: Admit, sharing: Sharing, reactor: Any, log: Any) -> None:
        """`admit` decides who may come in (`LoginGate.admit`)."""
        self._config = config
        self._admit = admit
        self._sharing = sharing
        self._log = log
        self._closed = False
        self._holds: LoopingCall | None = None
        self._reactor = reactor

    def begin(self, workers: Iterable[Employed]) -> None:
        """Tell them from now on how far held logins are. `workers` are those that there are at each look."""
        if self._holds is None:
            self._holds = LoopingCall(self._tell_holds, workers)
            self._holds.clock = self._reactor
            self._holds.start(HOLD_SECONDS, now=False)

    @property
    def begun(self) -> bool:
        """Has it?"""
        return self._holds is not None

    def end(self) -> None:
        """Tell them no more."""
        if self._holds is not None and self._holds.running:
            self._holds.stop()

    def close(self, workers: Iterable[Employed]) -> None:
        """Leave all that is not answered yet unanswered: another daemon will be asked again."""
        self._closed = True
        for worker in workers:
            for entering, _ in list(worker.logins.values()):
                entering.cancel()

    def ask(self, worker: Employed, message: Message) -> None:
        """A client of a worker wants to come in."""
        if self._closed:
            return
        number, hold = message["id"], Hold()
        credentials = Credentials(
            octets_of(message["username"]),
            Secret(octets_of(message["password"])),
            message["protocol"],
            message["peer"],
            message["trace"],
        )
        entering = Deferred.fromCoroutine(self._enter(worker, number, credentials, hold))
        if not entering.called:
            worker.logins[number] = entering, hold

        def over(result: Any) -> None:
            worker.logins.pop(number, None)
            worker.told.pop(number, None)
            if isinstance(result, Failure) and not isinstance(result.value, CancelledError):
                self._log.error("login failed", error=kind(result), where=where(result), trace=credentials.trace)
                self._refuse(worker, number, unavailable(Because.BROKEN))

        entering.addBoth(over)

    def cancel(self, worker: Employed, message: Message) -> None:
        """It has left."""
        entering = worker.logins.get(message["id"])
        if entering is not None:
            entering[0].cancel()

    async def _enter(self, worker: Employed, number: int, credentials: Credentials, hold: Hold) -> None:
        try:
            account = await self._admit(credentials, hold)
        except LoginRefused as refused:
            self._refuse(worker, number, refused)
            return
        if self._closed:
            return
        worker.sessions[account.id] += 1
        try:
            shared = await self._sharing.share(worker, account.id)
        except CancelledError:
            worker.sessions[account.id] -= 1
            self._sharing.left(account.id)
            raise
        maildir = self._config.maildir_for(account.local, account.domain)
        worker.channel.tell(
            "home", id=number, account=account.id, name=account.name, maildir=str(maildir), shared=shared
        )

    def _refuse(self, worker: Employed, number: int, refused: LoginRefused) -> None:
        if not self._closed:
            why = refused.refusal.value
            worker.channel.tell("refused", id=number, why=why, text=refused.text, ends=refused.ends)

    @staticmethod
    def _tell_holds(workers: Iterable[Employed]) -> None:
        for worker in workers:
            for number, (_, hold) in worker.logins.items():
                now = hold.accepted, hold.done, hold.total
                if worker.told.get(number, (False, 0, 0)) != now:
                    worker.told[number] = now
                    worker.channel.tell("hold", id=number, accepted=now[0], done=now[1], total=now[2])
