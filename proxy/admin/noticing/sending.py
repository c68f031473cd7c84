"""All notices of one run: handed to the relay one by one, at a rate, each written down before and after.

Nothing is lost by an end in the middle, and nothing doubled: who was sent it is known, and who was not is sent it by
the next run. The one message that was under way when the process was killed is told as unknown, and left to a person.

What the relay refuses for now is tried again when all others have had their turn, and then left to the next run. A
relay that is lost is connected to again; where that does not work, or nobody at all is accepted, the run ends. So it
does where nothing comes to an end that one could know of, and where the relay, after a rest, still refuses everything
for now: neither is the users' doing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from mailstore.accounts import Account
from mailstore.notices import Notices, Recipient, Standing
from proxy.admin.noticing.facts import Facts
from proxy.admin.noticing.message import compose
from proxy.admin.noticing.relay import Lost, Refused, Relay, RelayError, Unknown, Unreachable
from proxy.admin.noticing.texts import Kind, Texts
from proxy.config import Config

WAITS: Final = (30.0, 120.0)  # seconds before what was refused for now is tried again
RECONNECTS: Final = (1.0, 5.0, 30.0)  # … and before a relay that was lost is connected to again
IN_VAIN: Final = 10  # refusals before any acceptance, after which it is the relay's doing and not the users'
IN_A_ROW: Final = 20  # refusals for now, after which the relay is left alone for a while, and then for good
REST: Final = 300.0  # seconds of that
UNANSWERED: Final = 3  # messages in a row that the relay had and did not answer


@dataclass(slots=True)
class Standings:
    """Who would be sent it, and who would not, and why."""

    wanted: list[Recipient] = field(default_factory=list)
    had: list[Recipient] = field(default_factory=list)  # it was sent to them
    unknown: list[Recipient] = field(default_factory=list)  # it was begun, and nobody knows whether it was sent


def is_wanted(recipient: Recipient, *, again: bool) -> bool:
    """Is it to be sent to them? `again` as in `sort`."""
    return again or recipient.standing in {Standing.NONE, Standing.REFUSED}


def sort(recipients: Iterable[Recipient], *, again: bool) -> Standings:
    """`again`: to those as well who have had it, or of whom that is not known."""
    found = Standings()
    for recipient in recipients:
        if is_wanted(recipient, again=again):
            found.wanted.append(recipient)
        elif recipient.standing is Standing.SENT:
            found.had.append(recipient)
        else:
            found.unknown.append(recipient)
    return found


class Told(Protocol):
    """Who is told how it goes."""

    def sent(self, account: Account) -> None: ...

    def refused(self, account: Account, words: str, *, later: bool) -> None:
        """`later`: it is tried again in this run."""

    def unknown(self, account: Account, words: str) -> None: ...

    def waits(self, seconds: float, why: str) -> None: ...


class Waiting(Protocol):
    """Time, as it is handed in."""

    def now(self) -> datetime:
        """With its time zone."""

    def monotonic(self) -> float: ...

    def wait(self, seconds: float) -> bool:
        """False where the run is to end."""


@dataclass(slots=True)
class Counts:
    """How a run went. `stopped`: why it ended before its end; "" where it did not."""

    wanted: int
    sent: int = 0
    refused: int = 0
    unknown: int = 0
    stopped: str = ""

    @property
    def left(self) -> int:
        """Those whose turn did not come."""
        return self.wanted - self.sent - self.refused - self.unknown


class Sending:
    """One run. `run` once."""

    def __init__(
        self,
        config: Config,
        kind: Kind,
        facts: Facts,
        texts: Texts,
        notices: Notices,
        relay: Relay,
        *,
        told: Told,
        waiting: Waiting,
    ) -> None:
        """Every user's text has been rendered once before this (`check`)."""
        self._config = config
        self._kind = kind
        self._facts = facts
        self._texts = texts
        self._notices = notices
        self._relay = relay
        self._told = told
        self._waiting = waiting
        self._next = 0.0  # when the next message may be handed over
        self._counts = Counts(0)
        self._for_now = self._unanswered = 0  # in a row

    def run(self, accounts: Collection[Account], known: int) -> Counts:
        """`known`: the mark of `Notices` from before these were chosen. Raises MailstoreError."""
        self._counts = counts = Counts(len(accounts))
        try:
            left: list[tuple[Account, str]] = self._round(((account, "") for account in accounts), known, last=False)
            for number, pause in enumerate(WAITS, 1):
                if left:
                    self._wait(pause, f"{len(left)} were refused for now")
                    left = self._round(left, known, last=number == len(WAITS))
        except _Stopped as error:
            counts.stopped = str(error)
        finally:
            self._relay.close()
        return counts

    def _round(self, accounts: Iterable[tuple[Account, str]], known: int, *, last: bool) -> list[tuple[Account, str]]:
        """Gives back those that the relay may take later."""
        later = []
        for account, _ in accounts:
            self._pace()
            try:
                self._send(account, known)
            except Refused as error:
                again = error.later and not last
                if again:
                    later.append((account, str(error)))
                else:
                    self._counts.refused += 1
                self._told.refused(account, str(error), later=again)
                self._consider(error)
                if not self._counts.sent and self._counts.refused + len(later) >= IN_VAIN:
                    raise _Stopped(f"the relay has taken no message yet; its last words: {error}") from None
        return later

    def _consider(self, error: Refused) -> None:
        """Raises _Stopped."""
        self._unanswered = 0
        self._for_now = self._for_now + 1 if error.later else 0
        if self._for_now == IN_A_ROW:
            self._wait(REST, f"{IN_A_ROW} in a row were refused for now")
        elif self._for_now == 2 * IN_A_ROW:
            raise _Stopped(f"the relay takes nothing just now; its last words: {error}") from None

    def _pace(self) -> None:
        now = self._waiting.monotonic()
        if now < self._next:
            self._wait(self._next - now, "")
        self._next = max(now, self._next) + 60.0 / self._config.notices.rate

    def _wait(self, seconds: float, why: str) -> None:
        if why:
            self._told.waits(seconds, why)
        if not self._waiting.wait(seconds):
            raise _Stopped("told to stop")

    def _send(self, account: Account, known: int) -> None:
        """Raises Refused, _Stopped."""
        if not self._waiting.wait(0.0):
            raise _Stopped("told to stop")
        mail = compose(self._config, account, self._texts.render(self._facts, account), self._waiting.now())
        for pause in (*RECONNECTS, None):
            number = self._notices.begin(account.id, self._kind, mail.recipient, known)
            if number is None:
                self._counts.wanted -= 1  # another run has it in hand
                return
            try:
                self._relay.hand_over(mail)
            except Unknown as error:
                self._counts.unknown += 1
                self._told.unknown(account, str(error))
                self._unanswered += 1
                if self._unanswered == UNANSWERED:
                    raise _Stopped(f"{UNANSWERED} messages in a row had no answer, the last: {error}") from None
            except RelayError as error:
                self._notices.refused(number, str(error))
                if isinstance(error, Refused):
                    raise
                gone = isinstance(error, Lost) or (isinstance(error, Unreachable) and self._counts.sent)
                if pause is None or not gone:
                    raise _Stopped(str(error)) from None
                self._wait(pause, str(error))
                continue
            else:
                self._notices.sent(number)
                self._counts.sent += 1
                self._for_now = self._unanswered = 0
                self._told.sent(account)
            return


class _Stopped(Exception):
    """The run ends here."""


def check(facts: Facts, texts: Texts, accounts: Iterable[Account]) -> Iterator[Account]:
    """Each account whose text can be rendered, as it goes. Raises BadTemplate."""
    for account in accounts:
        texts.render(facts, account)
        yield account
