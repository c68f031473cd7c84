"""What the tests of all real legacy servers need of each: one class for a server, beside this file.

A peer runs on a loopback port, in a directory of its own, and holds mailboxes that the tests fill. `stop` ends it, and
`start` lets it go on with the same mailboxes on the same port.
"""

from __future__ import annotations

import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Final

from tests.legacy.dovecot import PASSWORD
from tests.legacy.roots import CHROOT, furnish

NOBODY: Final = 65_534  # who mail and daemons belong to in the roots


class Peer(ABC):
    """A real server. Any user that was enrolled logs in with `PASSWORD`."""

    name: ClassVar[str]
    pop3: int

    @abstractmethod
    def enrol(self, user: str) -> None:
        """Make an account with an empty mailbox."""

    @abstractmethod
    def deliver(self, user: str, messages: Iterable[bytes]) -> None:
        """Put messages behind those that are there, as the server's own delivery would keep them.

        Line ends are CRLF, and what is odd beside it is kept where the store can keep it.
        """

    @abstractmethod
    def stored(self, user: str) -> dict[str, bytes]:
        """The user's mail as it lies there, by file, to see that nobody has changed it."""

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> None: ...


class RootedPeer(Peer):
    """A server that is run by chroot, in a root of its own (`tests.legacy.roots`)."""

    def __init__(self, root: Path) -> None:
        """`root` is a directory that is not there yet."""
        furnish(self.name, root)
        self.root = root
        self._users: list[str] = []
        self._hash = subprocess.run(
            ["openssl", "passwd", "-6", PASSWORD], check=True, capture_output=True, text=True
        ).stdout.strip()
        self._write_users()
        self.furnish()
        self.start()

    @property
    @abstractmethod
    def services(self) -> tuple[str, ...]:
        """The users that the server's own processes run as."""

    @abstractmethod
    def furnish(self) -> None:
        """Write the server's configuration."""

    def enrol(self, user: str) -> None:
        self._users.append(user)
        self._write_users()

    def inside(self, *command: str, user: int = 0) -> list[str]:
        """The command line that runs something in the root."""
        return [CHROOT, f"--userspec={user}:{user}", str(self.root), *command]

    def run(self, *command: str, user: int = 0, typed: str = "") -> str:
        """Run something in the root and give back what it prints."""
        ran = subprocess.run(self.inside(*command, user=user), input=typed, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, f"{command[0]}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def own(self, *paths: Path) -> None:
        """Hand files, and all below directories, to the mail's owner."""
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", *paths], check=True)

    def _write_users(self) -> None:
        """passwd, group and shadow, for the C library and for PAM."""
        etc = self.root / "etc"
        people = [(service, "*") for service in self.services] + [(user, self._hash) for user in self._users]
        _write(etc / "passwd", ["root:x:0:0::/:/bin/false"] + [
            f"{name}:x:{NOBODY}:{NOBODY}::/home/{name}:/bin/false" for name, _ in people
        ])  # fmt: skip
        _write(etc / "group", ["root:x:0:"] + [f"{name}:x:{NOBODY}:" for name in ("mail", *self.services)])
        _write(etc / "shadow", [f"{name}:{secret}:19000::::::" for name, secret in people])
        (etc / "shadow").chmod(0o600)


def _write(path: Path, lines: list[str]) -> None:
    beside = path.with_suffix(".new")
    beside.write_text("\n".join(lines) + "\n")
    beside.replace(path)


def unix(message: bytes) -> bytes:
    """A message with the line ends of a Unix store."""
    return message.replace(b"\r\n", b"\n")


def contents(*paths: Path) -> dict[str, bytes]:
    """The files at and below these, by name."""
    found = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]
    return {os.fspath(file): file.read_bytes() for file in found}
