"""What became of each account: the matter of the final report, whatever its form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mailstore.accounts import Account, State
from proxy.admin.circumstances import Origin
from proxy.admin.finishing.behind import Behind, Why
from proxy.admin.verify.outcome import AccountOutcome


@dataclass(frozen=True, slots=True)
class Ended:
    """One account, as it was when it was judged. `final`: is it so now, and `since` when (None: nobody knows)?
    `before`: was it, before this run? `password`: can its user log in with one?"""

    account: Account
    behind: Sequence[Behind]
    outcome: AccountOutcome | None
    final: bool
    password: bool
    changed: bool = False  # it was not what it had been any more, and was left as it is
    since: int | None = None  # seconds since 1970

    @property
    def before(self) -> bool:
        return self.account.state is State.FINAL

    @property
    def left(self) -> bool:
        """Is something of it left behind, now or in a run before?"""
        return bool(self.behind) or (self.before and bool(self.account.reason))

    def reasons(self) -> str:
        """Names of why something is left behind."""
        return ";".join(one.why.value for one in self.behind)


@dataclass(frozen=True, slots=True)
class Circumstances(Origin):
    """What a report says of itself."""

    rehearsed: bool  # only to see what would be
    leave_behind: bool  # an administrator has said that what is left behind may be
    refused: str  # why nobody was made final; "" where that was done


@dataclass(frozen=True, slots=True)
class Finished:
    """All that was asked for. Accounts by name."""

    circumstances: Circumstances
    accounts: Sequence[Ended]

    def why(self) -> Counter[Why]:
        """How many accounts leave something behind, by why."""
        return Counter(one.why for account in self.accounts for one in account.behind)

    def by_why(self) -> dict[Why, list[Ended]]:
        """The accounts that leave something behind, by why."""
        found: dict[Why, list[Ended]] = {why: [] for why in Why}
        for account in self.accounts:
            for one in account.behind:
                found[one.why].append(account)
        return {why: accounts for why, accounts in found.items() if accounts}

    def of(self, domain: str) -> Finished:
        """What a report of this domain alone has."""
        legacy = [(name, server) for name, server in self.circumstances.legacy if name == domain]
        accounts = [account for account in self.accounts if account.account.domain == domain]
        return Finished(replace(self.circumstances, legacy=legacy), accounts)

    @property
    def final(self) -> int:
        return sum(account.final for account in self.accounts)

    @property
    def before(self) -> int:
        return sum(account.before for account in self.accounts)

    @property
    def left(self) -> int:
        return sum(account.left for account in self.accounts)

    @property
    def messages(self) -> int:
        return sum(account.account.messages_done for account in self.accounts)

    @property
    def octets(self) -> int:
        return sum(account.account.bytes_done for account in self.accounts)

    @property
    def verdict(self) -> str:
        said = self.circumstances
        if said.rehearsed:
            left = f"{self.left} account" + ("s" if self.left > 1 else "")
            return f"rehearsed: {left} would leave something behind" if self.left else "rehearsed: all would be well"
        if said.refused:
            return f"refused: {said.refused}"
        changed = sum(account.changed for account in self.accounts)
        if changed:
            return f"not finished: {changed} accounts changed meanwhile; run it again for them"
        if not self.left:
            return "final, and nothing is left behind"
        return f"final, and something is left behind of {self.left} account" + ("s" if self.left > 1 else "")
