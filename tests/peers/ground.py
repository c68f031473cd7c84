"""A directory with a short name that an unprivileged server can reach."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def reachable(name: str) -> Iterator[Path]:
    """One in /tmp whose name begins so, gone afterwards with all that is in it."""
    path = Path(tempfile.mkdtemp(prefix=f"{name}.", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)
