"""Accounts as a move writes to them that another node may have taken over: under its lease, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection

from mailstore.database import AccountsDatabase
from mailstore.leases import Fence
from mailstore.turns import Turn

T = TypeVar("T")


class FencedDatabase(AccountsDatabase):
    """A database of accounts whose every writing transaction asks a fence first. It is closed with the one that it is
    of."""

    def __init__(self, database: AccountsDatabase, fence: Fence) -> None:
        self._place = database._place
        self._fence = fence

    @contextmanager
    def write(self, *alone: Turn, beside: Collection[Turn] = ()) -> Iterator[Connection]:
        """Raises LeaseLost, too."""
        with self._place.write(*alone, beside=beside) as connection:
            self._fence(connection)
            yield connection

    def change(self, change: Callable[[Connection], T], *alone: Turn, beside: Collection[Turn] = ()) -> T:
        def fenced(connection: Connection) -> T:
            self._fence(connection)
            return change(connection)

        return self._place.change(fenced, *alone, beside=beside)
