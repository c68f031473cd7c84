"""Guesses at several nodes are no quicker than at one: what each tells the others, and what they make of it."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock

from mailstore.telling import LONGEST, News, packed, unpacked
from proxy.login import throttle as throttling
from proxy.login.guesses import counted_by_all
from proxy.login.throttle import Guess, Throttle
from proxy.web.console.attempts import OF_A_NAME, OF_AN_ADDRESS, Attempts

KIND = "guess"


class Others:
    """A `Told`: what one node says all others hear at once."""

    def __init__(self, company: list[Others]) -> None:
        self._company = company
        self._on: dict[str, Callable[[int, str], None]] = {}
        self.said: list[News] = []
        company.append(self)

    def on(self, kind: str, told: Callable[[int, str], None]) -> None:
        self._on[kind] = told

    def tell(self, kind: str, about: int = 0, more: str = "") -> None:
        self.said.append(News(kind, about, more))
        for other in self._company:
            if other is not self:
                other.hear(kind, about, more)

    def hear(self, kind: str, about: int, more: str) -> None:
        self._on[kind](about, more)


def nodes(count: int) -> tuple[Clock, list[Throttle], list[Others]]:
    clock, company, throttles = Clock(), list[Others](), []
    for _ in range(count):
        throttle = Throttle(clock.seconds)
        tell = counted_by_all(Others(company), KIND, lambda *words, throttle=throttle: throttle.count(Guess(*words)))
        throttle.tell = lambda guess, tell=tell: tell(*guess)  # type: ignore[misc]
        throttles.append(throttle)
    return clock, throttles, company


def guesses(throttles: list[Throttle], count: int) -> list[float]:
    """The delay of each, one after the other at each node in turn: from one machine, at accounts of its choice."""
    return [
        throttles[number % len(throttles)].refused("192.0.2.7", f"user{number % 3}@x", guessed=True)
        for number in range(count)
    ]


def test_a_machine_is_answered_as_slowly_by_three_nodes_as_by_one() -> None:
    (_, alone, _), (_, together, _) = nodes(1), nodes(3)
    assert guesses(together, 40) == guesses(alone, 40)
    assert together[1].doubts("192.0.2.7")


def test_an_account_and_a_network_are_counted_together_as_well() -> None:
    _, throttles, _ = nodes(2)
    for number in range(throttling.NETWORK_SLOW_AFTER + 1):
        throttles[number % 2].refused(f"192.0.2.{number}", None, guessed=True)
    for each in throttles:
        assert each.refused("192.0.2.200", None, guessed=True) > 0
    for number in range(throttling.ACCOUNT_SLOW_AFTER + 1):
        throttles[number % 2].refused(f"10.{number}.0.1", "user@x", guessed=False)
    for each in throttles:
        assert each.refused("10.77.0.1", "user@x", guessed=False) > 0


def test_they_fade_everywhere() -> None:
    clock, throttles, _ = nodes(2)
    guesses(throttles, 20)
    clock.advance(throttling.GUESS_SECONDS)
    assert guesses(throttles, 2) == [0, 0]


def test_all_nodes_hold_back_as_many_as_one() -> None:
    _, throttles, _ = nodes(2)
    for each in throttles:
        each.among(2)
    held = [each.hold_back("192.0.2.7") for each in throttles for _ in range(throttling.HELD_EACH)]
    assert sum(leave is not None for leave in held) == throttling.HELD_EACH
    throttles[0].among(1)  # the other one has left
    assert throttles[0].hold_back("192.0.2.7") is not None
    _, (lonely,), _ = nodes(1)
    lonely.among(10_000)
    assert lonely.hold_back("192.0.2.8") is not None  # never nobody


def test_the_same_guess_a_hundred_times_counts_a_hundred_times() -> None:
    """What is told at the same time goes together, and what is the same is told once."""
    _, throttles, company = nodes(1)
    for _ in range(100):
        throttles[0].refused("192.0.2.7", "user@x", guessed=True)
    heard = [news for payload in packed("me", company[0].said) for news in unpacked(payload)[1]]
    assert len(heard) == 100


def test_what_another_version_says_is_nothing() -> None:
    _, throttles, company = nodes(1)
    for more in ("", "{", "7", "[]", '["a"]', '["a", "b", "c", "d"]', '{"a": 1}', "[null, []]"):
        company[0].hear(KIND, 1, more)
    assert guesses(throttles, 1) == [0]


def test_what_is_too_long_to_be_told_is_not() -> None:
    """PostgreSQL would refuse it, and all that goes with it."""
    short = News(KIND, 2, "b")
    (payload,) = packed("me", [News(KIND, 1, "a" * LONGEST), short])
    assert unpacked(payload) == ("me", [short])


def test_administrators_passwords_are_guessed_at_no_quicker_by_way_of_two_nodes() -> None:
    clock, company, doors = Clock(), list[Others](), []
    for _ in range(2):
        attempts = Attempts(clock.seconds)
        attempts.tell = counted_by_all(Others(company), KIND, attempts.count)
        doors.append(attempts)

    def wrong(node: int, name: str, address: str) -> None:
        doors[node].failed(name, address)
        doors[node].wrong(name, address)

    for number in range(OF_AN_ADDRESS):
        assert not doors[number % 2].refused("root", "192.0.2.7")
        wrong(number % 2, "root", "192.0.2.7")
    assert all(each.refused("root", "192.0.2.7") for each in doors)
    assert all(each.delay("192.0.2.7") > 0 for each in doors)
    for number in range(OF_A_NAME):
        wrong(number % 2, "boss", f"10.0.{number}.1")
    assert all(each.refused("boss", "198.51.100.1") for each in doors)
    doors[0].failed("boss2", "198.51.100.2")
    doors[0].succeeded("boss2", "198.51.100.2")  # a right one is told to nobody
    assert len(company[0].said) == OF_AN_ADDRESS // 2 + OF_A_NAME // 2
