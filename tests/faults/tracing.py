"""strace beside a daemon: what it asks of the kernel, and its end at a chosen one of these."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections import Counter, defaultdict
from pathlib import Path
from typing import Final

from tests.peers.needs import needed

# Each that changes a disk, or makes a change last.
CHANGING: Final = (
    "openat",
    "write",
    "pwrite64",
    "rename",
    "renameat",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "ftruncate",
    "fsync",
    "fdatasync",
    "syncfs",
)
_LINE: Final = re.compile(r"^(\d+)\s+(\w+)\(")


class Tracing:
    """strace on a process. With `kill`, the process ends right before its N-th such call in any thread; with `refuse`,
    that call and all behind it are refused for the reason given."""

    def __init__(
        self,
        pid: int,
        output: Path,
        kill: tuple[str, int] | None = None,
        *,
        refuse: tuple[str, int, str] | None = None,
    ) -> None:
        struck = kill or refuse
        calls = ",".join(CHANGING) if struck is None else struck[0]
        command = [needed("strace"), "-f", "-qq", "-o", str(output), "-e", f"trace={calls}", "-e", "signal=none"]
        if kill is not None:
            command += ["-e", f"inject={kill[0]}:signal=KILL:when={kill[1]}"]
        if refuse is not None:
            command += ["-e", f"inject={refuse[0]}:error={refuse[2]}:when={refuse[1]}+"]
        self._process = subprocess.Popen([*command, "-p", str(pid)], stderr=subprocess.DEVNULL)
        self._output = output
        while not self._attached(pid):
            assert self._process.poll() is None, "strace may not look at processes here"
            os.sched_yield()

    def _attached(self, pid: int) -> bool:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return all(re.search(r"^TracerPid:\t[1-9]", (t / "status").read_text(), re.MULTILINE) for t in threads)

    def end(self) -> None:
        """Let the process go on alone."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:  # it waits for a thread that is long in coming; killed, it lets go of all
            self._process.kill()
            self._process.wait()

    def counts(self) -> dict[str, int]:
        """How often each call was made by the thread that made it most."""
        by_thread: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for line in self._output.read_text().splitlines():
            if found := _LINE.match(line):
                by_thread[found[2]][found[1]] += 1
        return {call: max(threads.values()) for call, threads in by_thread.items()}


def spread(counts: dict[str, int], most: int) -> list[tuple[str, int]]:
    """For each call, up to `most` of its occurrences: spread from the first to the last, or one at half."""
    points = []
    for call, count in sorted(counts.items()):
        chosen = {1 + round((part + 0.5) * (count - 1) / most) for part in range(min(most, count))}
        points += [(call, number) for number in sorted(chosen)]
    return points
