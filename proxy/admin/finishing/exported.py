"""The final report for other programs: JSON, and CSV for spreadsheets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from proxy.admin import circumstances
from proxy.admin.finishing.behind import in_words
from proxy.admin.finishing.report import Ended, Finished
from proxy.admin.moments import iso
from proxy.admin.verify.exported import Cell, harmless

_COLUMNS: Final = (
    *("account", "name", "department", "state_before", "final", "password", "messages", "octets"),
    *("legacy_messages", "compared", "last_login", "left_behind", "detail", "final_since"),
)


def as_json(found: Finished) -> dict[str, Any]:
    """The whole report: see README."""
    return {**head_json(found), "accounts": [account_json(account) for account in found.accounts]}


def head_json(found: Finished) -> dict[str, Any]:
    """All but the accounts."""
    said = found.circumstances
    return {
        "result": found.verdict,
        "refused": said.refused,
        "dry_run": said.rehearsed,
        "leave_behind": said.leave_behind,
        **circumstances.as_json(said),
        "totals": {
            "accounts": len(found.accounts),
            "final": found.final,
            "final_before": found.before,
            "left_behind": found.left,
            "messages": found.messages,
            "bytes": found.octets,
        },
        "left_behind": {why.value: count for why, count in found.why().items()},
    }


def account_json(account: Ended) -> dict[str, Any]:
    """One of them."""
    was = account.account
    row: dict[str, Any] = dict(zip(_COLUMNS, _row(account), strict=True))
    row["left_behind"] = [
        {"why": one.why.value, "messages": one.messages, "detail": one.detail, "remedy": one.why.remedy([was])}
        for one in account.behind
    ]
    row["changed_meanwhile"] = account.changed
    return row


def table(found: Finished) -> Iterator[Sequence[Cell]]:
    """A heading, then a row an account."""
    yield _COLUMNS
    for account in found.accounts:
        cells = (("yes" if cell else "no") if isinstance(cell, bool) else cell for cell in _row(account))
        yield list(map(harmless, cells))


def _row(account: Ended) -> Sequence[Cell]:
    was, outcome = account.account, account.outcome
    detail = "; ".join(in_words(one) for one in account.behind) or was.reason
    return (
        *(was.name, was.full_name, was.department, was.state.value, account.final, account.password),
        *(was.messages_done, was.bytes_done, outcome.listed if outcome is not None else None),
        outcome.verdict.value if outcome is not None else "",
        iso(was.last_login) if was.last_login is not None else "",
        account.reasons(),
        detail,
        iso(account.since) if account.since is not None else "",
    )
