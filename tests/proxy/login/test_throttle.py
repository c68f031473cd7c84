"""What is remembered of logins: how long, how much, and that it fades."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from proxy.login import throttle as throttling
from proxy.login.throttle import Throttle
from proxy.wire.door import Secret

ONE, TWO = Secret(b"one"), Secret(b"two")


def make() -> tuple[Clock, Throttle]:
    clock = Clock()
    return clock, Throttle(clock.seconds)


def test_a_wrong_password_is_known_for_a_while_for_its_account_only() -> None:
    clock, throttle = make()
    throttle.legacy_said_no("a@x", ONE)
    assert throttle.known_wrong("a@x", ONE)
    assert not throttle.known_wrong("a@x", TWO)
    assert not throttle.known_wrong("b@x", ONE)
    clock.advance(throttling.WRONG_SECONDS)
    assert not throttle.known_wrong("a@x", ONE)


def test_a_right_password_is_known_for_its_hash_only() -> None:
    clock, throttle = make()
    throttle.was_right("a@x", ONE, "hash")
    assert throttle.known_right("a@x", ONE, "hash")
    assert not throttle.known_right("a@x", ONE, "other hash")
    assert not throttle.known_right("a@x", TWO, "hash")
    assert not throttle.known_right("b@x", ONE, "hash")
    clock.advance(throttling.RIGHT_SECONDS)
    assert not throttle.known_right("a@x", ONE, "hash")


def test_a_password_that_turns_out_right_is_no_longer_wrong() -> None:
    _, throttle = make()
    throttle.legacy_said_no("a@x", ONE)
    throttle.was_right("a@x", ONE, "hash")  # here: the legacy server has another opinion
    assert throttle.known_wrong("a@x", ONE)
    throttle.legacy_said_yes("a@x", ONE, "hash")
    assert not throttle.known_wrong("a@x", ONE)
    assert throttle.known_right("a@x", ONE, "hash")


def test_a_password_that_is_wrong_again_and_again_is_known_for_longer() -> None:
    clock, throttle = make()
    for seconds in (*throttling.STUBBORN, throttling.STUBBORN[-1]):
        throttle.legacy_said_no("a@x", ONE)
        clock.advance(seconds - 1)
        assert throttle.known_wrong("a@x", ONE)
        clock.advance(1)
        assert not throttle.known_wrong("a@x", ONE)
    clock.advance(throttling.REMEMBERED)
    throttle.legacy_said_no("a@x", ONE)
    clock.advance(throttling.STUBBORN[0])
    assert not throttle.known_wrong("a@x", ONE)


def test_a_password_that_was_changed_may_have_become_any_other_and_that_is_news_once() -> None:
    _, throttle = make()
    throttle.legacy_said_no("a@x", ONE)
    throttle.legacy_said_no("b@x", ONE)
    throttle.changed("a@x", "hash")
    assert not throttle.known_wrong("a@x", ONE)
    assert throttle.known_wrong("b@x", ONE)
    throttle.legacy_said_no("a@x", ONE)
    throttle.changed("a@x", "hash")
    assert throttle.known_wrong("a@x", ONE)


def test_logins_that_need_no_legacy_server_give_guesses_no_new_budget() -> None:
    _, throttle = make()
    for number in range(throttling.FAILURES):
        throttle.legacy_said_no("a@x", Secret(b"%d" % number))
    throttle.was_right("a@x", ONE, "hash")
    assert not throttle.may_ask("a@x")
    throttle.legacy_said_yes("a@x", ONE, "hash")
    assert throttle.may_ask("a@x")


def test_the_budget_of_questions_comes_back_bit_by_bit() -> None:
    clock, throttle = make()
    for number in range(throttling.FAILURES):
        assert throttle.may_ask("a@x")
        throttle.legacy_said_no("a@x", Secret(b"%d" % number))
        clock.advance(1)
    assert not throttle.may_ask("a@x")
    assert throttle.may_ask("b@x")
    clock.advance(throttling.FAILURE_SECONDS - throttling.FAILURES)
    assert throttle.may_ask("a@x")
    throttle.legacy_said_no("a@x", ONE)
    assert not throttle.may_ask("a@x")


def test_delays_double_up_to_a_limit_and_are_forgotten() -> None:
    clock, throttle = make()
    delays = []
    for _ in range(throttling.SLOW_AFTER + 8):
        delays.append(throttle.answer_delay("192.0.2.1"))
        throttle.failed("192.0.2.1")
    assert delays[: throttling.SLOW_AFTER + 1] == [0.0] * (throttling.SLOW_AFTER + 1)
    assert delays[throttling.SLOW_AFTER + 1 :] == [1.0, 2.0, 4.0, 8.0, 16.0, 16.0, 16.0]
    assert throttle.answer_delay("192.0.2.2") == 0.0
    clock.advance(throttling.ADDRESS_SECONDS)
    assert throttle.answer_delay("192.0.2.1") == 0.0


def test_every_memory_is_bounded_and_forgets_the_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttling, "_MOST", 10)
    _, throttle = make()
    for number in range(50):
        throttle.legacy_said_no(f"{number}@x", ONE)
        throttle.was_right(f"{number}@y", ONE, "hash")
        throttle.failed(f"192.0.2.{number}")
    assert not throttle.known_wrong("39@x", ONE)
    assert throttle.known_wrong("40@x", ONE)
    assert throttle.known_right("49@y", ONE, "hash")
    memories = (throttle._wrong._until, throttle._right._until, throttle._asked._times, throttle._addresses._times)
    assert all(len(memory) <= 10 for memory in memories)


def test_one_address_takes_no_more_memory_however_often_it_fails() -> None:
    _, throttle = make()
    for _ in range(10_000):
        throttle.failed("192.0.2.1")
    assert len(throttle._addresses._times["192.0.2.1"]) <= 64


def test_no_password_is_kept() -> None:
    _, throttle = make()
    throttle.legacy_said_no("a@x", Secret(b"hunter2"))
    throttle.was_right("a@x", Secret(b"hunter3"), "hash")
    kept = [*throttle._wrong._until, *throttle._right._until]
    assert not any(b"hunter" in key for key in kept)
    assert len({len(key) for key in kept}) == 1
