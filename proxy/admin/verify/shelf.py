"""Outcomes of a long verification, kept on disk until they are reported: a hundred thousand accounts, or a server that
names all its messages anew, are more than a daemon's memory is for.

The file has no name: whatever ends the process, it is gone.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from proxy.admin.verify.kinds import Finding, Kind
from proxy.admin.verify.outcome import AccountOutcome

_KINDS: Final = {kind.value: kind for kind in Kind}
_PLAIN: Final = tuple(name for name in AccountOutcome.__slots__ if name not in {"counts", "findings"})


class Shelf:
    """`Outcomes`. Any thread may call; all are `put` before any is looked at. Raises OSError."""

    def __init__(self, directory: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - closed by `close`
        self._places: list[tuple[str, int, int]] = []  # local part, rank of the verdict, and where it is
        self._lock = threading.Lock()

    def put(self, outcome: AccountOutcome) -> None:
        data = json.dumps(_packed(outcome)).encode() + b"\n"
        with self._lock:
            self._places.append((outcome.account.rpartition("@")[0], outcome.verdict.rank, self._file.tell()))
            self._file.write(data)

    def __iter__(self) -> Iterator[AccountOutcome]:
        """By name: they are of one domain."""
        return self._read(sorted(self._places))

    def worst_first(self) -> Iterator[AccountOutcome]:
        """And by name."""
        return self._read(sorted(self._places, key=lambda place: (place[1], place[0])))

    def _read(self, places: Iterable[tuple[str, int, int]]) -> Iterator[AccountOutcome]:
        for _, _, place in places:
            self._file.seek(place)
            yield _unpacked(json.loads(self._file.readline()))

    def close(self) -> None:
        """They are gone."""
        self._file.close()


def _packed(outcome: AccountOutcome) -> dict[str, Any]:
    counts = {kind.value: count for kind, count in outcome.counts.items()}
    findings = [
        (one.kind.value, one.what, one.position, one.uidl, one.octets, one.uid, one.folder) for one in outcome.findings
    ]
    return {name: getattr(outcome, name) for name in _PLAIN} | {"counts": counts, "findings": findings}


def _unpacked(values: dict[str, Any]) -> AccountOutcome:
    counts = Counter({_KINDS[name]: count for name, count in values.pop("counts").items()})
    findings = [Finding(_KINDS[kind], *rest) for kind, *rest in values.pop("findings")]
    return AccountOutcome(**values, counts=counts, findings=findings)
