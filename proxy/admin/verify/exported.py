"""A verification for other programs: JSON, and CSV for spreadsheets.

A spreadsheet takes a cell that begins with "=", "+", "-" or "@" for a formula, and a UIDL may begin with any of them:
such cells get a "'" before them, which spreadsheets show as text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from mailstore.proofs import Proof
from proxy.admin import circumstances
from proxy.admin.spreadsheet.formulas import defused
from proxy.admin.verify.kinds import Finding, Kind
from proxy.admin.verify.outcome import AccountOutcome, Verification

_ACCOUNT: Final = (
    *("account", "state", "verdict", "not_compared", "under_way", "listed", "listed_octets", "ledger", "stored"),
    *("files", "file_octets", "contents", "content_octets", "seconds"),
)
_MESSAGE: Final = ("account", "folder", "position", "uidl", "octets", "uid", "kind", "weight", "what", "remedy")

Cell = str | int | float | None


def as_json(found: Verification, proven: Sequence[Proof] = ()) -> Iterator[str]:
    """One object in pieces, as `--json` prints it: see README. `proven` is what was not proven before: see
    `proxy.admin.proving`."""
    yield json.dumps(_head(found, proven), ensure_ascii=False).removesuffix("}") + ', "accounts": ['
    between = ""
    for account in found.accounts:
        yield between + json.dumps(_account_json(account), ensure_ascii=False)
        between = ", "
    yield "]}"


def _head(found: Verification, proven: Sequence[Proof]) -> dict[str, Any]:
    how, totals = found.circumstances.how, found.totals
    return {
        "verdict": totals.verdict.value,
        "shortcoming": totals.shortcoming,
        **circumstances.as_json(found.circumstances),
        "how": {"legacy": how.legacy, "content": how.content, "sample": how.sample, "seed": how.seed},
        "verdicts": {verdict.value: count for verdict, count in sorted(totals.verdicts.items())},
        "counts": {kind.value: count for kind, count in totals.counts.items()},
        "proven": {proof.domain: proof.account for proof in proven},
    }


def _account_json(account: AccountOutcome) -> dict[str, Any]:
    found: dict[str, Any] = {name: _figure(account, name) for name in _ACCOUNT}
    found["counts"] = {kind.value: count for kind, count in account.counts.items()}
    found["findings"] = [
        dict(zip(_MESSAGE[1:], _message(account, finding)[1:], strict=True)) for finding in account.findings
    ]
    return found


def _figure(account: AccountOutcome, name: str) -> Cell:
    value: Cell = getattr(account, name)
    return round(value, 3) if isinstance(value, float) else value


def accounts_table(found: Verification) -> Iterator[Sequence[Cell]]:
    """A heading, then a row an account, with a column for each kind of finding."""
    yield (*_ACCOUNT, *(kind.value for kind in Kind))
    for account in found.accounts:
        figures = [_figure(account, name) for name in _ACCOUNT]
        yield [*map(harmless, figures), *(account.counts[kind] for kind in Kind)]


def messages_table(found: Verification) -> Iterator[Sequence[Cell]]:
    """A heading, then a row for each message that there is something to say of."""
    yield _MESSAGE
    for account in found.accounts:
        for finding in account.findings:
            yield list(map(harmless, _message(account, finding)))


def _message(account: AccountOutcome, finding: Finding) -> Sequence[Cell]:
    kind = finding.kind
    return (
        *(account.account, finding.folder, finding.position or None, finding.uidl, finding.octets, finding.uid),
        *(kind.value, kind.weight.name.lower(), finding.what, kind.remedy),
    )


def harmless(cell: Cell) -> Cell:
    """What no spreadsheet calculates with."""
    return defused(cell) if isinstance(cell, str) else cell
