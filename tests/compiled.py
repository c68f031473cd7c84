"""What SQLAlchemy has compiled for one test is there for the next, though each has an engine of its own: the statements
are the same, and to compile them takes longer than to execute them.

A cache is of one engine, and what is in it of one dialect. Here dialects of a kind are one: all that makes a difference
to a statement is which driver it is for, since all engines of the tests are made in the same way.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from mailstore import sqlite


def begin() -> None:
    """For all engines that are made from now on in this process."""
    usual, kept = sqlite.create_engine, sqlite.create_engine("sqlite+pysqlite://")._compiled_cache
    alike: Any = SQLiteDialect_pysqlite
    alike.__eq__ = lambda one, other: type(one) is type(other)
    alike.__hash__ = lambda one: hash(type(one))

    def create(*about: Any, **more: Any) -> Any:
        engine = usual(*about, **more)
        engine._compiled_cache = kept
        return engine

    sqlite.create_engine = create  # type: ignore[assignment]
