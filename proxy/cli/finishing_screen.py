"""What `mailferry finalize` says: who would be left behind, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from proxy.admin.finishing.behind import OF_MESSAGES, Why
from proxy.admin.finishing.report import Ended, Finished
from proxy.admin.finishing.run import said
from proxy.admin.verify.columns import fold, printable
from proxy.config.sizes import size

MOST_NAMED: Final = 20  # accounts of one kind


def _messages(count: int) -> str:
    return f"{count:,} message" + ("" if count == 1 else "s")


def left_lines(ended: Sequence[Ended], to_come: int) -> Iterator[str]:
    """Who would leave something behind, by why, with what can be done. `to_come`: messages that a last round would
    bring, where this is a rehearsal."""
    if to_come:
        yield f"a last round would bring {_messages(to_come)}"
    for why in Why:
        found = [(one, behind) for one in ended for behind in one.behind if behind.why is why]
        if not found:
            continue
        yield from fold(f"left behind: {said(len(found))}, {why.title}", hanging=2)
        remedy = why.remedy([one.account for one, _ in found])
        yield from fold(f"→ {remedy}", first=2, hanging=4)
        for one, behind in found[:MOST_NAMED]:
            messages = f"{_messages(behind.messages)}: " if behind.messages and why in OF_MESSAGES else ""
            yield printable(f"    {one.account.name}  {messages}{behind.detail}".rstrip(": "))
        if len(found) > MOST_NAMED:
            yield f"    and {len(found) - MOST_NAMED:,} more: --report FILE has them"


def conclusion(found: Finished) -> Iterator[str]:
    """The end."""
    mail = f"{found.messages:,} messages, {size(found.octets)} here"
    yield f"{found.verdict}: {found.final:,} of {said(len(found.accounts))} final; {mail}"
    without = [one for one in found.accounts if one.final and not one.password]
    if without:
        yield f"nobody has a password for {said(len(without))}: `mailferry accounts passwd` sets one"
        for one in without[:MOST_NAMED]:
            yield printable(f"    {one.account.name}")
        if len(without) > MOST_NAMED:
            yield f"    and {len(without) - MOST_NAMED:,} more"
    if found.final and not found.circumstances.refused and not found.circumstances.rehearsed:
        yield "before the old server is switched off, compare its account list: mailferry accounts compare FILE"
