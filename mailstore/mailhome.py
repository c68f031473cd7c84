"""An account's folders: what a session is handed.

Every method is one whole operation, is durable when it returns, and may be called from one thread at a time
(`proxy.wire.door.Home.run` sees to both order and threads). Folder names are Unicode with "/" between levels.
Nothing here knows a protocol.

What is asked of it is in six files, each a class that `MailHome` derives from: `reading`, `noticing`, `messages`,
`hierarchy`, `incoming` and `old_folders`, all upon `groundwork`, which says how index and Maildir are kept in step.
Here are its opening and closing, what is owed to the disk, and what moves bring in. Of these classes, `MailHome` alone
is used from outside.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from mailstore.annotations import Annotations
from mailstore.beginning import Beginning
from mailstore.custody import make_use_of, see_that_it_is_ours
from mailstore.digests import learn
from mailstore.doubts import Doubts
from mailstore.entries import Here, Landed, Sums
from mailstore.errors import MailstoreError, StorageCorrupt, StorageFailed
from mailstore.giving import CameByLegacy
from mailstore.incoming import Incoming
from mailstore.index import folders, special
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import Flags
from mailstore.inheritance.values import Inheritance
from mailstore.inheriting import Inherited, Inheriting
from mailstore.intake import Report
from mailstore.kept import Kept
from mailstore.leases import Fence
from mailstore.ledger import Ledger
from mailstore.mailbox import Announce
from mailstore.mailbox_database import index_path as index_path  # noqa: PLC0414 - known by this module's name, too
from mailstore.maildir import Maildir
from mailstore.old_folders import OldFolders
from mailstore.oncoming import Oncoming
from mailstore.opening import Mailboxes, is_known, open_mailbox
from mailstore.quota import Limits
from mailstore.reading import Reading
from mailstore.recognition import Recognition
from mailstore.reconciling import Reconciler
from mailstore.refusals import contradicts_itself, storage_errors
from mailstore.renaming import Names

T = TypeVar("T")


def _unreported(_event: str, **_figures: object) -> None:
    """Nobody listens: commands and tests."""


def _unheard(_folder_id: int, _modseq: int | None = None) -> None:
    """… and nobody has to know."""


def _anywhere() -> None:
    """Commands and tests: whoever opens the home knows that the disk is there."""


def maildrop_lock(maildir: Path) -> int | None:
    """The descriptor of a Maildir's POP3 lock, None where somebody has it. Raises OSError."""
    descriptor = os.open(maildir.with_name(maildir.name + ".pop3"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
            return None
        raise
    return descriptor


class MailHome(OldFolders, Incoming, Reading):
    """One account's mail."""

    def __init__(
        self,
        engine: Mailboxes,
        account_id: int,
        maildir: Path,
        *,
        announce: Announce = _unheard,
        clock: Callable[[], float] = time.time,
        report: Report = _unreported,
        there: Callable[[], None] = _anywhere,
        custodian: bool = False,
    ) -> None:
        """Open the account's Maildir and index, made where missing. Raises StorageFailed; InOtherHands where another
        program has the mailbox, but for the `custodian`, who has it alone (`mailstore.custody`).

        `announce` is told of each change, `report(event, **figures)` what other programs did to the Maildir, and what
        was lost. An index that is damaged is set aside, and a new one made: see `mailstore.beginning`. `there` raises
        StorageFailed where the disk with the Maildirs is not mounted now (`mailstore.mooring`).
        """
        files = Maildir(maildir, there)
        self._use: int | None = None
        with storage_errors():
            if not custodian:
                see_that_it_is_ours(maildir)
            whole = (maildir / "cur").is_dir() and (maildir / "new").is_dir()
            if not whole and is_known(engine, account_id, maildir):
                report("maildir directories were missing", folder=INBOX_ID)
            files.make()
            if not custodian:
                self._use = make_use_of(maildir)
        try:
            database = open_mailbox(engine, account_id, maildir, report)
        except BaseException:
            self._end_use()
            raise
        super().__init__(database, account_id, files, announce=announce, clock=clock, report=report)
        self._maildrop_lock: int | None = None
        self.made_anew = False  # was the index missing or damaged, with mail in the Maildir, or a copy?
        self.kept = Kept(self._database, account_id, self._maildir)
        self.oncoming = Oncoming(self._database, account_id, self._maildir, announce=announce, report=report)
        self.ledger = Ledger(self._database, account_id, announce=announce, clock=clock, take=self.oncoming.take)
        self.names = Names(self._database, account_id)
        self.recognition = Recognition(self._database, account_id, self._maildir)
        self.annotations = Annotations(self._database, account_id, announce)
        self.limits = Limits()  # set by who opened it; what a move carries over counts and is never refused
        try:
            begun = Beginning(database, account_id, files, now=self._now(), report=report).begin()
            self.token, self.made_anew = begun.token, begun.in_doubt
            database.keep_record(self.token, report)
            self._put_in_order()
            if begun.in_doubt and not self._behind:
                Doubts(database, account_id, files, self.token, self._now()).settle(report)
            self._reconciler = Reconciler(
                self._maildir,
                self._database,
                account_id,
                self.token,
                clock=clock,
                announce=announce,
                report=report,
            )
            if self.made_anew:
                with self._reconciler.leaving_arrivals():
                    self.reconcile()  # before anything new gets a UID
        except BaseException as error:
            contradictory = isinstance(error, StorageFailed) and contradicts_itself(error)
            if contradictory or isinstance(error, StorageCorrupt):
                database.suspect()
            self._database.close()
            self._end_use()
            if contradictory:
                raise StorageCorrupt("the database is damaged: it contradicts itself") from error
            raise

    def _put_in_order(self) -> None:
        """Do what was left to do. A disk that is full or read-only keeps nobody from the mail that is there."""
        try:
            self._work_off_pending()
            self._sweep()
        except StorageCorrupt:
            raise
        except StorageFailed as error:
            self._report("maildir cannot be put in order", reason=str(error))

    def _sweep(self) -> None:
        with self._database.read() as connection:
            directories = [row.directory for row in folders.every(connection, self.account_id)]
        with storage_errors():
            for directory in directories:
                self._maildir.sweep(directory)

    def close(self) -> None:
        self.unlock_maildrop()
        if self._taken_away:
            with suppress(MailstoreError), self._database.write_lightly() as connection:
                self._tick_off(connection)
        self.rest()
        self._end_use()

    def _end_use(self) -> None:
        """Harmless where there is none. It goes with the process, too."""
        if self._use is not None:
            os.close(self._use)
            self._use = None

    def rest(self) -> None:
        """Give up what costs memory and can be had again at once: nobody is asking for anything at the moment."""
        with suppress(MailstoreError):
            self._database.tidy(self._report)
        self._database.close()

    def lock_maildrop(self) -> bool:
        """Take the lock that one POP3 session has (RFC 1939 4), among all processes; False where another one has it.
        It goes with the process, whatever ends that. Raises StorageFailed."""
        if self._maildrop_lock is None:
            with storage_errors():
                self._maildrop_lock = maildrop_lock(self._maildir.root)
        return self._maildrop_lock is not None

    def unlock_maildrop(self) -> None:
        """Harmless where it is not held."""
        if self._maildrop_lock is not None:
            os.close(self._maildrop_lock)
            self._maildrop_lock = None

    def fenced(self, fence: Fence, operation: Callable[[MailHome], T]) -> T:
        """Run an operation of a move: each of its transactions that writes asks the fence. Raises LeaseLost."""
        before, self._database.fence = self._database.fence, fence
        try:
            return operation(self)
        finally:
            self._database.fence = before

    def without_waiting(self, operation: Callable[[MailHome], T]) -> T:
        """Run an operation for which messages were waited for in vain: what is not here now raises StillAway."""
        self._waits = False
        try:
            return operation(self)
        finally:
            self._waits = True

    @property
    def may_be_brief(self) -> bool:
        """Is it of any use to try `briefly`? Not where each transaction waits for the network."""
        return not self._database.shared

    def briefly(self, operation: Callable[[MailHome], T], *, owing: bool = False) -> T:
        """Run an operation that is not to keep its caller waiting. Raises TakesLonger where it would, because there is
        much to do or because another process has the mailbox: nothing is changed then, and it may be run as usual.

        With `owing` it does not wait for the disk either: `owes` says afterwards which file has to be brought to
        stable storage before anybody hears of what was changed, and before any other operation; then comes `paid`.
        """
        self._database.hurry(True)
        self._database.owing = owing
        try:
            return operation(self)
        finally:
            self._database.owing = False
            self._database.hurry(False)

    @property
    def owes(self) -> Path | None:
        """What an operation that was run `briefly` has left to be brought to stable storage."""
        return self._database.log if self._database.owed else None

    def paid(self) -> None:
        """It has been. Raises StorageFailed."""
        self._database.paid()
        going, self._going = self._going, []
        if going:
            self._take_away(going)

    # What a move does

    def enter(self, landed: Sequence[Landed]) -> Sums:
        """Make what a move brought visible: see `Ledger.enter`. What is here already, and was lost with an index
        from the ledger alone, is not stored twice. Raises StorageFailed."""
        renamed, thrown_away = self.ledger.renamed, self.ledger.thrown_away
        here: Mapping[int, Here] = {}
        if landed and self.recognition.needed():
            self._look()  # what is here has to be in the index
            here = self.recognition.among(landed)
        if landed:
            learn(self._database, self.account_id, self._maildir)
        sums = self.ledger.enter(landed, here)
        if here or self.ledger.renamed > renamed or self.ledger.thrown_away > thrown_away:
            self._work_off_pending()
            with self._database.write_lightly() as connection:  # or each batch does the work of all before it
                self._tick_off(connection)
        if here:
            self._report("messages known again after a loss of the index", messages=len(here))
        return sums

    def came_by_legacy(self) -> CameByLegacy:
        """What the ledger knows of, as of now: the rest has arrived here. Raises StorageFailed."""
        return CameByLegacy(self._database, self.account_id)

    def list_early(self, flags: Flags) -> None:
        """List to the user whatever is owed, before it is here (`Ledger.show`), and what has arrived meanwhile."""
        self.ledger.show(flags)
        self.show_arrivals()

    def carried_over(self) -> Sums:
        """A move is done; gives back what the ledger adds up to. What has arrived meanwhile shows. Raises
        StorageFailed."""
        sums = self.ledger.sums()
        self.oncoming.over()
        self.show_arrivals()
        if not sums.quarantined:
            self.recognition.over()
        renamed, self.ledger.renamed = self.ledger.renamed, 0
        if renamed:
            self.names.conclude(renamed)
            self._report("legacy server changed UIDLs; messages recognised by content", messages=renamed)
        return sums

    # What other servers leave

    def inherit(self, inheritance: Inheritance, *, whole: bool) -> Inherited:
        """Take over what another mail server knew of the Maildir: for the custodian, who has it reconciled then.
        `whole`: what that server does not have any more goes here, too. Raises StorageFailed."""
        self._catch_up()
        inheriting = Inheriting(self._database, self.account_id, self._maildir, self._clock, whole=whole)
        return inheriting.take(inheritance)

    def directories(self, folder_id: int) -> tuple[Path, ...]:
        """Where other programs deliver into a folder, and where its messages lie; for `special.ACCOUNT`, where they
        make folders. Raises NoSuchFolder."""
        if folder_id == special.ACCOUNT:
            return (self._maildir.root,)
        with self._database.read() as connection:
            path = self._maildir.folder(self._numbered(connection, folder_id).directory)
        return path / "new", path / "cur"


@contextmanager
def opened(engine: Mailboxes, account_id: int, maildir: Path) -> Iterator[MailHome]:
    """A home for the length of a block: for commands that need no daemon, and for tests."""
    home = MailHome(engine, account_id, maildir)
    try:
        yield home
    finally:
        home.close()
