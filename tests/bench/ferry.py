"""A daemon for a bench: started with its settings, and stopped behind the block."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.legacy.dovecot import wait_for_port


@contextmanager
def served(root: Path, settings: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`settings` as its file has them; it listens on `port` when the block begins. Its log is in `root`."""
    config = root / "mailferry.toml"
    config.write_text(settings)
    command = [sys.executable, "-m", "proxy.cli.main", "serve", "--config", str(config)]
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for_port(port, process)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)
