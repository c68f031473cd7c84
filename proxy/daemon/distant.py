"""The gate as a worker has it: it asks the daemon's, and opens the mail of whoever is let in here.

Which sessions the workers have of an account is known to the daemon alone, who tells a worker when others have some
too. From then on (`Homes.shared`) the worker's changes to the account's folders are told there as well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import count
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from mailstore.errors import MailstoreError
from proxy.daemon.channel import Channel, Message, text_of
from proxy.login.homes import Handle, Homes
from proxy.login.refusing import unavailable
from proxy.wire import trace
from proxy.wire.door import Because, Credentials, Hold, Home, LoginRefused, Refusal

HEARD_SECONDS: Final = 3.0  # that a command is held until other workers know of its change; the daemon waits for two


class DistantGate:
    """A `proxy.wire.door.Gate`. `told` is given what the daemon says."""

    def __init__(self, channel: Channel, homes: Homes, clock: IReactorTime, log: Any) -> None:
        self._channel = channel
        self._clock = clock
        self._homes = homes
        self._log = log
        self._count = count(1)
        self._asked: dict[int, tuple[Deferred[Message], Hold, Credentials]] = {}
        self._last: dict[int, int] = {}  # by account, the number of the last change that not all others know of
        self._unheard: dict[int, list[Deferred[None]]] = {}  # who waits until they do, by that number
        self._answers: dict[str, Callable[[Message], None]] = {
            "home": self._let_in,
            "refused": self._refused,
            "hold": self._held,
            "share": self._share,
            "alone": self._alone,
            "changed": self._told,
            "heard": self._heard,
            "in_vain": self._in_vain,
        }
        homes.also_tell = self._changed
        homes.others_know = self._others_know
        homes.hurry = self._hurry

    async def login(self, credentials: Credentials, hold: Hold) -> Home:
        """See `Gate.login`."""
        number = next(self._count)
        answer: Deferred[Message] = Deferred(lambda _deferred: self._cancel(number))
        self._asked[number] = answer, hold, credentials
        self._ask(number, credentials)
        home = await self._open(await answer)
        if credentials.protocol == "imap":
            home.may_search()
        return home

    def ask_again(self) -> None:
        """Another daemon has taken over: it knows of no login that was not answered."""
        for number, (_, _, credentials) in self._asked.items():
            self._ask(number, credentials)

    def _ask(self, number: int, credentials: Credentials) -> None:
        self._channel.tell(
            "login",
            id=number,
            username=text_of(credentials.username),
            password=text_of(credentials.password.reveal()),
            protocol=credentials.protocol,
            peer=credentials.peer,
            trace=credentials.trace,
        )

    async def _open(self, message: Message) -> Handle:
        account = message["account"]

        def left() -> None:
            self._channel.tell("left", account=account)

        try:
            return await self._homes.open(account, message["name"], Path(message["maildir"]), left)
        except MailstoreError as error:
            self._log.error("login failed", account=message["name"], reason=str(error))
            raise unavailable(Because.BROKEN) from error

    def told(self, kind: str, message: Message) -> bool:
        """Something that the daemon said; False when it is not the gate's."""
        answer = self._answers.get(kind)
        if answer is None:
            return False
        answer(message)
        return True

    def give_up(self) -> None:
        """The daemon is gone: nobody can be let in any more."""
        for number in list(self._unheard):
            self._heard({"id": number})
        asked, self._asked = self._asked, {}
        for answer, _, _ in asked.values():
            gone = LoginRefused(Refusal.UNAVAILABLE, "Server is shutting down; try again later.")
            answer.errback(Failure(gone))  # type: ignore[no-untyped-call]

    def _cancel(self, number: int) -> None:
        del self._asked[number]
        self._channel.tell("cancel", id=number)

    def _let_in(self, message: Message) -> None:
        if message["shared"]:
            self._homes.shared.add(message["account"])
        else:
            self._homes.shared.discard(message["account"])
        asked = self._asked.pop(message["id"], None)
        if asked is None:  # the client left while the answer was on its way
            self._channel.tell("left", account=message["account"])
        else:
            asked[0].callback(message)

    def _refused(self, message: Message) -> None:
        asked = self._asked.pop(message["id"], None)
        if asked is not None:
            refused = LoginRefused(Refusal(message["why"]), message["text"])
            refused.ends = message["ends"]
            asked[0].errback(Failure(refused))  # type: ignore[no-untyped-call]

    def _held(self, message: Message) -> None:
        asked = self._asked.get(message["id"])
        if asked is not None:
            hold = asked[1]
            hold.accepted, hold.done, hold.total = message["accepted"], message["done"], message["total"]

    def _share(self, message: Message) -> None:
        """What was committed and is not on stable storage yet is waited for: others could see it from here on."""
        account = message["account"]
        self._homes.shared.add(account)
        self._homes.settled(account).addBoth(lambda _: self._channel.tell("shared", account=account))

    def _changed(self, account_id: int, folder_id: int) -> None:
        if account_id in self._homes.shared:
            number = self._last[account_id] = next(self._count)
            self._unheard[number] = []
            self._channel.tell("changed", id=number, account=account_id, folder=folder_id)

    def _alone(self, message: Message) -> None:
        self._homes.shared.discard(message["account"])
        self._last.pop(message["account"], None)

    def _hurry(self, account_id: int, uids: Collection[int], whole: bool) -> None:
        self._channel.tell("hurry", account=account_id, uids=sorted(uids), whole=whole, trace=trace.current())

    def _in_vain(self, message: Message) -> None:
        self._homes.in_vain(message["account"])

    def _told(self, message: Message) -> None:
        self._homes.tell(message["account"], message["folder"])
        if message["news"] is not None:
            self._channel.tell("noted", news=message["news"])

    def _others_know(self, account_id: int) -> Deferred[None] | None:
        """See `Homes.others_know`."""
        number = self._last.get(account_id, 0)
        waiting = self._unheard.get(number)
        if waiting is None:
            return None
        heard: Deferred[None] = Deferred()
        waiting.append(heard)

        def late(_failure: Failure) -> None:
            """The daemon has halted, and tells the others when it goes on. The next command does not wait for that."""
            self._unheard.pop(number, None)

        return heard.addTimeout(HEARD_SECONDS, self._clock).addErrback(late)

    def _heard(self, message: Message) -> None:
        for heard in self._unheard.pop(message["id"], ()):
            heard.callback(None)
