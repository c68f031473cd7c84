"""What a legacy server's folders are to be called here, and what they are for. No I/O.

- A name is taken as it is. What cannot stand in a name here is replaced: "/" within a level by "-", control characters
  by a space, an empty level by "_"; a level that is too long is cut.
- A use is what the server says (RFC 6154, and XLIST before it). Where it says none of the kind for any folder, the
  names that mail programs have long used for them count, at the top level, in English and Chinese.
- Folders that only show mail of other folders (\\All, \\Flagged, \\Important) have none of their own. Gmail's \\All
  is an exception: archived mail is nowhere else, so what is in no other folder comes to be in Archive.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from mailstore.errors import BadFolderName
from mailstore.maildir import folder_directory
from mailstore.old_folders import INBOX, OldFolder
from proxy.imap.client.replies import Folder

VIRTUAL: Final = frozenset({"\\all", "\\allmail", "\\flagged", "\\starred", "\\important"})
ALL: Final = frozenset({"\\all", "\\allmail"})

_USES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "\\sent": "\\Sent",
        "\\drafts": "\\Drafts",
        "\\trash": "\\Trash",
        "\\junk": "\\Junk",
        "\\spam": "\\Junk",  # XLIST
        "\\archive": "\\Archive",
    }
)
# Outlook and Exchange, Apple Mail, Thunderbird, Roundcube and Horde; Foxmail, QQ, NetEase, Coremail. The first of them
# that is there is it.
_NAMES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "\\Sent": (
            "sent",
            "sent items",
            "sent messages",
            "sent mail",
            "sent-mail",
            "已发送",
            "已发送邮件",
            "发件箱",
            "寄件備份",
        ),
        "\\Drafts": ("drafts", "draft", "草稿箱", "草稿", "草稿夹"),
        "\\Trash": ("trash", "deleted items", "deleted messages", "已删除", "已删除邮件", "垃圾箱", "废件箱"),
        "\\Junk": ("junk", "junk e-mail", "junk email", "spam", "bulk mail", "垃圾邮件", "广告邮件"),
        "\\Archive": ("archive", "archives", "归档", "存档"),
    }
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST: Final = 60  # octets of a level that had to be cut
_DEEPEST: Final = 200  # octets of a name that had to be cut


def uses_of(folders: Sequence[Folder]) -> Mapping[bytes, tuple[str, ...]]:
    """What each folder is for, by its name at the server."""
    found: dict[bytes, list[str]] = {}
    said: set[str] = set()
    for folder in folders:
        for attribute in sorted(folder.attributes & _USES.keys()):
            use = _USES[attribute]
            if use not in said:
                said.add(use)
                found.setdefault(folder.name, []).append(use)
    for folder in folders:
        if folder.attributes & ALL and "\\Archive" not in said:
            said.add("\\Archive")
            found.setdefault(folder.name, []).append("\\Archive")
    top = {folder.levels[0].strip().lower(): folder for folder in reversed(folders) if len(folder.levels) == 1}
    for use, names in _NAMES.items():
        named = next((top[name] for name in names if name in top), None)
        if use not in said and named is not None and not found.get(named.name):
            found[named.name] = [use]
    return {name: tuple(uses) for name, uses in found.items()}


def old_folders(folders: Sequence[Folder]) -> list[OldFolder]:
    """In the same order. No two have the same `name`."""
    uses = uses_of(folders)
    seen: set[str] = set()
    made = []
    for folder in folders:
        name = "/".join(folder.levels)
        if name in seen:  # two names at the server that read alike
            name = f"{name} {folder.name!r}"
        seen.add(name)
        made.append(OldFolder(name, name_here(folder.levels), uses.get(folder.name, ()), folder.subscribed))
    return made


def name_here(levels: Sequence[str]) -> str:
    """The name for a folder here, which may be made under it."""
    if tuple(levels) == (INBOX,):
        return INBOX
    clean = [_CONTROL.sub(" ", level).replace("/", "-").strip() or "_" for level in levels]
    if len(clean) == 1 and clean[0].upper() == INBOX:
        clean = [clean[0] + " (2)"]
    name = "/".join(clean)
    try:
        folder_directory(name)
    except BadFolderName:
        name = _cut("/".join(_cut(level, _LONGEST) for level in clean), _DEEPEST).rstrip("/ ")
    return name


def _cut(text: str, octets: int) -> str:
    """As much of a text as fits, whole characters; "." and "%" take three octets in a directory's name."""
    kept, room = [], octets
    for character in text:
        room -= 3 if character in ".%" else len(character.encode())
        if room < 0:
            break
        kept.append(character)
    return "".join(kept)
