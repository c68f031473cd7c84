"""The final report as files: text for people and drawers, CSV for spreadsheets, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from proxy.admin.filing import NotFiled
from proxy.admin.finishing import exported, text
from proxy.admin.finishing.report import Finished
from proxy.admin.reports import FORMS, Report, Reports
from proxy.admin.spreadsheet.writing import as_csv
from proxy.admin.verify.exported import Cell


def pieces(found: Finished, form: str) -> Iterator[str]:
    """Its text in one of FORMS, piece by piece."""
    if form == ".json":
        yield from _json(found)
    elif form == ".csv":
        yield from sheet(exported.table(found))
    else:
        for line in text.report(found):
            yield f"{line}\n"


def _json(found: Finished) -> Iterator[str]:
    """One object, an account a line, written as it comes: there may be a hundred thousand."""
    yield json.dumps(exported.head_json(found), ensure_ascii=False, indent=1).removesuffix("\n}") + ',\n "accounts": ['
    for number, account in enumerate(found.accounts):
        yield ("," if number else "") + "\n  " + json.dumps(exported.account_json(account), ensure_ascii=False)
    yield "\n ]\n}\n"


def sheet(rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    """CSV, with the mark without which spreadsheets take it for another encoding."""
    return as_csv((["" if cell is None else str(cell) for cell in row] for row in rows), mark=True)


def keep(state: Path, found: Finished) -> list[Report]:
    """Keep it with the other reports, for each domain that it has accounts of. Raises NotFiled."""
    reports, kept = Reports(state), []
    for domain in sorted({account.account.domain for account in found.accounts}):
        part = found.of(domain)
        said, forms = part.circumstances, {form: pieces(part, form) for form in FORMS}
        alone = part.accounts[0].account if list(said.asked_for) == [part.accounts[0].account.name] else None
        number = None if alone is None else alone.id
        try:
            kept.append(reports.keep(domain, "refused" if said.refused else "final", said.ended, forms, number))
        except OSError as error:
            raise NotFiled(f"{state / 'reports' / domain}: {error.strerror}") from error
    return kept
