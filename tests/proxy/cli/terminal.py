"""Run `mailferry` as on a terminal: what it asks is answered, and what it shows is given back."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[3]
PATIENCE = 60.0  # seconds of silence

Answer = str | Callable[[], str]  # what is typed, or what is done first and says it


def on_a_terminal(*arguments: str, answers: tuple[Answer, ...] = (), columns: int = 120) -> tuple[int, str]:
    """Its status, and all that was shown. An answer is typed whenever it waits behind a colon or a question mark."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "proxy.cli.main", *arguments]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    ) as process:
        os.close(theirs)
        left, shown = list(answers), b""
        try:
            while select.select([ours], [], [], PATIENCE)[0]:
                shown += os.read(ours, 65_536)
                if left and shown.endswith((b": ", b"]: ")):
                    answer = left.pop(0)
                    typed = answer if isinstance(answer, str) else answer()
                    os.write(ours, typed.encode(errors="surrogateescape") + b"\n")
        except OSError:  # it has ended (EIO)
            pass
        finally:
            os.close(ours)
        return process.wait(), shown.decode().replace("\r\n", "\n")
