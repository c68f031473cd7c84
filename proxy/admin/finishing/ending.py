"""Accounts become final, a batch at a time, and their sealed passwords are wiped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from mailstore import secrets
from mailstore.accounts import Account, PasswordState
from mailstore.errors import SecretUnreadable
from mailstore.finishing import BATCH, Finish, Finishing
from mailstore.secrets import Sealer
from proxy.admin.finishing.behind import Behind, in_words

Judged = tuple[Account, Sequence[Behind]]


def make_final(
    finishing: Finishing, sealer: Sealer, judged: Iterable[Judged], told: Callable[[int], None]
) -> list[Account]:
    """`told` how many have been done. Gives back those that have changed since they were judged, and are not final.
    Raises MailstoreError; what was done before it stays."""
    changed: list[Account] = []
    left = iter(judged)
    while some := list(islice(left, BATCH)):
        changed += finishing.finish([_finish(sealer, account, behind) for account, behind in some])
        told(len(some))
    return changed


def _finish(sealer: Sealer, account: Account, behind: Sequence[Behind]) -> Finish:
    said = f"left behind: {'; '.join(in_words(one) for one in behind)}" if behind else ""
    return Finish(account, said, account.password_hash or _hash(sealer, account))


def _hash(sealer: Sealer, account: Account) -> str | None:
    """Of a password that the legacy server has taken, where the daemon was killed before it could hash it; or the
    user could not log in any more."""
    if account.sealed_password is None or account.password_state is not PasswordState.KNOWN:
        return None
    try:
        return secrets.hash_password(sealer.open(account.name, account.sealed_password))
    except SecretUnreadable:
        return None
