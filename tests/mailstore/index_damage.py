"""Damage to an index's file, as disks and people do it: each takes the directory of the account, closed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from mailstore.mailhome import index_path
from mailstore.record import record_path

Damage = Callable[[Path], None]


def index_of(path: Path) -> Path:
    return index_path(path / "Maildir")


def deleted(path: Path) -> None:
    for file in path.glob("Maildir.db*"):
        file.unlink()


def without_record(path: Path) -> None:
    """The record beside the index would tell everything: it is lost as well."""
    record_path(index_of(path)).unlink()


def header(path: Path) -> None:
    """The first 100 octets: SQLite knows it no longer for a database."""
    overwrite(index_of(path), 0, b"\xff" * 100)


def first_page(path: Path) -> None:
    """All that says which tables there are."""
    overwrite(index_of(path), 100, b"\xff" * 3996)


def truncated(path: Path) -> None:
    index = index_of(path)
    with index.open("r+b") as file:
        file.truncate(index.stat().st_size // 2 + 17)


def emptied(path: Path) -> None:
    index_of(path).write_bytes(b"")


def something_else(path: Path) -> None:
    index_of(path).write_bytes(b"something else" * 1000)


def table(name: str, *, leaves: bool = False) -> Damage:
    """The page that a table begins with, or those with its rows, every other one of them."""

    def damage(path: Path) -> None:
        with closing(sqlite3.connect(index_of(path))) as connection:
            (size,) = connection.execute("PRAGMA page_size").fetchone()
            (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
        pages = [root]
        if leaves:
            data = index_of(path).read_bytes()
            pages = children(data[(root - 1) * size : root * size])[::2]
        for page in pages:
            overwrite(index_of(path), (page - 1) * size, b"\xff" * size)

    damage.__name__ = f"{name}_{'leaves' if leaves else 'root'}"
    return damage


def children(page: bytes) -> list[int]:
    """The pages that an interior page of a table points to (SQLite's file format, 1.6)."""
    assert page[0] == 5, "the table is too small to have an interior page"
    cells = int.from_bytes(page[3:5])
    at = [int.from_bytes(page[12 + 2 * n : 14 + 2 * n]) for n in range(cells)]
    return [int.from_bytes(page[cell : cell + 4]) for cell in at]


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)
