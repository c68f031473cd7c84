"""Changes, each of which looks first whether it has been made, says what it does, and in a dry run does no more."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from places import Places


class NotPossible(Exception):
    """It cannot be installed. The text is for the administrator."""


class Doing:
    """What is done in a run."""

    def __init__(self, places: Places, *, dry: bool) -> None:
        self.places = places
        self.dry = dry
        self.changed = False

    def begin(self, what: str) -> bool:
        """Something is to be changed: may it be?"""
        print(f"would {what}" if self.dry else what, flush=True)
        self.changed = True
        return not self.dry

    def write(self, path: Path, data: bytes, mode: int = 0o644) -> bool:
        """A file as a whole: was it another one?"""
        if path.is_file() and path.read_bytes() == data and path.stat().st_mode & 0o7777 == mode:
            return False
        if self.begin(f"write {self.places.named(path)}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            new = path.with_name(f".{path.name}.new")
            new.write_bytes(data)
            new.chmod(mode)
            new.replace(path)
        return True

    def link(self, path: Path, target: str) -> bool:
        """A symbolic link, in one step: was it another one?"""
        if path.is_symlink() and str(path.readlink()) == target:
            return False
        if path.exists() and not path.is_symlink():
            raise NotPossible(f"{path} is there and is no link of ours: move it away first")
        if self.begin(f"link {self.places.named(path)} to {target}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            new = path.with_name(f".{path.name}.new")
            new.unlink(missing_ok=True)
            new.symlink_to(target)
            new.replace(path)
        return True

    def directory(self, path: Path, mode: int, owner: tuple[int, int]) -> None:
        """One with an owner. Whoever is not root leaves that to those who unpack the tree."""
        what = f"{mode:04o} {self.places.named(path)}"
        if path.is_dir():
            status = path.stat()
            same = os.geteuid() != 0 or (status.st_uid, status.st_gid) == owner
            if same and status.st_mode & 0o7777 == mode:
                return
            if not self.begin(f"give the directory its owner and mode: {what}"):
                return
        elif self.begin(f"make the directory {what}"):
            path.mkdir(parents=True)
        else:
            return
        if os.geteuid() == 0:
            os.chown(path, *owner)
        path.chmod(mode)

    def remove(self, path: Path) -> None:
        """A file, a link, or a directory with all that is in it."""
        if not os.path.lexists(path):
            return
        if self.begin(f"remove {self.places.named(path)}"):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def run(
    command: Sequence[str | Path], why: str, *, environment: Mapping[str, str] | None = None, lines: int = 3
) -> str:
    """Gives back what it said. Raises NotPossible with `why` and its last lines."""
    done = subprocess.run(
        command,
        env=None if environment is None else {**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        said = "\n".join(done.stdout.strip().splitlines()[-lines:])
        raise NotPossible(f"{why}:\n{without_addresses(said)}")
    return done.stdout


def without_addresses(text: str) -> str:
    return re.sub(r"[a-z+]+://[^ ,)']*", "(address)", text)
