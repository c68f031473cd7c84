"""A private PostgreSQL on a free loopback port, in a directory of its own; started as an unprivileged user where root
runs the tests, since it refuses root.

It may be stopped, restarted, or killed like one whose machine fell over, and has as many databases as are asked for.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psycopg

from tests.legacy.dovecot import free_port, select_nothing
from tests.peers.needs import needed_file

PASSWORD: Final = "pg-pass"
OWNER: Final = "mailferry"
_PROGRAMS: Final = "/usr/lib/postgresql/*/bin"
_LONG: Final = 120.0

# Nothing is lost but by a loss of power, which no test of these makes.
_SETTINGS: Final = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
full_page_writes = off
shared_buffers = 32MB
max_connections = 60
max_wal_size = 256MB
jit = off
logging_collector = off
log_min_messages = fatal
"""


def programs() -> Path:
    """The directory of the newest one's programs. Skips, or fails under CI, where there is none."""
    needed_file(_PROGRAMS + "/initdb", "postgresql")
    found = [path for path in Path("/").glob(_PROGRAMS[1:]) if (path / "initdb").exists()]
    return max(found, key=lambda path: float(path.parent.name))


def _as_server() -> dict[str, Any]:
    """What `subprocess` is told about who runs it."""
    if os.geteuid() != 0:
        return {}
    who = pwd.getpwnam("postgres")
    return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}


class PostgresServer:
    """A running server, without a database of ours."""

    def __init__(self, settings: str = "") -> None:
        """`settings`: more lines of its configuration. Raises TimeoutError."""
        self._programs = programs()
        self._who = _as_server()
        self.root = Path(tempfile.mkdtemp(prefix="mailferry-pg-"))
        self.port = free_port()
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        if self._who:
            os.chown(self.root, self._who["user"], self._who["group"])
        self._make(settings)
        self.start()

    def _make(self, settings: str) -> None:
        secret = self.root / "secret"
        secret.write_text(PASSWORD)
        if self._who:
            os.chown(secret, self._who["user"], self._who["group"])
        command = [self._programs / "initdb", "-D", self.data, "-U", OWNER, "-A", "scram-sha-256"]
        command += [f"--pwfile={secret}", "-N", "-E", "UTF8", "--locale=C", "--no-instructions"]
        subprocess.run(command, check=True, capture_output=True, cwd=self.root, **self._who)
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(f"{_SETTINGS}port = {self.port}\n{settings}\n")

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def pid(self) -> int | None:
        """Of its first process; None where it does not run."""
        return None if self._process is None else self._process.pid

    def dsn(self, database: str = "postgres") -> str:
        """As psycopg is told."""
        return f"host=127.0.0.1 port={self.port} user={OWNER} password={PASSWORD} dbname={database}"

    def url(self, database: str) -> str:
        """As the configuration has it."""
        return f"postgresql+psycopg://{OWNER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Harmless where it runs. Raises TimeoutError."""
        if self._process is not None and self._process.poll() is None:
            return
        with (self.root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self.data],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.root,
                **self._who,
            )
        end = time.monotonic() + _LONG
        while True:
            try:
                psycopg.connect(self.dsn(), connect_timeout=10).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise TimeoutError((self.root / "log").read_text()[-2000:]) from None
                select_nothing(0.02)
            else:
                return

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_LONG)
            self._process = None

    def stop(self) -> None:
        """As an administrator's restart does it: whoever is connected is cut off (SIGINT, "fast")."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """As if its machine had fallen over (SIGQUIT, "immediate"): the next start replays its log."""
        self._end(signal.SIGQUIT)

    def restart(self) -> None:
        self.stop()
        self.start()

    def admin(self, statement: str) -> list[tuple[Any, ...]]:
        """As the owner, outside any transaction."""
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            done = connection.execute(statement)  # type: ignore[call-overload]
            return done.fetchall() if done.description else []

    def make_database(self) -> str:
        """An empty one; gives back its name."""
        name = f"mailferry_{next(self._numbers)}"
        self.admin(f"CREATE DATABASE {name}")
        return name

    def remove(self) -> None:
        """With all that it has."""
        self._end(signal.SIGQUIT)
        shutil.rmtree(self.root, ignore_errors=True)


def until(holds: Callable[[], object], seconds: float = _LONG) -> None:
    """Wait for it. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError
        select_nothing(0.02)
