"""Accounts and their states.

`waiting` → `moving` → `moved` → `final`, and `blocked` from anywhere (DESIGN.md, "Words"). Names are kept in
lower case; the gate folds what clients send before it asks here. Every method is one transaction and may be
called from any thread. Which account's move is next in the background is `mailstore.queue`'s to say.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    LargeBinary,
    bindparam,
    case,
    cast,
    func,
    null,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from mailstore import schema
from mailstore.database import AccountsDatabase
from mailstore.fencing import FencedDatabase
from mailstore.leases import Fence
from mailstore.prepared import Prepared
from mailstore.schema import accounts
from mailstore.turns import Turn


class State(enum.StrEnum):
    WAITING = "waiting"  # never logged in here
    MOVING = "moving"  # the legacy server said yes, the old mailbox is not whole here yet
    MOVED = "moved"  # everything listed is here; later logins fetch what arrived since
    FINAL = "final"  # the legacy server is no longer asked
    BLOCKED = "blocked"  # needs a person


class PasswordState(enum.StrEnum):
    """What is known of the sealed password."""

    KNOWN = "known"  # the legacy server took it the last time
    UNTRIED = "untried"  # an administrator gave it; the legacy server has not been asked yet
    REJECTED = "rejected"  # the legacy server took it no longer: not to be sent again (a guess counts there)


@dataclass(frozen=True, slots=True)
class Account:
    """One mailbox owner. Times in seconds since 1970."""

    id: int
    domain: str
    local: str
    state: State
    reason: str
    password_hash: str | None
    sealed_password: bytes | None
    last_login: int | None
    refreshed: int | None
    messages_done: int
    messages_total: int
    bytes_done: int
    bytes_total: int
    due: int | None  # when a move in the background is to begin
    asked: int | None  # when an administrator asked for it
    again: bool  # … and for what is in quarantine to be tried again at once
    paused: bool  # this account by itself; its domain may be, too
    tries: int  # moves in the background, in a row, that failed
    password_state: PasswordState
    full_name: str = ""
    department: str = ""  # a path: "Sales/North"
    quota: int | None = None  # octets; 0: no limit; None: the domain's
    legacy_login: str = ""  # its name at the legacy server; "": by the domain's form
    enrolled: int | None = None  # when an administrator's list of accounts last had it
    finalized: int | None = None  # since when it is final; None also where nobody wrote that down
    trace: str = ""  # in the log, of what was asked for or of the last move that ended; "" where nobody wrote that down

    @property
    def movable(self) -> bool:
        """Could a move be made in the background, with what is known?"""
        return (
            self.state not in {State.FINAL, State.BLOCKED}
            and self.sealed_password is not None
            and self.password_state is not PasswordState.REJECTED
        )

    @property
    def was_whole(self) -> bool:
        """Has the old mailbox been here as a whole, or will it never be? What arrives here shows from then on."""
        return self.refreshed is not None or self.state in {State.MOVED, State.FINAL}

    @property
    def name(self) -> str:
        return f"{self.local}@{self.domain}"

    def __repr__(self) -> str:  # hash and sealed password stay out of logs
        return f"<Account {self.name} {self.state}>"


def storable(words: str) -> str:
    """Words of others, as every database keeps them: PostgreSQL has no NUL, and nobody has half a character."""
    return words.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


Far = tuple[int, int]  # done, and in all

# A sealed password, or what seals it in the transaction that keeps it, by the key of then: `mailstore.rotation`.
Sealed = bytes | Callable[[], bytes]

_COLUMNS = [accounts.c[name] for name in Account.__slots__]
_FIND = select(*_COLUMNS).where(accounts.c.domain == bindparam("d"), accounts.c.local == bindparam("l"))
_LOOK_UP = Prepared(_FIND)
_ID = Prepared(select(accounts.c.id).where(accounts.c.domain == bindparam("d"), accounts.c.local == bindparam("l")))
_GET = Prepared(select(*_COLUMNS).where(accounts.c.id == bindparam("i")))

_ASKED_FOR = Prepared(
    select(accounts.c.domain)
    .where(
        accounts.c.domain == bindparam("d"),
        or_(*(accounts.c.state == state.value for state in (State.WAITING, State.MOVING, State.MOVED))),
    )
    .limit(1)
)
_PAUSED = Prepared(
    select(schema.paused_domains.c.domain)
    .where(schema.paused_domains.c.domain == bindparam("d"))
    .union_all(
        select(accounts.c.domain).where(
            accounts.c.domain == bindparam("d"), accounts.c.local == bindparam("l"), accounts.c.paused == 1
        )
    )
    .limit(1)
)

_QUOTA = Prepared(
    select(accounts.c.quota).where(accounts.c.domain == bindparam("d"), accounts.c.local == bindparam("l"))
)
_LEGACY_LOGIN = Prepared(
    select(accounts.c.legacy_login).where(accounts.c.domain == bindparam("d"), accounts.c.local == bindparam("l"))
)
_OWNER = Prepared(
    select(accounts.c.local, accounts.c.domain)
    .join(schema.aliases, schema.aliases.c.account_id == accounts.c.id)
    .where(schema.aliases.c.domain == bindparam("d"), schema.aliases.c.local == bindparam("l"))
)

_NAMED_THERE = text("legacy_login <> ''")  # in the words of the index

_MAKE = insert(accounts).on_conflict_do_nothing(index_elements=["domain", "local"])
_LOGGED_IN = Prepared(update(accounts).where(accounts.c.id == bindparam("i")).values(last_login=bindparam("now")))

# What an account's columns become where that depends on what they are. `sealed` and `soon` come with the rest.
_OF_FINAL = accounts.c.state == State.FINAL.value
_BEGUN = or_(accounts.c.state == State.WAITING.value, accounts.c.state == State.MOVING.value)
_NO_LONGER_WAITING = case((accounts.c.state == State.WAITING.value, State.MOVING.value), else_=accounts.c.state)
_NO_LONGER_MOVING = case((accounts.c.state == State.MOVING.value, State.MOVED.value), else_=accounts.c.state)
_SEALED_UNLESS_FINAL = case((_OF_FINAL, null()), else_=bindparam("sealed", type_=LargeBinary))
_HASH_OF_FINAL = case((_OF_FINAL, accounts.c.password_hash), else_=null())
_DUE_IF_BEGUN = case((_BEGUN, bindparam("soon", type_=BigInteger)), else_=accounts.c.due)
_ONE_MORE = accounts.c.tries + 1
_CHANGES: Final[dict[tuple[tuple[str, int], ...], Prepared]] = {}  # by columns, and what becomes of them


def _how_far(messages: Far, octets: Far) -> dict[str, int]:
    return {
        "messages_done": messages[0],
        "messages_total": messages[1],
        "bytes_done": octets[0],
        "bytes_total": octets[1],
    }


def total(column: ColumnElement[int]) -> ColumnElement[int]:
    """The sum, as a number that Python has: PostgreSQL's is a decimal one."""
    return cast(func.coalesce(func.sum(column), 0), BigInteger)


