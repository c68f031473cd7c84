"""The list of accounts that an administrator has, held against the accounts that are here, and taken over.

An import is one transaction: all of the list, or nothing. It writes what the list has and what differs, and nothing
else: never a state, never a password that the legacy server has taken, never a column that the list has not. Accounts
that are here and not in the list are told of and left as they are.

`compare` and `enrol` come to the same, so that what was shown before is what is done, unless something changed in
between; accounts are read a page at a time, and only what differs is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, String, Table, bindparam, column, delete, or_, select, update, values
from sqlalchemy.dialects.postgresql import insert

from mailstore.accounts import PasswordState, State
from mailstore.database import AccountsDatabase
from mailstore.errors import Overtaken, SecretUnreadable
from mailstore.schema import accounts, aliases
from mailstore.secrets import Sealer
from mailstore.turns import Turn

T = TypeVar("T")

Address = tuple[str, str]  # local part and domain, both in lower case
LoginAt = Callable[[str, str], str]  # of a local part and a domain

PLAIN: Final = ("full_name", "department", "quota", "legacy_login")  # fields that are columns of the table
FIELDS: Final = (*PLAIN, "aliases", "password")
PAGE: Final = 1_000

_a = accounts.c
_READ = [
    _a.id,
    _a.domain,
    _a.local,
    _a.state,
    _a.sealed_password,
    _a.password_state,
    _a.enrolled,
    *(_a[name] for name in PLAIN),
]


@dataclass(frozen=True, slots=True)
class Entry:
    """One account as a list has it. `quota` in octets, 0: no limit, None: the domain's."""

    local: str
    domain: str
    full_name: str = ""
    department: str = ""
    quota: int | None = None
    legacy_login: str = ""
    aliases: tuple[Address, ...] = ()
    password: bytes | None = field(default=None, repr=False)

    @property
    def address(self) -> Address:
        return self.local, self.domain

    @property
    def name(self) -> str:
        return f"{self.local}@{self.domain}"


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that is not as the list has it. Of a password nothing is told."""

    field: str
    before: Any
    now: Any


@dataclass(frozen=True, slots=True)
class Changed:
    """An account that is here, and is to be as the list has it."""

    id: int
    entry: Entry
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Absent:
    """An account that is here, and that the list has not."""

    name: str
    state: State
    enrolled: bool  # did an earlier list have it?


@dataclass(frozen=True, slots=True)
class Clash:
    """A name that would be two accounts', here or at the legacy server. `address` is the list's; `why` says whose it
    is as well."""

    address: Address
    entry: Entry | None
    why: str


@dataclass(slots=True)
class Comparison:
    """A list, and what is here."""

    new: list[Entry] = field(default_factory=list)
    changed: list[Changed] = field(default_factory=list)
    same: list[int] = field(default_factory=list)  # account numbers
    absent: list[Absent] = field(default_factory=list)
    clashes: list[Clash] = field(default_factory=list)
    passwords_kept: int = 0  # in the list, and not taken from it: the legacy server took one already, or is not asked

    @property
    def listed(self) -> int:
        return len(self.new) + len(self.changed) + len(self.same)


class Clashes(Exception):
    """Nothing was written: names would be two accounts'."""

    def __init__(self, clashes: Sequence[Clash]) -> None:
        super().__init__(f"{len(clashes)} names would be two accounts'")
        self.clashes = clashes


class Otherwise(Exception):
    """Nothing was written: what would be done is not what was agreed to."""

    def __init__(self, found: Comparison) -> None:
        super().__init__("what is here has changed in between")
        self.found = found


