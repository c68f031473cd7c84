"""A GlusterFS volume of this machine alone, for who may mount: its bricks, and any number of mounts, as other nodes
have them.

The programs are told by volume files of our own what glusterd would tell them: a volume that is spread over two bricks,
with the caches that it has if nothing else is said, or without what the README has one switch off. There is no
glusterd, so that nothing of the machine's is touched.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.ferrying import LONG
from tests.faults.loops import unmount
from tests.legacy.dovecot import free_port, select_nothing, wait_for_port

_BRICK = """\
volume posix
  type storage/posix
  option directory {directory}
end-volume
volume locks
  type features/locks
  subvolumes posix
end-volume
volume threads
  type performance/io-threads
  subvolumes locks
end-volume
volume server
  type protocol/server
  option transport-type tcp
  option transport.address-family inet
  option transport.socket.bind-address 127.0.0.1
  option transport.socket.listen-port {port}
  option auth.addr.threads.allow 127.0.0.1
  subvolumes threads
end-volume
"""
_REMOTE = """\
volume remote-{number}
  type protocol/client
  option transport-type tcp
  option transport.address-family inet
  option remote-host 127.0.0.1
  option remote-port {port}
  option remote-subvolume threads
end-volume
"""
_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
_CACHES = ("write-behind", "readdir-ahead", "open-behind", "quick-read")
_STALE = "md-cache"  # performance.stat-prefetch
_AT_ONCE = ("--attribute-timeout=0", "--entry-timeout=0")


class Volume:
    """One. Use `volume`."""

    def __init__(self, root: Path, bricks: int = 2) -> None:
        self._root = root
        self._bricks = {root / f"brick-{number}": free_port() for number in range(bricks)}
        self._servers: list[subprocess.Popen[bytes]] = []
        self._clients: list[tuple[Path, subprocess.Popen[bytes]]] = []
        for number, (directory, port) in enumerate(self._bricks.items()):
            directory.mkdir()
            (root / f"brick-{number}.vol").write_text(_BRICK.format(directory=directory, port=port))
        ports = list(self._bricks.values())
        text = "".join(_REMOTE.format(number=number, port=port) for number, port in enumerate(ports))
        below = "spread"
        names = " ".join(f"remote-{number}" for number in range(len(ports)))
        text += f"volume {below}\n  type cluster/distribute\n  subvolumes {names}\nend-volume\n"
        for each in (*_CACHES, _STALE):
            (root / "client.vol").write_text(text)
            text += f"volume {each}\n  type performance/{each}\n  subvolumes {below}\nend-volume\n"
            below = each
        (root / "cached.vol").write_text(text)

    def begin(self) -> None:
        """The bricks'. Who has it mounted goes on by itself."""
        for number, port in enumerate(self._bricks.values()):
            self._servers.append(self._run("glusterfsd", f"brick-{number}"))
            wait_for_port(port, self._servers[-1])

    def end(self) -> None:
        """The bricks' servers are killed."""
        while self._servers:
            server = self._servers.pop()
            server.send_signal(signal.SIGKILL)
            server.wait()

    def mount(self, place: Path, *, cached: bool = False) -> Path:
        """`cached`: as it is if nothing else is said. Skips the test where one may not."""
        place.mkdir()
        client = self._run("glusterfs", *(("cached",) if cached else ("client", *_AT_ONCE)), str(place))
        self._clients.append((place, client))
        until = time.monotonic() + LONG
        while not os.path.ismount(place) or not _answers(place):
            if client.poll() is not None:
                said = "".join(log.read_text() for log in self._root.glob(f"c*-{place.name}.log"))
                if "Operation not permitted" in said or "/dev/fuse" in said:
                    pytest.skip("this machine does not let its user mount")
                raise AssertionError(said)
            assert time.monotonic() < until, "it is not mounted"
            select_nothing(0.02)
        return place

    def _run(self, program: str, volume: str, *more: str) -> subprocess.Popen[bytes]:
        log = self._root / ("-".join((volume, *(Path(each).name for each in more[-1:]))) + ".log")
        command = [
            shutil.which(program, path=_PATH) or program,
            "-N",
            "-f",
            self._root / f"{volume}.vol",
            "-l",
            log,
            "-p",
            f"{log}.pid",
            *more,
        ]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self) -> None:
        for place, client in self._clients:
            if os.path.ismount(place):
                unmount(place)
            client.terminate()
            client.wait(LONG)
        self.end()


def _answers(place: Path) -> bool:
    try:
        place.stat()
    except OSError:
        return False
    return True


@contextmanager
def volume(root: Path, bricks: int = 2) -> Iterator[Volume]:
    """Skips the test where one may not mount, and where there is no GlusterFS: what it tells takes a minute of
    processor time, and so `tests/run` does not have it."""
    if any(shutil.which(program, path=_PATH) is None for program in ("glusterfs", "glusterfsd")):
        pytest.skip("there is no GlusterFS: apt-get install glusterfs-server")
    if os.geteuid() != 0 or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("this machine does not let its user mount")
    made = Volume(root, bricks)
    try:
        made.begin()
        yield made
    finally:
        made.close()
