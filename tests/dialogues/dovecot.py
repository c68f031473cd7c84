"""A private Dovecot 2.3 with the dialogues' mailboxes: the second opinion.

One server for a test session, on free loopback ports, as whoever runs the tests, in a directory of its own.
Each dialogue plays as a user of its own, whose Maildir is written before the first login.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import socket
import subprocess
import time
from itertools import count
from pathlib import Path

from tests.dialogues import fixtures
from tests.dialogues.gate import ACCOUNT
from tests.dialogues.script import Dialogue

PATIENCE = 5.0  # seconds that an expected line may take
_LETTERS = {"\\Draft": "D", "\\Flagged": "F", "\\Answered": "R", "\\Seen": "S", "\\Deleted": "T"}


def find_dovecot() -> str | None:
    return shutil.which("dovecot", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Dovecot:
    """A running server. Stop it."""

    def __init__(self, root: Path, program: str) -> None:
        """`root` must be a short path: UNIX sockets go below it. Raises TimeoutError with the server's log."""
        self.root = root
        self.ports = {"imap": free_port(), "pop3": free_port()}
        self.mail = root / "mail"
        self.owner = _mail_owner()
        self.mail.mkdir()
        _give(self.mail, self.owner)
        root.chmod(0o755)
        config = root / "dovecot.conf"
        config.write_text(self._configuration())
        with (root / "output").open("wb") as output:
            self._process = subprocess.Popen([program, "-F", "-c", str(config)], stdout=output, stderr=output)
        try:
            self._wait_until_up()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it by its process id, and its children with it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait_until_up(self) -> None:
        end = time.monotonic() + 15
        for port in self.ports.values():
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if self._process.poll() is not None or time.monotonic() > end:
                        log = (self.root / "output").read_text() + (self.root / "log").read_text()
                        raise TimeoutError(f"Dovecot does not start:\n{log}") from None
                    time.sleep(0.02)

    def _configuration(self) -> str:
        user, group, login = "dovecot", "dovecot", ""
        if os.geteuid() != 0:  # everything as whoever we are: there is no other user to become
            user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
            login = f"default_login_user = {user}"
        return f"""
base_dir = {self.root}/run
state_dir = {self.root}/state
log_path = {self.root}/log
protocols = imap pop3
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
{login}
default_internal_user = {user}
default_internal_group = {group}
first_valid_uid = 1
auth_failure_delay = 0
auth_cache_size = 0
mail_fsync = never
mail_max_userip_connections = 1000
mail_location = maildir:{self.mail}/%n
maildir_stat_dirs = no
passdb {{
  driver = static
  args = password=pass
}}
userdb {{
  driver = static
  args = uid={self.owner[0]} gid={self.owner[1]} home={self.mail}/%n
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
protocol imap {{
  imap_idle_notify_interval = 2 mins
}}
protocol pop3 {{
  pop3_no_flag_updates = yes
}}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {self.ports["imap"]}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {self.ports["pop3"]}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""


def _mail_owner() -> tuple[int, int]:
    """Whom the mail belongs to: Dovecot refuses root."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _give(path: Path, owner: tuple[int, int]) -> None:
    if os.geteuid() == 0:
        os.chown(path, *owner)


def _modified_utf7(level: str) -> str:
    """RFC 3501 5.1.3, for the names that the samples have: either all ASCII or none of it."""
    if level.isascii():
        return level
    return level.encode("utf-7").decode().replace("+", "&").replace("/", ",")


def write_maildir(path: Path, setup: str, owner: tuple[int, int]) -> None:
    """One of fixtures.MAILBOXES as a Maildir that Dovecot reads, UIDs from 1, UIDLs as they are in the samples."""
    mailbox = fixtures.MAILBOXES[setup]
    for name, samples in {"": mailbox.inbox, **mailbox.folders}.items():
        folder = path / "".join("." + _modified_utf7(level) for level in name.split("/")) if name else path
        for sub in ("cur", "new", "tmp"):
            (folder / sub).mkdir(parents=True)
        lines = [f"3 V{fixtures.FIRST_DATE} N{len(samples) + 1} G{'0' * 31}1"]
        for uid, (sample, date) in enumerate(fixtures.dated(samples), 1):
            letters = "".join(_LETTERS[flag] for flag in sorted(sample.flags, key=_LETTERS.__getitem__))
            unique = f"{date}.M{uid}P1.test,S={len(sample.octets)}"
            file = folder / "cur" / f"{unique}:2,{letters}"
            file.write_bytes(sample.octets)
            os.utime(file, (date, date))
            lines.append(f"{uid} P{sample.uidl} :{unique}")
        (folder / "dovecot-uidlist").write_text("\n".join(lines) + "\n")
    for each in (path, *path.rglob("*")):
        _give(each, owner)


class SocketChannel:
    """A client's end of a connection to a real server."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._buffer = bytearray()
        self._ended = False

    def send(self, data: bytes, *, bytewise: bool = False) -> None:
        self._socket.sendall(data)

    def hang_up(self) -> None:
        self._socket.close()

    def read_line(self) -> bytes | None:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if not self._receive(PATIENCE):
                return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def read_exactly(self, count: int) -> bytes:
        while len(self._buffer) < count and self._receive(PATIENCE):
            pass
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def leftover(self) -> bytes:
        """What is there by now; what comes later is seen by the next expectation."""
        while self._receive(0):
            pass
        return bytes(self._buffer)

    def server_has_closed(self) -> bool:
        while self._receive(PATIENCE):
            pass
        return self._ended

    def _receive(self, patience: float) -> bool:
        if self._ended or self._socket.fileno() < 0:
            return False
        self._socket.settimeout(patience)
        try:
            data = self._socket.recv(65_536)
        except (BlockingIOError, TimeoutError):
            return False
        except ConnectionError:
            data = b""
        self._buffer += data
        self._ended = not data
        return bool(data)


class DovecotStage:
    """A stage for one dialogue. It has no gate, no clock to move and no tricks."""

    bytewise = False
    _numbers = count(1)

    def __init__(self, server: Dovecot, dialogue: Dialogue) -> None:
        self._server = server
        self._user = f"user{next(self._numbers)}"
        self._channels: list[SocketChannel] = []
        write_maildir(server.mail / self._user, dialogue.headers["setup"], server.owner)

    def connect(self, protocol: str) -> SocketChannel:
        self._channels.append(SocketChannel(self._server.ports[protocol]))
        return self._channels[-1]

    def advance(self, seconds: float) -> None:
        raise AssertionError("a dialogue with a real server has no clock to move (T:)")

    def tell_gate(self, words: str) -> None:
        raise AssertionError("a dialogue with a real server has no gate to tell (G:)")

    def tell_mailbox(self, words: str) -> None:
        raise AssertionError("a dialogue with a real server has no store to tell (M:)")

    def localised(self, data: bytes) -> bytes:
        """The dialogues' account is a user of this dialogue alone."""
        return data.replace(ACCOUNT.encode(), f"{self._user}@123.com".encode())

    def settle(self) -> None:
        """A real server settles by itself."""

    def end(self, *, check: bool = True) -> None:
        for channel in self._channels:
            with contextlib.suppress(OSError):
                channel.hang_up()
