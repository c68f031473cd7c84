"""A private Postfix as the relay: it takes mail for some users of 123.com into Maildirs, with STARTTLS, on a free
loopback port, in a directory of its own. Only root can run one."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.legacy.dovecot import free_port, make_certificate, wait_for_port
from tests.peers.needs import needed

_QUEUES = (
    *("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "public", "saved"),
    *("trace", "maildrop", "pid"),
)
_SERVICES = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
"""


class Postfix:
    """A running server. `mail/USER/` are the users' Maildirs."""

    def __init__(self, root: Path, users: list[str], main: str = "", services: str = "") -> None:
        """`root` must be a short path that others may search; `main` and `services` are more lines of main.cf, which
        count where there are others before, and of master.cf. Raises TimeoutError."""
        program = Path(needed("postfix"))
        if os.geteuid() != 0:
            pytest.skip("Postfix runs as root alone")
        self.root = root
        self.mail = root / "mail"
        self.port = free_port()
        self._make(users, main, services)
        asked = [program.with_name("postconf"), "-h", "daemon_directory"]
        daemons = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        master = Path(daemons) / "master"
        self._process = subprocess.Popen(
            [master, "-c", root, "-s"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        try:
            wait_for_port(self.port, self._process)
        except TimeoutError:
            self.stop()
            raise

    def _make(self, users: list[str], main: str, services: str) -> None:
        owner, nobody = pwd.getpwnam("postfix"), pwd.getpwnam("nobody")
        certificate, key = make_certificate(self.root)
        queue = self.root / "queue"
        for directory in (self.mail, self.root / "data", queue, *(queue / name for name in _QUEUES)):
            directory.mkdir()
        for directory in (self.root / "data", *(queue / name for name in _QUEUES if name != "pid")):
            shutil.chown(directory, owner.pw_uid)
        for name in ("maildrop", "public"):
            shutil.chown(queue / name, group="postdrop")
        (queue / "maildrop").chmod(0o730)
        (queue / "public").chmod(0o710)
        shutil.chown(self.mail, nobody.pw_uid, nobody.pw_gid)
        (self.root / "users").write_text("".join(f"{user}@123.com {user}/\n" for user in users))
        (self.root / "master.cf").write_text(_SERVICES.format(port=self.port) + services)
        (self.root / "main.cf").write_text(
            f"compatibility_level = 3.6\nqueue_directory = {queue}\ndata_directory = {self.root}/data\n"
            "myhostname = smtp.123.com\nmydestination =\ninet_interfaces = 127.0.0.1\nmynetworks = 127.0.0.0/8\n"
            "alias_maps =\nlocal_recipient_maps =\nsmtputf8_enable = yes\nbiff = no\n"
            f"virtual_mailbox_domains = 123.com\nvirtual_mailbox_base = {self.mail}\n"
            f"virtual_mailbox_maps = texthash:{self.root}/users\nvirtual_minimum_uid = 1\n"
            f"virtual_uid_maps = static:{nobody.pw_uid}\nvirtual_gid_maps = static:{nobody.pw_gid}\n"
            f"smtpd_tls_cert_file = {certificate}\nsmtpd_tls_key_file = {key}\nsmtpd_tls_security_level = may\n"
            f"smtpd_relay_restrictions = permit_mynetworks, reject\n{main}"
        )

    def stop(self) -> None:
        """End it by its process id; its children end with it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def delivered(self, user: str) -> list[bytes]:
        """What has come for a user."""
        new = self.mail / user / "new"
        return [path.read_bytes() for path in sorted(new.iterdir())] if new.is_dir() else []
