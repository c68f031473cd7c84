"""Is a password the one whose hash is kept? Hashing takes a core some time (`proxy.login.hashing`).

A password that was right is known to be for some minutes. For other programs, which may have very many to ask about,
half as many are hashed at a time as at all: mail clients find a place, however many those are. Where there is no hash,
that takes as long to say as that a password does not fit one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mailstore import secrets
from mailstore.accounts import Account
from proxy.login import hashing
from proxy.login.hashing import Hashing
from proxy.login.throttle import Throttle
from proxy.migration.places import Places
from proxy.migration.shared import Shared
from proxy.wire.door import Secret

AT_ONCE: Final = max(1, hashing.AT_ONCE // 2)  # for other programs


@dataclass(frozen=True, slots=True)
class Patience:
    """Who waits where, and until when by the reactor's clock; for mail, or for the check alone, as programs do?"""

    peer: str
    until: float
    for_mail: bool


class Hashes:
    """For one gate."""

    def __init__(self, throttle: Throttle, hashing: Hashing) -> None:
        self._throttle = throttle
        self._hashing = hashing
        self._places = Places(AT_ONCE)
        self._nobody = secrets.hash_password(b"nobody")  # what an unknown user's password is held against

    async def fits(self, account: Account, password: Secret, patience: Patience) -> bool:
        """Does the password fit the account's hash?"""
        stored = account.password_hash
        if stored is None:
            return False
        if self._throttle.known_right(account.name, password, stored):
            return True
        if not await self._verify(stored, password, patience):
            return False
        self._throttle.was_right(account.name, password, stored)
        return True

    async def in_vain(self, password: Secret, patience: Patience) -> None:
        """There is no hash."""
        await self._verify(self._nobody, password, patience)

    async def _verify(self, stored: str, password: Secret, patience: Patience) -> bool:
        """Who no longer waits is not hashed for; once begun, it keeps its place to the end."""
        doubted = self._throttle.doubts(patience.peer)
        if patience.for_mail:
            return await self._hashing.verify(stored, password, doubted=doubted)
        await self._places.take()
        verifying = self._hashing.verify(stored, password, doubted=doubted)
        verifying.addBoth(self._verified)
        return await Shared(verifying).wait()

    def _verified(self, result: object) -> object:
        self._places.leave()
        return result
