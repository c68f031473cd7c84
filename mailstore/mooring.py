"""Is the tree of Maildirs the one that it was? A directory that others mount may be gone, and what is left of it is an
empty mount point: it must not be taken for users without mail, and nothing may be stored in it, where it would be
hidden when the disk is back.

So a file at the top of the tree says whose it is and how the accounts' places are laid out in it, and the state
directory notes what is to be found there. Both are made when the first mailbox is; from then on nobody is let to a
mailbox, and none is made, while the file is not there. It is looked for anew each time, so that nothing has to be
restarted.

While mailboxes are carried to other places below the same top (`mailstore.rehashing`) who has the new places in his
configuration may go on: an account's mailbox is brought there before it is opened (`mailstore.placing`).

An installation that has mail, and has never made the file, does so where something lies in the tree. Several nodes have
one tree and a state directory each: whoever finds the file first takes it for his.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from mailstore.custody import give_to_owner
from mailstore.errors import StorageFailed
from mailstore.maildir import DIRECTORY_MODE, sync_directory
from mailstore.refusals import storage_errors

MARKER: Final = ".mailferry"  # at the top of the tree
_ABANDONED: Final = 3_600  # seconds after which nobody is still writing a file
NOTE: Final = "maildirs.json"  # in the state directory
AWAY: Final = "the mail is not there: is its disk mounted?"
_CARRY: Final = ": mailferry storage rehash carries it there"
_LARGEST: Final = 65_536  # octets
CARRYING: Final = f"{MARKER}-carrying"  # at the top of the tree: the lock of who carries a mailbox
_NO_MAIL: Final = (MARKER, "lost+found")  # how names begin that say nothing of mail
_NO_NAMES: Final = "the file system of the mail cannot have Maildirs' names: mailferry check --storage DIR tries it"
_INFO: Final = ":2,S"  # how they end
_WORDS: Final = "mailferry looks for this file before it stores mail here; keep it with the mail"


class MailAway(StorageFailed):
    """The tree, or the disk that it is on, is not there. It goes on when it is."""


class OtherLayout(StorageFailed):
    """Mail lies in other places than the configuration says, or is on its way from one to the other."""


@dataclass(frozen=True, slots=True)
class Tree:
    """What the file at the top says. Layouts are templates of a Maildir's place below the top."""

    identity: str
    layout: str
    # … to which the mailboxes are being carried; some are there. With another top it begins with that, and with "/"
    carried_to: str = ""


@dataclass(frozen=True, slots=True)
class Noted:
    """What the state directory knows."""

    identity: str
    top: str
    layout: str


