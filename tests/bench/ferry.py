"""mailferry for a bench: a daemon with its settings, stopped behind the block, and the first logins of its users."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.legacy.dovecot import PASSWORD, free_port, wait_for_port

DOMAIN: Final = "bench.example"
LOOK: Final = 0.5  # seconds between two looks at its memory
NOWHERE: Final = 9  # the port of a legacy server that is never asked
_SETTINGS: Final = """
hostname = "localhost"
state = "{state}"
{top}
[listen]
imap = ["tcp:{imap}:interface=127.0.0.1"]
{tables}
[domain."{domain}"]
accounts = "open"
[domain."{domain}".legacy]
host = "127.0.0.1"
port = {legacy}
tls = "none"
login = "local"
{old}
"""


@dataclass(frozen=True)
class Ferry:
    """A daemon that serves IMAP on a port."""

    imap: int
    process: subprocess.Popen[bytes]
    config: Path
    log: Path

    def memory(self, field: str) -> int:
        """VmRSS or VmHWM in MiB, of those with a hand in moves: the daemon's own process, and the one that writes."""
        return sum(_memory(pid, field) for pid in (self.process.pid, *self._scribes())) // 1024

    def idle(self) -> int:
        """MiB, once it has done what it does at its start."""
        before, now = -1, self.memory("VmRSS")
        while now != before:
            time.sleep(LOOK)
            before, now = now, self.memory("VmRSS")
        return now

    def _scribes(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children if b"mailstore.scribe" in Path(f"/proc/{pid}/cmdline").read_bytes()]

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


def _memory(pid: int, field: str) -> int:
    """In KiB."""
    found = re.search(rf"{field}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


def state(root: Path) -> Path:
    """The state directory of a daemon in `root`."""
    return root / "state"


def maildir(root: Path, user: str) -> Path:
    """Where a daemon in `root` keeps a user's mail."""
    return state(root) / "mail" / DOMAIN / user / "Maildir"


@contextmanager
def served(root: Path, legacy: int, *, top: str = "", tables: str = "", old: str = "") -> Iterator[Ferry]:
    """A daemon whose state, settings and log are in `root`. `legacy` is the POP3 port of the legacy server. What else
    its settings have: keys at the `top`, `tables`, and keys of the `old` server's table."""
    imap = free_port()
    config, log = root / "mailferry.toml", root / "log"
    config.write_text(
        _SETTINGS.format(state=state(root), top=top, imap=imap, tables=tables, domain=DOMAIN, legacy=legacy, old=old)
    )
    command = [sys.executable, "-m", "proxy.cli.main", "serve", "--config", str(config)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        wait_for_port(imap, process)
        yield Ferry(imap, process, config, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(120)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
