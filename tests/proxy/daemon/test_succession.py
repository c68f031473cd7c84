"""What one daemon hands on to the next in its process, and when it does not."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from twisted.internet.task import Clock

from proxy.daemon import succession
from proxy.daemon.succession import Nature, Unlike, nature_in
from proxy.daemon.trying import Tried
from proxy.login.recently import Recently
from proxy.login.throttle import FAILURES, Throttle
from proxy.wire.door import Secret

NOW = Nature(form=1, speaks=1, schema="0011", places=("/state", "sqlite", "{state}/mail"))


def test_who_may_take_over() -> None:
    NOW.check(NOW)
    NOW.check(replace(NOW, schema="0012"))
    for following, why in (
        (replace(NOW, form=2), "cannot take over"),
        (replace(NOW, schema="0010"), "older"),
        (replace(NOW, places=("/elsewhere", "sqlite", "/mail")), r"^state and storage\.maildir cannot change"),
    ):
        with pytest.raises(Unlike, match=why):
            NOW.check(following)


def test_whose_workers_go_on() -> None:
    assert NOW.keeps_workers(replace(NOW, places=()))
    assert not NOW.keeps_workers(replace(NOW, speaks=2))
    assert not NOW.keeps_workers(replace(NOW, schema="0012"))


def test_what_a_trial_says() -> None:
    said = b'[1, 1, "0011", ["/state", "sqlite", "{state}/mail"]]'
    assert nature_in(said) == NOW
    assert Tried(0, said, []).nature() == NOW
    for other in (b"", b"[1]", b"listening", b"7"):
        with pytest.raises(Unlike, match="restart"):
            nature_in(other)
    with pytest.raises(Unlike, match="does not start: ImportError: no"):
        Tried(1, b"", ["Traceback", "ImportError: no"]).nature()
    with pytest.raises(Unlike, match="it says nothing"):
        Tried(None, b"", []).nature()


def test_what_is_in_memory_is_read_once() -> None:
    memory = succession.in_memory({"said": 7})
    environment = {succession.VARIABLE: f"succeed {memory}", "HOME": "/"}
    assert succession.handed_on(environment) == ("succeed", {"said": 7})
    assert environment == {"HOME": "/"}
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(memory)
    assert succession.handed_on(environment) is None


def test_files_that_are_replaced_are_noticed() -> None:
    before = succession.stamps()
    assert os.path.realpath(__file__) in map(os.path.realpath, before)
    assert not succession.replaced(before)
    assert succession.replaced({**before, "/no/such.py": (1, 1)})


def test_a_reload_forgives_nothing() -> None:
    clock, wrong = Clock(), Secret(b"wrong")
    first, then = Throttle(clock.seconds), Throttle(clock.seconds)
    for _ in range(FAILURES):
        first.refused("192.0.2.1", "ann@123.com", guessed=True)
        first.legacy_said_no("ann@123.com", wrong, "box")
    first.was_right("bob@123.com", Secret(b"right"), "hash")
    first.changed("carl@123.com", "hash")
    then.remember(first.remembered())
    assert then.remembered() == first.remembered()
    assert then.known_wrong("ann@123.com", wrong)
    assert not then.may_ask("box")
    assert then.known_right("bob@123.com", Secret(b"right"), "hash")
    assert then.refused("192.0.2.1", "ann@123.com", guessed=True) > 1


def test_what_happened_to_accounts_of_late_is_known_after_a_reload() -> None:
    first, then = Recently(lambda: 7.0), Recently()
    first.moved("ann@123.com", seconds=1.5, messages=2, octets=3, whole=True, reason="")
    first.refused("ann@123.com", "imap", "192.0.2.1", "wrong")
    then.remember(first.remembered())
    assert then.moves("ann@123.com") == first.moves("ann@123.com")
    assert then.refusals("ann@123.com") == first.refusals("ann@123.com")
