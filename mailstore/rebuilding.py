"""A new index for a Maildir that had one: what the damaged one can still tell, held against the files that are here.

- Folders get a new UIDVALIDITY, higher than any that was seen. Under it a message may have whatever UID: those that
  are known again keep theirs, so that their order stays.
- A message is known again when its file is there, under its name and of its size: it keeps flags with keywords,
  dates and POP3's name. All other files are taken in by `mailstore.reconciling` as another program's would be.
- Ledger rows are kept as they are read. A row that is owed although its file is here is stored. A row that is lost
  while its message is known again is made from that.
- Where rows are missing, the legacy server will list messages that are here as if they were new. So it is noted that
  there was a loss, and what comes is held against what is here: `mailstore.recognition`.
- Nothing is removed on the word of a damaged index: what was pending is forgotten.

All in the caller's transaction, the one that makes the index. Used by `mailstore.mailhome` alone.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, insert

from mailstore import recognition, schema
from mailstore.adoption import made_at, measure
from mailstore.entries import Outcome
from mailstore.errors import BadFolderName
from mailstore.index import folders
from mailstore.index.flagtext import to_text
from mailstore.index.folders import INBOX_ID, FolderRow
from mailstore.index.mailbox import EXACT, NATIVE, own_uidl
from mailstore.index.rows import SYSTEM_FLAGS
from mailstore.index.salvage import Row, Salvage
from mailstore.index.special import ACCOUNT, USES
from mailstore.maildir import Maildir, flags_of, folder_name, pulled, unique_of

_HIGHEST: Final = 2**31  # of UIDs and folders' ids: no mailbox comes near
_AHEAD: Final = 1_000_000  # seconds by which a UIDVALIDITY may be ahead of the clock and still be believed
_KEYWORD: Final = re.compile(r"[!#$&'+,\-./0-9:;<=>?@A-Z\[^_`a-z|}~]+")
_UIDL: Final = re.compile(r"[!-~]{1,255}")
_OWN_UIDL: Final = re.compile(r"mf[0-9a-f]+\.\d+")


@dataclass(slots=True)
class Rebuilt:
    """What went into a new index, for the log."""

    folders: int = 0
    messages: int = 0
    ledger_rows: int = 0
    had_mail: bool = False  # was there anything of an earlier index, or any file in the Maildir?


@dataclass(frozen=True, slots=True)
class _Lying:
    """A file in a folder."""

    path: Path
    octets: int


@dataclass(slots=True)
class _Inbox:
    """The INBOX while ledger and messages are brought together."""

    messages: dict[int, Row]  # by UID
    lying: dict[str, _Lying]  # files that belong to none of them, by unique name
    owners: dict[int, int]  # ledger row → UID
    uidnext: int  # above all UIDs that a message or a ledger row has


def rebuild(connection: Connection, maildir: Maildir, account_id: int, token: str, found: Salvage, now: int) -> Rebuilt:
    """Fill a new index with what was `found` of the old one, and the INBOX at least. Raises OSError."""
    return _Rebuilding(connection, maildir, account_id, found, now).run(token)


class _Rebuilding:
    def __init__(self, connection: Connection, maildir: Maildir, account_id: int, found: Salvage, now: int) -> None:
        self._connection = connection
        self._maildir = maildir
        self._account_id = account_id
        self._found = found
        self._now = now
        self._done = Rebuilt()

    def run(self, token: str) -> Rebuilt:
        before = self._found.of(schema.mailboxes)
        kept = self._folders()
        seen = [row["last_uidvalidity"] for row in before] + [row["uidvalidity"] for row in kept]
        mailbox = {
            "account_id": self._account_id,
            "token": token,
            "last_uidvalidity": max((value for value in seen if 0 < value < self._now + _AHEAD), default=0),
            "last_folder_id": max(
                (r["last_folder_id"] for r in before if 0 < r["last_folder_id"] < _HIGHEST), default=0
            ),
            "last_ledger_id": max(
                (r["last_ledger_id"] for r in before if 0 < r["last_ledger_id"] < _HIGHEST), default=0
            ),
        }
        self._connection.execute(insert(schema.mailboxes), mailbox)
        for row in kept:
            self._folder(row)
        self._of_folders_gone({row["id"] for row in kept})
        self._subscriptions()
        self._annotations({row["id"] for row in kept})
        self._done.had_mail = bool(self._found) or self._any_files()
        if self._done.had_mail:
            recognition.note_loss(self._connection, self._account_id)
        return self._done

    def _any_files(self) -> bool:
        root = self._maildir.root
        with os.scandir(root) as entries:
            places = [root, *(Path(entry.path) for entry in entries if entry.name.startswith("."))]
        for place in places:
            for sub in ("cur", "new"):
                with suppress(OSError), os.scandir(place / sub) as entries:
                    if any(not entry.name.startswith(".") for entry in entries):
                        return True
        return False

    # Folders

    def _folders(self) -> list[Row]:
        """The rows of those that are there, the INBOX first."""
        inbox: Row = {"id": INBOX_ID, "name": "INBOX", "directory": "", "uidvalidity": 0, "uidnext": 1}
        kept = [inbox | {"special_use": ""}]
        names = {"INBOX"}
        for row in self._found.of(schema.folders):
            if row["id"] == INBOX_ID:
                kept[0] |= {"uidvalidity": row["uidvalidity"], "uidnext": row["uidnext"]}
            elif 0 < row["id"] < _HIGHEST and row["name"] not in names and self._is_there(row):
                names.add(row["name"])
                kept.append(row)
        return kept

    def _is_there(self, row: Row) -> bool:
        try:
            return folder_name(row["directory"]) == row["name"] and self._maildir.folder(row["directory"]).is_dir()
        except (BadFolderName, ValueError, OSError):
            return False

    def _folder(self, row: Row) -> None:
        folder = folders.add(
            self._connection, self._account_id, row["name"], row["directory"], self._now, folder_id=row["id"]
        )
        lying = self._lying(folder.directory) if self._found else {}
        messages = self._known(folder, lying)
        ledger = self._ledger(folder.id, messages, lying)
        uids = [*messages, *(entry["uid"] or 0 for entry in ledger)]
        folder.uidnext = max([row["uidnext"] if 0 < row["uidnext"] < _HIGHEST else 1, *(uid + 1 for uid in uids)])
        folder.recent_from = folder.uidnext
        self._enter(folder, messages)
        if ledger:
            self._connection.execute(insert(schema.ledger), ledger)
        uses = set(row["special_use"].split()) & set(USES)
        if uses:
            folders.set_special_use(self._connection, self._account_id, folder.id, uses)
        self._done.folders += 1
        self._done.ledger_rows += len(ledger)

    def _of_folders_gone(self, kept: set[int]) -> None:
        """The ledger's rows of folders that are not here any more, and which the legacy server's folders were."""
        for row in self._found.of(schema.ledger):
            if _sound(row) and row["folder_id"] not in kept:
                outcome = Outcome.DELETED.value if row["outcome"] == Outcome.STORED.value else row["outcome"]
                self._connection.execute(insert(schema.ledger), row | {"outcome": outcome})
                self._done.ledger_rows += 1
        for row in self._found.of(schema.old_folders):
            self._connection.execute(insert(schema.old_folders), row)

    def _subscriptions(self) -> None:
        for row in self._found.of(schema.subscriptions):
            self._connection.execute(insert(schema.subscriptions), row)

    def _annotations(self, folder_ids: set[int]) -> None:
        for row in self._found.of(schema.metadata):
            if row["folder_id"] in folder_ids | {ACCOUNT} and row["entry"] != recognition.LOSS:
                self._connection.execute(insert(schema.metadata), row)

    # Messages

    def _lying(self, directory: str) -> dict[str, _Lying]:
        """A folder's files by unique name, those of `cur` before those of `new`."""
        lying: dict[str, _Lying] = {}
        for sub in ("new", "cur"):
            with suppress(FileNotFoundError), os.scandir(self._maildir.folder(directory) / sub) as entries:
                for entry in entries:
                    if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False):
                        octets = entry.stat(follow_symlinks=False).st_size
                        lying[unique_of(entry.name)] = _Lying(Path(entry.path), octets)
        return lying

    def _known(self, folder: FolderRow, lying: dict[str, _Lying]) -> dict[int, Row]:
        """The messages whose files are here, by UID; their files are taken out of `lying`."""
        messages: dict[int, Row] = {}
        for row in self._found.of(schema.messages):
            if row["folder_id"] != folder.id or not 0 < row["uid"] < _HIGHEST:
                continue
            file = lying.get(row["file"])
            if file is None or not _same_size(row, file):
                continue
            del lying[row["file"]]
            flags = {flag for flag in row["flags"].split() if flag in SYSTEM_FLAGS or _KEYWORD.fullmatch(flag)}
            uidl = row["uidl"] if _UIDL.fullmatch(row["uidl"]) else own_uidl(folder.uidvalidity, row["uid"])
            messages[row["uid"]] = row | {"flags": to_text(flags), "uidl": uidl}
        return messages

    def _enter(self, folder: FolderRow, messages: dict[int, Row]) -> None:
        if messages:
            folder.highestmodseq += 1
            same = {"account_id": self._account_id, "folder_id": folder.id, "modseq": folder.highestmodseq}
            rows = [row | same | {"uid": uid, "content_id": None} for uid, row in messages.items()]
            self._connection.execute(insert(schema.messages), rows)
        folders.save(self._connection, self._account_id, folder)
        self._done.messages += len(messages)

    # The ledger

    def _ledger(self, folder_id: int, messages: dict[int, Row], lying: dict[str, _Lying]) -> list[Row]:
        """The ledger's rows of a folder; messages that only the ledger knows are added to the folder's."""
        sound = {row["id"]: row for row in self._found.of(schema.ledger) if _sound(row)}
        rows = {entry: row for entry, row in sound.items() if row["folder_id"] == folder_id}
        token = next((str(row["token"]) for row in self._found.of(schema.mailboxes)), "")  # of its files
        owners = {entry: uid for uid, row in messages.items() if (entry := _entry(row["file"], token)) is not None}
        for entry, row in rows.items():  # of files that do not say it
            message = messages.get(row["uid"] or 0)
            if entry not in owners and message is not None and _shown(row) in {"", message["uidl"]}:
                owners[entry] = row["uid"]
        held = (row["uid"] or 0 for row in rows.values())
        inbox = _Inbox(messages, lying, owners, max([0, *messages, *held]) + 1)
        self._by_name(rows, inbox, token)
        self._by_content(rows, inbox)
        for entry, uid in owners.items():
            row = messages[uid]
            if entry in sound and entry not in rows:
                continue  # moved here from another folder, whose row it is
            if entry in rows:
                rows[entry] |= {"outcome": Outcome.STORED.value, "uid": uid}
            elif not _OWN_UIDL.fullmatch(row["uidl"]):
                rows[entry] = self._made_up(entry, row)
        for entry, row in rows.items():
            if entry not in owners:
                if row["uid"] in messages:
                    row["uid"] = None
                if row["outcome"] == Outcome.STORED.value:
                    row["outcome"] = Outcome.DELETED.value
        return list(rows.values())

    def _by_name(self, rows: dict[int, Row], inbox: _Inbox, token: str) -> None:
        """Files of a move whose ledger rows are there, while the messages' are not."""
        for unique, file in sorted(inbox.lying.items(), key=lambda item: _entry(item[0], token) or 0):
            entry = _entry(unique, token)
            if entry in rows and entry not in inbox.owners and f",S={file.octets}," in unique:
                self._claim(rows[entry], inbox, unique)

    def _by_content(self, rows: dict[int, Row], inbox: _Inbox) -> None:
        """The same for files whose names tell of another ledger: that of an index that was lost before."""
        wanted: defaultdict[bytes, list[Row]] = defaultdict(list)
        for entry, row in sorted(rows.items(), reverse=True):
            if entry not in inbox.owners and row["outcome"] == Outcome.STORED.value and row["sha256"]:
                wanted[row["sha256"]].append(row)
        for unique, file in sorted(inbox.lying.items()) if wanted else ():
            with suppress(OSError):
                if pulled(unique) is not None:
                    same = wanted.get(recognition.sha256(os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW)))
                    if same:
                        self._claim(same.pop(), inbox, unique)

    def _claim(self, row: Row, inbox: _Inbox, unique: str) -> None:
        """A file is the message of a ledger row."""
        if row["outcome"] == Outcome.DELETED.value:
            return
        file = inbox.lying.pop(unique)
        uid = row["uid"]
        if uid is None or uid in inbox.messages:
            uid = inbox.uidnext
            inbox.uidnext += 1
        inbox.messages[uid] = {
            "flags": to_text(flags_of(file.path.name)),
            "size": file.octets,
            "internal_date": made_at(unique),
            "uidl": _shown(row) or own_uidl(self._now, uid),
            "file": unique,
            "save_date": self._now,
            "line_ends": EXACT,
        }
        inbox.owners[row["id"]] = uid

    def _made_up(self, entry: int, message: Row) -> Row:
        """A row that was lost, as far as its message tells. It has a UIDL: so no position is looked at."""
        return {
            "account_id": self._account_id,
            "id": entry,
            "position": entry,
            "uidl": message["uidl"],
            "octets": message["size"],
            "outcome": Outcome.STORED.value,
            "uid": message["uid"],
            "folder": "",
            "folder_id": message["folder_id"],
            "legacy_id": "",
            "sha256": None,
            "reason": "",
            "attempts": 0,
            "updated": self._now,
            "unlisted": None,
            "shown": None,
            "likeness": None,
        }


def _shown(row: Row) -> str:
    """POP3's name of a message of the ledger here; "": one of our own."""
    return str(row["uidl"] if row["shown"] is None else row["shown"])


def _entry(name: str, token: str) -> int | None:
    found = pulled(name)
    return found[0] if found is not None and found[1] == token else None


def _sound(row: Row) -> bool:
    """Can this be a row of the ledger?"""
    return (
        0 < row["id"] < _HIGHEST
        and row["position"] > 0
        and row["octets"] >= 0
        and row["outcome"] in set(Outcome)
        and (not row["uidl"] or _UIDL.fullmatch(row["uidl"]) is not None)
        and (row["uid"] is None or 0 < row["uid"] < _HIGHEST)
    )


def _same_size(row: Row, file: _Lying) -> bool:
    if row["line_ends"] == NATIVE:
        measured = measure(file.path)
        return measured is not None and measured.sent == row["size"]
    return row["line_ends"] == EXACT and bool(file.octets == row["size"])
