"""What an account would leave behind at the legacy server, or is harmed here, if it became final now. No I/O."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from mailstore.accounts import Account, PasswordState, State
from proxy.admin.verify.kinds import Kind
from proxy.admin.verify.outcome import AccountOutcome

_GIVEN = "have the password reset at the old server, and give it with `mailferry migrate --passwords FILE`"


class Why(enum.Enum):
    """Each with its title, and what can be done. The value is its name in JSON and CSV."""

    title: str
    _remedy: str

    def __new__(cls, value: str, title: str, remedy: str) -> Why:
        why = object.__new__(cls)
        why._value_ = value
        why.title, why._remedy = title, remedy
        return why

    def remedy(self, accounts: Collection[Account]) -> str:
        """What can be done for these, with commands that name them: one by itself, several by their domains."""
        domains = " ".join(sorted({account.domain for account in accounts}))
        each = [f"`mailferry notify {domain} --reminder --send`" for domain in domains.split()]
        whom, move, resume = domains, f"--domain {domains.replace(' ', ' --domain ')}", domains
        if len(accounts) == 1:
            (account,) = accounts
            whom = move = account.name
            each = [f"`mailferry notify {account.domain} --to {whom} --reminder --send`"]
            resume = whom if account.paused else domains
        return self._remedy.format(whom=whom, move=move, resume=resume, remind=", ".join(each))

    NEVER = (
        "never-logged-in",
        "never logged in, so that nothing was carried over",
        f"remind them: {{remind}}; or {_GIVEN}",
    )
    REJECTED = (
        "password-rejected",
        "the old server does not take the password that is known here",
        f"the user logs in once with the new one; or {_GIVEN}",
    )
    UNKNOWN = (
        "password-unknown",
        "the password is not known here, so that the old server cannot be asked for what is new",
        f"the user logs in once; or {_GIVEN}",
    )
    BLOCKED = ("blocked", "blocked", "mend what the reason says, and then `mailferry retry {whom}`")
    PAUSED = ("paused", "paused", "`mailferry resume {resume}`, and then again")
    UNFINISHED = (
        "unfinished",
        "the move has not come to its end",
        "mend what the reason says; `mailferry retry {whom}` tries it at once",
    )
    QUARANTINED = (
        "quarantined",
        "messages in quarantine",
        "`mailferry retry {whom}` asks for them again; else fetch them by hand from the old server: "
        "`mailferry verify {whom}` names them",
    )
    MISSING = (
        "missing",
        "messages at the old server that are not here",
        "they came a moment ago, or could not be fetched: `mailferry migrate {move}`, and then again",
    )
    HARMED = (
        "harmed",
        "messages whose files here are missing or altered",
        "`mailferry verify {whom}` names them; restore them from a backup while the old server still has them",
    )
    NOT_COMPARED = (
        "not-compared",
        "not compared with the old server",
        "run it again when the old server answers",
    )


_HARMS: Final = (Kind.FILE_MISSING, Kind.FILE_ALTERED, Kind.FILE_UNREADABLE, Kind.INDEX_ROW_MISSING, Kind.UNREADABLE)
BY_ITSELF: Final = (Why.NEVER, Why.REJECTED, Why.UNKNOWN, Why.BLOCKED, Why.PAUSED)
OF_MESSAGES: Final = (Why.QUARANTINED, Why.MISSING, Why.HARMED)


@dataclass(frozen=True, slots=True)
class Behind:
    """One thing. `messages`: how many, None where nobody knows."""

    why: Why
    detail: str
    messages: int | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an account when all has been tried. `outcome` None: it was not compared. `missed`: why the last
    round did not bring all of it. `rehearsed`: there was no last round, which could still bring what is missing."""

    account: Account
    outcome: AccountOutcome | None = None
    missed: str = ""
    paused: bool = False
    rehearsed: bool = False


def left_behind(known: Known) -> list[Behind]:
    """All of it; nothing for an account that is final, or whole."""
    if known.account.state is State.FINAL:
        return []
    found = list(_of_account(known))
    if known.outcome is not None:
        found += _of_messages(known.outcome, rehearsed=known.rehearsed and known.account.movable)
    if not found and known.missed and not _compared(known.outcome):
        found.append(Behind(Why.UNFINISHED, known.missed))
    if not found and known.outcome is not None and known.outcome.not_compared:
        found.append(Behind(Why.NOT_COMPARED, known.outcome.not_compared))
    return found


def _of_account(known: Known) -> Iterator[Behind]:
    account = known.account
    owed = max(0, account.messages_total - account.messages_done)
    fetched = f"{account.messages_done} of {account.messages_total} messages are here"
    if account.refreshed is None and not account.messages_total:
        fetched = "nothing is here"
    sealed = account.sealed_password is not None
    why = by_itself(account.state, account.password_state, sealed=sealed, paused=known.paused)
    if why is Why.BLOCKED:
        yield Behind(why, account.reason or "no reason is known", owed or None)
    elif why is Why.NEVER:
        yield Behind(why, "what it has at the old server is not known")
    elif why is Why.UNKNOWN:
        yield Behind(why, f"{fetched}; last asked {_moment(account.refreshed)}", owed or None)
    elif why is not None:
        yield Behind(why, fetched, owed or None)
    elif account.state in {State.WAITING, State.MOVING} and not known.rehearsed:
        reason = known.missed or account.reason
        yield Behind(Why.UNFINISHED, f"{fetched}; {reason}" if reason else fetched, owed or None)


def by_itself(state: State, password_state: PasswordState, *, sealed: bool, paused: bool) -> Why | None:
    """What an account's row tells, without a last round and without a look at its old server: one of BY_ITSELF.
    `sealed`: is a password kept?"""
    if state is State.BLOCKED:
        return Why.BLOCKED
    if sealed and password_state is PasswordState.REJECTED:
        return Why.REJECTED
    if not sealed:
        return Why.NEVER if state is State.WAITING else Why.UNKNOWN
    return Why.PAUSED if paused else None


def _of_messages(outcome: AccountOutcome, *, rehearsed: bool) -> Iterator[Behind]:
    counts = outcome.counts
    if counts[Kind.QUARANTINED]:
        details = [finding.what for finding in outcome.findings if finding.kind is Kind.QUARANTINED]
        yield Behind(Why.QUARANTINED, details[0] if details else "", counts[Kind.QUARANTINED])
    if counts[Kind.MISSING] and not rehearsed:
        yield Behind(Why.MISSING, "", counts[Kind.MISSING])
    harmed = [finding for finding in outcome.findings if finding.kind in _HARMS]
    if harmed:
        yield Behind(Why.HARMED, harmed[0].what, len(harmed))


def _compared(outcome: AccountOutcome | None) -> bool:
    return outcome is not None and not outcome.not_compared


def to_come(known: Known) -> int:
    """Messages that a last round would still bring, where there was none."""
    if known.outcome is None or not (known.rehearsed and known.account.movable):
        return 0
    return known.outcome.counts[Kind.MISSING]


def in_words(behind: Behind) -> str:
    """`2 messages in quarantine`, or the title, and what is known of it."""
    title = behind.why.title
    if behind.why in OF_MESSAGES and behind.messages is not None:
        title = f"{behind.messages} {title.replace('messages', 'message') if behind.messages == 1 else title}"
    return f"{title}: {behind.detail}" if behind.detail else title


def _moment(seconds: int | None) -> str:
    return "never" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
