"""A longer way to a server, for the length of a block."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def away(port: int, milliseconds: float) -> Iterator[int]:
    """The port at which the server is `milliseconds` of round-trip time away, at full bandwidth."""
    if not milliseconds:
        yield port
        return
    command = [sys.executable, str(Path(__file__).parent / "delay.py"), str(port), str(milliseconds)]
    hop = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert hop.stdout is not None
        yield int(hop.stdout.readline())
    finally:
        hop.communicate("")
