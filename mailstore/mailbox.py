"""An account's index and ledger, wherever they are kept: what the parts of a `MailHome` need of it.

`mailstore.mailbox_database` keeps them in a file beside the Maildir, `mailstore.postgres_mailbox` in a server; the
tables and the statements are the same. `mailstore.opening` opens either.

- What a `read` sees is one state. What a `write` did is on stable storage when its block has ended, or never was.
- Writers of one account exclude each other, in all processes and on all nodes: what a `write` has looked at stays as it
  is to its end.
- A block that fails is undone.
- Reads that are asked for `together` are one, for as long as nothing is written and no file is waited for.

A `Mailbox` belongs to one thread at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import ClassVar, NamedTuple, Protocol

from sqlalchemy import Connection

from mailstore.errors import TakesLonger
from mailstore.index.salvage import Salvage
from mailstore.replaying import Replayed

# How much a brief operation may take on: a few milliseconds each.
BRIEF_ROWS = 2_000
BRIEF_FILES = 32
BRIEF_OCTETS = 1024 * 1024

Report = Callable[..., None]  # report(event, **figures): for the log; no names, no bytes of mail


class Announce(Protocol):
    """Called after each change to a folder's messages, and with `special.ACCOUNT` after each to which folders,
    subscriptions and annotations there are, in the thread that made it. Who knows the folder up to `modseq` knows of
    the change; without it nobody does."""

    def __call__(self, folder_id: int, modseq: int | None = None, /) -> None: ...


class Mailbox(ABC):
    """One account's."""

    shared: ClassVar[bool]  # are the rows of other accounts in the same tables?

    def __init__(self) -> None:
        self.owing = False  # may a commit be owed?
        self.owed = False  # has one been made that is not on stable storage yet?
        self.hurried = False
        # Called in each transaction that writes, behind its lock: raises where this process may write no more. For
        # mailboxes that several nodes share.
        self.fence: Callable[[Connection], None] | None = None
        self._together = False
        self._read: _Read | None = None  # the transaction of what is read together, once it has begun

    # Transactions

    def read(self) -> AbstractContextManager[Connection]:
        """A transaction that sees one state and changes nothing. Raises StorageFailed."""
        return _Part(self) if self._together else self._begin_read()

    def look(self) -> AbstractContextManager[Connection]:
        """As `read`, where everything is asked for before the first answer is needed (`Prepared.ask`): what is asked
        behind that may be of a later state. Raises StorageFailed."""
        return self._begin_look() if self._read is None else _Part(self)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is read within the block is read in one transaction, until something is written, or to be written, or
        `apart` is called; from there on in another one. Raises StorageFailed."""
        if self._together:
            yield
            return
        self._together = True
        try:
            yield
            self.apart()
        except BaseException as error:
            self.broken_off(error)
            raise
        finally:
            self._together = False

    def apart(self) -> None:
        """Have no transaction open: it may be long until something is read again, as where a file is waited for.
        Harmless where nothing is read together. Raises StorageFailed."""
        read, self._read = self._read, None
        if read is not None:
            read.transaction.__exit__(None, None, None)

    def joined(self) -> Connection:
        """The connection of what is read together. Raises StorageFailed."""
        if self._read is None:
            transaction = self._begin_read()
            self._read = _Read(transaction, transaction.__enter__())
        return self._read.connection

    def broken_off(self, error: BaseException) -> None:
        """Undo what is read together. Raises StorageFailed where that is what the error means."""
        read, self._read = self._read, None
        if read is not None:
            read.transaction.__exit__(type(error), error, error.__traceback__)

    @abstractmethod
    def _begin_read(self) -> AbstractContextManager[Connection]:
        """`read`, by itself."""

    def _begin_look(self) -> AbstractContextManager[Connection]:
        """`look`, by itself."""
        return self._begin_read()

    @abstractmethod
    def write(self) -> AbstractContextManager[Connection]:
        """A transaction that is durable when the block has ended, or never was; or `owed`, if that may be. Raises
        StorageFailed."""

    @abstractmethod
    def write_lightly(self) -> AbstractContextManager[Connection]:
        """A transaction that a loss of power may undo, until the next `write` makes it durable too: for what can be
        computed or claimed again. No later change outlives an earlier one. Raises StorageFailed."""

    @abstractmethod
    def hurry(self, hurried: bool) -> None:
        """Whether a transaction that has to wait for another process raises TakesLonger instead: so until the first
        one that writes has ended. Raises TakesLonger where each of them waits."""

    def at_most(self, count: int, most: int) -> None:
        """Said before anything is changed: the operation will look at so many. Raises TakesLonger if it was to be
        brief, and they are more than `most`."""
        if self.hurried and count > most:
            raise TakesLonger

    @property
    @abstractmethod
    def log(self) -> Path | None:
        """The file that has to be brought to stable storage when something is `owed`."""

    @abstractmethod
    def paid(self) -> None:
        """It has been."""

    @abstractmethod
    def close(self) -> None:
        """Give back what costs anything. Whoever uses it again opens it again."""

    # Its beginning: see `mailstore.beginning`

    @abstractmethod
    def identity(self) -> int:
        """Of what the rows are kept in, which a copy of it does not share. Raises StorageFailed."""

    @abstractmethod
    def replayed(self, report: Report) -> Replayed | None:
        """What a record tells of an index that is lost."""

    @abstractmethod
    def salvaged(self, account_id: int) -> tuple[Salvage, str]:
        """What can be read of an index that was set aside, and what that is called; nothing, and ""."""

    @abstractmethod
    def keep_record(self, token: str, report: Report) -> None:
        """The index is as it should be: from now on, record what is written, if it is recorded at all. Raises
        StorageFailed."""

    # Damage

    @abstractmethod
    def tidy(self, report: Report) -> None:
        """Nobody is asking for anything at the moment: see to what is beside the index. Raises StorageFailed."""

    @abstractmethod
    def check(self, connection: Connection) -> None:
        """Look at the whole of it, within a transaction. Raises StorageCorrupt."""

    @abstractmethod
    def suspect(self) -> None:
        """It seems to be damaged: the next opening is to look at the whole of it."""


class _Read(NamedTuple):
    """A transaction that has begun."""

    transaction: AbstractContextManager[Connection]
    connection: Connection


class _Part:
    """A block of what is read together."""

    __slots__ = ("_mailbox",)

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def __enter__(self) -> Connection:
        return self._mailbox.joined()

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._mailbox.broken_off(error)
