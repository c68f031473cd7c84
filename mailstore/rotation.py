"""Another key for sealed passwords, while the daemon serves: it comes, all is sealed anew, and the key before goes.

    [old] → [new, old] → everything under new → [new]

A key comes and goes inside a transaction of the accounts database, and a password is sealed inside the transaction that
keeps it (`mailstore.accounts.Sealed`). So at no moment is anything kept under a key that is not in the file, and who is
interrupted anywhere goes on from there: more than one key in the file means that there is something to go on with.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, LargeBinary, bindparam, case, func, literal, select, update

from mailstore import agreement, membership
from mailstore.copying import read_only
from mailstore.database import AccountsDatabase
from mailstore.errors import MailstoreError, SecretUnreadable
from mailstore.keys import KeyFile
from mailstore.refusals import storage_errors
from mailstore.schema import accounts
from mailstore.secrets import ID_OCTETS, KEY_OCTETS, NAMED, UNNAMED, Sealer, each, key_id
from mailstore.turns import Turn

PORTION: Final = 200  # passwords in one transaction: some milliseconds

_a = accounts.c
_HEAD: Final = func.substr(_a.sealed_password, 1, 1 + ID_OCTETS, type_=LargeBinary)
_KIND: Final = func.substr(_a.sealed_password, 1, 1, type_=LargeBinary)
_REPLACE: Final = (
    update(accounts)
    .where(_a.id == bindparam("number"), _a.sealed_password == bindparam("before"))
    .values(sealed_password=bindparam("after"))
)

_HEADS: Final = """
    SELECT hex(substr(sealed_password, 2, ?)), count(*) FROM accounts WHERE substr(sealed_password, 1, 1) = ? GROUP BY 1
"""

Told = Callable[[int, int], None]  # how many are dealt with, and of how many


class RotationRefused(MailstoreError):
    """It cannot be done now, and nothing has changed. The text is for the administrator."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How many sealed passwords there are, by the key that they name."""

    first: int  # the key that seals now
    others: int  # another one of the file, or none, as in former versions
    lost: int  # one that is not in the file


@dataclass(frozen=True, slots=True)
class Rotated:
    """What came of it. Ids of keys are in hexadecimal."""

    key: str
    gone: tuple[str, ...]
    sealed: int
    lost: int  # passwords that open with no key that was here: they are as they were
    resumed: bool


def named(key: bytes) -> str:
    """A key's id, as people read it."""
    return key_id(key).hex()


def standing(database: AccountsDatabase, keys: bytes) -> Standing:
    """By what sealed passwords say of themselves, none of which is opened."""
    # A value of a former version names no key: what follows its first octet is random.
    what = case((_KIND == UNNAMED, literal(UNNAMED, LargeBinary)), else_=_HEAD)
    statement = select(what, func.count()).where(_a.sealed_password.is_not(None)).group_by(what)
    with database.read() as connection:
        counted = {bytes(head): int(count) for head, count in connection.execute(statement)}
    first, *others = [NAMED + key_id(key) for key in each(keys)]
    here = counted.pop(first, 0)
    known = sum(counted.pop(head, 0) for head in (*others, UNNAMED))
    return Standing(here, known, sum(counted.values()))


def lost(file: Path, keys: bytes) -> int:
    """How many passwords of an accounts database are under keys that are not among these; the file is not touched, and
    may be of another version. Raises sqlite3.Error."""
    with closing(read_only(file)) as connection:
        heads = connection.execute(_HEADS, (ID_OCTETS, NAMED)).fetchall()
    known = [key_id(key).hex().upper() for key in each(keys)]
    return sum(count for head, count in heads if head not in known)


def rotate(
    database: AccountsDatabase,
    file: KeyFile,
    state: Path,
    told: Told = lambda _done, _all: None,
    pause: Callable[[float], None] = time.sleep,
) -> Rotated:
    """All of it, or what is left of one that was interrupted. Of two at once one is refused. `pause` waits: others may
    write as long as this has. Raises RotationRefused, StorageFailed."""
    with _alone_in(state):
        added = add_key(database, file)
        keys = each(file.load())
        sealing = _Sealing(database, b"".join(keys), pause)
        sealing.run(told)
        while not _drop(database, file, sealing):
            sealing.run(told)
        return Rotated(
            named(keys[0]), tuple(named(key) for key in keys[1:]), sealing.done, len(sealing.lost), resumed=not added
        )


