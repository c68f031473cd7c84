"""mailferry for benches of the move: a daemon with an empty state directory, and the first logins of its users."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.legacy.dovecot import PASSWORD, free_port, wait_for_port

DOMAIN = "bench.example"
_CONFIGURATION = """
hostname = "localhost"
state = "{state}"
{above}
[listen]
imap = ["tcp:{imap}:interface=127.0.0.1"]
[domain."{domain}"]
accounts = "open"
[domain."{domain}".legacy]
host = "127.0.0.1"
port = {legacy}
tls = "none"
login = "local"
connections = {connections}
{source}
"""


class Mailferry:
    """Its state and its log are below `root`. `legacy` is the port of the legacy server."""

    def __init__(
        self, root: Path, legacy: int, *, connections: int = 20, above: str = "", imap: int | None = None
    ) -> None:
        """`imap`: the legacy server's port for `source = "imap"`."""
        root.mkdir(exist_ok=True)
        self.imap = free_port()
        config = root / "mailferry.toml"
        config.write_text(
            _CONFIGURATION.format(
                state=root / "state",
                imap=self.imap,
                legacy=legacy,
                domain=DOMAIN,
                connections=connections,
                above=above,
                source=f'source = "imap"\nimap_port = {imap}' if imap is not None else "",
            )
        )
        command = [sys.executable, "-m", "proxy.cli.main", "serve", "--config", str(config)]
        with (root / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for_port(self.imap, self.process)

    def memory(self, field: str) -> int:
        """VmRSS or VmHWM in MiB, of the process that has the moves."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"{field}:\s+(\d+)", status)
        assert found is not None
        return int(found[1]) // 1024

    def login(self, user: str) -> float:
        """Seconds from LOGIN to its OK."""
        with socket.create_connection(("127.0.0.1", self.imap)) as connection, connection.makefile("rb") as lines:
            lines.readline()
            begun = time.perf_counter()
            connection.sendall(f"a LOGIN {user}@{DOMAIN} {PASSWORD}\r\n".encode())
            while not (line := lines.readline()).startswith(b"a "):
                assert line, "the connection was closed"
            assert line.startswith(b"a OK"), line
            return time.perf_counter() - begun

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)