class Roster:
    """Lists and accounts of one installation."""

    def __init__(
        self,
        database: AccountsDatabase,
        login_at: LoginAt,
        sealer: Sealer | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`login_at`: what an account without a legacy login of its own is called at the legacy server. `sealer` is
        needed where lists have passwords."""
        self._database = database
        self._login_at = login_at
        self._sealer = sealer
        self._clock = clock or database.time

    def compare(self, entries: Mapping[Address, Entry], fields: Collection[str]) -> Comparison:
        """What `enrol` would do. `fields`, of FIELDS, are those that the list has. Raises MailstoreError."""
        with self._database.read() as connection:
            return self._compare(connection, entries, fields)

    def enrol(
        self,
        entries: Mapping[Address, Entry],
        fields: Collection[str],
        agreed: Callable[[Comparison], bool] | None = None,
    ) -> Comparison:
        """Take the list over. `agreed` sees what is going to be done, with nothing able to change any more but what
        users do: who has come here for the first time meanwhile is compared again. Raises Clashes, Otherwise where that
        was not agreed to, and MailstoreError; nothing is changed then."""
        now = int(self._clock())

        def enrol(connection: Connection) -> Comparison:
            found = self._compare(connection, entries, fields)
            if found.clashes:
                raise Clashes(found.clashes)
            if agreed is not None and not agreed(found):
                raise Otherwise(found)
            renamed = [c for c in found.changed if any(d.field == "aliases" for d in c.differences)]
            for some in _batches((changed.id for changed in renamed), PAGE):  # all go before any comes: some move
                connection.execute(delete(aliases).where(aliases.c.account_id.in_(some)))
            for entries_of_page in _batches(found.new, PAGE):
                self._make(connection, entries_of_page, now)
            for changes in _batches(found.changed, PAGE):
                self._change(connection, changes)
            _add_aliases(connection, [*found.new, *(changed.entry for changed in renamed)])
            # At last, for whoever logs in waits for these rows: a thousand at a time, in the order of all who do so.
            known = sorted([*found.same, *(changed.id for changed in found.changed)])
            for some in _batches(known, PAGE):
                connection.execute(update(accounts).where(_a.id.in_(some)).values(enrolled=now))
            return found

        return self._database.change(enrol, Turn.ADMINISTRATION, beside=(Turn.KEYS,))

    # Holding against

    def _compare(self, connection: Connection, entries: Mapping[Address, Entry], fields: Collection[str]) -> Comparison:
        found = Comparison()
        met: set[Address] = set()
        logins = _Logins(self._login_at, listed="legacy_login" in fields)
        domains = sorted({entry.domain for entry in entries.values()})
        with_aliases = "aliases" in fields
        for page in _pages(connection, domains):
            listed = [row for row in page if (row.local, row.domain) in entries]
            owned = _aliases_of(connection, [row.id for row in listed]) if with_aliases else {}
            for row in page:
                entry = entries.get((row.local, row.domain))
                if entry is None:
                    name = f"{row.local}@{row.domain}"
                    found.absent.append(Absent(name, State(row.state), row.enrolled is not None))
                    logins.is_here(row)
                    continue
                met.add(entry.address)
                logins.is_to_be(entry, row.legacy_login)
                differences = tuple(self._differences(row, entry, fields, owned.get(row.id, ()), found))
                if differences:
                    found.changed.append(Changed(row.id, entry, differences))
                else:
                    found.same.append(row.id)
        found.new = [entry for address, entry in entries.items() if address not in met]
        for entry in found.new:
            logins.is_to_be(entry, None)
        found.clashes += logins.clashes()
        found.clashes += _clashes(connection, entries, replaced=with_aliases)
        return found

    def _differences(
        self, row: Any, entry: Entry, fields: Collection[str], owned: tuple[Address, ...], found: Comparison
    ) -> Iterator[Difference]:
        for name in PLAIN:
            before, now = getattr(row, name), getattr(entry, name)
            if name in fields and before != now:
                yield Difference(name, before, now)
        if "aliases" in fields and set(owned) != set(entry.aliases):
            yield Difference("aliases", owned, entry.aliases)
        if "password" in fields and entry.password is not None:
            if row.state == State.FINAL or (
                row.sealed_password is not None and row.password_state == PasswordState.KNOWN
            ):
                found.passwords_kept += 1
            elif row.sealed_password is None or self._opened(entry.name, row.sealed_password) != entry.password:
                yield Difference("password", None, None)

    def _opened(self, name: str, sealed: bytes) -> bytes | None:
        if self._sealer is None:  # a dry run without the key
            return None
        try:
            return self._sealer.open(name, sealed)
        except SecretUnreadable:
            return None

    # Taking over

    def _row(self, entry: Entry, now: int) -> dict[str, Any]:
        given = entry.password is not None
        return {
            "domain": entry.domain,
            "local": entry.local,
            "state": State.WAITING,
            "created": now,
            "enrolled": now,
            "sealed_password": self._seal(entry) if given else None,
            "password_state": PasswordState.UNTRIED if given else PasswordState.KNOWN,
            **{name: getattr(entry, name) for name in PLAIN},
        }

    def _make(self, connection: Connection, entries: Sequence[Entry], now: int) -> None:
        """Raises Overtaken: the user of one of them has logged in since the list was compared."""
        made = connection.execute(_MAKE, [self._row(entry, now) for entry in entries])
        if made.rowcount != len(entries):
            raise Overtaken("the database refused: others were quicker")

    def _seal(self, entry: Entry) -> bytes:
        assert self._sealer is not None and entry.password is not None
        return self._sealer.seal(entry.name, entry.password)

    def _change(self, connection: Connection, changed: Sequence[Changed]) -> None:
        alike: dict[tuple[str, ...], list[Changed]] = {}
        for one in changed:
            alike.setdefault(tuple(difference.field for difference in one.differences), []).append(one)
        for names, group in alike.items():
            columns = [name for name in names if name in PLAIN]
            if columns:
                values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in columns}
                rows = [{"number": c.id, **{f"new_{n}": getattr(c.entry, n) for n in columns}} for c in group]
                connection.execute(update(accounts).where(_a.id == bindparam("number")).values(**values), rows)
            if "password" in names:
                rows = [{"number": c.id, "sealed": self._seal(c.entry)} for c in group]
                connection.execute(_GIVE_PASSWORD, rows)


class _Logins:
    """What accounts are called at the legacy server, once the list is taken over: no two of them the same. Two that
    are called the same already, and that the list leaves so, are not its doing."""

    def __init__(self, login_at: LoginAt, *, listed: bool) -> None:
        """`listed`: the list says which legacy logins its accounts have."""
        self._login_at = login_at
        self._listed = listed
        self._names: dict[tuple[str, str], str] = {}  # by domain and login, the account that is called so
        self._new: list[tuple[Entry, str]] = []

    def is_here(self, row: Any) -> None:
        """An account that the list has not."""
        login = row.legacy_login or self._login_at(row.local, row.domain)
        self._names.setdefault((row.domain, login.lower()), f"{row.local}@{row.domain}")

    def is_to_be(self, entry: Entry, before: str | None) -> None:
        """One that the list has. `before`: the legacy login that it has here; None where it is not here."""
        own = entry.legacy_login if self._listed else before or ""
        login = own or self._login_at(entry.local, entry.domain)
        if own == before:
            self._names.setdefault((entry.domain, login.lower()), entry.name)
        else:
            self._new.append((entry, login))

    def clashes(self) -> Iterator[Clash]:
        for entry, login in self._new:
            name = self._names.setdefault((entry.domain, login.lower()), entry.name)
            if name != entry.name:
                yield Clash(entry.address, entry, f'is called "{login}" at the legacy server, as {name} is here')


_MAKE = (
    insert(accounts)
    .on_conflict_do_nothing(index_elements=["domain", "local"])
    .execution_options(preserve_rowcount=True)
)

# As `Accounts.password_given`: of one that was refused nothing more is to be said. One that the legacy server has taken
# since the list was compared stays.
_GIVE_PASSWORD = (
    update(accounts)
    .where(
        _a.id == bindparam("number"),
        _a.state != State.FINAL.value,
        or_(_a.sealed_password.is_(None), _a.password_state != PasswordState.KNOWN.value),
    )
    .values(sealed_password=bindparam("sealed"), password_state=PasswordState.UNTRIED.value)
)


def _pages(connection: Connection, domains: Iterable[str]) -> Iterator[Sequence[Any]]:
    """All accounts of the domains, by name."""
    for domain in domains:
        after = ""
        while True:
            statement = select(*_READ).where(_a.domain == domain, _a.local > after).order_by(_a.local).limit(PAGE)
            page = connection.execute(statement).all()
            if page:
                yield page
            if len(page) < PAGE:
                break
            after = page[-1].local


def _aliases_of(connection: Connection, numbers: Sequence[int]) -> dict[int, tuple[Address, ...]]:
    found: dict[int, tuple[Address, ...]] = {}
    for some in _batches(numbers, 500):
        statement = select(aliases).where(aliases.c.account_id.in_(some)).order_by(aliases.c.domain, aliases.c.local)
        for row in connection.execute(statement):
            found[row.account_id] = (*found.get(row.account_id, ()), (row.local, row.domain))
    return found


def _add_aliases(connection: Connection, entries: Sequence[Entry]) -> None:
    owner = select(bindparam("d"), bindparam("l"), _a.id).where(
        _a.domain == bindparam("of_domain"), _a.local == bindparam("of_local")
    )
    statement = insert(aliases).from_select(["domain", "local", "account_id"], owner)
    rows = (
        {"d": domain, "l": local, "of_domain": entry.domain, "of_local": entry.local}
        for entry in entries
        for local, domain in entry.aliases
    )
    for some in _batches(rows, PAGE):
        connection.execute(statement, some)


def _clashes(connection: Connection, entries: Mapping[Address, Entry], *, replaced: bool) -> Iterator[Clash]:
    """Names of the list that are somebody else's here. `replaced`: the list says which aliases its accounts have.

    Within the list there are none: whoever read it has seen to that.
    """
    wanted = {address: entry for entry in entries.values() for address in entry.aliases} if replaced else {}
    for row in _among(connection, select(_a.local, _a.domain), accounts, wanted.keys() - entries.keys()):
        address = row.local, row.domain
        yield Clash(address, wanted[address], "is an account here")
    owner = select(aliases.c.local, aliases.c.domain, _a.local.label("of_local"), _a.domain.label("of_domain"))
    owner = owner.join(accounts, _a.id == aliases.c.account_id)
    names = {**entries, **wanted}
    for row in _among(connection, owner, aliases, names):
        address, of = (row.local, row.domain), (row.of_local, row.of_domain)
        if not (replaced and of in entries):
            yield Clash(address, names[address], f"is an alias of {row.of_local}@{row.of_domain} here")


def _among(connection: Connection, statement: Any, table: Table, addresses: Iterable[Address]) -> Iterator[Any]:
    """Rows whose address is one of these."""
    by_domain: dict[str, list[str]] = {}
    for local, domain in addresses:
        by_domain.setdefault(domain, []).append(local)
    for domain, locals_ in by_domain.items():
        for some in _batches(locals_, 500):
            # As a table of its own: each is looked up by the key, whatever the server knows of the other one so far.
            named = values(column("wanted", String), name="named").data([(local,) for local in some]).cte("wanted")
            joined = statement.where(table.c.domain == domain, table.c.local == named.c.wanted)
            yield from connection.execute(joined)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    left = iter(items)
    while some := list(islice(left, size)):
        yield some
