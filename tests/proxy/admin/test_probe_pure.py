"""The parts of a probe that need no server: which messages are a sample, and what follows from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy import config
from proxy.admin.probing.estimate import estimate
from proxy.admin.probing.finding import (
    Answer,
    Attempt,
    DomainFigures,
    LoginForm,
    Mailbox,
    Probed,
    Speed,
)
from proxy.admin.probing.refused import SPAN, Refused
from proxy.admin.probing.sampling import SAMPLE, choose
from proxy.admin.probing.software import software
from tests.proxy.admin.probe_rig import CONFIG

MB = 1_000_000


@given(st.dictionaries(st.integers(1, 500), st.integers(1, 2_000_000)), st.integers(0, 5_000_000))
def test_a_sample_keeps_within_its_budget_and_wastes_none_of_it(sizes: dict[int, int], budget: int) -> None:
    chosen = choose(sizes, budget)
    assert chosen == sorted(set(chosen))
    assert set(chosen) <= set(sizes)
    total = sum(sizes[number] for number in chosen)
    assert total <= budget
    assert all(sizes[number] > budget - total for number in set(sizes) - set(chosen))


def test_a_sample_is_spread_over_the_mailbox() -> None:
    sizes = dict.fromkeys(range(1, 100_001), 20_000)
    chosen = choose(sizes)
    assert len(chosen) == SAMPLE // 20_000
    tenths = [sum(1 for number in chosen if number // 10_000 == tenth) for tenth in range(10)]
    assert max(tenths) - min(tenths) <= 3, tenths
    assert len(choose(dict.fromkeys(range(1, 100_001), 10))) == 2_000


def probed(messages: int, octets: int, speed: Speed, figures: DomainFigures | None = None) -> Probed:
    found = Probed("li@123.com", "123.com", "pop.old.123.com", "pop3")
    found.attempts.append(Attempt(LoginForm("local", "li"), Answer.ACCEPTED, "", 1.0))
    found.mailbox = Mailbox(messages, octets, 2.0)
    found.speed, found.figures = speed, figures
    return found


def domain(more: str = "connections = 10") -> config.Domain:
    return config.parse(CONFIG.format(port=110, more=more).encode()).domains["123.com"]


def test_one_mailbox() -> None:
    at_once = estimate(probed(10_000, 100 * MB, Speed(400, 4 * MB, 4.0, True, 0.1)), domain())
    assert at_once is not None and at_once.domain is None
    assert at_once.mailbox == pytest.approx(1 + 2 + 100)
    one_by_one = estimate(probed(10_000, 100 * MB, Speed(400, 4 * MB, 44.0, False, 0.1)), domain())
    assert one_by_one is not None
    assert one_by_one.mailbox == pytest.approx(1 + 2 + 10_000 * 0.1 + 100)  # a round trip for each message
    limited = estimate(probed(10_000, 100 * MB, Speed(400, 4 * MB, 4.0, True, 0.1)), domain('bandwidth = "500K"'))
    assert limited is not None and limited.mailbox == pytest.approx(3 + 100 * MB / (500 * 1024))
    tiny = estimate(probed(10_000, 100 * MB, Speed(2, 1_000, 0.01, True, 0.1)), domain())
    assert tiny is not None and tiny.rough and not at_once.rough


def test_nothing_measured_is_nothing_estimated() -> None:
    found = probed(0, 0, Speed(1, 1, 1.0, True, 0.1))
    found.speed = None
    assert estimate(found, domain()) is None


@pytest.mark.parametrize(
    ("greeting", "capabilities", "expected"),
    [
        ("Dovecot (Debian) ready.", [], "Dovecot"),
        ("Hello there.", [], "Courier"),
        ("Hello there. <123.456@old>", [], "Courier"),
        ("hello there, and welcome", [], ""),
        ("pop.123.com Cyrus POP3 v2.4.17 server ready", [], "Cyrus"),
        ("The Microsoft Exchange POP3 service is ready.", [], "Microsoft Exchange"),
        ("ready", ["TOP", "IMPLEMENTATION SHLEMAZLE-PLOTZ-V302"], "SHLEMAZLE-PLOTZ-V302"),
        ("", [], ""),
    ],
)
def test_which_software_it_says_it_is(greeting: str, capabilities: list[str], expected: str) -> None:
    assert software(greeting, capabilities) == expected


def test_a_domain() -> None:
    speed = Speed(400, 4 * MB, 4.0, True, 0.1)
    found = estimate(probed(1_000, 10 * MB, speed, DomainFigures(21, 1, 1_000, 10 * MB)), domain())
    assert found is not None and found.domain is not None
    whole = found.domain
    assert (whole.accounts, whole.messages, whole.octets, whole.by_those_here) == (20, 20_000, 200 * MB, False)
    assert whole.slowest == pytest.approx(20 * 3 + 200)
    assert whole.fastest == pytest.approx(whole.slowest / 10)
    found = estimate(probed(1_000, 10 * MB, speed, DomainFigures(21, 11, 22_000, 220 * MB)), domain())
    assert found is not None and found.domain is not None
    assert (found.domain.accounts, found.domain.octets, found.domain.by_those_here) == (10, 200 * MB, True)


def test_a_domain_with_limits_and_one_that_is_done() -> None:
    speed = Speed(400, 4 * MB, 4.0, True, 0.1)
    few = probed(10, 1_000, speed, DomainFigures(600, 0, 0, 0))
    found = estimate(few, domain("connections = 100\nlogins_per_minute = 10"))
    assert found is not None and found.domain is not None
    assert found.domain.fastest == 3_600
    done = estimate(probed(10, 1_000, speed, DomainFigures(6, 6, 60, 6_000)), domain())
    assert done is not None and done.domain is None


def test_who_was_refused_just_now() -> None:
    now = 1000.0
    refused = Refused(lambda: now)
    refused.note("li@123.com")
    assert refused.lately("li@123.com") and not refused.lately("wang@123.com")
    now += SPAN
    assert not refused.lately("li@123.com")
    for number in range(5_000):
        refused.note(f"user{number}@123.com")
    assert refused.lately("user4999@123.com") and not refused.lately("user0@123.com")