class Mooring:
    """One installation's tree."""

    def __init__(self, state: Path, top: Path, layout: str, has_mail: Callable[[], bool]) -> None:
        """`has_mail` says whether any account has had mail carried over; asked where nothing else is known."""
        self.top = top
        self.layout = layout
        self._note = state / NOTE
        self._has_mail = has_mail
        self._known: Noted | None = None

    def hold(self) -> None:
        """See that the tree is there, and make it where there has never been one. Raises MailAway, OtherLayout,
        StorageFailed."""
        self.coming_from()

    def coming_from(self) -> str:
        """The same; gives back the layout by which mailboxes still lie that are being carried to ours, "" where all are
        in their places."""
        with storage_errors():
            noted = self._noted()
            if noted is None:
                noted = self._begin()
            tree = self._found(noted, coming=True)
            if tree is None:
                _see_to_names(self.top)
                self.write(Tree(noted.identity, self.layout))
            elif tree.carried_to:
                return tree.layout
            elif (noted.top, noted.layout) != (str(self.top), self.layout):
                self._write_note(tree)
        return ""

    def look(self) -> None:
        """Is all mail there, and in its places? Nothing is made. Raises MailAway, OtherLayout, StorageFailed."""
        with storage_errors():
            noted, tree = self._noted(), self.tree()
            if noted is not None:
                self._found(noted)
            elif tree is not None:
                self._found(Noted(tree.identity, str(self.top), tree.layout))
            elif self._is_missing():
                raise MailAway(AWAY)

    def _found(self, noted: Noted, *, coming: bool = False) -> Tree | None:
        """The tree, as it is noted; None where it has never been used and may begin anew. `coming`: also while it is
        carried to the places that it is to have. Raises MailAway, OtherLayout."""
        tree = self.tree()
        if tree is None or tree.identity != noted.identity:
            before = Path(noted.top)
            if before == self.top:
                raise MailAway(AWAY)
            old = self.tree(before)
            if tree is not None or old is None or old.identity != noted.identity or _anything(before):
                raise OtherLayout(f"the mail is not where storage.maildir says, but below {before}{_CARRY}")
            return None
        if tree.carried_to:
            if coming and tree.carried_to == self.layout:
                return tree
            raise OtherLayout("the mail is being carried to other places: run mailferry storage rehash to its end")
        if tree.layout != self.layout:
            if _anything(self.top):
                raise OtherLayout(f"the mail is not in the places that storage.maildir says{_CARRY}")
            return None
        return tree

    def tree(self, top: Path | None = None) -> Tree | None:
        """What lies at the top, None where nothing does. Raises StorageFailed."""
        with storage_errors():
            try:
                found = _read((top or self.top) / MARKER)
                return None if found is None else Tree(found["identity"], found["layout"], found.get("carried_to", ""))
            except (ValueError, KeyError, TypeError) as error:
                raise StorageFailed(f"{MARKER} at the top of the mail is damaged: mailferry storage claim") from error

    def noted(self) -> Noted | None:
        """What is known of earlier times. Raises StorageFailed."""
        with storage_errors():
            return self._noted()

    def _noted(self) -> Noted | None:
        if self._known is None:
            try:
                found = _read(self._note)
                self._known = None if found is None else Noted(found["identity"], found["top"], found["layout"])
            except (ValueError, KeyError, TypeError) as error:
                raise StorageFailed(f"{NOTE} in the state directory is damaged: mailferry storage claim") from error
        return self._known

    def _begin(self) -> Noted:
        """It is the first time, for this state directory at least."""
        tree = self.tree()
        if tree is None:
            if self._is_missing():
                raise MailAway(AWAY)
            tree = self._mark(self.new_tree())
        return self._write_note(tree)

    def _is_missing(self) -> bool:
        """Nothing is there, and there should be."""
        return not _anything(self.top) and self._has_mail()

    def claim(self) -> Tree:
        """What lies at the top now is the tree, laid out as the configuration says. Raises StorageFailed."""
        with storage_errors():
            try:
                found = self.tree()
            except StorageFailed:
                found = None
            tree = replace(found, layout=self.layout, carried_to="") if found else self.new_tree()
            self.write(tree)
            return tree

    def write(self, tree: Tree, top: Path | None = None) -> None:
        """Say this of the tree, at its top and, where it is not on its way, in the state directory. `top`: of the tree
        as it was. Raises StorageFailed."""
        with storage_errors():
            _make(top or self.top)
            marker = (top or self.top) / MARKER
            _write(marker, asdict(tree) | {"about": _WORDS}, over=True)
            _clear(marker, marker)
            _clear(self._note, marker)
            if not tree.carried_to:
                self._write_note(tree)

    def new_tree(self) -> Tree:
        """One that nobody has marked yet."""
        return Tree(_new(), self.layout)

    def _mark(self, tree: Tree) -> Tree:
        """Another process may do so at the same moment: the first one counts."""
        _see_to_names(self.top)
        with suppress(FileExistsError):
            _write(self.top / MARKER, asdict(tree) | {"about": _WORDS}, over=False)
        return self.tree() or tree

    def _write_note(self, tree: Tree) -> Noted:
        noted = Noted(tree.identity, str(self.top), tree.layout)
        _write(self._note, asdict(noted), over=True)
        self._known = noted
        return noted


def _anything(top: Path) -> bool:
    """Does anything lie in a tree?"""
    try:
        return any(not name.startswith(_NO_MAIL) for name in os.listdir(top))  # noqa: PTH208 - names only
    except FileNotFoundError:
        return False


def _see_to_names(top: Path) -> None:
    """Before any mail is there: where a message cannot have its name, or gets another one, none is to be stored. Raises
    StorageFailed, OSError."""
    _make(top)
    name = f"{MARKER}-{secrets.token_hex(6)}{_INFO}"
    try:
        os.close(os.open(top / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        there = name in os.listdir(top)  # noqa: PTH208 - names only
        (top / name).unlink()
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EILSEQ, errno.ENOENT, errno.EPROTO}:
            raise
        raise StorageFailed(_NO_NAMES) from error
    if not there:
        raise StorageFailed(_NO_NAMES)


def _new() -> str:
    return secrets.token_hex(16)


def _read(path: Path) -> dict[str, str] | None:
    """Raises OSError, ValueError."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_LARGEST))
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError("no table of texts")
    return found


def _make(directory: Path) -> None:
    """… and those above it, for their owner alone."""
    missing = [each for each in (directory, *directory.parents) if not each.is_dir()]
    for each in reversed(missing):
        each.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        give_to_owner(each, each.parent)
        sync_directory(each.parent)


def _write(path: Path, what: dict[str, str], *, over: bool) -> None:
    """Whole or not at all, and durable. Raises FileExistsError where it is there and not to be written over."""
    passing = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
    try:
        with open(passing, "xb", opener=lambda name, mode: os.open(name, mode | os.O_CLOEXEC, 0o600)) as file:
            file.write(json.dumps(what, ensure_ascii=False, indent=1).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        give_to_owner(passing, path.parent)
        if over:
            passing.rename(path)
        else:
            _link(passing, path)
        sync_directory(path.parent)
    finally:
        passing.unlink(missing_ok=True)


def _clear(path: Path, written: Path) -> None:
    """Remove what somebody left who was ended while writing: what is much older than what was `written` just now, since
    others may be writing."""
    now = written.stat().st_mtime
    for debris in path.parent.glob(f"{path.name}.*"):
        with suppress(FileNotFoundError):
            if debris.stat().st_mtime < now - _ABANDONED:
                debris.unlink()


def _link(passing: Path, path: Path) -> None:
    """Give it its name unless that is taken. Without hard links the name is looked at first."""
    try:
        os.link(passing, path)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}:
            raise
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        passing.rename(path)
