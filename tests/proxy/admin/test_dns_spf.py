"""SPF: one record that keeps what it permitted, and its lookups counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.admin.dns.spf import is_spf, joined, lookups, mechanisms, merged, permits


@pytest.mark.parametrize(
    ("record", "wanted", "expected"),
    [
        (None, ["a:mail.123.com"], "v=spf1 mx a:mail.123.com ~all"),
        ("v=spf1 mx -all", ["a:mail.123.com"], "v=spf1 mx a:mail.123.com -all"),
        ("v=spf1 mx", ["ip4:192.0.2.1"], "v=spf1 mx ip4:192.0.2.1"),
        ("v=spf1 redirect=_spf.qq.com", ["a:m.123.com"], "v=spf1 a:m.123.com redirect=_spf.qq.com"),
        ("v=spf1 A:Mail.123.com ~all", ["a:mail.123.com"], "v=spf1 A:Mail.123.com ~all"),
        ("v=spf1 mx ?all exp=why.123.com", ["a:b.c"], "v=spf1 mx a:b.c ?all exp=why.123.com"),
        ("v=spf1 ~all", [], "v=spf1 ~all"),
        ("v=spf1 mx -all a:m.123.com", ["a:m.123.com"], "v=spf1 mx a:m.123.com -all a:m.123.com"),
    ],
)
def test_merged(record: str | None, wanted: list[str], expected: str) -> None:
    assert merged(record, wanted) == expected


def test_several_become_one_with_all_that_they_permitted() -> None:
    records = ["v=spf1 include:spf.mail.qq.com -all", "v=spf1 mx include:spf.mail.qq.com ~all"]
    assert joined(records, ["a:m.123.com"]) == "v=spf1 include:spf.mail.qq.com mx a:m.123.com ~all"


@pytest.mark.parametrize(
    ("record", "mechanism", "yes"),
    [
        ("v=spf1 a:mail.123.com -all", "a:mail.123.com", True),
        ("v=spf1 +a:mail.123.com -all", "a:mail.123.com", True),
        ("v=spf1 ?a:mail.123.com -all", "a:mail.123.com", False),
        ("v=spf1 ip4:203.0.113.9 -all", "a:mail.123.com", True),
        ("v=spf1 ip4:203.0.113.0/24 ip6:2001:db8::/32 -all", "a:mail.123.com", True),
        ("v=spf1 ip4:203.0.113.8 -all", "a:mail.123.com", False),
        ("v=spf1 ip4:203.0.113.9 -all", "a:other.123.com", False),
        ("v=spf1 a -all", "a:123.com", True),
        ("v=spf1 ip4:192.0.2.0/24 -all", "ip4:192.0.2.7", True),
        ("v=spf1 ip4:192.0.2.7 -all", "ip4:192.0.2.0/24", False),
        ("v=spf1 ip4:nonsense -all", "ip4:192.0.2.7", False),
        ("v=spf1 include:x.net -all", "a:mail.123.com", False),
        ("v=spf1 -all a:mail.123.com ip4:203.0.113.9", "a:mail.123.com", False),
        ("v=spf1 ip4:2001:db8::/32 -all", "ip6:2001:db8::1", False),
    ],
)
def test_permits(record: str, mechanism: str, yes: bool) -> None:
    assert permits(record, mechanism, "123.com", {"mail.123.com": ("203.0.113.9",)}) is yes


def test_what_is_written_is_understood_or_refused() -> None:
    assert mechanisms(["v=spf1 a:mail.123.com ip4:192.0.2.1 ~all", "mx"]) == ["a:mail.123.com", "ip4:192.0.2.1", "mx"]
    assert mechanisms(["+a", "include:邮件.net", "a:mail.123.com/28", "exists:%{i}.x.net"]) == [
        *("+a", "include:xn--5nq051n.net", "a:mail.123.com/28", "exists:%{i}.x.net")
    ]


@pytest.mark.parametrize(
    ("term", "said"),
    [
        ("mail.123.com", "is no mechanism"),
        ("ip4:300.1.1.1", "has no network"),
        ("ip4:2001:db8::1", "has no network"),
        ("ip6:192.0.2.1", "has no network"),
        ("ip4", "has no network"),
        ("-ip4:192.0.2.1", "permits nobody"),
        ("?mx", "permits nobody"),
        ("include", "has no name"),
        ("include:", "has no name"),
        ("exists", "has no name"),
        ("a:", "has no name"),
        ("a:-x-.com", "has no name"),
        ("include:a..b", "has no name"),
        ('a:"x".com', "has no name"),
        ("exists:%{i}\x07.net", "has no name"),
    ],
)
def test_what_would_permit_nobody_is_refused(term: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        mechanisms([term])


def test_lookups_are_counted_with_what_is_included() -> None:
    world = {"a.net": "v=spf1 include:b.net mx -all", "b.net": "v=spf1 a ip4:192.0.2.1 exists:%{i}.x.net -all"}
    assert lookups("v=spf1 include:a.net a:mail.123.com ip4:192.0.2.1 ~all", world.get) == 6
    assert lookups("v=spf1 redirect=a.net", world.get) == 5
    assert lookups("v=spf1 ip4:192.0.2.1 -all", world.get) == 0


def test_records_that_include_each_other_are_counted_once() -> None:
    assert lookups("v=spf1 include:a.net", {"a.net": "v=spf1 include:a.net include:b.net"}.get) == 3


def test_a_chain_without_end_is_fetched_no_further_than_a_limit() -> None:
    asked = []

    def fetch(name: str) -> str:
        asked.append(name)
        return f"v=spf1 include:{len(asked)}.net include:{len(asked)}.org"

    assert lookups("v=spf1 include:0.net", fetch) > 10
    assert len(asked) <= 20


def test_what_is_an_spf_record() -> None:
    assert is_spf("v=spf1") and is_spf("V=SPF1 -all")
    assert not is_spf("v=spf10 -all") and not is_spf("v=spf2.0/pra") and not is_spf("google-site-verification=x")


@given(st.lists(st.sampled_from(["mx", "a:x.net", "ip4:192.0.2.1", "include:y.net", "-all", "redirect=z.net"])))
def test_merging_loses_nothing_and_merging_again_changes_nothing(terms: list[str]) -> None:
    record = " ".join(["v=spf1", *terms])
    once = merged(record, ["a:mail.123.com"])
    assert [term for term in once.split() if term != "a:mail.123.com"] == record.split()
    assert merged(once, ["a:mail.123.com"]) == once
