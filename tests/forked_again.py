"""A daemon that takes over from one that was forked, by execve(2): `python tests/forked_again.py MODULE …` is
`python -m MODULE …`, but for where its processes come from (`tests.forking_workers`)."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])
    from tests import forking_workers

    forking_workers.go_on()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
