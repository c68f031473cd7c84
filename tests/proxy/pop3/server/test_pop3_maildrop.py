"""The view of INBOX that a session keeps."""

from __future__ import annotations

import sys

import pytest

from mailstore.index.rows import NO_FLAGS, Row
from proxy.pop3.errors import Refused
from proxy.pop3.maildrop import Maildrop


def row(uid: int, size: int, uidl: str) -> Row:
    return Row(uid, 1, NO_FLAGS, size, 0, uidl, "file")


def test_numbers_sizes_and_names() -> None:
    drop = Maildrop([row(7, 10, "a"), row(9, 20, ""), row(4_000_000_000, 30, "ccc")])
    assert (len(drop), drop.count, drop.octets) == (3, 3, 60)
    assert [drop.uid(n) for n in (1, 2, 3)] == [7, 9, 4_000_000_000]
    assert [drop.uidl(n) for n in (1, 2, 3)] == [b"a", b"", b"ccc"]
    assert list(drop.numbers(1, 4)) == [1, 2, 3]


def test_marks() -> None:
    drop = Maildrop([row(7, 10, "a"), row(9, 20, "b"), row(11, 30, "c")])
    drop.mark(2)
    assert (drop.count, drop.octets, drop.marked_uids()) == (2, 40, [9])
    assert list(drop.numbers(1, 4)) == [1, 3]
    assert drop.uidl(3) == b"c"
    for ask in (drop.mark, drop.size, drop.uid, drop.uidl):
        with pytest.raises(Refused, match="message 2 is deleted"):
            ask(2)
    drop.unmark_all()
    assert (drop.count, drop.octets, drop.marked_uids()) == (3, 60, [])


@pytest.mark.parametrize("number", [0, -1, 2, 10**18])
def test_numbers_that_are_none(number: int) -> None:
    drop = Maildrop([row(1, 1, "a")])
    assert not drop.known(number)
    with pytest.raises(Refused, match="no such message"):
        drop.size(number)


def test_names_that_are_not_ascii_keep_their_octets() -> None:
    drop = Maildrop([row(1, 1, b"\xe4\xff".decode("latin-1")), row(2, 1, "邮")])
    assert drop.uidl(1) == b"\xe4\xff"
    assert drop.uidl(2) == "邮".encode()


def test_a_hundred_thousand_messages_take_little_memory() -> None:
    drop = Maildrop(row(n, 5_000, f"{n:032x}") for n in range(1, 100_001))
    held = sum(sys.getsizeof(getattr(drop, name)) for name in Maildrop.__slots__)
    assert held < 6_000_000
