"""What is remembered of logins: how long, how much, and that it fades."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle, islice

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
    throttle.legacy_said_no("a@x", ONE, "a@x")
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
    throttle.legacy_said_no("a@x", ONE, "a@x")
    throttle.was_right("a@x", ONE, "hash")  # here: the legacy server has another opinion
    assert throttle.known_wrong("a@x", ONE)
    throttle.legacy_said_yes("a@x", ONE, "hash", "a@x")
    assert not throttle.known_wrong("a@x", ONE)
    assert throttle.known_right("a@x", ONE, "hash")


def test_a_password_that_is_wrong_again_and_again_is_known_for_longer() -> None:
    clock, throttle = make()
    for seconds in (*throttling.STUBBORN, throttling.STUBBORN[-1]):
        throttle.legacy_said_no("a@x", ONE, "a@x")
        clock.advance(seconds - 1)
        assert throttle.known_wrong("a@x", ONE)
        clock.advance(1)
        assert not throttle.known_wrong("a@x", ONE)
    clock.advance(throttling.REMEMBERED)
    throttle.legacy_said_no("a@x", ONE, "a@x")
    clock.advance(throttling.STUBBORN[0])
    assert not throttle.known_wrong("a@x", ONE)


def test_a_password_that_was_changed_may_have_become_any_other_and_that_is_news_once() -> None:
    _, throttle = make()
    throttle.legacy_said_no("a@x", ONE, "a@x")
    throttle.legacy_said_no("b@x", ONE, "b@x")
    throttle.changed("a@x", "hash")
    assert not throttle.known_wrong("a@x", ONE)
    assert throttle.known_wrong("b@x", ONE)
    throttle.legacy_said_no("a@x", ONE, "a@x")
    throttle.changed("a@x", "hash")
    assert throttle.known_wrong("a@x", ONE)


def test_logins_that_need_no_legacy_server_give_guesses_no_new_budget() -> None:
    _, throttle = make()
    for number in range(throttling.FAILURES):
        throttle.legacy_said_no("a@x", Secret(b"%d" % number), "a@x")
    throttle.was_right("a@x", ONE, "hash")
    assert not throttle.may_ask("a@x")
    throttle.legacy_said_yes("a@x", ONE, "hash", "a@x")
    assert throttle.may_ask("a@x")


def test_the_budget_of_questions_comes_back_bit_by_bit() -> None:
    clock, throttle = make()
    for number in range(throttling.FAILURES):
        assert throttle.may_ask("a@x")
        throttle.legacy_said_no("a@x", Secret(b"%d" % number), "a@x")
        clock.advance(1)
    assert not throttle.may_ask("a@x")
    assert throttle.may_ask("b@x")
    clock.advance(throttling.FAILURE_SECONDS - throttling.FAILURES)
    assert throttle.may_ask("a@x")
    throttle.legacy_said_no("a@x", ONE, "a@x")
    assert not throttle.may_ask("a@x")


def guesses(throttle: Throttle, peers: Iterable[str], account: str | None = None) -> list[float]:
    """How long each is held back."""
    return [throttle.refused(peer, account, guessed=True) for peer in peers]


GROWING = [1.0, 2.0, 4.0, 8.0, 16.0, 16.0, 16.0]


@pytest.mark.parametrize(
    ("free", "peers"),
    [
        (throttling.SLOW_AFTER, ["192.0.2.1"]),
        (throttling.SLOW_AFTER, [f"2001:db8::{number:x}" for number in range(50)]),
        (throttling.SLOW_AFTER, ["192.0.2.1", "::ffff:192.0.2.1"]),
        (throttling.SLOW_AFTER, ["fe80::1%eth0", "fe80::2%eth1"]),
        (throttling.SLOW_AFTER, [""]),
        (throttling.NETWORK_SLOW_AFTER, [f"192.0.2.{number}" for number in range(50)]),
        (throttling.NETWORK_SLOW_AFTER, [f"2001:db8:1:{number:x}::1" for number in range(50)]),
    ],
)
def test_delays_double_up_to_a_limit_by_machine_and_by_network_and_are_forgotten(free: int, peers: list[str]) -> None:
    clock, throttle = make()
    delays = guesses(throttle, islice(cycle(peers), free + 8))
    assert delays == [*[0.0] * (free + 1), *GROWING]
    assert guesses(throttle, ["198.51.100.1", "2001:db8:2::1"]) == [0.0, 0.0]
    clock.advance(throttling.GUESS_SECONDS)
    assert guesses(throttle, peers[:1]) == [0.0]


def test_an_account_that_all_the_world_guesses_at_is_slowed_and_no_other() -> None:
    _, throttle = make()
    free = throttling.ACCOUNT_SLOW_AFTER
    delays = guesses(throttle, (f"10.{number}.0.1" for number in range(free + 8)), "a@x")
    assert delays == [*[0.0] * (free + 1), *GROWING]
    assert guesses(throttle, ["10.99.0.1"], "b@x") == [0.0]
    throttle.legacy_said_yes("a@x", ONE, "hash", "a@x")
    assert guesses(throttle, ["10.99.0.1"], "a@x") == [0.0]


def test_what_may_have_been_no_guess_counts_against_its_account_only() -> None:
    _, throttle = make()
    delays = [throttle.refused("192.0.2.1", f"{number}@x", guessed=False) for number in range(100)]
    assert delays == [0.0] * 100
    delays = [throttle.refused("192.0.2.1", "a@x", guessed=False) for _ in range(throttling.ACCOUNT_SLOW_AFTER + 3)]
    assert delays[-2:] == GROWING[:2]
    assert guesses(throttle, ["192.0.2.1"]) == [0.0]


def test_so_many_refusals_are_held_back_and_no_more() -> None:
    _, throttle = make()
    held = [throttle.hold_back(f"2001:db8::{number:x}") for number in range(throttling.HELD_EACH + 1)]
    assert held[-1] is None
    assert all(held[:-1])
    held += [throttle.hold_back(f"10.0.{number // 250}.{number % 250}") for number in range(throttling.HELD_ALL)]
    assert sum(leave is not None for leave in held) == throttling.HELD_ALL
    assert held[0] is not None
    held[0]()
    assert throttle.hold_back("10.9.9.9") is not None


def test_every_memory_is_bounded_and_forgets_the_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttling, "_MOST", 10)
    _, throttle = make()
    for number in range(50):
        throttle.legacy_said_no(f"{number}@x", ONE, f"{number}@x")
        throttle.was_right(f"{number}@y", ONE, "hash")
        throttle.refused(f"10.0.{number}.1", f"{number}@x", guessed=True)
    assert not throttle.known_wrong("39@x", ONE)
    assert throttle.known_wrong("40@x", ONE)
    assert throttle.known_right("49@y", ONE, "hash")
    counted = (throttle._asked, throttle._machines, throttle._networks, throttle._accounts)
    memories = (throttle._wrong._until, throttle._right._until, *(each._times for each in counted))
    assert all(len(memory) <= 10 for memory in memories)


def test_one_address_takes_no_more_memory_however_often_it_fails() -> None:
    _, throttle = make()
    for _ in range(10_000):
        throttle.refused("192.0.2.1", "a@x", guessed=True)
    counted = (throttle._machines, throttle._networks, throttle._accounts)
    assert [len(times) for each in counted for times in each._times.values()] == [64] * 3


def test_no_password_is_kept() -> None:
    _, throttle = make()
    throttle.legacy_said_no("a@x", Secret(b"hunter2"), "a@x")
    throttle.was_right("a@x", Secret(b"hunter3"), "hash")
    kept = [*throttle._wrong._until, *throttle._right._until]
    assert not any(b"hunter" in key for key in kept)
    assert len({len(key) for key in kept}) == 1
