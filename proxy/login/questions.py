"""Is this the password? What the legacy server is asked, how often, and which refusal its answer becomes.

Where only accounts of a list may come in, a stranger to the list is not asked about (invariant 10), and is not to learn
from that who is on it. So a stranger's question passes the same stations, is counted in the same way, and is then
answered as the domain's last real question was, after as long as one of the last ones took: "wrong" while the server
answers, and why not while it does not.
"""

from __future__ import annotations

import random
from collections import deque
from typing import Any, Final, NoReturn, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from mailstore.accounts import Accounts
from proxy.legacy.errors import LegacyBusy, LegacyError, LoginNotPossible, LoginRejected, MaildropInUse
from proxy.login.asking import ask
from proxy.login.legacy import LegacyDoor
from proxy.login.names import Name
from proxy.login.outcomes import Log
from proxy.login.refusing import unavailable, wrong
from proxy.login.throttle import Throttle
from proxy.migration.source import Source
from proxy.wire.door import Because, LoginRefused, Refusal, Secret
from proxy.wire.in_thread import InThread
from proxy.wire.tally import THROTTLED, Tally

MOST: Final = 2_000  # questions about strangers at the same time; in a flood of more the next ones are told "busy"
_LAST: Final = 16  # answers whose times are remembered, of each kind


class _Answers:
    """A domain's last ones."""

    def __init__(self) -> None:
        self.trouble: Because | None = None  # the last answer was none
        self._seconds: dict[Because | None, deque[float]] = {}

    def came(self, trouble: Because | None, seconds: float) -> None:
        self.trouble = trouble
        self._seconds.setdefault(trouble, deque(maxlen=_LAST)).append(seconds)

    def seconds(self) -> float:
        """How long another one of the last kind may take."""
        took = self._seconds.get(self.trouble)
        return random.choice(took) if took else 0.0  # noqa: S311 - no secret


class Asked(Protocol):
    """Wrong passwords that all nodes together have asked about, by mailbox at the legacy server."""

    async def may_ask(self, mailbox: str) -> bool:
        """Raises StorageFailed."""

    def said_no(self, mailbox: str) -> Deferred[None]: ...

    def said_yes(self, mailbox: str) -> Deferred[None]: ...


class Questions:
    """For one gate. `clock` is the reactor."""

    def __init__(
        self,
        accounts: Accounts,
        legacy: LegacyDoor,
        throttle: Throttle,
        clock: Any,
        log: Log,
        tally: Tally,
        in_thread: InThread,
        asked: Asked | None = None,
    ) -> None:
        """`asked`: what other nodes have asked as well, if there are any."""
        self._asked = asked
        self._accounts = accounts
        self._in_thread = in_thread
        self._legacy = legacy
        self._throttle = throttle
        self._clock = clock
        self._log = log
        self._tally = tally
        self._answers: dict[str, _Answers] = {}  # by domain
        self._strangers = 0  # who are being asked about

    async def ask(self, name: Name, password: Secret, own: str | None) -> Source:
        """`own` is the account's hash if the password fits it. Raises LoginRefused."""
        who, mailbox = str(name), await self._legacy.mailbox_of(name)
        await self._require_worth_asking(name, who, mailbox, password)
        await self._require_questions_left(mailbox)
        answers = self._answers.setdefault(name.domain, _Answers())
        asked = self._clock.seconds()
        try:
            source = await self._legacy.open(name, password)
        except LoginRejected as error:
            answers.came(None, self._clock.seconds() - asked)
            if own is not None:
                self._throttle.changed(who, own)
            self._throttle.legacy_said_no(who, password, mailbox)
            if self._asked is not None:
                await self._asked.said_no(mailbox)
            raise wrong() from error
        except MaildropInUse as error:
            self._log.warning("legacy mailbox in use", account=who, reason=error.advice)
            raise LoginRefused(Refusal.IN_USE, "the old mailbox is in use by another program") from error
        except LoginNotPossible as error:
            self._log.warning("legacy login not possible", account=who, reason=error.advice)
            raise unavailable(Because.NOT_POSSIBLE) from error
        except LegacyError as error:
            log = self._log.info if error.reported else self._log.warning
            log("legacy server unavailable", account=who, reason=error.advice)
            because = Because.BUSY if isinstance(error, LegacyBusy) else Because.DOWN
            answers.came(because, self._clock.seconds() - asked)
            raise unavailable(because) from error
        answers.trouble = None
        return source

    async def ask_about_stranger(self, name: Name, password: Secret) -> NoReturn:
        """… who is not to be asked about. It takes its time even if the client leaves, as a real question does. What is
        remembered does not count once there is such an account. Raises LoginRefused."""
        who = f"stranger {name}"
        await self._require_worth_asking(name, who, who, password)
        answers = self._answers.setdefault(name.domain, _Answers())
        trouble, seconds = answers.trouble, answers.seconds()
        if self._strangers >= MOST:
            raise unavailable(Because.BUSY)
        self._strangers += 1
        try:
            if seconds:
                await deferLater(self._clock, seconds)
        finally:
            self._strangers -= 1
        if trouble is not None:
            raise unavailable(trouble)
        self._throttle.legacy_said_no(who, password, who)
        raise wrong()

    async def _require_questions_left(self, mailbox: str) -> None:
        """As far as other nodes are concerned."""
        if self._asked is not None and not await self._asked.may_ask(mailbox):
            self._tally.count(THROTTLED, "too-many")
            raise unavailable(Because.TOO_MANY)

    def said_yes(self, mailbox: str) -> None:
        """The legacy server took a password."""
        if self._asked is not None:
            self._asked.said_yes(mailbox)

    async def _require_worth_asking(self, name: Name, who: str, mailbox: str, password: Secret) -> None:
        if self._throttle.known_wrong(who, password):
            self._tally.count(THROTTLED, "repeated")
            raise wrong()
        if not self._throttle.may_ask(mailbox):
            self._tally.count(THROTTLED, "too-many")
            raise unavailable(Because.TOO_MANY)
        if await ask(self._accounts, self._in_thread, self._accounts.is_paused, name.local, name.domain):
            self._log.warning("legacy server not asked", account=str(name), reason="paused by the administrator")
            raise unavailable(Because.PAUSED)
