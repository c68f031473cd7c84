"""A Maildir of Dovecot's or Courier's, read with all that lies beside it. Nothing is changed there.

For each folder the list of UIDs is Dovecot's, or Courier's where there is none of Dovecot's. A folder without either,
and a file that no list has, get UIDs here, above the others. What cannot be read is a remark, and the rest goes on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from mailstore.errors import BadFolderName
from mailstore.inheritance import courier, dovecot
from mailstore.inheritance.names import decoded, folder_of, unescaped
from mailstore.inheritance.values import INBOX, Found, FoundFolder, Inheritance, Remark, UidList
from mailstore.maildir import folder_directory

T = TypeVar("T")

_UIDL: Final = re.compile(r"[!-~]{1,255}")  # RFC 1939 7 has 70 octets; servers give more, and clients take them
_KEYWORD: Final = re.compile(r"[!#$&'+,\-./0-9:;<=>?@A-Z\[^_`a-z|}~]{1,128}")
_LARGEST: Final = 512 * 1024 * 1024  # octets of one list


class NoMaildir(Exception):
    """There is nothing to be read. The text is for the administrator."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How the other server wrote names, and POP3's UIDLs."""

    charset: str = "auto"  # of folders' names: see `names.CHARSETS`
    escape: str = ""  # listescape's character; "": none
    pop3_format: str = dovecot.POP3_FORMAT


@dataclass(slots=True)
class _Reading:
    root: Path
    manner: Manner
    also: Path | None
    remarks: list[Remark] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)

    def remark(self, folder: str, text: str) -> None:
        self.remarks.append(Remark(folder, text))

    def parsed(self, folder: str, path: Path, parse: Callable[[bytes], T]) -> T | None:
        """None where there is no such file, or none that can be understood."""
        try:
            with path.open("rb") as file:
                return parse(file.read(_LARGEST))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            why = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
            self.remark(folder, f"{path.name} cannot be used: {why}")
            return None

    def found(self, kind: str) -> None:
        self.kinds[kind] = self.kinds.get(kind, 0) + 1


def read_tree(root: Path, manner: Manner = Manner(), also: Path | None = None) -> Inheritance:
    """`also`: a Maildir of ours, into which some of its files have been moved already.

    Raises NoMaildir, ValueError for a format of UIDLs that says what cannot be known, OSError.
    """
    dovecot.check_format(manner.pop3_format)
    if not (root / "cur").is_dir() and not (root / "new").is_dir():
        raise NoMaildir(f"{root} is no Maildir: there is neither cur nor new in it")
    reading = _Reading(root, manner, also)
    folders = [_folder(reading, INBOX, "")]
    names = {INBOX}
    for directory in sorted(_directories(reading)):
        name = folder_of(directory, manner.charset, manner.escape)
        if (why := _why_not(name, names)) is not None:
            reading.remark(directory, f"it is left out: {why}")
            continue
        names.add(name)
        folders.append(_folder(reading, name, directory))
    highest = max([_highest_uidvalidity(root), *(folder.uidvalidity for folder in folders)])
    subscriptions = _subscriptions(reading, names)
    return Inheritance(folders, subscriptions, highest, reading.remarks, reading.kinds)


def _why_not(name: str, names: set[str]) -> str | None:
    """Why a folder cannot have this name here."""
    if name.upper() == INBOX or name in names:
        return "another folder has its name"
    try:
        folder_directory(name)
    except BadFolderName as error:
        return str(error)
    return None


def _directories(reading: _Reading) -> Iterable[str]:
    with os.scandir(reading.root) as entries:
        for entry in entries:
            if entry.name in {"cur", "new", "tmp"} or not entry.is_dir(follow_symlinks=False):
                continue
            path = Path(entry.path)
            if (path / "cur").is_dir() or (path / "new").is_dir():
                if entry.name.startswith(".") and entry.name.isprintable():
                    yield entry.name
                else:
                    reading.remark(ascii(entry.name), "it is left out: its name is no Maildir++ folder's")


