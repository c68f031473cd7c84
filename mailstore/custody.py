"""In whose hands a mailbox is: this store's, or another program's.

Whoever opens a mailbox here holds a file beside its Maildir locked, together with all others who do. Who takes it out
of use (to hand it over to Dovecot, to take it back, to adopt one) holds that lock alone, so that no session, move or
delivery of any process, on any node, is in it meanwhile. A lock goes with the process that has it.

What outlives the process is a note beside the Maildir. As long as it is there the store opens the mailbox for nobody
but the custodian, whatever the account's row says: so a crash at any step, or a command that knows nothing of it,
cannot have two programs give out UIDs in one Maildir. The note says how to go on:

    (none) → going → gone → coming → learnt → (none)        handed over to Dovecot, and taken back
    (none) → adopting → learnt → (none)                     another program's mail is brought in

`learnt` says that the index has all that the other program knew: names of files, which told some of it, become ours.

In the accounts' database such an account is `blocked`, with the reason for the administrator; the note has what its
state was before.
"""

from __future__ import annotations

import enum
import errno
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import update

from mailstore.accounts import Account, State
from mailstore.database import AccountsDatabase
from mailstore.errors import InOtherHands
from mailstore.maildir import sync_directory
from mailstore.schema import accounts

_LARGEST: Final = 4 * 1024 * 1024  # octets of a note

_a = accounts.c


class Step(enum.StrEnum):
    GOING = "going"  # being handed over
    GONE = "gone"  # the other program serves it
    COMING = "coming"  # being taken back
    ADOPTING = "adopting"  # another program's mail is being brought in
    LEARNT = "learnt"  # of either of these, the index has all


_WORDS: Final = {
    Step.GOING: "the mailbox is being handed over to another mail server",
    Step.GONE: "the mailbox has been handed over to another mail server",
    Step.COMING: "the mailbox is being taken back from another mail server",
    Step.ADOPTING: "mail is being brought into the mailbox",
    Step.LEARNT: "the mailbox is being put in order",
}


@dataclass(frozen=True, slots=True)
class Note:
    """What is written beside a Maildir that is in other hands."""

    step: Step
    since: int  # seconds since 1970
    state: str  # of the account, before
    reason: str  # … and what was said of it
    directories: Mapping[str, str] = field(default_factory=dict)  # of folders: ours, and what the other program has

    @property
    def words(self) -> str:
        return _WORDS[self.step]


USE: Final = ".use"  # the lock of whoever uses it, after the Maildir's name
BESIDE: Final = (".custody", ".given-back")  # what belongs to a mailbox and lies beside its Maildir, after its name


def note_path(maildir: Path) -> Path:
    return maildir.with_name(maildir.name + ".custody")


