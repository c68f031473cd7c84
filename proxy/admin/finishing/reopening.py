"""The way back from the end: which final accounts are meant when their old server is to be asked again.

`mailstore.finishing.Finishing.reopen` does it; it leaves alone who is not final any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mailstore.accounts import Accounts, State
from mailstore.finishing import Finishing
from proxy.admin.chosen import Chosen


@dataclass(frozen=True, slots=True)
class Reopening:
    """The numbers of those that are final; of those that were named by themselves, the names of the rest."""

    numbers: Sequence[int]
    others: Sequence[str]  # known, and not final
    unknown: Sequence[str]


def final_of(chosen: Chosen, accounts: Accounts, finishing: Finishing) -> Reopening:
    """Those that were named by themselves, and all of the domains that were. Raises MailstoreError."""
    numbers, others, unknown = [], [], []
    for name, account in chosen.named(accounts):
        if account is None:
            unknown.append(str(name))
        elif account.state is State.FINAL:
            numbers.append(account.id)
        else:
            others.append(account.name)
    for domain in chosen.domains:
        numbers += finishing.numbers(domain, final=True)
    return Reopening(numbers, others, unknown)
