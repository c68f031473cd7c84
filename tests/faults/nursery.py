"""Daemons that begin at once: one process imports what `mailferry serve` imports, and forks as often as it is told to.

Reads lines from standard input, `CONFIG LOG [stopped] [alone]`; for each it forks a daemon, which is that of
`mailferry serve` but for its batches, which are small, so that there are many barriers, and its pauses, which are
short; and writes its process id. A `stopped` one waits for SIGCONT. One that is `alone` has one core, and so no other
process that writes for it.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import alembic  # noqa: F401
import structlog  # noqa: F401
import twisted.internet.tcp
import twisted.protocols.tls  # noqa: F401

import mailstore.mailhome  # noqa: F401
import proxy.imap.session  # noqa: F401
from proxy import config
from proxy.migration import pauses, pull

BATCH = 25
PAUSES = (0.02, 0.05, 0.1, 0.1)  # seconds


def daemon(configuration: Path, log: Path, *, stopped: bool, alone: bool) -> int:
    if alone:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    if stopped:
        os.kill(os.getpid(), signal.SIGSTOP)
    pull.BATCH_MESSAGES = BATCH  # type: ignore[misc]
    pauses.PAUSES = PAUSES  # type: ignore[misc, assignment]
    from proxy.daemon import service  # the reactor is each daemon's own

    return service.serve(config.load(configuration))


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    for line in sys.stdin:
        configuration, log, *how = line.split()
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os._exit(daemon(Path(configuration), Path(log), stopped="stopped" in how, alone="alone" in how))
        print(child, flush=True)


if __name__ == "__main__":
    main()
