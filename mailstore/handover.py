"""A mailbox is made Dovecot's, in place: what Dovecot 2.3 and 2.4 keep beside a Maildir, written from the index; and
the way back. Only the custodian (`mailstore.custody`) does this: nobody has a session meanwhile.

    what clients know              where Dovecot reads it
    UID, UIDVALIDITY, UIDNEXT      dovecot-uidlist
    POP3's UIDL                    the P field of dovecot-uidlist, which goes before pop3_uidl_format
    flags                          letters in files' names, as here
    keywords                       a to z in files' names, by dovecot-keywords; more than 26: `After`
    \\Recent                        the file lies in `new`, where the message has no flag
    internal date                  the file's time
    size                           S= and W= in the name, as here
    subscriptions                  subscriptions
    next UIDVALIDITY               dovecot-uidvalidity
    annotations, HIGHESTMODSEQ     doveadm has to say it: `After`
    what folders are for           its configuration has to say it: `After`

Index and Maildir stay as they are but for names, which reconciliation makes ours again: so it may be killed at any
step and done again, or taken back. Directories that Dovecot calls otherwise are noted before they are renamed.

Two things no server can hand on: the saved date (RFC 8514), for which Dovecot has the time of the last change to the
file's name; and the size of a message with bare line feeds, which go out as they came here, and with CR from Dovecot.
"""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from mailstore.annotations import SPECIAL_USE
from mailstore.custody import Note, give_to_owner
from mailstore.errors import BadFolderName, StorageFailed
from mailstore.index.rows import Folder, Row
from mailstore.inheritance import dovecot
from mailstore.inheritance.names import dovecot_directory, folder_of
from mailstore.inheritance.tree import Manner
from mailstore.maildir import folder_directory, info, sync_directory
from mailstore.mailhome import MailHome
from mailstore.refusals import storage_errors

# How Dovecot names folders and messages with the configuration that goes along: so what it makes meanwhile has the
# UIDL that it would have had here.
MANNER: Final = Manner(charset="utf-8", escape="%", pop3_format="mf%Xv.%u")

_CACHES: Final = ("dovecot.index", "dovecot.list.index", "dovecot.mailbox.log", "dovecot.map.index")


@dataclass(slots=True)
class After:
    """What only Dovecot itself can write down, for a folder; "" is the account."""

    folder: str
    uidnext: int = 1
    modseq: int = 0
    first_recent: int = 1
    uses: str = ""  # what it is for (RFC 6154)
    keywords: Mapping[str, Sequence[int]] = field(default_factory=dict)  # UIDs by keyword
    annotations: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class HandedOver:
    """What was done, or would be."""

    folders: int = 0
    messages: int = 0
    octets: int = 0
    keywords_left: int = 0  # that found no letter
    after: list[After] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Plan:
    """A folder as Dovecot is to have it."""

    folder: Folder
    path: Path
    rows: Sequence[Row]
    uidnext: int
    recent_from: int
    lettered: Sequence[str]  # the keywords that have letters, in this order
    after: After


