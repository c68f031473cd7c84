"""The end of accounts' moves: they become final, and their sealed passwords are wiped; and the way back.

An account becomes final only if it is still what it was when it was judged: a user who has logged in meanwhile, or
whose password has changed, is left alone. Each method is one transaction a batch: what a crash interrupts is done for
whole batches, and a second call goes on with the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from sqlalchemy import Connection, bindparam, case, select, update

from mailstore.accounts import Account, PasswordState, State
from mailstore.database import AccountsDatabase
from mailstore.schema import accounts, paused_domains

BATCH: Final = 500  # accounts

_a = accounts.c
_FINISH = (
    update(accounts)
    .where(
        _a.id == bindparam("i"),
        _a.state == bindparam("was"),
        _a.password_state == bindparam("known"),
        _a.password_hash.is_not_distinct_from(bindparam("hash_was")),
    )
    .values(
        state=State.FINAL.value,
        reason=bindparam("why"),
        password_hash=bindparam("hash"),
        sealed_password=None,
        password_state=PasswordState.KNOWN.value,
        due=None,
        asked=None,
        again=0,
        tries=0,
        finalized=bindparam("now"),
    )
)
_REOPEN = {
    # What it was before: here as a whole, a part of it, or nobody's yet; then no password here may let its user in.
    "state": case(
        (_a.refreshed.is_not(None), State.MOVED.value),
        (_a.messages_total > 0, State.MOVING.value),
        else_=State.WAITING.value,
    ),
    "password_hash": case((_a.refreshed.is_not(None) | (_a.messages_total > 0), _a.password_hash), else_=None),
    "reason": "",
    "due": None,
    "finalized": None,
}


@dataclass(frozen=True, slots=True)
class Finish:
    """One account, as it was judged; what is to be said of it, and which hash its logins are held against from now on
    (None: no password fits)."""

    account: Account
    reason: str
    password_hash: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """As much of an account that is not final as tells, without a look at its old server, what it would leave behind.
    `sealed`: is a password kept? `paused`: by itself, or with its domain."""

    number: int
    state: State
    sealed: bool
    password_state: PasswordState
    paused: bool


class Finishing:
    """The accounts' last step."""

    def __init__(self, database: AccountsDatabase, clock: Callable[[], float] | None = None) -> None:
        self._database = database
        self._clock = clock or database.time

    def numbers(self, domain: str, *, final: bool = False) -> list[int]:
        """Of a domain's accounts, or of those that are final."""
        wanted = select(_a.id).where(_a.domain == domain)
        if final:
            wanted = wanted.where(_a.state == State.FINAL.value)
        with self._database.read() as connection:
            return list(connection.scalars(wanted.order_by(_a.local)))

    def standing(self, account_ids: Iterable[int]) -> Iterator[Standing]:
        """Of those that are not final."""
        whole = _a.domain.in_(select(paused_domains.c.domain))
        columns = (_a.id, _a.state, _a.sealed_password.is_not(None), _a.password_state, (_a.paused == 1) | whole)
        left = iter(account_ids)
        while some := list(islice(left, BATCH)):
            with self._database.read() as connection:
                wanted = select(*columns).where(_a.id.in_(some), _a.state != State.FINAL.value)
                rows = connection.execute(wanted).all()
            for number, state, sealed, password_state, paused in rows:
                yield Standing(number, State(state), bool(sealed), PasswordState(password_state), bool(paused))

    def finish(self, batch: Sequence[Finish]) -> list[Account]:
        """Make these final, in one transaction. Gives back those that have changed since they were judged and are left
        as they are."""
        now = int(self._clock())

        def finish(connection: Connection) -> list[Account]:
            in_order = sorted(batch, key=lambda one: one.account.id)
            left = {one.account.id for one in in_order if not connection.execute(_FINISH, _values(one, now)).rowcount}
            return [one.account for one in batch if one.account.id in left]

        return self._database.change(finish)

    def wipe(self) -> None:
        """Have no trace of sealed passwords that are gone left in the database's file and in its log. Raises
        StorageFailed where somebody reads it all the time; it may be called again."""
        self._database.scrub()

    def reopen(self, account_ids: Iterable[int]) -> int:
        """Final accounts whose legacy server is to be asked again, with the password that their users log in with;
        gives back how many. One whose mail never came, or not all of it, is what it was before."""
        left, count = iter(account_ids), 0
        while some := list(islice(left, BATCH)):
            statement = update(accounts).where(_a.id.in_(some), _a.state == State.FINAL.value).values(_REOPEN)
            count += self._database.run(statement)
        return count


def _values(one: Finish, now: int) -> dict[str, object]:
    was = one.account
    return {
        "i": was.id,
        "was": was.state.value,
        "known": was.password_state.value,
        "hash_was": was.password_hash,
        "why": one.reason,
        "hash": one.password_hash,
        "now": now,
    }
