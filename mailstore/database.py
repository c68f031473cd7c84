"""The installation's one database of accounts: what its transactions are, whichever database it is.

`mailstore.accounts_file` has them in a file of SQLite, `mailstore.accounts_server` in PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, Engine, Executable

from mailstore.accounts_file import AccountsFile
from mailstore.prepared import Prepared
from mailstore.turns import Turn

if TYPE_CHECKING:
    from mailstore.accounts_server import AccountsServer

T = TypeVar("T")


class AccountsDatabase:
    """The installation's one database of accounts. Safe to use from several threads. Every method raises StorageFailed,
    with words that are fit for a client."""

    def __init__(self, place: Path | AccountsServer) -> None:
        """A file, opened or made; or a server's, which is then closed with this."""
        self._place: AccountsFile | AccountsServer = AccountsFile(place) if isinstance(place, Path) else place

    @property
    def instant(self) -> bool:
        """Do `first` and `version` take microseconds, so that the reactor's thread may ask? Over a network it may
        not."""
        return self._place.instant

    @property
    def engine(self) -> Engine | None:
        """The server's, whose connections mailboxes share; None where it is a file."""
        return None if isinstance(self._place, AccountsFile) else self._place.engine

    def time(self) -> float:
        """The time of day that all go by who have this database: its server's, nearly, whatever this machine's clock
        says. Seconds since 1970."""
        return self._place.time()

    def go_by(self, clock: Callable[[], float]) -> None:
        """Have `time` from somebody who asks the server now and then."""
        self._place.clock = clock

    def read(self) -> AbstractContextManager[Connection]:
        """A transaction that sees one state and changes nothing."""
        return self._place.read()

    def write(self, *alone: Turn, beside: Collection[Turn] = ()) -> AbstractContextManager[Connection]:
        """A transaction that is durable when the block has ended, or never was. Nobody else is in one that has any of
        these turns `alone`; those that are `beside` it may be, and nobody who has it alone. See `mailstore.turns` for
        who has to take one."""
        return self._place.write(*alone, beside=beside)

    def change(self, change: Callable[[Connection], T], *alone: Turn, beside: Collection[Turn] = ()) -> T:
        """`write`, for what changes many rows: done again where it and others waited for each other's rows. `change`
        has no effects but those on the database."""
        return self._place.change(change, *alone, beside=beside)

    def run(self, statement: Executable, *alone: Turn) -> int:
        """`change`, for one statement: how many rows it changed."""
        return self.change(lambda connection: connection.execute(statement).rowcount, *alone)

    def first(self, statement: Prepared, parameters: Mapping[str, Any]) -> Any:
        """The first row of one statement by itself, as a tuple, or None: ten times as quick as in a `read`."""
        return self._place.first(statement, parameters)

    def version(self) -> int:
        """Another number whenever others have changed something since; now and then also where nobody has. What is
        read behind it is at least as new."""
        return self._place.version()

    def scrub(self) -> None:
        """Have nothing left of what is no longer in the tables, as far as that is for us to say: it may have been a
        sealed password."""
        self._place.scrub()

    def close(self) -> None:
        """Whoever is in a transaction ends it."""
        self._place.close()
