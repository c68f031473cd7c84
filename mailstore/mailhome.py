"""An account's folders: what a session is handed.

Every method is one whole operation, is durable when it returns, and may be called from one thread at a time
(`proxy.wire.door.Home.run` sees to both order and threads). Folder names are Unicode with "/" between levels.
Nothing here knows a protocol.

The index is right about what exists and with which flags; the Maildir follows. Files are put in place before
the transaction that shows them, and taken away after the transaction that lets go of them: what that leaves to
do is noted as `pending` in the same transaction, and worked off at once or at the next opening.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, TypeVar

from sqlalchemy import Connection, select

from mailstore import delivery, schema
from mailstore.annotations import Annotations
from mailstore.content import Content, content_of
from mailstore.database import BRIEF_FILES, BRIEF_OCTETS, BRIEF_ROWS, MailboxEngine, contradicts_itself, storage_errors
from mailstore.delivery import Place
from mailstore.errors import (
    BadFolderName,
    FolderExists,
    MailstoreError,
    MessageLost,
    NoSuchFolder,
    NoSuchMessage,
    StorageCorrupt,
    StorageFailed,
)
from mailstore.index import folders, mailbox, salvage, special
from mailstore.index.folders import INBOX_ID, FolderRow, Pending
from mailstore.index.opening import mark_damaged, open_index
from mailstore.index.rows import (
    DELETED,
    Appended,
    AppendedMany,
    Changes,
    Copied,
    Flagged,
    Flags,
    Folder,
    HandedIn,
    Row,
    Snapshot,
    Status,
    Stored,
    StoreMode,
    named_once,
    shared_flags,
)
from mailstore.index.salvage import Salvage, asides
from mailstore.kept import Kept
from mailstore.ledger import Here, Landed, Ledger, Sums
from mailstore.maildir import Maildir, NotAFile, folder_directory, info, new_token
from mailstore.message.facts import Facts
from mailstore.quota import Limits, Usage
from mailstore.rebuilding import rebuild
from mailstore.recognition import Recognition
from mailstore.reconciling import Reconciler, Report
from mailstore.standing import FolderStanding, MessageChanges, Standing, changes_since, standing

T = TypeVar("T")


def _unreported(_event: str, **_figures: object) -> None:
    """Nobody listens: commands and tests."""


def index_path(maildir: Path) -> Path:
    """Where the index and ledger of a Maildir are: beside it."""
    return maildir.with_name(maildir.name + ".db")


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


class MailHome:
    """One account's mail."""

    def __init__(
        self,
        engine: MailboxEngine,
        account_id: int,
        maildir: Path,
        *,
        announce: Callable[[int], None] = lambda _folder_id: None,
        clock: Callable[[], float] = time.time,
        report: Report = _unreported,
    ) -> None:
        """Open the account's Maildir and index, made where missing. Raises StorageFailed.

        `announce(folder_id)` is called after each change to a folder's messages, and with `special.ACCOUNT` after
        each to which folders, subscriptions and annotations there are, in the thread that made it;
        `report(event, **figures)` is told what other programs did to the Maildir, and what was lost. An index that is
        damaged is set aside, and the folders get a new one, with a new UIDVALIDITY, from what it still tells and what
        is in the Maildir.
        """
        self.account_id = account_id
        self._announce = announce
        self._clock = clock
        self._maildrop_lock: int | None = None
        self._taken_away: list[Pending] = []  # done, and not yet ticked off
        self._going: list[Pending] = []  # to be done when what is owed was paid
        self.made_anew = False  # was the index missing or damaged, with mail in the Maildir?
        self.damaged = False  # did the index turn out to be damaged since?
        self._behind = False  # is a folder's directory not yet where the index has it?
        self._maildir = Maildir(maildir)
        self._report = report
        with storage_errors():
            if index_path(maildir).exists() and not ((maildir / "cur").is_dir() and (maildir / "new").is_dir()):
                report("maildir directories were missing", folder=INBOX_ID)
            self._maildir.make()
        self._database = open_index(engine, index_path(maildir), report)
        self.kept = Kept(self._database, account_id, self._maildir)
        self.ledger = Ledger(self._database, account_id, announce=announce, clock=clock)
        self.recognition = Recognition(self._database, account_id, self._maildir)
        self.annotations = Annotations(self._database, account_id, announce)
        self.limits = Limits()  # set by who opened it; what a move carries over counts and is never refused
        try:
            self.token = self._begin_mailbox()
            self._put_in_order()
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
                self.reconcile()  # before anything new gets a UID
        except BaseException as error:
            contradictory = isinstance(error, StorageFailed) and contradicts_itself(error)
            if contradictory or isinstance(error, StorageCorrupt):
                mark_damaged(index_path(maildir))
            self._database.close()
            if contradictory:
                raise StorageCorrupt("the database is damaged: it contradicts itself") from error
            raise

    def _begin_mailbox(self) -> str:
        with self._database.read() as connection:
            token = self._known_token(connection)
        return token if token is not None else self._make_mailbox()

    def _known_token(self, connection: Connection) -> str | None:
        table = schema.mailboxes.c
        return connection.scalar(select(table.token).where(table.account_id == self.account_id))

    def _make_mailbox(self) -> str:
        """Fill a new index: with what an earlier one still tells, if there was one."""
        found, kept_from = Salvage(), ""
        for aside in asides(index_path(self._maildir.root)):
            found = salvage.read(aside, self.account_id)
            if found:
                kept_from = aside.name
                break
        token = new_token()
        with storage_errors(), self._database.write() as connection:
            made = self._known_token(connection)
            if made is not None:  # by another process, a moment ago
                return made
            done = rebuild(connection, self._maildir, self.account_id, token, found, self._now())
        if done.had_mail:
            self.made_anew = True
            figures = {"folders": done.folders, "messages": done.messages, "ledger_rows": done.ledger_rows}
            self._report("index is made anew", kept_from=kept_from, **figures)
        return token

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

    def _now(self) -> int:
        return int(self._clock())

    @property
    def maildir(self) -> Maildir:
        return self._maildir

    @property
    def clock(self) -> Callable[[], float]:
        return self._clock

    def close(self) -> None:
        self.unlock_maildrop()
        if self._taken_away:
            with suppress(MailstoreError), self._database.write_lightly() as connection:
                self._tick_off(connection)
        self._database.close()

    def rest(self) -> None:
        """Give up what costs memory and can be had again at once: nobody is asking for anything at the moment."""
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
        self._database.owed = False
        going, self._going = self._going, []
        if going:
            self._take_away(going)

    def suspect(self) -> None:
        """The index turned out to be damaged: the next opening is to look at the whole of it."""
        self.damaged = True
        mark_damaged(index_path(self._maildir.root))

    # What a move does

    def enter(self, landed: Sequence[Landed]) -> Sums:
        """Make what a move brought visible: see `Ledger.enter`. What is here already, and was lost with an index
        from the ledger alone, is not stored twice. Raises StorageFailed."""
        here: Mapping[int, Here] = {}
        if landed and self.recognition.needed():
            self._look()  # what is here has to be in the index
            here = self.recognition.among(landed)
        sums = self.ledger.enter(landed, here)
        if here:
            self._work_off_pending()
            self._report("messages known again after a loss of the index", messages=len(here))
        return sums

    def carried_over(self) -> Sums:
        """A move is done; gives back what the ledger adds up to."""
        sums = self.ledger.sums()
        if not sums.quarantined:
            self.recognition.over()
        return sums

    # What other programs do

    def reconcile(self, folder_id: int | None = None) -> bool:
        """Notice what other programs did: in one folder, or which folders there are and in all of them. Gives back
        whether they did anything. What cannot be done now (disk full, read-only) is reported and done later.
        Raises StorageFailed for an index that is damaged."""

        return self._noticed(lambda: self._look(folder_id))

    def _look(self, folder_id: int | None = None) -> bool:
        changed = folder_id is None and self._reconciler.folders()
        with self._database.read() as connection:
            if folder_id is None:
                found = folders.every(connection, self.account_id)
            else:
                one = folders.by_id(connection, self.account_id, folder_id)
                found = [one] if one is not None else []
        for folder in found:
            changed |= self._reconciler.folder(folder)
        return changed

    def reconcile_named(self, name: str) -> bool:
        """The same for one folder by its name, or, where there is none, which folders there are by now."""
        with self._database.read() as connection:
            folder = folders.by_name(connection, self.account_id, name)
        if folder is None:
            return self.reconcile_folders()
        return self._noticed(lambda: self._reconciler.folder(folder))

    def reconcile_folders(self) -> bool:
        """Notice which folders other programs made or removed."""
        return self._noticed(self._reconciler.folders)

    def _noticed(self, look: Callable[[], bool]) -> bool:
        try:
            self._catch_up()
            return look()
        except StorageCorrupt:
            self.suspect()
            raise
        except StorageFailed as error:
            if contradicts_itself(error):
                self.suspect()
                raise
            self._report("maildir cannot be reconciled", reason=str(error))
            return False

    def directories(self, folder_id: int) -> tuple[Path, ...]:
        """Where other programs deliver into a folder, and where its messages lie; for `special.ACCOUNT`, where they
        make folders. Raises NoSuchFolder."""
        if folder_id == special.ACCOUNT:
            return (self._maildir.root,)
        with self._database.read() as connection:
            path = self._maildir.folder(self._numbered(connection, folder_id).directory)
        return path / "new", path / "cur"

    # Folders

    def folders(self) -> list[Folder]:
        """All folders, INBOX first, then by name."""
        with self._database.read() as connection:
            rows = folders.every(connection, self.account_id)
        return [row.value() for row in sorted(rows, key=lambda row: (row.id != INBOX_ID, row.name))]

    def make_special_folders(self, names: Mapping[str, str]) -> None:
        """Give the account its folders for Sent and so on (names by use), once in its life. Raises StorageFailed."""
        with self._database.read() as connection:
            if special.were_made(connection, self.account_id):
                return
        wanted = [(use, name, folder_directory(name)) for use, name in names.items()]
        self._catch_up()
        with storage_errors():
            for _, _, directory in wanted:
                self._maildir.make(directory)
        with self._database.write() as connection:
            if not special.were_made(connection, self.account_id):  # by another process, a moment ago
                special.make(connection, self.account_id, wanted, self._now())
        self._announce(special.ACCOUNT)

    def create(self, name: str, uses: Collection[str] = ()) -> Folder:
        """Make a folder, for special uses perhaps, and those above it that are missing.

        Raises FolderExists, BadFolderName, SpecialUseRefused."""
        name = name.removesuffix("/")  # RFC 3501 6.3.3: only says that names below it will follow
        levels = name.split("/")
        names = ["/".join(levels[: n + 1]) for n in range(len(levels))]
        directories = [folder_directory(n) for n in names]
        with self._database.read() as connection:
            if folders.by_name(connection, self.account_id, name):
                raise FolderExists("there is a folder of that name")
        self._catch_up()
        with storage_errors(), self._database.write() as connection:
            for above, directory in zip(names[:-1], directories, strict=False):
                if folders.by_name(connection, self.account_id, above) is None:
                    folders.add(connection, self.account_id, above, directory, self._now())
            folder = folders.add(connection, self.account_id, name, directories[-1], self._now())
            if uses:
                special.assign(connection, self.account_id, folder.id, uses)
            for directory in directories:  # nothing refuses from here on, or they would be taken for somebody else's
                self._maildir.make(directory)
            made = self._numbered(connection, folder.id).value()
        self._announce(special.ACCOUNT)
        return made

    def delete(self, name: str) -> None:
        """Delete a folder with its messages; those below it stay. Raises NoSuchFolder, BadFolderName (INBOX)."""
        with self._database.write() as connection:
            folder = self._named(connection, name)
            if folder.id == INBOX_ID:
                raise BadFolderName("INBOX cannot be deleted")
            folders.drop(connection, self.account_id, folder.id)
            folders.add_pending(connection, self.account_id, [("delete", folder.directory, "")])
        self._announce(folder.id)
        self._announce(special.ACCOUNT)
        self._work_off_pending()

    def rename(self, old: str, new: str) -> None:
        """Rename a folder and those below it. INBOX keeps its name and gives its messages away (RFC 3501 6.3.5).
        Raises NoSuchFolder, FolderExists, BadFolderName."""
        new = new.removesuffix("/")
        folder_directory(new)
        if old == "INBOX":
            self._empty_inbox_into(new)
            return
        if new == old or new.startswith(old + "/"):
            raise BadFolderName("a folder cannot be moved into itself")
        self._catch_up()
        with self._database.read() as connection:
            self._named(connection, old)
            if folders.by_name(connection, self.account_id, new):
                raise FolderExists("there is a folder of that name")
        if "/" in new:
            self._make_parents(new)
        with self._database.write() as connection:
            todo = []
            # Those above first: where a tree moves up, each leaves the name that the next one takes.
            for folder in sorted(folders.every(connection, self.account_id), key=lambda row: row.name):
                if folder.name == old or folder.name.startswith(old + "/"):
                    name = new + folder.name[len(old) :]
                    directory = folder_directory(name)
                    if folders.by_name(connection, self.account_id, name):
                        raise FolderExists("there is a folder of that name below the new one")
                    folders.rename(connection, self.account_id, folder.id, name, directory)
                    todo.append(("rename", folder.directory, directory))
            folders.add_pending(connection, self.account_id, todo)
        self._announce(special.ACCOUNT)
        self._work_off_pending()

    def _make_parents(self, name: str) -> None:
        parent = name.rpartition("/")[0]
        with self._database.read() as connection:
            missing = folders.by_name(connection, self.account_id, parent) is None
        if missing:
            self.create(parent)

    def _empty_inbox_into(self, new: str) -> None:
        target = self.create(new)
        with self._database.read() as connection:
            uids = [row.uid for row in mailbox.rows(connection, self.account_id, INBOX_ID)]
        try:
            self._transfer(INBOX_ID, uids, target.name, moving=True)
        except BaseException:
            self.delete(target.name)
            raise

    def subscribe(self, name: str) -> None:
        """Add a name to the subscriptions, whether or not the folder is there (RFC 3501 6.3.6)."""
        with self._database.write() as connection:
            folders.subscribe(connection, self.account_id, name)
        self._announce(special.ACCOUNT)

    def unsubscribe(self, name: str) -> None:
        with self._database.write() as connection:
            folders.unsubscribe(connection, self.account_id, name)
        self._announce(special.ACCOUNT)

    def subscriptions(self) -> list[str]:
        with self._database.read() as connection:
            return folders.subscriptions(connection, self.account_id)

    # What changed meanwhile

    def standing(self, *, annotations: bool) -> Standing:
        """How far everything has come, to be compared with a later one."""
        with self._database.read() as connection:
            return standing(connection, self.account_id, annotations=annotations)

    def changes_since(self, before: FolderStanding, uidnext: int) -> MessageChanges:
        """Which kinds of change there were to a folder's messages; `uidnext` is what it is now."""
        with self._database.read() as connection:
            return changes_since(connection, self.account_id, before, uidnext)

    # A folder's state

    def status(self, name: str) -> Status:
        """Raises NoSuchFolder."""
        with self._database.read() as connection:
            folder = self._named(connection, name)
            self._database.at_most(folder.uidnext, BRIEF_ROWS)
            figures = mailbox.status(connection, self.account_id, folder)
        return replace(figures, object_id=self.object_id(folder.value()))

    def select(self, name: str, *, writable: bool) -> Snapshot:
        """The folder as it is now. A writable one claims what is \\Recent. Raises NoSuchFolder."""
        with self._database.read() as connection:
            folder = self._named(connection, name)
            self._database.at_most(folder.uidnext, BRIEF_ROWS)
            uids, flags, modseqs = mailbox.uids_flags_modseqs(connection, self.account_id, folder.id)
        recent_from = folder.recent_from
        if writable and recent_from < folder.uidnext:
            recent_from = self._claim_recent(folder.id, folder.uidnext)
        used = {keyword for value in set(flags) for keyword in value if not keyword.startswith("\\")}
        return Snapshot(
            folder.value(),
            folder.uidnext,
            folder.highestmodseq,
            recent_from,
            uids,
            flags,
            tuple(sorted(used)),
            modseqs,
        )

    def _claim_recent(self, folder_id: int, up_to: int) -> int:
        """Take what nobody was shown as \\Recent yet, up to a UID; gives back where it starts."""
        with self._database.read() as connection:
            start = self._numbered(connection, folder_id).recent_from
        try:
            with self._database.write_lightly() as connection:
                folder = self._numbered(connection, folder_id)
                start = folder.recent_from
                folder.recent_from = max(start, up_to)
                folders.save(connection, self.account_id, folder)
        except StorageFailed:
            pass  # a disk that is full keeps nobody from the mail that is there: others see it as \Recent too
        return start

    def changes(self, folder_id: int, since: int, *, claim_recent: bool) -> Changes:
        """What happened after modseq `since`. Raises NoSuchFolder when the folder was deleted."""
        with self._database.read() as connection:
            folder = self._numbered(connection, folder_id)
            if folder.highestmodseq == since:  # as after a session's own STORE
                found = Changes(since, folder.uidnext, folder.recent_from, (), ())
            else:
                found = mailbox.changes(connection, self.account_id, folder, since)
        if claim_recent and folder.recent_from < folder.uidnext:
            start = self._claim_recent(folder_id, folder.uidnext)
            return Changes(found.highestmodseq, found.uidnext, start, found.changed, found.gone)
        return found

    def vanished(self, folder_id: int, since: int) -> list[int]:
        """The UIDs of all messages that were expunged after modseq `since` (RFC 7162 3.2.5)."""
        with self._database.read() as connection:
            return mailbox.vanished(connection, self.account_id, folder_id, since)

    def rows(self, folder_id: int, uids: Collection[int]) -> list[Row]:
        """The messages of these UIDs that are there, by ascending UID."""
        self._database.at_most(len(uids), BRIEF_ROWS)
        with self._database.read() as connection:
            return mailbox.rows(connection, self.account_id, folder_id, uids)

    def open(self, folder_id: int, uid: int) -> Content:
        """A message's bytes. Raises NoSuchMessage, MessageLost."""
        opened = self.open_many(folder_id, [uid])
        if uid not in opened:
            raise NoSuchMessage("the message is no longer there")
        return opened[uid]

    def open_many(self, folder_id: int, uids: Collection[int]) -> dict[int, Content]:
        """The bytes of those messages that are there, by UID. Raises MessageLost. Close each."""
        with self._database.read() as connection:
            folder = self._numbered(connection, folder_id)
            found = mailbox.rows(connection, self.account_id, folder_id, uids)
        opened: dict[int, Content] = {}
        try:
            for row in found:
                with storage_errors():
                    opened[row.uid] = self._content(folder, row)
        except BaseException:
            for content in opened.values():
                content.close()
            raise
        return opened

    def usage(self) -> Usage:
        """How much mail is here."""
        with self._database.read() as connection:
            return mailbox.usage(connection, self.account_id)

    def _make_room(self, connection: Connection, octets: int, messages: int) -> None:
        """Raises OverQuota. Nothing is counted where nothing is limited."""
        if self.limits:
            self.limits.check(mailbox.usage(connection, self.account_id), Usage(octets, messages))

    def facts(self, folder_id: int, uids: Collection[int]) -> dict[int, Facts]:
        """What clients ask of messages, by UID, computed where it is not kept yet: ask for some hundreds at a time.
        Messages that are gone or cannot be read are left out. Raises NoSuchFolder."""
        return self.kept.facts(folder_id, uids)

    def object_id(self, folder: Folder) -> str:
        """The folder's MAILBOXID (RFC 8474 4): kept through renames, never given twice."""
        return f"F{self.token}-{folder.id:x}"

    def _content(self, folder: FolderRow, row: Row) -> Content:
        self._database.at_most(row.size, BRIEF_OCTETS)
        try:
            fd = self._maildir.open(folder.directory, row.file, row.flags)
        except NotAFile:
            self._reconciler.damaged(folder.id, row.uid)
            self._report("message file is none", folder=folder.id, uid=row.uid)
            raise
        if not row.native and os.fstat(fd).st_size != row.size:
            self._reconciler.damaged(folder.id, row.uid)
            self._report("message file has another size", folder=folder.id, uid=row.uid)
        return content_of(fd, row.size, native=row.native)

    # What changes messages

    def store_flags(
        self, folder_id: int, uids: Collection[int], mode: StoreMode, flags: Iterable[str]
    ) -> list[Flagged]:
        """Change flags; gives back every message of `uids` that is there, as it is afterwards."""
        return list(self.store(folder_id, uids, mode, flags).flagged)

    def store(
        self,
        folder_id: int,
        uids: Collection[int],
        mode: StoreMode,
        flags: Iterable[str],
        *,
        unchanged_since: int | None = None,
    ) -> Stored:
        """Change the flags of messages, or of those whose modseq is at most `unchanged_since` (RFC 7162 3.1.3). Look
        and change are one transaction: nobody comes between."""
        self._database.at_most(len(uids), BRIEF_FILES)
        given = named_once(flags)
        with self._database.write() as connection:
            folder = self._numbered(connection, folder_id)
            found = mailbox.rows(connection, self.account_id, folder_id, uids)
            modified = []
            if unchanged_since is not None:
                modified = [row.uid for row in found if row.modseq > unchanged_since]
                found = [row for row in found if row.modseq <= unchanged_since]
            # Names first: after a crash in between, a name that differs reads as another program's change of flags.
            change = partial(_combine, mode=mode, given=given)
            after = [(row, self._maildir.rename_flags(folder.directory, row.file, row.flags, change)) for row in found]
            changed = [(row, new) for row, new in after if new != row.flags]
            if not changed:
                return Stored([Flagged(row.uid, row.modseq, row.flags) for row in found], modified)
            mailbox.set_flags(connection, self.account_id, folder, [(row.uid, new) for row, new in changed])
            folders.save(connection, self.account_id, folder)
        self._announce(folder_id)
        flagged = [
            Flagged(row.uid, folder.highestmodseq if new != row.flags else row.modseq, new) for row, new in after
        ]
        return Stored(flagged, modified, folder.highestmodseq)

    def expunge(self, folder_id: int, uids: Collection[int] | None = None) -> list[int]:
        """Remove the messages flagged \\Deleted, all or those among `uids` (UID EXPUNGE); gives back their UIDs."""
        with self._database.read() as connection:
            self._database.at_most(self._numbered(connection, folder_id).uidnext, BRIEF_ROWS)
            known, flags = mailbox.uids_and_flags(connection, self.account_id, folder_id)
        marked = {uid for uid, value in zip(known, flags, strict=True) if DELETED in value}
        if uids is not None:
            marked &= set(uids)
        return self._remove(folder_id, marked, only_deleted=True)

    def remove(self, uids: Collection[int]) -> None:
        """Remove messages from INBOX whatever their flags: POP3's QUIT after DELE (RFC 1939 6)."""
        self._remove(INBOX_ID, uids, only_deleted=False)

    def _remove(self, folder_id: int, uids: Collection[int], *, only_deleted: bool) -> list[int]:
        if not uids:
            return []
        self._database.at_most(len(uids), BRIEF_FILES)
        self._catch_up()
        with self._database.write() as connection:
            folder = self._numbered(connection, folder_id)
            found = mailbox.rows(connection, self.account_id, folder_id, uids)
            found = [row for row in found if not only_deleted or DELETED in row.flags]
            if not found:
                return []
            going = self._forget(connection, folder, found)
        self._announce(folder_id)
        self._take_away(going)
        return [row.uid for row in found]

    def _forget(self, connection: Connection, folder: FolderRow, gone: Sequence[Row]) -> list[Pending]:
        """Remove messages from the index, and note that their files are to go."""
        self._tick_off(connection)
        mailbox.remove(connection, self.account_id, folder, [row.uid for row in gone], self._now())
        folders.save(connection, self.account_id, folder)
        paths = (f"{folder.directory}/cur/{row.file}{info(row.flags)}".lstrip("/") for row in gone)
        return folders.add_pending(connection, self.account_id, [("remove", path, "") for path in paths])

    def append(self, name: str, message: IO[bytes], flags: Iterable[str], internal_date: int | None) -> Appended:
        """Store a message, read from the file's position to its end. Raises NoSuchFolder, OverQuota, StorageFailed."""
        with self._database.read() as connection:
            folder = self._named(connection, name)
        given = named_once(flags)
        now = self._clock()
        with storage_errors(), self._placed(folder, now) as place:
            date = int(now) if internal_date is None else internal_date
            file, size = place.message(message, given, date)
            place.settle()
            with self._database.write() as connection:
                self._make_room(connection, size, 1)
                folder = self._numbered(connection, folder.id)
                new = mailbox.NewMessage(given, size, date, file, save_date=int(now))
                (uid,) = mailbox.add(connection, self.account_id, folder, [new])
                folders.save(connection, self.account_id, folder)
        self._announce(folder.id)
        return Appended(folder.uidvalidity, uid)

    def append_many(
        self, name: str, messages: Sequence[HandedIn], *, replacing: tuple[int, int] | None = None
    ) -> AppendedMany:
        """Store messages, all or none, under one modseq. `replacing`: the folder's id and UID of a message that goes
        in the same transaction (RFC 8508). Raises NoSuchFolder, NoSuchMessage (to be replaced), StorageFailed."""
        with self._database.read() as connection:
            folder = self._named(connection, name)
        now = self._clock()
        with storage_errors(), self._placed(folder, now) as place:
            new = []
            for message in messages:
                given = named_once(message.flags)
                date = int(now) if message.internal_date is None else message.internal_date
                file, size = place.message(message.source, given, date)
                new.append(mailbox.NewMessage(given, size, date, file, save_date=int(now)))
            place.settle()
            with self._database.write() as connection:
                if replacing is not None:
                    source = self._numbered(connection, replacing[0])
                    gone = mailbox.rows(connection, self.account_id, source.id, [replacing[1]])
                    if not gone:
                        raise NoSuchMessage("the message to be replaced is no longer there")
                    going = self._forget(connection, source, gone)  # its room counts for the one that takes its place
                self._make_room(connection, sum(message.size for message in new), len(new))
                folder = self._numbered(connection, folder.id)
                uids = mailbox.add(connection, self.account_id, folder, new)
                folders.save(connection, self.account_id, folder)
        self._announce(folder.id)
        if replacing is not None:
            self._announce(replacing[0])
            self._take_away(going)
        return AppendedMany(folder.uidvalidity, uids)

    def copy(self, folder_id: int, uids: Collection[int], target: str) -> Copied:
        """Copy messages with flags and internal date, all or none.

        Raises NoSuchFolder, OverQuota, MessageLost, StorageFailed."""
        return self._transfer(folder_id, uids, target, moving=False)

    def move(self, folder_id: int, uids: Collection[int], target: str) -> Copied:
        """Move messages with flags and internal date, all or none, in one transaction (RFC 6851 3.3); the target may
        be the folder that they are in. The ledger remembers those of the INBOX as deleted by the user.
        Raises NoSuchFolder, MessageLost, StorageFailed."""
        return self._transfer(folder_id, uids, target, moving=True)

    def _transfer(self, folder_id: int, uids: Collection[int], target: str, *, moving: bool) -> Copied:
        """Copy, or move in one transaction: a crash neither loses a message nor leaves it in both folders."""
        self._database.at_most(len(uids), BRIEF_FILES)
        while (copied := self._transferred(folder_id, uids, target, moving=moving)) is None:
            pass
        return copied

    def _transferred(self, folder_id: int, uids: Collection[int], target: str, *, moving: bool) -> Copied | None:
        """None: another process changed or moved some of the messages while their files were put in place."""
        self._catch_up()
        with self._database.read() as connection:
            source = self._numbered(connection, folder_id)
            folder = self._named(connection, target)
            found = mailbox.rows(connection, self.account_id, folder_id, uids)
        if not found:
            return Copied(folder.uidvalidity, (), ())
        try:
            with storage_errors(), self._placed(folder, self._clock()) as place:
                files = [place.link(source.directory, row) for row in found]
                place.settle()
                with self._database.write() as connection:
                    self._still(connection, folder_id, uids, found)
                    if not moving:
                        self._make_room(connection, sum(row.size for row in found), len(found))
                    folder = self._numbered(connection, folder.id)
                    copies = [_copy_of(row, *each, self._now()) for row, each in zip(found, files, strict=True)]
                    targets = mailbox.add(connection, self.account_id, folder, copies)
                    folders.save(connection, self.account_id, folder)
                    if moving:
                        going = self._forget(connection, self._numbered(connection, folder_id), found)
        except _Overtaken:
            return None
        except MessageLost:
            with suppress(_Overtaken), self._database.read() as connection:
                self._still(connection, folder_id, uids, found)
                raise
            return None
        self._announce(folder.id)
        if moving:
            self._announce(folder_id)
            self._take_away(going)
        return Copied(folder.uidvalidity, [row.uid for row in found], targets)

    def maildrop(self) -> Sequence[Row]:
        """INBOX as POP3 sees it, in order of UID."""
        with self._database.read() as connection:
            return mailbox.rows(connection, self.account_id, INBOX_ID)

    # Within

    def _still(self, connection: Connection, folder_id: int, uids: Collection[int], found: Sequence[Row]) -> None:
        """Raises _Overtaken unless these messages are what was found of them before the transaction."""
        if mailbox.rows(connection, self.account_id, folder_id, uids) != found:
            raise _Overtaken

    def _named(self, connection: Connection, name: str) -> FolderRow:
        folder = folders.by_name(connection, self.account_id, name)
        if folder is None:
            raise NoSuchFolder("there is no such folder")
        return folder

    def _numbered(self, connection: Connection, folder_id: int) -> FolderRow:
        folder = folders.by_id(connection, self.account_id, folder_id)
        if folder is None:
            raise NoSuchFolder("the folder was deleted")
        return folder

    def _placed(self, folder: FolderRow, now: float) -> AbstractContextManager[Place]:
        """Where new files go, which are on stable storage before the index has them."""
        self._catch_up()
        if self._database.owing:
            self._database.at_most(1, 0)
        return delivery.placed(self._maildir, folder.directory, self.token, now)

    def _catch_up(self) -> None:
        """Before files or folders are put in place: the directories must be where the index has them, or what is
        put there now is taken for what was there before."""
        if self._behind:
            self._database.at_most(1, 0)
            self._work_off_pending()

    def _work_off_pending(self) -> None:
        """What a crash, or another process, has left to do in the Maildir."""
        with self._database.read() as connection:
            todo = folders.all_pending(connection, self.account_id)
        self._behind = any(item.action != "remove" for item in todo)
        for step in delivery.steps(todo):
            if step[0].action == "remove":
                self._take_away(step)
            else:
                self._arrange(step)
        self._behind = False

    def _take_away(self, going: Sequence[Pending]) -> None:
        """Remove the files of messages that are gone. Doing it twice does no harm, so it is ticked off with the next
        change, and not by a transaction of its own."""
        if self._database.owed:  # a message goes when it is certain that it does
            self._going += going
            return
        self._behind = True  # if it fails, the next change tries again
        with storage_errors():
            self._maildir.remove(item.path for item in going)
        self._behind = False
        self._taken_away += going

    def _arrange(self, step: Sequence[Pending]) -> None:
        """Do something to a directory and tick it off: one process at a time, and once."""
        with storage_errors(), self._database.write() as connection:
            if set(step) <= set(folders.all_pending(connection, self.account_id)):
                delivery.perform(self._maildir, step)
                folders.clear_pending(connection, self.account_id, step)

    def _tick_off(self, connection: Connection) -> None:
        done, self._taken_away = self._taken_away, []
        folders.clear_pending(connection, self.account_id, done)


class _Overtaken(Exception):
    """What was looked up before a transaction is not so any more within it."""


def _copy_of(row: Row, file: str, flags: Flags, now: int) -> mailbox.NewMessage:
    return mailbox.NewMessage(
        flags, row.size, row.internal_date, file, save_date=now, content_id=row.content_id, native=row.native
    )


def _combine(old: Flags, mode: StoreMode, given: Flags) -> Flags:
    """A keyword is the same in either case (RFC 3501 9 (1)), and keeps the spelling that the message has."""
    spelled = {flag.lower(): flag for flag in old}
    if mode is StoreMode.REMOVE:
        return shared_flags(old - {spelled.get(flag.lower(), flag) for flag in given})
    wanted = {spelled.get(flag.lower(), flag) for flag in given}
    return shared_flags(wanted if mode is StoreMode.REPLACE else old | wanted)


@contextmanager
def opened(engine: MailboxEngine, account_id: int, maildir: Path) -> Iterator[MailHome]:
    """A home for the length of a block: for commands that need no daemon, and for tests."""
    home = MailHome(engine, account_id, maildir)
    try:
        yield home
    finally:
        home.close()
