"""Reports that are kept: what was verified, and how a move ended, in a directory for each domain below STATE/reports.

    reports/123.com/final-20261126T183000Z.txt        and .json, .csv
    reports/123.com/verify-17-20261126T183000Z.txt    of one account, whose number is 17

The files of one report have one name, and appear whole or not at all. Final reports are never removed; of the others
each kind the newest KEPT of a domain stay, and the newest KEPT of its accounts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from proxy.admin.filing import Filing

Kind = Literal["final", "refused", "verify"]  # how a move ended; why it did not; what was verified

FORMS: Final = (".txt", ".csv", ".json")
KEPT: Final = 20
_NAME: Final = re.compile(r"(final|refused|verify)(?:-(\d{1,18}))?-(\d{8}T\d{6}Z)(?:-\d{1,3})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Report:
    """One that is kept. `name` is that of its files, without their forms; `made` is in seconds since 1970; `account` is
    the number of the account that it is about, None where that is the domain."""

    domain: str
    name: str
    kind: str
    made: int
    forms: tuple[str, ...]
    account: int | None = None


class Reports:
    """Those of one state directory. `domain` is always one that is served, or of an account that is known here."""

    def __init__(self, state: Path) -> None:
        self._directory = state / "reports"

    def keep(
        self, domain: str, kind: Kind, made: float, forms: Mapping[str, Iterable[str]], account: int | None = None
    ) -> Report:
        """Write a report down: for each form (".txt") the pieces of its text. `account`: it is about that one alone.
        Raises NotFiled, OSError."""
        place = self._directory / domain
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = kind if account is None else f"{kind}-{account}"
        with self._free(place, f"{about}-{datetime.fromtimestamp(made, UTC):%Y%m%dT%H%M%SZ}") as name:
            try:
                for form, pieces in forms.items():
                    with Filing(str(place / f"{name}{form}")) as filing:
                        for piece in pieces:
                            filing.write(piece)
            except BaseException:
                _remove(place, name, forms)
                raise
        self._tidy(domain)
        return Report(domain, name, kind, int(made), tuple(form for form in FORMS if form in forms), account)

    @contextmanager
    def _free(self, place: Path, name: str) -> Iterator[str]:
        """One that no report has, or is being given: two may end in the same second."""
        number, free = 2, name
        while not self._taken(place, free):
            number, free = number + 1, f"{name}-{number}"
        try:
            yield free
        finally:
            (place / f".{free}").unlink(missing_ok=True)

    def _taken(self, place: Path, name: str) -> bool:
        """Take it, if it is free."""
        with suppress(FileExistsError):
            (place / f".{name}").touch(mode=0o600, exist_ok=False)
            if not any(place.glob(f"{name}.*")):
                return True
            (place / f".{name}").unlink()
        return False

    def _tidy(self, domain: str) -> None:
        counts: Counter[tuple[str, bool]] = Counter()
        for report in self.of(domain):
            alike = report.kind, report.account is None
            counts[alike] += 1
            if counts[alike] > KEPT and report.kind != "final":
                _remove(self._directory / domain, report.name, report.forms)

    def of(self, domain: str) -> list[Report]:
        """The newest first. Raises OSError."""
        found: dict[str, list[str]] = {}
        place = self._directory / domain
        for path in place.iterdir() if place.is_dir() else ():
            if path.suffix in FORMS:
                found.setdefault(path.stem, []).append(path.suffix)
        reports = [report for name, forms in found.items() if (report := _report(domain, name, forms))]
        return sorted(reports, key=lambda report: (report.made, report.name), reverse=True)

    def path(self, domain: str, file: str) -> Path | None:
        """Where a file of a report is; None where there is none of that name, whatever else has it."""
        stem, dot, form = file.rpartition(".")
        if not _NAME.fullmatch(stem) or dot + form not in FORMS:
            return None
        path = self._directory / domain / file
        return path if path.is_file() else None


def _remove(place: Path, name: str, forms: Iterable[str]) -> None:
    for form in forms:
        (place / f"{name}{form}").unlink(missing_ok=True)


def _report(domain: str, name: str, forms: list[str]) -> Report | None:
    """None where the name is not of our making."""
    parts = _NAME.fullmatch(name)
    if parts is None:
        return None
    try:
        made = datetime.strptime(parts[3], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    there = tuple(form for form in FORMS if form in forms)
    return Report(domain, name, parts[1], int(made.timestamp()), there, int(parts[2]) if parts[2] else None)
