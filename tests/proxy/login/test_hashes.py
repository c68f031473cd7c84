"""A password against its hash: for mail, and for other programs, of which there may be very many."""

from __future__ import annotations

import itertools
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mailstore import secrets
from proxy.login import hashes, hashing
from proxy.login.hashes import Hashes, Patience
from proxy.login.hashing import Hashing
from proxy.login.throttle import Throttle
from proxy.wire.door import LoginRefused, Secret
from tests.proxy.login.login_rig import CHEAP

MANY = 500


class HashesTest(SynchronousTestCase):
    def test_programs_that_are_all_told_to_come_later_are_each_told_so(self) -> None:
        """… and have their places again afterwards."""
        self.patch(secrets, "_hasher", CHEAP)
        self.patch(hashing, "MOST", 0)
        self.patch(hashes, "AT_ONCE", 1)
        begun: list[Deferred[Any]] = []

        def in_thread(_compute: Any) -> Deferred[Any]:
            begun.append(Deferred())
            return begun[-1]

        throttle = Throttle(itertools.count().__next__)
        asked = Hashes(throttle, Hashing(in_thread, at_once=1))
        trusted = Deferred.fromCoroutine(asked.in_vain(Secret(b"x"), Patience("127.0.0.1", 9.0, for_mail=False)))
        self.patch(throttle, "doubts", lambda _peer: True)
        guesses = [
            Deferred.fromCoroutine(asked.in_vain(Secret(b"%d" % n), Patience("127.0.0.2", 9.0, for_mail=False)))
            for n in range(MANY)
        ]
        begun[0].callback(False)
        self.successResultOf(trusted)
        for guess in guesses:
            self.failureResultOf(guess, LoginRefused)
        self.assertTrue(asked._places.unused)
