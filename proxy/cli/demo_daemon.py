"""The demo's mailferry: a configuration in a directory of its own, and `mailferry serve` as a process."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

STARTING: Final = 30.0  # seconds that a slow machine may take
STOPPING: Final = 15.0

_CONFIGURATION = """\
hostname = "localhost"
state = "{state}"

[listen]
imap = ["tcp:{imap}:interface={host}"]
pop3 = ["tcp:{pop3}:interface={host}"]

[tls]
plaintext_login = "{plaintext}"

[domain."123.com".legacy]
host = "127.0.0.1"
port = {legacy}
tls = "none"
"""


class NotStarted(Exception):
    """The daemon ended or never listened; the text is the end of its log."""


def free_port(host: str) -> int:
    """A port that nobody listens at just now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


class Ferry:
    """`mailferry serve` on free ports of `host`, in front of the server at `legacy`."""

    def __init__(self, directory: Path, host: str, legacy: int) -> None:
        self.host = host
        self.imap, self.pop3 = free_port(host), free_port(host)
        self.config = directory / "mailferry.toml"
        self.log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self.config.write_text(
            _CONFIGURATION.format(
                state=directory / "state",
                imap=self.imap,
                pop3=self.pop3,
                host=host,
                plaintext="loopback" if host.startswith("127.") else "always",
                legacy=legacy,
            )
        )

    @property
    def reachable(self) -> str:
        """The address to connect to from this machine."""
        return "127.0.0.1" if self.host == "0.0.0.0" else self.host  # noqa: S104 - compared, not listened at

    def start(self) -> None:
        """Returns when it listens. Raises NotStarted."""
        command = [sys.executable, "-m", "proxy.cli.main", "serve", "--config", str(self.config)]
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C is for the demo, which then stops the daemon in good order.
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        end = time.monotonic() + STARTING
        while not (self._listens(self.imap) and self._listens(self.pop3)):
            if self._process.poll() is not None or time.monotonic() > end:
                raise NotStarted(self.last_words())
            time.sleep(0.05)

    def _listens(self, port: int) -> bool:
        try:
            socket.create_connection((self.reachable, port), timeout=1.0).close()
        except OSError:
            return False
        return True

    def last_words(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-5:])

    def stop(self) -> None:
        """SIGTERM, and patience. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOPPING)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
