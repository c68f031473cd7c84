"""The passes of a copy.

The first goes over all mailboxes while the daemon serves: each is read as of one moment, and whoever changes it
afterwards does so in the files. The last is for when nobody serves any more: what has changed since is copied again,
what has not is known by its digest, the accounts are copied, and the copy is finished. Who is interrupted in either
goes on with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from mailstore.database import AccountsDatabase
from mailstore.errors import StorageFailed
from mailstore.mailhome import index_path
from mailstore.onlooking import look
from mailstore.transfer.rows import ACCOUNTS, MAILBOX, Proof, lines_of
from mailstore.transfer.target import CopyRefused, Target

ROWS: Final = 50_000  # that are in memory at once, and one mailbox more
TOGETHER: Final = 500  # mailboxes of one transaction

Told = Callable[[int, str], None]  # how many mailboxes are dealt with, and whose is next
Lines = Mapping[str, Sequence[bytes]]  # by table


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One that there may be."""

    account_id: int
    name: str
    maildir: Path


@dataclass(slots=True)
class Done:
    """What a pass came to."""

    mailboxes: int = 0  # that there are
    copied: int = 0  # … of them in this pass
    rows: int = 0  # of mailboxes, in all
    tables: dict[str, int] = field(default_factory=dict)  # of accounts: rows
    unreadable: dict[str, str] = field(default_factory=dict)  # by account, why


def read(mailbox: Mailbox) -> tuple[Lines, Proof] | None:
    """A mailbox as of one moment; None where there is no index yet. Raises StorageFailed."""

    def lines(connection: Connection) -> dict[str, list[bytes]]:
        return {table.name: list(lines_of(connection, table, mailbox.account_id)) for table in MAILBOX}

    try:
        found = look(index_path(mailbox.maildir), lines)
    except FileNotFoundError:
        return None
    proof = Proof()
    for table in MAILBOX:
        proof.begin(table.name)
        proof.add(found[table.name])
    return found, proof


def copy_mailboxes(
    mailboxes: Iterable[Mailbox], target: Target, there: dict[int, bytes], told: Told = lambda _done, _name: None
) -> Done:
    """One pass. `there` are the digests of what has arrived (`Target.claim`), and is kept so. Raises StorageFailed of
    the server, CopyRefused; a mailbox that cannot be read is told of in the end."""
    done = Done()
    met: set[int] = set()
    for batch in _batches(_read(mailboxes, done, met, there, told)):
        target.put({number: lines for number, lines, _ in batch}, {number: proof for number, _, proof in batch})
        there.update((number, proof.digest()) for number, _, proof in batch)
        done.copied += len(batch)
    if gone := sorted(there.keys() - met):
        target.remove(gone)
        for number in gone:
            del there[number]
    return done


def _read(
    mailboxes: Iterable[Mailbox], done: Done, met: set[int], there: Mapping[int, bytes], told: Told
) -> Iterator[tuple[int, Lines, Proof]]:
    for number, mailbox in enumerate(mailboxes):
        told(number, mailbox.name)
        try:
            found = read(mailbox)
        except StorageFailed as error:
            done.unreadable[mailbox.name] = str(error)
            met.add(mailbox.account_id)
            continue
        if found is None:
            continue
        met.add(mailbox.account_id)
        lines, proof = found
        done.mailboxes += 1
        done.rows += proof.rows
        if there.get(mailbox.account_id) != proof.digest():
            yield mailbox.account_id, lines, proof


def _batches(found: Iterable[tuple[int, Lines, Proof]]) -> Iterator[list[tuple[int, Lines, Proof]]]:
    batch: list[tuple[int, Lines, Proof]] = []
    rows = 0
    for one in found:
        batch.append(one)
        rows += one[2].rows
        if rows >= ROWS or len(batch) >= TOGETHER:
            yield batch
            batch, rows = [], 0
    if batch:
        yield batch


def finish(accounts: AccountsDatabase, target: Target, done: Done) -> None:
    """The accounts, and the end. Nobody is to write to either any more. Raises CopyRefused where a mailbox is not
    there."""
    if done.unreadable:
        raise CopyRefused(f"{len(done.unreadable)} mailboxes cannot be read, and nothing is finished without them")
    with target.ending(), accounts.read() as connection:
        for table in ACCOUNTS:
            done.tables[table.name] = target.put_table(table, lines_of(connection, table))
    target.settle()
