"""Connections that have not logged in are counted, by address and in all."""

from __future__ import annotations

from proxy.wire.arrivals import Arrivals


def test_one_address_does_not_take_the_place_of_others() -> None:
    arrivals = Arrivals(each=2, all_=10)
    assert arrivals.admit("192.0.2.1")
    assert arrivals.admit("192.0.2.1")
    assert arrivals.admit("192.0.2.1") is None
    assert arrivals.admit("192.0.2.2")


def test_all_together_are_bounded() -> None:
    arrivals = Arrivals(each=2, all_=3)
    assert all(arrivals.admit(f"192.0.2.{n}") for n in range(3))
    assert arrivals.admit("192.0.2.9") is None


def test_who_has_logged_in_or_left_makes_room_once() -> None:
    arrivals = Arrivals(each=2, all_=10)
    first, second = arrivals.admit("192.0.2.1"), arrivals.admit("192.0.2.1")
    assert first is not None
    assert second is not None
    first()
    first()
    assert arrivals.admit("192.0.2.1")
    assert arrivals.admit("192.0.2.1") is None