class Handover:
    """Of one account, whose home its custodian has opened and which is as the Maildir is (`MailHome.reconcile`)."""

    def __init__(self, home: MailHome, owner: tuple[int, int] | None = None) -> None:
        """`owner`: whose the Maildir is to be, user and group; None: whose it is."""
        self._home = home
        self._owner = owner
        self._root = home.maildir.root

    def survey(self) -> HandedOver:
        """What would be done; nothing is changed. Raises StorageFailed."""
        done = HandedOver()
        for plan in self._plans():
            self._count(done, plan)
        self._of_the_account(done)
        return done

    def write(self, note: Note, keep: Callable[[Note], None]) -> HandedOver:
        """Write all of it, durably. `keep` is handed the note with the directories that get other names, before they
        do. Raises StorageFailed, and may be called again then."""
        done = HandedOver()
        with storage_errors():
            plans = list(self._plans())
            for plan in plans:
                self._rename(plan, done)
                self._describe(plan)
                self._count(done, plan)
            self._of_the_account(done)
            self._describe_account([plan.folder for plan in plans])
            others = dict(filter(lambda names: names[0] != names[1], map(self._directories, plans)))
            if others:
                keep(replace(note, directories=others))
                rename_directories(self._root, others)
            self._hand_to_owner()
        return done

    # What Dovecot is to have

    def _plans(self) -> Iterator[_Plan]:
        home = self._home
        for folder in home.folders():
            snapshot = home.select(folder.name, writable=False)
            rows = home.rows(folder.id, snapshot.uids)
            if any(row.away for row in rows):
                raise StorageFailed(f"{sum(row.away for row in rows)} messages of the old mailbox are not here yet")
            count = Counter(flag for row in rows for flag in row.flags if not flag.startswith("\\"))
            ordered = sorted(count, key=lambda keyword: (-count[keyword], keyword))
            lettered, left = ordered[: len(dovecot.LETTERS)], ordered[len(dovecot.LETTERS) :]
            after = After(
                folder.name,
                uidnext=snapshot.uidnext,
                modseq=snapshot.highestmodseq,
                first_recent=snapshot.recent_from,
                keywords={each: [row.uid for row in rows if each in row.flags] for each in left},
                uses=" ".join(folder.special_use),
                annotations=_annotations(home, folder.name),
            )
            path = home.directories(folder.id)[0].parent
            yield _Plan(folder, path, rows, snapshot.uidnext, snapshot.recent_from, lettered, after)

    def _count(self, done: HandedOver, plan: _Plan) -> None:
        done.folders += 1
        done.messages += len(plan.rows)
        done.octets += sum(row.size for row in plan.rows)
        done.keywords_left += len(plan.after.keywords)
        done.after.append(plan.after)

    def _of_the_account(self, done: HandedOver) -> None:
        annotations = _annotations(self._home, "")
        if annotations:
            done.after.append(After("", annotations=annotations))

    # Writing it

    def _rename(self, plan: _Plan, done: HandedOver) -> None:
        """Keywords' letters into the names, what nobody was shown into `new`, and the files' times."""
        letters = dict(zip(plan.lettered, dovecot.LETTERS, strict=False))
        for row in plan.rows:
            before = plan.path / "cur" / (row.file + info(row.flags))
            recent = row.uid >= plan.recent_from and not row.flags
            name = row.file if recent else row.file + info(row.flags) + dovecot.letters(row.flags, letters)
            after = plan.path / ("new" if recent else "cur") / name
            try:
                if int(before.stat().st_mtime) != row.internal_date:
                    os.utime(before, (row.internal_date, row.internal_date))
                if before != after:
                    before.rename(after)
            except FileNotFoundError:
                done.remarks.append(f"{plan.folder.name}: the file of UID {row.uid} is missing")
        sync_directory(plan.path / "new")
        sync_directory(plan.path / "cur")

    def _describe(self, plan: _Plan) -> None:
        """A folder's own files. What Dovecot has computed of it before is not so any more."""
        path, folder = plan.path, plan.folder
        forget_caches(path)
        guid = None
        with suppress(FileNotFoundError):
            guid = dovecot.guid_in((path / dovecot.UIDLIST).read_bytes())
        listed = ((row.uid, row.uidl, row.file) for row in plan.rows)
        uidlist = dovecot.uidlist(folder.uidvalidity, plan.uidnext, guid or uuid.uuid4().hex, listed)
        self._put(path / dovecot.KEYWORDS, dovecot.keywords(plan.lettered))
        self._put(path / dovecot.UIDLIST, uidlist)
        sync_directory(path)

    def _describe_account(self, folders: Sequence[Folder]) -> None:
        names = self._home.subscriptions()
        levels = [["INBOX"] if name == "INBOX" else dovecot_directory(name)[1:].split(".") for name in names]
        self._put(self._root / dovecot.SUBSCRIPTIONS, dovecot.subscriptions(levels))
        for old in self._root.glob(dovecot.UIDVALIDITY + "*"):
            old.unlink()
        last = f"{max(folder.uidvalidity for folder in folders):08x}"
        self._put(self._root / f"{dovecot.UIDVALIDITY}.{last}", b"")
        self._put(self._root / dovecot.UIDVALIDITY, last.encode())
        sync_directory(self._root)

    def _directories(self, plan: _Plan) -> tuple[str, str]:
        """What the folder's directory is called here, and what it is there."""
        ours = "" if plan.path == self._root else plan.path.relative_to(self._root).as_posix()
        return ours, dovecot_directory(plan.folder.name)

    def _put(self, path: Path, data: bytes) -> None:
        passing = path.with_name(path.name + ".mailferry")
        with open(passing, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        give_to_owner(passing, path.parent)
        passing.rename(path)

    def _hand_to_owner(self) -> None:
        if self._owner is not None:
            hand_to(self._root, self._owner)


def _annotations(home: MailHome, folder: str) -> dict[str, bytes]:
    """Without what the folder is for, which is none of Dovecot's."""
    return {entry: value for entry, value in home.annotations.of(folder).items() if entry != SPECIAL_USE}


def hand_to(root: Path, owner: tuple[int, int]) -> None:
    """Everything in a Maildir becomes this user's and group's, the directory itself last. Raises OSError."""
    for directory, _, names in os.walk(root, topdown=False):
        for path in (*(os.path.join(directory, name) for name in names), directory):  # noqa: PTH118 - 100,000 names
            about = os.lstat(path)
            if (about.st_uid, about.st_gid) != owner:
                os.chown(path, *owner, follow_symlinks=False)


def forget_caches(path: Path) -> None:
    """What Dovecot computes by itself, from the files and its list of UIDs. Raises OSError."""
    for entry in list(path.iterdir()):
        if entry.name.startswith(_CACHES) and entry.is_file():
            entry.unlink()


def rename_directories(root: Path, names: Mapping[str, str]) -> None:
    """Those that are there. Raises OSError."""
    for before, after in names.items():
        if (root / before).is_dir() and not (root / after).exists():
            (root / before).rename(root / after)
    sync_directory(root)


def come_back(root: Path, note: Note) -> list[str]:
    """Directories get our names again, also those of folders that Dovecot has made meanwhile; gives back those that
    cannot. Doing it again does no harm. Raises OSError."""
    rename_directories(root, {theirs: ours for ours, theirs in note.directories.items()})
    odd = []
    for entry in sorted(root.iterdir()):
        if not entry.name.startswith(".") or not (entry / "cur").is_dir() or entry.name in note.directories:
            continue
        name = folder_of(entry.name, MANNER.charset, MANNER.escape)
        if dovecot_directory(name) != entry.name:
            continue  # not Dovecot's way of writing it: it is called as it stands
        try:
            ours = folder_directory(name)
        except BadFolderName as error:
            odd.append(f"{entry.name}: {error}")
            continue
        if ours != entry.name and not (root / ours).exists():
            entry.rename(root / ours)
    sync_directory(root)
    return odd