def add_key(database: AccountsDatabase, file: KeyFile) -> bool:
    """Have a new key seal from now on, unless there is one that has to become the only one yet: was one made?"""
    with database.write(Turn.KEYS) as connection:
        keys = file.load()
        begun = len(keys) > KEY_OCTETS
        if not begun:
            keys = os.urandom(KEY_OCTETS) + keys
            file.replace(keys)
        if database.engine is not None:
            agreement.change(connection, keys)
        return not begun


def see_that_nobody_else_seals(database: AccountsDatabase, ours: str) -> None:
    """Other nodes seal with the key of now, and could not open what is sealed with the next: they have to be stopped
    before. `ours` is how the name of this machine's node begins. Raises RotationRefused."""
    if database.engine is None:
        return
    with database.write() as connection:
        membership.bury(connection)
        others = [node.name for node in membership.every(connection) if not node.name.startswith(ours)]
    if others:
        raise RotationRefused(
            f"other nodes are at work ({', '.join(others)}): stop mailferry there, run this once more, copy the key "
            "file to them, and start it again; this node serves everybody meanwhile"
        )


@contextmanager
def _alone_in(state: Path) -> Iterator[None]:
    with storage_errors():
        descriptor = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RotationRefused("passwords are being sealed anew already: wait until that has ended") from None
        yield
    finally:
        os.close(descriptor)


class _Sealing:
    """Every password under the first key."""

    def __init__(self, database: AccountsDatabase, keys: bytes, pause: Callable[[float], None]) -> None:
        self.done = 0
        self.lost: set[int] = set()  # accounts
        self._database = database
        self._sealer = Sealer(keys)
        self._pause = pause

    def run(self, told: Told) -> None:
        with self._database.read() as connection:
            left = connection.execute(select(func.count()).where(*self._wanted())).scalar_one()
        after, seen = 0, 0
        while True:
            began = time.monotonic()
            rows, changed = self._database.change(partial(self._portion, after))
            self.done += changed
            seen += len(rows)
            told(seen, max(seen, left))
            if len(rows) < PORTION:
                return
            after = rows[-1].id
            self._pause(time.monotonic() - began)

    def _portion(self, after: int, connection: Connection) -> tuple[list[Any], int]:
        """The next ones, which are sealed anew, and how many of them were."""
        rows = self._rows(connection, after)
        changed = [row for row in map(self._changed, rows) if row is not None]
        if changed:
            connection.execute(_REPLACE, changed)
        return rows, len(changed)

    def _wanted(self) -> tuple[Any, ...]:
        return _a.sealed_password.is_not(None), NAMED + self._sealer.first != _HEAD

    def _rows(self, connection: Connection, after: int) -> list[Any]:
        statement = select(_a.id, _a.local, _a.domain, _a.sealed_password).where(*self._wanted(), _a.id > after)
        return list(connection.execute(statement.order_by(_a.id).limit(PORTION)))

    def _changed(self, row: Any) -> dict[str, Any] | None:
        name = f"{row.local}@{row.domain}"
        try:
            password = self._sealer.open(name, row.sealed_password)
        except SecretUnreadable:
            self.lost.add(row.id)
            return None
        self.lost.discard(row.id)
        return {"number": row.id, "before": row.sealed_password, "after": self._sealer.seal(name, password)}

    def open_still(self, connection: Connection) -> bool:
        """Is anything left that opens with another key?"""
        after = 0
        while rows := self._rows(connection, after):
            if any(self._changed(row) is not None for row in rows):
                return True
            after = rows[-1].id
        return False


def _drop(database: AccountsDatabase, file: KeyFile, sealing: _Sealing) -> bool:
    """Have the first key alone, if nothing needs another."""
    with database.write(Turn.KEYS) as connection:
        if sealing.open_still(connection):
            return False
        file.replace(file.load()[:KEY_OCTETS])
        return True