def _folder(reading: _Reading, name: str, directory: str) -> FoundFolder:
    path = reading.root / directory
    listed, kind = _uidlist(reading, name, path)
    letters = reading.parsed(name, path / dovecot.KEYWORDS, dovecot.parse_keywords) or {}
    spoken = _courier_keywords(reading, name, path)
    uidls = reading.parsed(name, path / courier.SIZELIST, courier.parse_sizelist) or {}
    if listed.broken:
        reading.remark(name, f"{listed.broken} lines of its list of UIDs cannot be read")
    messages, bad = [], 0
    moved = _files(reading.also / folder_directory(name)) if reading.also is not None else []
    for sub, file in dict.fromkeys([*_files(path), *moved]):
        entry, key = listed.by_file.get(dovecot.key_of(file)), dovecot.key_of(file)
        uid = entry.uid if entry is not None else None
        uidl = uidls.get(key, "")
        if entry is not None and kind == dovecot.UIDLIST:
            unique = file.partition(":")[0]
            by_format = dovecot.uidl(reading.manner.pop3_format, entry.uid, listed.uidvalidity, unique)
            uidl = by_format if entry.uidl is None else entry.uidl or unique
        if uidl and not _UIDL.fullmatch(uidl):
            uidl, bad = "", bad + 1
        said = {letters[letter] for letter in file.partition(":2,")[2] if letter in letters}
        keywords = frozenset(filter(_KEYWORD.fullmatch, said | spoken.get(key, frozenset())))
        messages.append(Found(sub, file, uid, uidl, keywords))
    if bad:
        reading.remark(name, f"{bad} UIDLs cannot be POP3's: the messages get others")
    return FoundFolder(name, directory, listed.uidvalidity, listed.uidnext, messages, frozenset(letters.values()))


def _uidlist(reading: _Reading, name: str, path: Path) -> tuple[UidList, str]:
    for kind, parse in ((dovecot.UIDLIST, dovecot.parse_uidlist), (courier.UIDDB, courier.parse_uiddb)):
        found = reading.parsed(name, path / kind, parse)
        if found is not None:
            reading.found(kind)
            return found, kind
    return UidList(), ""


def _courier_keywords(reading: _Reading, name: str, path: Path) -> dict[str, frozenset[str]]:
    directory = path / courier.KEYWORDS
    names: list[str] = []
    with suppress(OSError), os.scandir(directory) as entries:
        names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
    single = {}
    for message, file in courier.latest_keywords(names).items():
        data = reading.parsed(name, directory / file, bytes)
        if data is not None:
            single[message] = data
    listed = reading.parsed(name, directory / courier.LIST, bytes)
    if listed is None and not single:
        return {}
    return courier.parse_keywords(listed or b"", single)


def _files(path: Path) -> list[tuple[str, str]]:
    """(new or cur, name) of what lies there."""
    found = []
    for sub in ("cur", "new"):
        with suppress(FileNotFoundError), os.scandir(path / sub) as entries:
            found += [(sub, e.name) for e in entries if not e.name.startswith(".") and e.is_file(follow_symlinks=False)]
    return found


def _highest_uidvalidity(root: Path) -> int:
    """What Dovecot's file of the last UIDVALIDITY has; 0 where there is none."""
    try:
        value = int((root / dovecot.UIDVALIDITY).read_text("ascii").strip(), 16)
    except (OSError, ValueError):
        return 0
    return value if 0 < value < 2**32 else 0


def _subscriptions(reading: _Reading, names: set[str]) -> Sequence[str] | None:
    root, manner = reading.root, reading.manner
    for name, parse in (
        (dovecot.SUBSCRIPTIONS, dovecot.parse_subscriptions),
        (courier.SUBSCRIBED, courier.parse_subscribed),
    ):
        listed = reading.parsed(INBOX, root / name, parse)
        if listed is None:
            continue
        reading.found(name)
        found = []
        for levels in listed:
            folder = "/".join(decoded(unescaped(level, manner.escape), manner.charset) for level in levels)
            below = folder.removeprefix(INBOX + "/")
            found.append(below if folder not in names and below in names else folder)
        return [folder for folder in dict.fromkeys(found) if folder == INBOX or _why_not(folder, set()) is None]
    return None
