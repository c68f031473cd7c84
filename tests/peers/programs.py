"""Running a client from Debian: its settings and its state are files below a home of its own."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from pathlib import Path

PATIENCE = 240  # seconds that any of them may take


def run(*command: str | Path, home: Path, allowed: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[bytes]:
    """Run a client whose settings and state are all in `home`."""
    env = os.environ | {"HOME": str(home), "FETCHMAILHOME": str(home), "LC_ALL": "C.UTF-8"}
    ran = subprocess.run(
        [str(word) for word in command],
        env=env,
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    assert ran.returncode in allowed, (ran.returncode, ran.stdout[-500:], ran.stderr[-1_500:])
    return ran


def on_a_terminal(*command: str | Path, home: Path) -> None:
    """Run a program that wants a terminal, and let nobody look at it."""
    master, slave = pty.openpty()
    env = os.environ | {"HOME": str(home), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    words = [str(word) for word in command]
    process = subprocess.Popen(
        words, env=env, cwd=home, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    seen, end = b"", time.monotonic() + PATIENCE
    try:
        while process.poll() is None and time.monotonic() < end:
            if select.select([master], [], [], 0.05)[0]:
                try:
                    seen += os.read(master, 65_536)
                except OSError:  # EIO: the other end is closed
                    break
        assert process.wait(5) == 0, seen[-1_000:]
    finally:
        process.kill()
        process.wait()
        os.close(master)


def private(path: Path, text: str) -> Path:
    """A file of settings, with a password in it."""
    path.write_text(text)
    path.chmod(0o600)
    return path
