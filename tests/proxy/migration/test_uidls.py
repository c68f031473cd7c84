"""POP3's UIDLs for the messages of an INBOX that came over IMAP."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from proxy.legacy.errors import LegacyUnreachable, MaildropInUse
from proxy.migration.uidls import IN_USE, LEFT_ALONE, Dropped, Maildrops, by_content, by_order


def maildrop(*octets: int) -> list[Dropped]:
    return [Dropped(n, each, f"u{n}") for n, each in enumerate(octets, 1)]


def test_by_order_where_both_sides_list_the_same() -> None:
    assert by_order([10, 20, 10], maildrop(10, 20, 10)) == ["u1", "u2", "u3"]
    assert by_order([10, 0], maildrop(10, 20)) == ["u1", "u2"]  # IMAP did not tell one size
    assert by_order([], []) == []


def test_not_by_order_where_they_do_not() -> None:
    assert by_order([10, 20], maildrop(10)) is None
    assert by_order([10, 20], maildrop(20, 10)) is None


def test_by_message_id_and_then_by_octets() -> None:
    dropped = maildrop(5, 5, 7, 9, 11)
    ids = {1: b"<a>", 2: b"<b>", 3: b"", 4: b"<d>", 5: b"<e>"}
    inbox = [9, 5, 7, 5, 30]
    assert by_content(inbox, [b"<d>", b"<b>", b"", b"<x>", b"<e>"], dropped, ids) == ["u4", "u2", "u3", "u1", "u5"]


def test_the_first_of_several_is_the_first_and_nothing_is_guessed() -> None:
    twins = {1: b"<t>", 2: b"<t>", 3: b"<u>"}
    assert by_content([5, 5, 8], [b"<t>", b"<t>", b"<u>"], maildrop(5, 5, 8), twins) == ["u1", "u2", "u3"]
    assert by_content([5, 5, 5], [b"<t>", b"<t>", b"<t>"], maildrop(5, 5), {1: b"<t>", 2: b"<t>"}) == ["", "", ""]
    assert by_content([5, 5, 8], [b"", b"", b""], maildrop(5, 5, 8), {}) == ["", "", "u3"]


@given(st.permutations(range(12)), st.sets(st.integers(0, 11)), st.sets(st.integers(0, 11)))
def test_whatever_is_matched_is_matched_rightly(order: list[int], only_here: set[int], only_there: set[int]) -> None:
    """Message-IDs name messages: in whatever order, with more on either side."""
    here = [n for n in range(12) if n not in only_there]
    there = [n for n in order if n not in only_here]
    dropped = [Dropped(at, 100 + n // 2, f"u{n}") for at, n in enumerate(there, 1)]
    ids = {at: b"<%d>" % n for at, n in enumerate(there, 1)}
    names = by_content([100 + n // 2 for n in here], [b"<%d>" % n for n in here], dropped, ids)
    for n, name in zip(here, names, strict=True):
        if n in there:
            assert name == f"u{n}"
    assert len(set(names) - {""}) == len(names) - names.count("")


def test_a_pop3_service_that_is_not_there_is_left_alone_for_a_while() -> None:
    clock = Clock()
    maildrops = Maildrops(clock.seconds)
    assert not maildrops.failed(LegacyUnreachable("refused"))
    assert maildrops.left_alone
    clock.advance(LEFT_ALONE)
    assert not maildrops.left_alone


def test_a_maildrop_in_use_is_waited_for_unless_it_always_is() -> None:
    maildrops = Maildrops(Clock().seconds)
    for _ in range(IN_USE):
        assert maildrops.failed(MaildropInUse("locked"))
    assert not maildrops.failed(MaildropInUse("locked"))
    maildrops.worked()
    assert maildrops.failed(MaildropInUse("locked"))
