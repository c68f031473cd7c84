"""Where a bench works: a directory that is gone behind it, and in it a legacy server with mailboxes."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.legacy.dovecot import Dovecot, program


class Ground:
    """A directory. What is measured is made in a `fresh` directory each time, never deeper."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def fresh(self, what: str) -> Path:
        """A new directory with this in its name."""
        path = Path(tempfile.mkdtemp(prefix=f"{what}.", dir=self.root))
        path.chmod(0o755)  # a legacy server and some peers work as nobody
        return path


@contextmanager
def ground() -> Iterator[Ground]:
    """An empty directory for the length of the block."""
    root = Path(tempfile.mkdtemp(prefix="bench.", dir="/tmp"))
    root.chmod(0o755)
    _spread(root)
    try:
        yield Ground(root)
    finally:
        shutil.rmtree(root)


@contextmanager
def legacy_ground(mailboxes: Mapping[str, Callable[[Path], object]]) -> Iterator[tuple[Ground, Dovecot]]:
    """The same with a Dovecot in it: each user's mailbox is what was done to its empty Maildir."""
    if program() is None:
        sys.exit("install dovecot-pop3d and dovecot-imapd first (and what it is to be compared with)")
    with ground() as place:
        legacy = Dovecot(place.fresh("old"))
        try:
            for user, fill in mailboxes.items():
                fill(legacy.maildir(user))
            legacy.own()
            yield place, legacy
        finally:
            legacy.stop()


def _spread(root: Path) -> None:
    """Let ext4 put each directory that is made in `root` into a part of the disk of its own.

    It keeps files near their directory, and a directory near the one that it is in. Inodes that were freed in the last
    minutes are not given out again: it passes over them one by one, so that after a mass delete (the end of the bench
    before this one) a new file takes some 200 µs in that part of the disk instead of 20. Directories in a top directory
    (chattr's T) are spread by their names over parts with little in them. Other filesystems do not know the flag.
    """
    if (chattr := shutil.which("chattr")) is not None:
        subprocess.run([chattr, "+T", str(root)], check=False, capture_output=True)
