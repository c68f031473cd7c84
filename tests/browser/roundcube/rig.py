"""Roundcube in front of mailferry, as conf/roundcube/install makes it, for one run of tests.

PHP-FPM and nginx are Debian's, on a free port, their files below one directory, under a user who may do nothing."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.legacy.dovecot import free_port, wait_for_port
from tests.legacy.threaded import Relay, ThreadedServer
from tests.peers.needs import needed, needed_file

REPOSITORY: Final = Path(__file__).parents[3]
INSTALL: Final = REPOSITORY / "conf" / "roundcube" / "installing.py"  # what `install` runs in mailferry's environment
_UNPRIVILEGED: Final = "www-data"
# The settings of the tests: all that waits is quick to give up, so that a login of a few seconds is a long one.
LOCAL: Final = """<?php
$config['mailferry_patience'] = 1;
$config['mailferry_listen'] = 4;
$config['mailferry_again'] = 2;
$config['imap_timeout'] = 5;
"""


def install(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the installer."""
    command = [sys.executable, str(INSTALL), *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=check)


def without_certificate(configuration: str) -> str:
    """Its key is nobody's but mailferry's, and nginx here is not root."""
    return re.sub(r"^(imaps|pop3s|certificate|key) = .*\n", "", configuration, flags=re.MULTILINE)


class Webmail:
    """A running Roundcube. `root` has a short name, since Unix sockets go below it."""

    def __init__(self, root: Path, mailferry: Path, local: str = LOCAL) -> None:
        """`mailferry` is its configuration file, of which the certificate is left out."""
        self.root = root
        self.port = free_port()
        (root / "mailferry.toml").write_text(without_certificate(mailferry.read_text()))
        self.said = self.install()
        (root / "config" / "local.inc.php").write_text(local)
        # nginx gives up after a few seconds, too.
        site = root / "nginx" / "site.conf"
        site.write_text(site.read_text().replace("fastcgi_read_timeout 10m", "fastcgi_read_timeout 5s"))
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{_UNPRIVILEGED}:{_UNPRIVILEGED}", str(root)], check=True)
            root.chmod(0o755)
        self._processes: list[subprocess.Popen[bytes]] = []

    def install(self) -> str:
        """Run the installer; what it says."""
        return install("--config", self.root / "mailferry.toml", "--trial", self.root, "--port", str(self.port)).stdout

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def log(self) -> str:
        """What went wrong, as PHP, nginx and Roundcube have it."""
        return "".join(
            f"{path.name}:\n{path.read_text(errors='replace')}"
            for path in sorted((self.root / "logs").iterdir())
            if path.name != "nginx-access.log"
        )

    def __enter__(self) -> Self:
        commands = [line.split()[3:] for line in self.said.splitlines() if line.startswith("to be started")]
        assert len(commands) == 2, self.said
        user: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = {"user": _UNPRIVILEGED, "group": _UNPRIVILEGED, "extra_groups": []}
        with (self.root / "output").open("ab") as output:
            for command in commands:
                process = subprocess.Popen(command, stdout=output, stderr=output, cwd=self.root, **user)
                self._processes.append(process)
        try:
            wait_for_port(self.port, self._processes[1])
        except TimeoutError as error:
            self.stop()
            raise AssertionError(f"{error}:\n{self.log}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End both by their process ids, and their children with them."""
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class OldServer(Relay):
    """In front of a legacy server: slow, away or in somebody's use whenever the test wants it."""

    def __init__(self, target: int) -> None:
        self.logins = 0  # passwords that were sent to it
        self.away = False  # hangs up on whoever comes
        self.in_use = False
        self._left = _NO_END
        super().__init__(target)

    def dam(self, octets: int) -> None:
        """Let so many more octets through, of all connections together, and then no more."""
        with self._changed:
            self._left = octets
            self._changed.notify_all()

    def be_well(self) -> None:
        """Be a server like any other from here on."""
        with self._changed:
            self.away = self.in_use = False
            self._left = _NO_END
            self._changed.notify_all()

    def close(self) -> None:
        self.be_well()
        super().close()

    def serve(self, client: socket.socket) -> None:
        if not self.away:
            with self._held(self.reached()) as server:
                self.pass_on(client, server, up=self._up, down=self._down, piece=1024)

    def _up(self, data: bytes) -> bytes:
        self.logins += data.startswith(b"PASS ")
        return data

    def _down(self, data: bytes) -> bytes:
        if self.in_use:
            data = data.replace(b"+OK Logged in.", b"-ERR [IN-USE] locked by another session")
        with self._changed:
            self._changed.wait_for(lambda: self._left > 0)
            self._left -= len(data)
        return data


_NO_END: Final = 1 << 40


class Post(ThreadedServer):
    """Where mail is handed in: takes whatever comes, and keeps it."""

    def __init__(self) -> None:
        self.mail: list[bytes] = []
        super().__init__()

    def serve(self, client: socket.socket) -> None:
        with client.makefile("rb") as lines:
            client.sendall(b"220 post\r\n")
            while line := lines.readline():
                verb = line.split()[0].upper()
                if verb == b"DATA":
                    client.sendall(b"354 go on\r\n")
                    self.mail.append(b"".join(iter(lines.readline, b".\r\n")))
                client.sendall(b"221 bye\r\n" if verb == b"QUIT" else b"250 yes\r\n")


def needed_for_webmail() -> None:
    """Roundcube, PHP-FPM, nginx and Chromium."""
    needed("chromium-headless-shell")
    needed("nginx")
    needed_file("/usr/sbin/php-fpm[0-9]*", "php-fpm php-sqlite3")
    needed_file("/usr/share/roundcube/index.php", "roundcube-core roundcube-sqlite3")
