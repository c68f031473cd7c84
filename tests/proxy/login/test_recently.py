"""`proxy.login.recently`: a little of each account, and not of too many."""

from __future__ import annotations

import pytest

from proxy.login.recently import EACH, Recently


def test_the_latest_first_and_no_more_than_a_few() -> None:
    now = iter(range(1_000))
    recently = Recently(lambda: next(now))
    for number in range(EACH + 3):
        recently.moved("li@123.com", seconds=1.0, messages=number, octets=0, whole=True, reason="")
    assert [move.messages for move in recently.moves("li@123.com")] == list(range(EACH + 2, 2, -1))
    assert recently.moves("li@123.com")[0].ended == EACH + 2
    recently.refused("li@123.com", "imap", "192.0.2.1", "wrong")
    assert [(one.protocol, one.peer, one.why) for one in recently.refusals("li@123.com")] == [
        ("imap", "192.0.2.1", "wrong")
    ]
    assert recently.moves("anna@123.com") == recently.refusals("anna@123.com") == []


def test_those_that_nothing_happened_to_for_longest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.login.recently.MOST", 2)
    recently = Recently()
    for name in ("a", "b", "a", "c"):
        recently.refused(name, "pop3", "192.0.2.1", "wrong")
    assert [len(recently.refusals(name)) for name in "abc"] == [2, 0, 1]