def read_note(maildir: Path) -> Note | None:
    """None where the mailbox is ours. Raises OSError, and InOtherHands for a note that cannot be understood."""
    try:
        with note_path(maildir).open("rb") as file:
            data = file.read(_LARGEST)
    except FileNotFoundError:
        return None
    try:
        values = json.loads(data)
        return Note(
            Step(values["step"]),
            int(values["since"]),
            State(values["state"]),
            str(values["reason"]),
            {str(ours): str(theirs) for ours, theirs in values["directories"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InOtherHands(f"{note_path(maildir).name} beside the Maildir cannot be understood") from error


def write_note(maildir: Path, note: Note) -> None:
    """Durable when this returns. Raises OSError."""
    path = note_path(maildir)
    passing = path.with_name(path.name + ".new")
    values = {
        "step": note.step.value,
        "since": note.since,
        "state": note.state,
        "reason": note.reason,
        "directories": dict(note.directories),
    }
    with open(passing, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(json.dumps(values, indent=1).encode())
        file.flush()
        os.fsync(file.fileno())
    give_to_owner(passing, path.parent)
    passing.rename(path)
    sync_directory(path.parent)


def end_note(maildir: Path) -> None:
    """The mailbox is ours again. Raises OSError."""
    note_path(maildir).unlink(missing_ok=True)
    sync_directory(note_path(maildir).parent)


def give_all_to_owner(maildir: Path) -> None:
    """What root has made beside a Maildir: the index, and what belongs to it. Raises OSError."""
    if os.geteuid() == 0:
        for path in maildir.parent.glob(maildir.name + ".*"):
            with suppress(FileNotFoundError):
                give_to_owner(path, maildir.parent)


def give_to_owner(path: Path, like: Path) -> None:
    """What root makes belongs to whom the directory belongs to. Raises OSError."""
    if os.geteuid() == 0:
        made, about = path.lstat(), like.stat()
        if (made.st_uid, made.st_gid) != (about.st_uid, about.st_gid):
            os.chown(path, about.st_uid, about.st_gid, follow_symlinks=False)


# Who is in it


def see_that_it_is_ours(maildir: Path) -> None:
    """Raises InOtherHands, OSError."""
    if note_path(maildir).exists() and (note := read_note(maildir)) is not None:
        raise InOtherHands(note.words)


def make_use_of(maildir: Path) -> int | None:
    """A descriptor that keeps the mailbox in use until it is closed; None where the file system has no locks, or takes
    no new file: that keeps nobody from the mail that is there. Raises InOtherHands where it was taken out of use."""
    try:
        descriptor = _lock_file(maildir)
    except OSError:
        see_that_it_is_ours(maildir)
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        see_that_it_is_ours(maildir)  # the note may have been written a moment ago, before the lock was let go of
    except OSError as error:
        os.close(descriptor)
        if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
            raise InOtherHands("the mailbox is being handed over") from None
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _lock_file(maildir: Path) -> int:
    """A file and not the directory: other nodes see locks of files alone (NFS), and only of those that are open for
    writing. Raises OSError."""
    path = maildir.with_name(maildir.name + USE)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if os.geteuid() == 0 and os.fstat(descriptor).st_uid == 0:
            give_to_owner(path, maildir.parent)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


class InUse(InOtherHands):
    """Somebody has a session or a move."""


@contextmanager
def alone_with(maildir: Path) -> Iterator[None]:
    """Nobody opens the mailbox within the block. Raises InUse where somebody has it open, OSError."""
    descriptor = _lock_file(maildir)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
                raise InUse("the account has a session or a move here, or had one within the last minute") from None
            raise
        yield
    finally:
        os.close(descriptor)


# What the accounts' database says meanwhile


class Custody:
    """The accounts that are in other hands, or on the way. Each method is one transaction."""

    def __init__(self, database: AccountsDatabase, clock: Callable[[], float] | None = None) -> None:
        self._database = database
        self._clock = clock or database.time

    def block(self, account: Account, reason: str) -> bool:
        """Let nobody in any more. False where the account is not any more what it was when it was looked at: its user
        has logged in, or somebody has done something with it."""
        return self._change(account, state=State.BLOCKED.value, reason=reason, due=None)

    def say(self, account: Account, reason: str) -> None:
        """Of one that is blocked."""
        self._change(account, reason=reason)

    def release(self, account: Account, note: Note) -> bool:
        """It is as it was before."""
        return self._change(account, state=note.state, reason=note.reason)

    def adopted(self, account: Account, password_hash: str | None, messages: int, octets: int) -> bool:
        """Its mail was brought in: there is no legacy server to be asked."""
        password = {} if password_hash is None else {"password_hash": password_hash}
        return self._change(
            account,
            state=State.FINAL.value,
            reason="",
            sealed_password=None,
            due=None,
            finalized=int(self._clock()),
            messages_done=messages,
            messages_total=messages,
            bytes_done=octets,
            bytes_total=octets,
            **password,
        )

    def _change(self, account: Account, **values: Any) -> bool:
        still = (_a.id == account.id, _a.state == account.state.value)
        with self._database.write() as connection:
            return connection.execute(update(accounts).where(*still).values(**values)).rowcount == 1
