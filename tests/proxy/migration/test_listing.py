"""LIST, UIDL and STAT put together: nothing is left out, and what an administrator should know is said."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailstore.entries import Listed
from proxy.migration.listing import UIDL_LIMIT, known, together, uidl
from proxy.pop3.maildrop import uidl_octets


def test_three_answers_that_agree_are_not_remarked_on() -> None:
    listed, remarks = together({1: 10, 2: None}, [(2, b"b"), (1, b"a")], 2)
    assert (listed, remarks) == ([Listed(1, "a", 10), Listed(2, "b", 0)], [])


def test_without_uidl_and_without_a_count_there_is_nothing_to_compare() -> None:
    assert together({1: 10}, None, None) == ([Listed(1, "", 10)], [])
    assert together({}, [], 0) == ([], [])


def test_a_message_that_only_one_of_the_answers_names_is_listed() -> None:
    listed, remarks = together({1: 10, 2: 20}, [(2, b"b"), (3, b"c")], 2)
    assert listed == [Listed(1, "", 10), Listed(2, "b", 20), Listed(3, "c", 0)]
    (remark,) = remarks
    assert "LIST names 2 messages, UIDL 2, and 1 are in both" in remark


def test_a_count_that_list_does_not_bear_out() -> None:
    (remark,) = together({1: 10}, [(1, b"a")], 4000)[1]
    assert "STAT counts 4000 messages, and LIST names 1" in remark


@given(
    st.dictionaries(st.integers(1, 9), st.none() | st.integers(0, 99)),
    st.none() | st.lists(st.tuples(st.integers(1, 9), st.binary(max_size=3)), unique_by=lambda row: row[0]),
    st.none() | st.integers(0, 9),
)
def test_every_number_is_listed_once_in_order(
    sizes: dict[int, int | None], uidls: list[tuple[int, bytes]] | None, count: int | None
) -> None:
    listed, remarks = together(sizes, uidls, count)
    assert [row.position for row in listed] == sorted({*sizes, *(number for number, _ in uidls or ())})
    whole = count in {None, len(sizes)} and (uidls is None or {number for number, _ in uidls} == set(sizes))
    assert bool(remarks) != whole


def test_names_are_kept_octet_by_octet_as_long_as_they_are_of_a_length() -> None:
    assert uidl(None) == uidl(b"") == ""
    assert uidl_octets(uidl(bytes(range(256)))) == bytes(range(256))
    assert "\0" not in uidl(bytes(range(256)))  # PostgreSQL has no such character
    assert uidl(b"x" * UIDL_LIMIT) == "x" * UIDL_LIMIT


def test_names_without_end_are_cut_and_stay_different() -> None:
    first, second = uidl(b"x" * UIDL_LIMIT + b"1"), uidl(b"x" * UIDL_LIMIT + b"2")
    assert (len(first), len(second)) == (UIDL_LIMIT, UIDL_LIMIT)
    assert first != second
    assert first == uidl(b"x" * UIDL_LIMIT + b"1")


def test_servers_that_are_known_to_show_a_window() -> None:
    for greeting, capabilities, word in (
        ("Gpop ready for requests from 192.0.2.1 x", {}, "Gmail"),
        ("ready", {"X-GOOGLE-RICO": ()}, "Gmail"),
        ("QQMail POP3 Server v1.0 Service Ready(QQMail v2.0)", {}, "QQ"),
        ("Welcome to coremail Mail Pop3 Server (163coms[726cd87d])", {}, "NetEase"),
        ("WDPop ready for requests from 192.0.2.1", {}, "WildDuck"),
        ("ready", {"IMPLEMENTATION": ("WILDDUCK-V1.40",)}, "WildDuck"),
    ):
        (remark,) = known(greeting, capabilities)
        assert remark.startswith(word)


def test_servers_that_are_not() -> None:
    for greeting in ("Dovecot ready.", "Welcome to coremail Mail Pop3 Server (dlut.edu.cns[627644c9])", ""):
        assert known(greeting, {"UIDL": (), "IMPLEMENTATION": ("DOVECOT",)}) == []
