"""Hashes of passwords: few at a time, the right ones before a flood of guesses, and none for who has left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mailstore import secrets
from proxy.login import hashing
from proxy.login.hashing import Hashing
from proxy.wire.door import LoginRefused, Refusal, Secret
from tests.proxy.login.login_rig import CHEAP


class HashingTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(secrets, "_hasher", CHEAP)
        self.begun: list[tuple[Callable[[], Any], Deferred[Any]]] = []
        self.stored = secrets.hash_password(b"right")
        self.hashing = Hashing(self.begin, at_once=1)

    def begin(self, compute: Callable[[], Any]) -> Deferred[Any]:
        """A thread that takes its time."""
        result: Deferred[Any] = Deferred()
        self.begun.append((compute, result))
        return result

    def go_on(self) -> None:
        compute, result = self.begun.pop(0)
        result.callback(compute())

    def verify(self, password: bytes, *, doubted: bool = False) -> Deferred[bool]:
        return self.hashing.verify(self.stored, Secret(password), doubted=doubted)

    def test_one_after_the_other(self) -> None:
        right, wrong, made = self.verify(b"right"), self.verify(b"wrong"), self.hashing.hash(Secret(b"new"))
        for _ in range(3):
            self.assertEqual(len(self.begun), 1)
            self.go_on()
        self.assertTrue(self.successResultOf(right))
        self.assertFalse(self.successResultOf(wrong))
        self.assertTrue(secrets.verify_password(self.successResultOf(made), b"new"))

    def test_who_is_not_doubted_is_before_the_others_three_times_out_of_four(self) -> None:
        order: list[str] = []

        def came(_value: bool, who: str) -> None:
            order.append(who)

        for number in range(8):
            self.verify(b"guess %d" % number, doubted=True).addCallback(came, "guess")
        for number in range(6):
            self.verify(b"password %d" % number).addCallback(came, "user")
        while self.begun:
            self.go_on()
        self.assertEqual(order, ["guess"] + ["user"] * 2 + ["guess"] + ["user"] * 3 + ["guess", "user"] + ["guess"] * 5)

    def test_guesses_have_half_of_the_threads(self) -> None:
        self.hashing = Hashing(self.begin, at_once=4)
        for number in range(8):
            self.verify(b"guess %d" % number, doubted=True)
        self.assertEqual(len(self.begun), 2)
        for number in range(8):
            self.verify(b"password %d" % number)
        self.assertEqual(len(self.begun), 4)
        while self.begun:
            self.go_on()
        self.assertEqual((self.hashing._under_way, self.hashing._doubted_under_way), (0, 0))

    def test_the_same_at_the_same_time_is_computed_once(self) -> None:
        together = [self.verify(b"right") for _ in range(100)]
        self.go_on()
        self.assertEqual(self.begun, [])
        self.assertTrue(all(self.successResultOf(one) for one in together))
        later = self.verify(b"right")
        self.go_on()
        self.assertTrue(self.successResultOf(later))
        self.assertEqual(self.hashing._verifying, {})

    def test_one_of_them_leaves_and_the_others_are_answered(self) -> None:
        first, second = self.verify(b"right"), self.verify(b"right")
        first.cancel()
        self.failureResultOf(first)
        self.go_on()
        self.assertTrue(self.successResultOf(second))

    def test_for_who_has_left_nothing_is_computed(self) -> None:
        now, left, stays = self.verify(b"a"), self.verify(b"b"), self.verify(b"c")
        left.cancel()
        self.failureResultOf(left)
        self.go_on()
        self.go_on()
        self.assertEqual(self.begun, [])
        self.assertFalse(self.successResultOf(now))
        self.assertFalse(self.successResultOf(stays))
        self.assertEqual(self.hashing._verifying, {})

    def test_too_many_guesses_are_told_to_come_later_and_users_are_not(self) -> None:
        self.patch(hashing, "MOST", 3)
        guesses = [self.verify(b"guess %d" % number, doubted=True) for number in range(5)]
        refused = self.failureResultOf(guesses[4], LoginRefused)
        self.assertIs(refused.value.refusal, Refusal.UNAVAILABLE)
        user = self.verify(b"right")
        self.assertNoResult(user)
        guesses[2].cancel()
        self.failureResultOf(guesses[2])
        another = self.verify(b"guess", doubted=True)  # in the place of the one that has left
        while self.begun:
            self.go_on()
        self.assertTrue(self.successResultOf(user))
        self.assertFalse(self.successResultOf(another))

    def test_what_cannot_be_computed_fails_for_all(self) -> None:
        together = [self.verify(b"right") for _ in range(2)]
        self.begun.pop()[1].errback(MemoryError())
        for one in together:
            self.failureResultOf(one, MemoryError)
        self.assertEqual(self.hashing._verifying, {})