def _now_sealed(sealed: Sealed) -> bytes:
    return sealed if isinstance(sealed, bytes) else sealed()


def _write(connection: Connection, account_id: int, values: Mapping[str, Any], **of_them: Any) -> None:
    """`values`: by column; expressions are those above, which `of_them` are the parameters of."""
    if isinstance(reason := values.get("reason"), str):  # words of other servers
        values = {**values, "reason": storable(reason)}
    key = tuple((name, id(value) if isinstance(value, ColumnElement) else 0) for name, value in values.items())
    statement = _CHANGES.get(key)
    if statement is None:
        new = {
            name: value if said else bindparam(f"new_{name}", type_=accounts.c[name].type)
            for (name, said), value in zip(key, values.values(), strict=True)
        }
        statement = _CHANGES[key] = Prepared(update(accounts).where(accounts.c.id == bindparam("i")).values(new))
    plain = {f"new_{name}": values[name] for name, said in key if not said}
    statement.run(connection, {"i": account_id, **plain, **of_them})


def _got(connection: Connection, account_id: int) -> Account:
    """Raises LookupError."""
    row = _GET.first(connection, {"i": account_id})
    if row is None:
        raise LookupError(f"no account {account_id}")
    return _of_row(row)


def _of_row(row: Sequence[Any]) -> Account:
    return account_of(dict(zip(Account.__slots__, row, strict=True)))


