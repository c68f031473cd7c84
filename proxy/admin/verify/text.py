"""The report that an administrator can file: text of at most 100 columns, complete in itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from proxy.admin.moments import spelled
from proxy.admin.verify.columns import COLUMNS, fold, labelled
from proxy.admin.verify.kinds import INBOX, Finding, Kind, Weight
from proxy.admin.verify.outcome import AccountOutcome, Totals, Verdict, Verification
from proxy.admin.verify.sample import How

NOTES: Final = 100  # of one kind and account that are told one by one

_WORDS: Final = {Weight.FAULT: "FAULT", Weight.NOTE: "note", Weight.FINE: ""}


def report(found: Verification) -> Iterator[str]:
    """Its lines."""
    said, totals = found.circumstances, found.totals
    yield f"VERIFICATION OF MOVED MAILBOXES (mailferry {said.version})"
    yield "=" * COLUMNS
    yield ""
    yield from labelled("Made at", f"{said.host}, with mailferry {said.version}")
    yield from labelled("Begun", spelled(said.began))
    yield from labelled("Ended", f"{spelled(said.ended)}, after {said.ended - said.began:.1f} s")
    yield from labelled("Asked for", ", ".join(said.asked_for))
    for domain, server in said.legacy:
        yield from labelled("Legacy server", f"{domain}: {server}")
    yield from labelled("Compared", compared(said.how))
    yield ""
    yield from labelled("VERDICT", totals.verdict + (f": {totals.shortcoming}" if totals.shortcoming else ""))
    yield ""
    yield from _totals(totals)
    yield ""
    yield from _kinds(totals.counts)
    yield "ACCOUNTS"
    yield "-" * COLUMNS
    for account in found.accounts.worst_first():
        yield from _account(account)
    yield ""
    yield "End of the report. Signed:"


def compared(how: How) -> str:
    """What is compared, in words."""
    here = "ledger, index and Maildir of each account (every file that was carried over is read: size and SHA-256)"
    if not how.legacy:
        return f"{here}. The legacy server was not asked (--local)"
    listed = f"{here}; the legacy server's list (UIDL, order, octets)"
    if how.content == "full":
        return f"{listed}; and the SHA-256 of every message as the legacy server gives it (--full)"
    if how.content == "none":
        return f"{listed}. No message was fetched from the legacy server (--sample 0)"
    return (
        f"{listed}; and the SHA-256 of a sample of {how.sample} messages of each account as the legacy server gives "
        f"them: the first, the last, the largest, and others by chance (--seed {how.seed} gives the same ones again)"
    )


def _totals(all_: Totals) -> Iterator[str]:
    best_first = sorted(all_.verdicts, key=lambda verdict: -verdict.rank)
    counted = ", ".join(f"{all_.verdicts[verdict]:,} {verdict}" for verdict in best_first)
    yield from labelled("Accounts", f"{all_.accounts:,}" + (f": {counted}" if counted else ""))
    listed = f"{all_.listed:,} messages, {all_.listed_octets:,} octets by LIST"
    yield from labelled("At the legacy", f"{listed}, of {_accounts(all_.asked)}")
    ledger = f"{all_.ledger:,} messages ever listed"
    yield from labelled("In the ledgers", f"{ledger}, of which {all_.stored:,} are here")
    yield from labelled("Files read", f"{all_.files:,}, {all_.file_octets:,} octets")
    yield from labelled("Fetched again", f"{all_.contents:,} messages, {all_.content_octets:,} octets")


def _accounts(count: int) -> str:
    return f"{count:,} account" + ("s" if count != 1 else "")


def _kinds(counts: Counter[Kind]) -> Iterator[str]:
    found = [kind for kind in Kind if counts[kind]]
    if not found:
        return
    yield "FINDINGS"
    yield "-" * COLUMNS
    for kind in found:
        head = f"{_WORDS[kind.weight]:6}{counts[kind]:>9,}  {kind.title}"
        yield from fold(f"{head}{': ' if kind.remedy else ''}{kind.remedy}", hanging=17)
    yield ""


def _account(account: AccountOutcome) -> Iterator[str]:
    verdict = account.verdict.upper() if account.verdict is Verdict.INCOMPLETE else account.verdict
    yield from fold(f"{account.account}  {verdict}  (state {account.state}, {account.seconds:.1f} s)", hanging=4)
    yield from fold(_figures(account), first=4, hanging=4)
    if account.not_compared:
        yield from fold(f"not compared with the legacy server: {account.not_compared}", first=4, hanging=8)
    if account.under_way:
        yield from fold(account.under_way, first=4, hanging=8)
    for kind in Kind:
        of_kind = [finding for finding in account.findings if finding.kind is kind]
        shown = of_kind if kind.weight is Weight.FAULT else of_kind[:NOTES]
        for finding in shown:
            yield from finding_lines(finding)
        if len(shown) < len(of_kind):
            more = f"and {len(of_kind) - len(shown):,} more: {kind.title} (--csv FILE --messages has each of them)"
            yield from fold(f"{_WORDS[kind.weight]:6}{more}", first=4, hanging=10)


def _figures(account: AccountOutcome) -> str:
    at = "not asked" if account.listed is None else f"{account.listed:,}"
    parts = [
        f"at the legacy server: {at}",
        f"ledger: {account.ledger:,}, of them here: {account.stored:,}",
        f"files read: {account.files:,}",
        f"fetched again: {account.contents:,}",
    ]
    parts += [f"{kind.title}: {account.counts[kind]:,}" for kind in Kind if account.counts[kind]]
    return "; ".join(parts)


def finding_lines(finding: Finding) -> Iterator[str]:
    """One finding, below its account."""
    yield from fold(f"{_WORDS[finding.kind.weight]:6}{one_line(finding)}", first=4, hanging=10)


def one_line(finding: Finding) -> str:
    """A finding in words: which message, and what is wrong with it."""
    where = where_of(finding)
    return f"{finding.kind.title}{f' ({where})' if where else ''}: {finding.what}"


def where_of(finding: Finding) -> str:
    """Which message; "" where it is about none."""
    parts = []
    if finding.folder != INBOX:
        parts.append(f"in {finding.folder}")
    if finding.position:
        parts.append(f"message {finding.position:,}")
    if finding.uidl:
        parts.append(f"UIDL {finding.uidl}")
    if finding.position or finding.uidl:
        parts.append(f"{finding.octets:,} octets")
    return ", ".join(parts)
