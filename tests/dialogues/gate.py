"""A gate for tests: one account, and whatever trouble a dialogue asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from mailstore.errors import NotArrived, TakesLonger
from mailstore.mailbox import Announce
from mailstore.mailhome import MailHome
from proxy.wire.door import Credentials, Hold, LoginRefused, Refusal

T = TypeVar("T")

ACCOUNT = "user@123.com"
PASSWORD = b"pass"

REFUSALS = {
    "wrong": (Refusal.WRONG, "Wrong user name or password"),
    "unavailable": (Refusal.UNAVAILABLE, "The old mail server cannot be reached"),
    "in-use": (Refusal.IN_USE, "Another session holds the old mailbox"),
    "turned-away": (Refusal.WRONG, "Wrong user name or password"),  # and the connection is closed
    "blocked": (Refusal.BLOCKED, "Ask your administrator"),
}


class Announced(list[tuple[int, int | None]]):
    """What a store has announced: a `mailstore.mailbox.Announce`."""

    def __call__(self, folder_id: int, modseq: int | None = None, /) -> None:
        self.append((folder_id, modseq))


class ScriptedHome:
    """A session's handle on the one account; operations are run where they stand."""

    account = ACCOUNT

    def __init__(self, gate: ScriptedGate) -> None:
        self._gate = gate
        self._watches: set[Announce] = set()
        self._locked = False
        self.closed = False

    async def run(self, operation: Callable[[MailHome], T]) -> T:
        if self.closed:
            raise AssertionError("a session uses a home that it has closed")
        while True:
            try:
                return await succeed(operation(self._gate.mail))
            except NotArrived:
                if not await self._gate.something_comes():
                    return self._gate.mail.without_waiting(operation)
            finally:
                self._gate.pass_on_changes()

    async def run_briefly(self, operation: Callable[[MailHome], T]) -> T:
        assert not self.closed
        try:
            return self._gate.mail.briefly(operation)
        except (TakesLonger, NotArrived):
            return await self.run(operation)
        finally:
            self._gate.pass_on_changes()

    def watch(self, changed: Announce) -> Callable[[], None]:
        def called(folder_id: int, modseq: int | None = None) -> None:  # its own object: one function may watch twice
            changed(folder_id, modseq)

        self._watches.add(called)
        return lambda: self._watches.discard(called)

    def announce(self, folder_id: int, modseq: int | None) -> None:
        for called in tuple(self._watches):
            called(folder_id, modseq)

    def attend(self, folder_id: int) -> Callable[[], None]:
        """The store looks into the folder when a dialogue says so: `M: notice`."""
        self._gate.mail.reconcile(folder_id)
        self._gate.pass_on_changes()
        return lambda: None

    async def lock_maildrop(self) -> bool:
        if self._locked:
            return True
        if self._gate.maildrop_locked:
            return False
        self._locked = self._gate.maildrop_locked = True
        return True

    def close(self) -> None:
        if self._locked:
            self._locked = self._gate.maildrop_locked = False
        self._watches.clear()
        self.closed = True


class ScriptedGate:
    """Lets `user@123.com` (or `user`) in with "pass", refuses others, and does as it was `told`."""

    def __init__(self, mail: MailHome, clock: IReactorTime, announced: Announced) -> None:
        """`announced` is where the store announces the folders that changed."""
        self.mail = mail
        self.clock = clock
        self.homes: list[ScriptedHome] = []
        self.maildrop_locked = False
        self.asked: list[Credentials] = []
        self.cancelled = 0
        self._way = "open"
        self._held: list[tuple[Hold, Deferred[None]]] = []
        self._announced = announced
        self._in_vain = False
        self._waiting: list[Deferred[bool]] = []  # for messages that are not here yet

    def told(self, words: str) -> None:
        """What a dialogue says to the gate:

        `open`, `hold` or the name of a refusal: what the next logins meet;
        `in-vain`: nothing that is not here yet comes any more;
        `accepted`, `progress DONE TOTAL`, `release`, `refuse NAME`: for the logins that are held.
        """
        word, *rest = words.split()
        if word in {"open", "hold", *REFUSALS}:
            self._way = word
        elif word == "in-vain":
            self._in_vain = True
            self._wake(False)
        elif word == "accepted":
            for hold, _ in self._held:
                hold.accepted = True
        elif word == "progress":
            for hold, _ in self._held:
                hold.accepted, hold.done, hold.total = True, int(rest[0]), int(rest[1])
        elif word in {"release", "refuse"}:
            held, self._held = self._held, []
            for _, waiting in held:
                if word == "release":
                    waiting.callback(None)
                else:
                    waiting.errback(LoginRefused(*REFUSALS[rest[0]]))
        else:
            raise AssertionError(f"the gate does not know {words!r}")

    async def login(self, credentials: Credentials, hold: Hold) -> ScriptedHome:
        self.asked.append(credentials)
        if self._way in REFUSALS:
            refused = LoginRefused(*REFUSALS[self._way])
            refused.ends = self._way == "turned-away"
            raise refused
        name = credentials.username.decode("utf-8", "replace").lower()
        if name not in {ACCOUNT, ACCOUNT.partition("@")[0]} or credentials.password.reveal() != PASSWORD:
            raise LoginRefused(*REFUSALS["wrong"])
        if self._way == "hold":
            waiting: Deferred[None] = Deferred(lambda _: self._left(waiting))
            self._held.append((hold, waiting))
            await waiting
        home = ScriptedHome(self)
        self.homes.append(home)
        return home

    def pass_on_changes(self) -> None:
        """Tell the sessions, in the reactor's next turn, of the folders that the store announced."""
        together: dict[int, int | None] = {}
        for folder, modseq in self._announced:
            together[folder] = None if together.get(folder, 0) is None else modseq
        for folder, modseq in together.items():
            for home in self.homes:
                self.clock.callLater(0, home.announce, folder, modseq)
        if self._announced:
            self._announced.clear()
            self.clock.callLater(0, self._wake, True)

    def something_comes(self) -> Deferred[bool]:
        """Fires after a change, and with False when nothing comes any more."""
        if self._in_vain:
            return succeed(False)
        waiting: Deferred[bool] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def _wake(self, again: bool) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(again)

    def _left(self, waiting: Deferred[None]) -> None:
        self.cancelled += 1
        self._held = [held for held in self._held if held[1] is not waiting]