def account_of(values: Mapping[str, Any]) -> Account:
    """The account that a row's values say."""
    return Account(
        **{
            **values,
            "state": State(values["state"]),
            "again": bool(values["again"]),
            "paused": bool(values["paused"]),
            "password_state": PasswordState(values["password_state"]),
        }
    )


SOON: Final = 60  # seconds after which a move that should have begun is begun in the background


class Accounts:
    """All accounts of the installation."""

    def __init__(self, database: AccountsDatabase, clock: Callable[[], float] | None = None) -> None:
        self._database = database
        self._clock = clock or database.time

    @property
    def instant(self) -> bool:
        """See `AccountsDatabase.instant`."""
        return self._database.instant

    def fenced(self, fence: Fence) -> Accounts:
        """The same for a move, whose every write asks the fence. Raises LeaseLost there."""
        return Accounts(FencedDatabase(self._database, fence), self._clock)

    def _now(self) -> int:
        return int(self._clock())

    def find(self, local: str, domain: str) -> Account | None:
        row = self._database.first(_LOOK_UP, {"d": domain, "l": local})
        return None if row is None else _of_row(row)

    def known_as(self, local: str, domain: str) -> Account | None:
        """The account of that name, or the one whose alias it is."""
        found = self.find(local, domain)
        if found is None and (owner := self.owner(local, domain)) is not None:
            found = self.find(*owner)
        return found

    def owner(self, local: str, domain: str) -> tuple[str, str] | None:
        """The local part and the domain of the account whose alias this is; None where it is nobody's, or an account's
        own name."""
        named = {"d": domain, "l": local}
        row = self._database.first(_OWNER, named)
        return None if row is None or self._database.first(_LOOK_UP, named) is not None else (row[0], row[1])

    def legacy_login(self, local: str, domain: str) -> str:
        """What the account is called at the legacy server; "": as all of its domain are."""
        row = self._database.first(_LEGACY_LOGIN, {"d": domain, "l": local})
        return "" if row is None else str(row[0])

    def legacy_logins(self) -> list[tuple[str, str, str]]:
        """Local part, domain, and login of each account that is called otherwise there than its domain's are."""
        statement = select(accounts.c.local, accounts.c.domain, accounts.c.legacy_login)
        with self._database.read() as connection:
            rows = connection.execute(statement.where(_NAMED_THERE)).all()
        return [(row.local, row.domain, row.legacy_login) for row in rows]

    def quota(self, local: str, domain: str) -> int | None:
        """The account's own, in octets; 0: no limit; None: its domain's."""
        row = self._database.first(_QUOTA, {"d": domain, "l": local})
        return None if row is None or row[0] is None else int(row[0])

    def is_paused(self, local: str, domain: str) -> bool:
        """Does an administrator want the legacy server left alone, for this account or its domain?"""
        return self._database.first(_PAUSED, {"d": domain, "l": local}) is not None

    def any_asked_for(self, domain: str) -> bool:
        """Has the domain accounts whose passwords the legacy server is asked about?"""
        return self._database.first(_ASKED_FOR, {"d": domain}) is not None

    def get(self, account_id: int) -> Account:
        with self._database.read() as connection:
            return _got(connection, account_id)

    def add(self, local: str, domain: str) -> Account:
        """The account of that name, made as `waiting` if there is none."""
        with self._database.write() as connection:
            account_id = self._made(connection, local, domain)
            return _got(connection, account_id)

    def _made(self, connection: Connection, local: str, domain: str) -> int:
        """The id of the account of that name, made if there is none."""
        named = {"d": domain, "l": local}
        row = _ID.first(connection, named)
        if row is None:  # others may be making it at the same moment: theirs is waited for
            made = {"local": local, "domain": domain, "state": State.WAITING, "created": self._now()}
            connection.execute(_MAKE, made)
            row = _ID.first(connection, named)
        return int(row[0])

    def _change(self, account_id: int, **values: Any) -> None:
        with self._database.write() as connection:
            _write(connection, account_id, values)

    def admit(self, local: str, domain: str, sealed: Sealed, password_hash: str | None = None) -> Account:
        """The legacy server said yes to this password of this user: keep it. The account, made if there is none. A
        waiting one is now moving; one that became final meanwhile gets no sealed copy (invariant 9). Whatever hash
        there was is no longer right; one that takes its time is written down with `password_hashed`.

        The move that follows begins at once. If it does not, a move in the background makes up for it.
        """
        with self._database.write(beside=(Turn.KEYS,)) as connection:
            account_id = self._made(connection, local, domain)
            self._accept(connection, account_id, _now_sealed(sealed), password_hash)
            return _got(connection, account_id)

    def password_hashed(self, account_id: int, password_hash: str) -> None:
        """The hash of the password that was accepted."""
        self._change(account_id, password_hash=password_hash)

    def password_chosen(self, account_id: int, password_hash: str) -> bool:
        """Its user has chosen another password here. Only one of a final account is ours to change: is it?"""
        own = update(accounts).where(accounts.c.id == account_id, accounts.c.state == State.FINAL)
        with self._database.write() as connection:
            return connection.execute(own.values(password_hash=password_hash)).rowcount == 1

    def _accept(self, connection: Connection, account_id: int, sealed: bytes, password_hash: str | None) -> None:
        """Without a hash, which comes in a moment: a final account must not be without one meanwhile."""
        values = {
            "password_hash": _HASH_OF_FINAL if password_hash is None else password_hash,
            "sealed_password": _SEALED_UNLESS_FINAL,
            "state": _NO_LONGER_WAITING,
            "due": _DUE_IF_BEGUN,
            "tries": 0,
            "password_state": PasswordState.KNOWN.value,
        }
        _write(connection, account_id, values, sealed=sealed, soon=self._now() + SOON)

    def password_given(self, account_id: int, sealed: Sealed) -> None:
        """An administrator says that this is the password at the legacy server. It is tried with the next move, which
        is due at once where the one before was refused for its password. A final account keeps none (invariant 9)."""
        refused = accounts.c.password_state == PasswordState.REJECTED.value
        begun = accounts.c.state.in_([State.MOVING.value, State.MOVED.value])
        values = {
            "password_state": PasswordState.UNTRIED,
            "reason": case((refused, ""), else_=accounts.c.reason),
            "due": case((refused & begun, self._now()), else_=accounts.c.due),
        }
        wanted = (accounts.c.id == account_id, accounts.c.state != State.FINAL.value)
        with self._database.write(beside=(Turn.KEYS,)) as connection:
            values["sealed_password"] = _now_sealed(sealed)
            connection.execute(update(accounts).where(*wanted).values(**values))

    def password_rejected(self, account_id: int, reason: str, trace: str = "") -> None:
        """The legacy server does not take the sealed password: nothing happens in the background until it takes
        another one."""
        rejected = {"password_state": PasswordState.REJECTED.value, "reason": reason, "trace": trace}
        self._change(account_id, **rejected, due=None, asked=None, again=0, tries=0)

    def logged_in(self, *account_ids: int) -> None:
        """Their users have logged in: one transaction for all of them."""
        values = [{"i": account_id, "now": self._now()} for account_id in sorted(set(account_ids))]
        self._database.change(lambda connection: _LOGGED_IN.many(connection, values))

    def progress(self, account_id: int, messages: Far, octets: Far) -> None:
        """How far the account's move is."""
        self._change(account_id, **_how_far(messages, octets))

    def begun(self, account_id: int) -> None:
        """A move is under way: none is due until it has ended."""
        self._change(account_id, due=None)

    def moved(
        self,
        account_id: int,
        reason: str = "",
        next_in: float | None = None,
        far: tuple[Far, Far] | None = None,
        trace: str = "",
    ) -> None:
        """Everything that the legacy server listed is here. `reason` warns, for instance of quarantined messages.
        `next_in`: seconds until it is looked for mail that arrived since; None: never by itself. `far`: messages and
        octets, as in `progress`, if they changed."""
        far_now = {} if far is None else _how_far(*far)
        due = self._in(next_in)
        self._change(
            account_id,
            state=_NO_LONGER_MOVING,
            reason=reason,
            trace=trace,
            refreshed=self._now(),
            due=due,
            asked=None,
            again=0,
            tries=0,
            **far_now,
        )

    def rehearse(self) -> None:
        """What a first login asks of the database, of an account that is none: statements are compiled when they are
        first used, which takes longer than what they do."""
        nobody, nothing = 0, (0, 0)
        with self._database.write() as connection:
            _ID.first(connection, {"d": "", "l": ""})
            _GET.first(connection, {"i": nobody})
            self._accept(connection, nobody, b"", None)
        self.password_hashed(nobody, "")
        self.begun(nobody)
        self.progress(nobody, nothing, nothing)
        self.moved(nobody, "", 1.0, (nothing, nothing))
        self.logged_in(nobody)

    def interrupted(self, account_id: int, reason: str, next_in: float | None, trace: str = "") -> None:
        """A move did not get to its end. `next_in`: seconds until the next one."""
        due = self._in(next_in)
        self._change(account_id, reason=reason, trace=trace, due=due, asked=None, again=0, tries=_ONE_MORE)

    def gave_way(self, account_id: int) -> None:
        """A move was ended for a while, at its last barrier: it goes on when there is room."""
        self._change(account_id, due=self._now())

    def put_back(self, account_id: int, within: int) -> None:
        """A move that was taken out of the queue, to be due again `within` so many seconds, could not begin: another
        node was at it. It is tried again soon, unless that node has written down when."""
        now = self._now()
        waits = (accounts.c.id == account_id, accounts.c.due > now + SOON, accounts.c.due <= now + within)
        with self._database.write() as connection:
            connection.execute(update(accounts).where(*waits).values(due=now + SOON))

    def _in(self, seconds: float | None) -> int | None:
        return None if seconds is None else int(self._clock() + seconds)

    def set_reason(self, account_id: int, reason: str, trace: str = "") -> None:
        """Why the account is not further on, in words for the administrator; no secrets."""
        self._change(account_id, reason=reason, trace=trace)

    def any_mail(self) -> bool:
        """Has any account had mail carried over?"""
        with self._database.read() as connection:
            return (
                connection.execute(select(accounts.c.id).where(accounts.c.messages_done > 0).limit(1)).first()
                is not None
            )

    def list(self, domain: str | None = None) -> Iterator[Account]:
        """The accounts by name, a thousand at a time: a long list never holds the database."""
        after = ("", "")
        while True:
            statement = select(*_COLUMNS).order_by(accounts.c.domain, accounts.c.local).limit(1000)
            later = (accounts.c.domain > after[0]) | ((accounts.c.domain == after[0]) & (accounts.c.local > after[1]))
            statement = statement.where(later)
            if domain is not None:
                statement = statement.where(accounts.c.domain == domain)
            with self._database.read() as connection:
                page = [_of_row(row) for row in connection.execute(statement)]
            yield from page
            if len(page) < 1000:
                return
            after = (page[-1].domain, page[-1].local)
