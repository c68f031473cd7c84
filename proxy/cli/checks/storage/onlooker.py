"""The other side: a second process, or another node, that says what it sees of a directory, and takes locks in it.

Questions and answers are JSON, a line each on the standard streams of a second process (`second`), a file each between
nodes (`across`).
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

BEGUN: Final = "race-begun"
Question = dict[str, Any]
Answer = dict[str, Any]


class Onlooker:
    """Answers questions about one directory."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._held: dict[str, int] = {}  # kind and name of each lock → its descriptor

    def answer(self, question: Question) -> Answer:
        """What cannot be done is in the answer."""
        does: dict[str, Callable[[Question], Answer]] = {
            "read": self._read,
            "list": self._list,
            "lock": self._lock,
            "unlock": self._unlock,
            "race": self._race,
            "moved": self._moved,
            "who": self._who,
        }
        try:
            return does[question["do"]](question)
        except OSError as error:
            return {"error": error.strerror or str(error)}

    def close(self) -> None:
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()

    def _read(self, question: Question) -> Answer:
        path = self._place / question["name"]
        with path.open("rb") as file:
            text = file.read(65_536).decode("ascii", "replace")
            return {"text": text, "inode": os.fstat(file.fileno()).st_ino, "mtime": path.parent.stat().st_mtime_ns}

    def _list(self, question: Question) -> Answer:
        return {"names": sorted(os.listdir(self._place / question["name"]))}  # noqa: PTH208 - names only

    def _lock(self, question: Question) -> Answer:
        return {"got": self.lock(question["kind"], question["name"])}

    def lock(self, kind: str, name: str) -> bool:
        """`flock` is the POP3 maildrop's, `record` SQLite's. Raises OSError where there are none."""
        descriptor = os.open(self._place / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            take = fcntl.flock if kind == "flock" else fcntl.lockf
            take(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # EACCES, as some systems say
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._held[f"{kind} {name}"] = descriptor
        return True

    def _unlock(self, question: Question) -> Answer:
        self.unlock(question["kind"], question["name"])
        return {}

    def unlock(self, kind: str, name: str) -> None:
        os.close(self._held.pop(f"{kind} {name}"))

    def _race(self, question: Question) -> Answer:
        (self._place / BEGUN).touch()
        return {"won": self.race(question["count"], backwards=True)}

    def race(self, count: int, *, backwards: bool) -> list[int]:
        """Make as many of these names as nobody else has made."""
        won = []
        for number in reversed(range(count)) if backwards else range(count):
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                os.close(os.open(self._place / f"race-{number}", flags, 0o600))
            except FileExistsError:
                continue
            won.append(number)
        return won

    def _moved(self, question: Question) -> Answer:
        """How long it takes to see, by stat alone, that the time of a directory is another one."""
        begun = time.monotonic()
        path = self._place / question["name"]
        while os.stat(path).st_mtime_ns == question["was"]:  # noqa: PTH116 - as the store looks
            if time.monotonic() - begun > question["limit"]:
                return {"seconds": None}
            time.sleep(0.01)
        return {"seconds": time.monotonic() - begun}

    def _who(self, _question: Question) -> Answer:
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            boot = ""
        return {"boot": boot, "host": os.uname().nodename, "time": time.time()}


def main() -> None:
    onlooker = Onlooker(Path(sys.argv[1]))
    try:
        for line in sys.stdin:
            print(json.dumps(onlooker.answer(json.loads(line))), flush=True)
    finally:
        onlooker.close()


if __name__ == "__main__":
    main()
