"""One account's mailbox in a backup: a Maildir, and its index with the ledger beside it.

The index is copied first and the files after it, so that every file that the index names was there. What is renamed,
moved or expunged meanwhile is then missing: both are done again until nothing is. A file that the legacy server gave
after the index was copied is left out, since the ledger that would know it again is not in the copy.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mailstore.copying import Carrier, copy_database, copy_raw, lying, make_all, read_only
from mailstore.custody import BESIDE
from mailstore.errors import MessageLost, StorageCorrupt
from mailstore.maildir import SUBDIRECTORIES, ledger_of, unique_of
from mailstore.mailhome import index_path

_ROUNDS: Final = 8
_PLACES: Final = ("new", "cur")  # in the order in which files go from one to the other


@dataclass(frozen=True, slots=True)
class Copied:
    """What is in a copy."""

    files: int
    octets: int
    messages: int  # that the index names and that are here
    missing: int  # messages that the index names and whose file has gone
    damaged: bool  # is the index no database any more? It is as it was found
    has_index: bool
    same_index: bool  # is it the earlier copy's?
    written: int  # octets that were not there yet, and could not be linked


@dataclass(frozen=True, slots=True)
class _Index:
    """Of a copy."""

    named: frozenset[tuple[str, str]] = frozenset()  # folder's directory, unique name
    token: str = ""
    is_there: bool = False
    damaged: bool = False
    same: bool = False


@dataclass(slots=True)
class _Found:
    """Files that are in the copy after a round."""

    octets: int = 0
    files: set[tuple[str, str, str]] = field(default_factory=set)  # directory, place, name
    written: int = 0


def copy_mailbox(maildir: Path, target: Path, earlier: Path | None) -> Copied | None:
    """Bring the mailbox to `target`, which may be what an interrupted copy left; `earlier` is its Maildir in another
    backup. None where there is no mail yet. Raises OSError, StorageFailed."""
    if not maildir.is_dir() and not index_path(maildir).exists():
        return None
    _make(target)
    before: frozenset[tuple[str, str]] | None = None
    written = 0
    for _ in range(_ROUNDS):
        index = _copy_index(maildir, target, earlier)
        found = _copy_files(maildir, target, earlier, index)
        written += found.written
        missing = index.named - {(directory, unique_of(name)) for directory, _, name in found.files}
        if not missing or missing == before:
            break
        before = missing
    _remove_others(target, found)
    _copy_beside(maildir, target)
    return Copied(
        files=len(found.files),
        octets=found.octets,
        messages=len(index.named) - len(missing),
        missing=len(missing),
        damaged=index.damaged,
        has_index=index.is_there,
        same_index=index.same,
        written=written,
    )


def count(maildir: Path) -> tuple[int, int]:
    """Files and octets of a mailbox's messages."""
    files = octets = 0
    for directory in _directories(maildir):
        for place in _PLACES:
            for entry in lying(maildir / directory / place):
                files += 1
                octets += entry.stat(follow_symlinks=False).st_size
    return files, octets


def bring_back(copy: Path, maildir: Path) -> None:
    """The other way: a mailbox of a backup into a place where nothing is. Raises OSError."""
    _make(maildir)
    if index_path(copy).exists():
        copy_raw(index_path(copy), index_path(maildir))
    _copy_files(copy, maildir, None, _Index())
    _copy_beside(copy, maildir)


def beside(maildir: Path) -> list[Path]:
    """Whose the mailbox is, and what was given back of it: small files, which are written anew or added to."""
    return [maildir.with_name(maildir.name + suffix) for suffix in BESIDE]


def _copy_beside(maildir: Path, target: Path) -> None:
    for source, copy in zip(beside(maildir), beside(target), strict=True):
        copy.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            copy_raw(source, copy)


def _copy_index(maildir: Path, target: Path, earlier: Path | None) -> _Index:
    source, copy = index_path(maildir), index_path(target)
    try:
        same = copy_database(source, copy, None if earlier is None else index_path(earlier))
        token, named = _read(copy)
    except FileNotFoundError:
        copy.unlink(missing_ok=True)
        return _Index()
    except (StorageCorrupt, sqlite3.Error, UnicodeDecodeError):
        copy_raw(source, copy)  # what it still tells is read when it is opened
        return _Index(is_there=True, damaged=True)
    return _Index(named, token, is_there=True, same=same)


def _read(index: Path) -> tuple[str, frozenset[tuple[str, str]]]:
    """The mailbox's token, and the files that a copied index names. Raises sqlite3.Error, UnicodeDecodeError."""
    with closing(read_only(index, immutable=True)) as connection:
        token = connection.execute("SELECT token FROM mailboxes").fetchone()
        named = connection.execute(
            "SELECT f.directory, m.file FROM messages AS m JOIN folders AS f "
            "ON f.account_id = m.account_id AND f.id = m.folder_id WHERE m.file <> ''"
        )
        return str(token[0]) if token else "", frozenset(named)


def _copy_files(maildir: Path, target: Path, earlier: Path | None, index: _Index) -> _Found:
    found = _Found()
    uniques = {unique for _, unique in index.named}
    for directory in _directories(maildir):
        _make(target / directory)
        for entry in lying(maildir / directory):  # other programs'
            with suppress(FileNotFoundError, MessageLost):
                copy_raw(Path(entry.path), target / directory / entry.name)
        kept = {} if earlier is None else _by_unique(earlier / directory)
        for place in _PLACES:
            source, carrier = maildir / directory / place, Carrier(target / directory / place)
            here = {entry.name for entry in lying(carrier.target)}
            for name in [entry.name for entry in lying(source)]:
                unique = unique_of(name)
                if index.token and ledger_of(name, index.token) is not None and unique not in uniques:
                    continue
                with suppress(FileNotFoundError):
                    octets = (source / name).lstat().st_size
                    copies = [kept[unique]] if unique in kept and kept[unique].lstat().st_size == octets else []
                    sources = [*_near(source / name, carrier.target), *copies, source / name]
                    if name in here or carrier.bring(name, sources):
                        found.files.add((directory, place, name))
                        found.octets += octets
            carrier.settle()
            found.written += carrier.copied
    return found


def _near(path: Path, target: Path) -> Iterator[Path]:
    """The file itself where it can be linked: before an earlier copy of it."""
    if path.lstat().st_dev == target.stat().st_dev:
        yield path


def _by_unique(folder: Path) -> dict[str, Path]:
    return {unique_of(entry.name): Path(entry.path) for place in _PLACES for entry in lying(folder / place)}


def _remove_others(target: Path, found: _Found) -> None:
    """What has another name by now, or is not there any more, would come back as a message of its own."""
    for directory in _directories(target):
        for place in SUBDIRECTORIES:
            for entry in lying(target / directory / place):
                if (directory, place, entry.name) not in found.files:
                    Path(entry.path).unlink()


def _directories(maildir: Path) -> list[str]:
    """The INBOX's and the folders', below the Maildir."""
    if not maildir.is_dir():
        return []
    with os.scandir(maildir) as entries:
        return ["", *sorted(entry.name for entry in entries if _is_folder(entry))]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)


def _make(folder: Path) -> None:
    for place in SUBDIRECTORIES:
        make_all(folder / place)
