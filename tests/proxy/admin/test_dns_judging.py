"""Is a record right, not changed, cached, wrong or missing: by tables of what each server says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.admin.dns.judging import State, counts_from, fits, judge
from proxy.admin.dns.records import Answer, Key, Server, Wish
from proxy.admin.dns.remembered import Episode

NOW = 1_000_000
NS1, NS2 = (Server(f"ns{n}.123.com", f"192.0.2.{n}", 53, authority=True) for n in (1, 2))
R1, R2 = (Server("", f"198.51.100.{n}", 53, authority=False) for n in (1, 2))
KEY = Key("mail.123.com", "address")
WISH = Wish(KEY, "addresses", ("203.0.113.9",), ("A 203.0.113.9",), "")
ANSWERS = {
    "new": Answer(frozenset({"203.0.113.9"}), 300),
    "old": Answer(frozenset({"203.0.113.7"}), 900),
    "odd": Answer(frozenset({"203.0.113.5"}), 900),
    "none": Answer(ttl=60),
    "dead": Answer(trouble="does not answer within 3 seconds"),
}


def episode(what: str, first: int = -500, last: int = -100, gone: int | None = None, ttl: int | None = None) -> Episode:
    """What an authority had once; times from NOW."""
    answer = ANSWERS[what]
    when = None if gone is None else NOW + gone
    return Episode(answer.content, answer.ttl if ttl is None else ttl, NOW + first, NOW + last, when)


def said(*words: str) -> dict[Server, Answer]:
    """Answers of ns1, ns2, and then of resolvers."""
    return {server: ANSWERS[word] for server, word in zip((NS1, NS2, R1, R2), words, strict=False)}


LEFT = "not changed|not changed|not changed"
SEEN = (episode("old", last=0),)
MOVED = (episode("old", gone=-50), episode("new", first=-50, last=0))


@pytest.mark.parametrize(
    ("words", "episodes", "state", "each"),
    [
        # Nothing is remembered but this look.
        ("new new new", (episode("new", 0, 0),), "right", "right right right"),
        ("old old old", (episode("old", 0, 0),), "not changed", LEFT),
        ("none none none", (), "missing", "missing missing missing"),
        ("new new old", (episode("new", 0, 0),), "cached", "right right cached"),
        ("odd odd old", (episode("odd", 0, 0),), "wrong", "wrong|wrong|not changed"),
        # What was before is remembered.
        ("old old old", SEEN, "not changed", LEFT),
        ("odd odd old", (episode("old", gone=-50), episode("odd", 0, 0)), "wrong", "wrong|wrong|not changed"),
        ("odd odd odd", (episode("old", gone=-50), episode("odd", 0, 0)), "wrong", "wrong wrong wrong"),
        ("odd odd odd", (episode("old", gone=-90_000), episode("odd", -90_000, 0)), "not changed", LEFT),
        ("new new old", MOVED, "cached", "right right cached"),
        ("new new none", MOVED, "cached", "right right cached"),
        ("new new odd", MOVED, "wrong", "right right wrong"),
        ("new new new", MOVED, "right", "right right right"),
        ("new new odd", (episode("new", -90_000, 0),), "wrong", "right right wrong"),  # no cache has it for so long
        ("new new odd", (episode("new", -500, 0),), "cached", "right right cached"),
        # Authorities that differ.
        ("new old old", SEEN, "not changed", "right|not changed|not changed"),
        ("new none new", MOVED, "missing", "right missing right"),
        ("new odd new", MOVED, "wrong", "right wrong right"),
        # Who does not answer.
        ("new dead new", MOVED, "not reachable", "right|not reachable|right"),
        ("dead dead new", MOVED, "not reachable", "not reachable|not reachable|right"),
        ("old dead old", SEEN, "not changed", "not changed|not reachable|not changed"),
        ("dead dead dead", (), "not reachable", "not reachable|not reachable|not reachable"),
    ],
)
def test_told_apart(words: str, episodes: tuple[Episode, ...], state: State, each: str) -> None:
    judged = judge(WISH, said(*words.split()), episodes, NOW)
    assert judged.state == state
    assert [seen.state for seen in judged.seen] == each.split("|" if "|" in each else None)
    assert judged.right is (state == "right")


def test_a_cache_is_right_when_what_it_has_left_is_over() -> None:
    answers = {NS1: ANSWERS["new"], R1: Answer(frozenset({"203.0.113.7"}), 840), R2: Answer(ttl=30)}
    judged = judge(WISH, answers, MOVED, NOW)
    assert [seen.until for seen in judged.seen] == [None, NOW + 840, NOW + 30]
    assert judged.until == NOW + 840


def test_caches_that_nobody_asked_may_have_the_old_one_for_its_old_ttl() -> None:
    answers = said("new", "new", "new")
    gone = (episode("old", gone=-50, ttl=3600), episode("new", -50, 0))
    assert judge(WISH, answers, gone, NOW).elsewhere == NOW - 50 + 3600
    over = (episode("old", gone=-3601, ttl=3600), episode("new", -50, 0))
    assert judge(WISH, answers, over, NOW).elsewhere is None
    assert judge(WISH, said("new", "old"), SEEN, NOW).elsewhere is None, "the old one is still given out"


def test_a_ttl_that_was_lowered_counts_when_the_one_before_has_run_out() -> None:
    judged = judge(WISH, {NS1: Answer(frozenset({"203.0.113.7"}), 300)}, SEEN, NOW)
    lowered = (episode("old", gone=-60, ttl=3600), episode("old", -60, 0, ttl=300))
    assert counts_from(judged, lowered, NOW) == NOW - 60 + 3600
    assert counts_from(judged, (episode("old", ttl=300),), NOW) is None


ALIAS = Wish(Key("autoconfig.123.com", "address"), "alias", ("mail.123.com.", "203.0.113.9"), (), "")
SERVICE = Wish(Key("_imaps._tcp.123.com", "SRV"), "service", ("993 mail.123.com.",), (), "")
ABSENT = Wish(Key("_pop3._tcp.123.com", "SRV"), "not offered", (), ("SRV 0 0 0 .",), "")
MX = Wish(Key("123.com", "MX"), "exchanges", ("mx1.123.com.", "mx2.123.com."), (), "")
SPF = Wish(Key("123.com", "SPF"), "permits", ("a:mail.123.com",), (), "")


@pytest.mark.parametrize(
    ("wish", "values", "aliases", "right"),
    [
        (ALIAS, (), ("mail.123.com",), True),
        (ALIAS, ("203.0.113.9",), ("www.123.com", "mail.123.com"), True),
        (ALIAS, ("203.0.113.9",), (), True),
        (ALIAS, ("203.0.113.9",), ("other.net",), False),
        (ALIAS, ("203.0.113.9", "203.0.113.7"), (), False),
        (ALIAS, (), (), False),
        (SERVICE, ("0 1 993 mail.123.com.",), (), True),
        (SERVICE, ("20 5 993 mail.123.com.",), (), True),
        (SERVICE, ("0 1 143 mail.123.com.",), (), False),
        (SERVICE, ("0 1 993 mail.123.com.", "0 1 993 old.123.com."), (), False),
        (SERVICE, ("0 0 0 .",), (), False),
        (ABSENT, ("0 0 0 .",), (), True),
        (ABSENT, (), (), True),
        (ABSENT, ("0 1 110 pop.123.com.",), (), False),
        (MX, ("10 mx1.123.com.", "20 mx2.123.com."), (), True),
        (MX, ("5 mx2.123.com.", "5 mx1.123.com."), (), True),
        (MX, ("10 mx1.123.com.",), (), False),
        (SPF, ("v=spf1 a:mail.123.com -all",), (), True),
        (SPF, ("v=spf1 ip4:203.0.113.0/28 -all",), (), True),
        (SPF, ("v=spf1 -a:mail.123.com ~all",), (), False),
        (SPF, ("v=spf1 a:mail.123.com -all", "v=spf1 mx -all"), (), False),
        (SPF, (), (), False),
    ],
)
def test_what_fits(wish: Wish, values: tuple[str, ...], aliases: tuple[str, ...], right: bool) -> None:
    hosts = {"mail.123.com": ("203.0.113.9",)}
    assert fits(wish, Answer(frozenset(values), 300, aliases), hosts) is right


def test_an_alias_in_place_of_a_service_is_no_service() -> None:
    """As a wildcard has it: `*.123.com CNAME www.123.com`."""
    there = Answer(frozenset(), 300, ("www.123.com",))
    seen = (Episode(there.content, 300, NOW - 500, NOW),)
    assert judge(SERVICE, {NS1: there, R1: there}, seen, NOW).state == "not changed"
    assert judge(ABSENT, {NS1: there}, seen, NOW).right
    gone = (Episode(there.content, 300, NOW - 500, NOW - 100, gone=NOW - 100),)
    assert judge(ABSENT, {NS1: Answer(ttl=60)}, gone, NOW).elsewhere is None, "it was right before, too"


def test_what_stays_as_it_is_is_right_whatever_it_is() -> None:
    wish = Wish(Key("123.com", "MX"), "as it is", (), (), "")
    for words in ("old old old", "none none", "old odd new"):
        assert judge(wish, said(*words.split()), (), NOW).state == "right"
    assert judge(wish, said("dead", "dead"), (), NOW).state == "not reachable"


@given(
    st.lists(st.sampled_from(sorted(ANSWERS)), min_size=1, max_size=4),
    st.lists(st.builds(episode, st.sampled_from(["old", "new", "odd", "none"])), max_size=3),
)
def test_right_is_said_only_when_everybody_says_so(words: list[str], episodes: list[Episode]) -> None:
    judged = judge(WISH, said(*words), episodes, NOW)
    assert judged.right is (set(words) == {"new"})
