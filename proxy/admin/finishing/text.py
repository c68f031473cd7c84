"""The final report as text of at most 100 columns, complete in itself: for a file, or a drawer."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.admin.finishing.behind import in_words
from proxy.admin.finishing.report import Ended, Finished
from proxy.admin.moments import spelled
from proxy.admin.verify.columns import COLUMNS, fold, labelled


def report(found: Finished) -> Iterator[str]:
    """Its lines."""
    said = found.circumstances
    yield f"THE END OF A MOVE (mailferry {said.version})"
    yield "=" * COLUMNS
    yield ""
    yield from labelled("Made at", f"{said.host}, with mailferry {said.version}")
    yield from labelled("Begun", spelled(said.began))
    yield from labelled("Ended", spelled(said.ended))
    yield from labelled("Asked for", ", ".join(said.asked_for))
    for domain, server in said.legacy:
        yield from labelled("Old server", f"{domain}: {server}")
    if said.leave_behind:
        yield from labelled("Told", "to leave behind what could not be carried over (--leave-behind)")
    yield ""
    yield from labelled("RESULT", found.verdict)
    yield ""
    yield from labelled("Accounts", f"{len(found.accounts):,}; final {found.final:,}, of them before {found.before:,}")
    yield from labelled("Mail here", f"{found.messages:,} messages, {found.octets:,} octets carried over")
    yield from labelled("Left behind", f"something of {found.left:,} accounts")
    yield ""
    yield from _kinds(found)
    yield "ACCOUNTS"
    yield "-" * COLUMNS
    for account in sorted(found.accounts, key=lambda account: not account.left):
        yield from _account(account)
    yield ""
    yield "Compare the account list with the old server's before that is closed: mailferry accounts compare FILE"
    yield "End of the report. Signed:"


def _kinds(found: Finished) -> Iterator[str]:
    kinds = found.by_why()
    if not kinds:
        return
    yield "LEFT BEHIND"
    yield "-" * COLUMNS
    for why, accounts in kinds.items():
        remedy = why.remedy([each.account for each in accounts])
        yield from fold(f"{len(accounts):>7,}  {why.title}: {remedy}", hanging=9)
    yield ""


def _account(account: Ended) -> Iterator[str]:
    was = account.account
    if account.before:
        state = f"final since {spelled(account.since)}" if account.since is not None else "final since before"
    elif account.final:
        state = f"final, was {was.state.value}"
    else:
        state = f"{was.state.value}, changed meanwhile" if account.changed else was.state.value
    figures = f"{was.messages_done:,} messages, {was.bytes_done:,} octets"
    listed = account.outcome.listed if account.outcome is not None else None
    if listed is not None:
        figures += f"; at the old server {listed:,} messages"
    yield from fold(f"{was.name}  {state}; {figures}", hanging=4)
    for one in account.behind:
        yield from fold(f"LEFT BEHIND  {in_words(one)}", first=4, hanging=8)
    if account.before and was.reason:
        yield from fold(was.reason, first=4, hanging=8)
    if account.final and not account.password and not account.before:
        yield from fold("nobody has a password for it: `mailferry accounts passwd` sets one", first=4, hanging=8)
