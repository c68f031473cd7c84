"""`tests.faults.fused` mounted, for who may mount."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.ferrying import LONG
from tests.faults.loops import unmount
from tests.peers.needs import needed_file

PROGRAM = Path(__file__).with_name("fused.py")
PYTHON = "/usr/bin/python3"  # python3-fusepy is for Debian's own


class Fused:
    """One file system. Use `fused`."""

    def __init__(self, root: Path) -> None:
        self.behind, self.place = root / "behind", root / "mounted"
        self._log, self._faults = root / "log", root / "faults"
        for directory in (self.behind, self.place):
            directory.mkdir()
        self._faults.touch()
        self._log.touch()
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        command = [PYTHON, PROGRAM, self.behind, self.place, self._log, self._faults]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        until = time.monotonic() + LONG
        while not os.path.ismount(self.place):
            if self._process.poll() is not None:
                assert self._process.stderr is not None
                said = self._process.stderr.read().decode()
                self._process.stderr.close()
                self._process = None
                if "mount" in said or "fuse" in said.lower():
                    pytest.skip(f"this machine does not let its user mount: {said.splitlines()[-1]}")
                raise AssertionError(said)
            assert time.monotonic() < until, "it is not mounted"
            time.sleep(0.01)

    def end(self, *, killed: bool = False) -> None:
        """`killed`: what is behind it is gone, and it stays mounted."""
        if self._process is None:
            return
        if killed:
            self._process.kill()
        else:
            unmount(self.place)
        self._process.communicate(timeout=LONG)
        self._process = None

    def synced(self) -> list[str]:
        """The files and directories that it was asked to bring to stable storage since the last time."""
        lines = self._log.read_text().splitlines()
        with self._log.open("r+") as log:  # the other side appends
            log.truncate(0)
        return [line.split()[1] for line in lines]

    @contextmanager
    def refusing(self, code: int, *operations: str) -> Iterator[None]:
        """Each of these is refused so within the block; all of them where none is named."""
        self._faults.write_text("".join(f"{each} {code}\n" for each in operations or ("*",)))
        try:
            yield
        finally:
            self._faults.write_text("")


@contextmanager
def mounted(root: Path) -> Iterator[Fused]:
    """Skips the test where one may not mount."""
    needed_file("/usr/lib/python3/dist-packages/fusepy.py", "python3-fusepy")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("this machine has no FUSE")
    made = Fused(root)
    made.begin()
    try:
        yield made
    finally:
        made.end()


GONE = (errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT)  # what a server that is gone is to those who ask it
