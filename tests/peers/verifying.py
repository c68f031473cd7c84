"""`mailferry verify` as a process of its own, beside a daemon or without it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.peers.daemon import Daemon

ROOT = Path(__file__).parents[2]


def verify(daemon: Daemon, *arguments: str) -> tuple[int, Any]:
    """Its status, and its JSON."""
    command = [sys.executable, "-m", "proxy.cli.main", "verify", *arguments, "--json", "--config", str(daemon.config)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert ran.stdout, ran.stderr
    return ran.returncode, json.loads(ran.stdout)
