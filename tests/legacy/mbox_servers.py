"""popa3d 1.0 and solid-pop3d 0.15: a mailbox is one file, and both are run for each connection by inetd.

Neither knows CAPA, TLS or response codes. A delivery and a session that writes lock the file against each other by
fcntl: who comes second waits. solid-pop3d takes the lock file beside it (dotlock) as well, and gives up after 5 s.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from tests.legacy.inetd import Inetd
from tests.legacy.peer import RootedPeer, unix

_PAM: Final = "auth required pam_unix.so nodelay\naccount required pam_unix.so\n"
_FROM: Final = b"From sender@example.cn Tue Mar  1 08:30:00 2011\n"


class MboxPeer(RootedPeer):
    """A mailbox is `var/mail/USER`."""

    def furnish(self) -> None:
        (self.root / "etc/pam.d").mkdir()
        (self.root / "etc/pam.d" / self.name).write_text(_PAM)
        (self.root / "var/mail").mkdir()
        (self.root / "var/mail").chmod(0o1777)
        (self.root / "home").mkdir()
        self.pop3 = 0

    def mailbox(self, user: str) -> Path:
        return self.root / "var/mail" / user

    def enrol(self, user: str) -> None:
        super().enrol(user)
        self.mailbox(user).touch(mode=0o600)
        (self.root / "home" / user).mkdir()
        self.own(self.mailbox(user), self.root / "home" / user)

    def deliver(self, user: str, messages: Iterable[bytes]) -> None:
        """As mboxrd quotes: what looks like the line between two messages gets a ">"."""
        with self._appending(user) as mailbox:
            fcntl.lockf(mailbox, fcntl.LOCK_EX)
            for message in messages:
                text = unix(message).replace(b"\nFrom ", b"\n>From ")
                mailbox.write(_FROM + text + (b"\n" if text.endswith(b"\n") else b"\n\n"))

    def stored(self, user: str) -> dict[str, bytes]:
        return {user: self.mailbox(user).read_bytes()}

    @contextmanager
    def being_delivered_to(self, user: str) -> Iterator[None]:
        """Somebody holds the file's lock, as a delivery does."""
        with self._appending(user) as mailbox:
            fcntl.lockf(mailbox, fcntl.LOCK_EX)
            yield

    def _appending(self, user: str) -> BinaryIO:
        """The file that is there: making another user's in such a directory is what fs.protected_regular forbids."""
        return os.fdopen(os.open(self.mailbox(user), os.O_WRONLY | os.O_APPEND), "ab")

    @contextmanager
    def locked_beside(self, user: str) -> Iterator[None]:
        """Somebody holds the lock file, as older mail programs do."""
        lock = self.mailbox(user).with_name(f"{user}.lock")
        lock.write_text("1\n")  # a process that is always there
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)

    def start(self) -> None:
        self._inetd = Inetd(self.inside(f"/usr/sbin/{self.name}"), self.pop3)
        self.pop3 = self._inetd.port

    def stop(self) -> None:
        self._inetd.close()


class Popa3d(MboxPeer):
    """UIDLs are a digest of the header's lines that are never the same twice: Received, Delivered-To, Message-ID."""

    name = "popa3d"
    services = ("popa3d",)

    def furnish(self) -> None:
        super().furnish()
        (self.root / "var/lib/popa3d").mkdir(parents=True)  # where it locks itself up until the login


class SolidPop3d(MboxPeer):
    """UIDLs are a digest of the message. Greets with a stamp though no user has a secret for APOP."""

    name = "solid-pop3d"
    services = ("spop3d",)

    def furnish(self) -> None:
        super().furnish()
        (self.root / "var/lib/solid-pop3d/bulletins").mkdir(parents=True)
        (self.root / "etc/spop3d.conf").write_text('<Global>\n\tMailDropName "/var/mail/%s"\n</Global>\n')
