"""`mailferry dns` where zones and servers are odd, each in a way that the world has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dns.message import QueryMessage

from tests.peers.dns_world import BEFORE, NEW, OLD, World
from tests.peers.nameservers import Addresses, Knot
from tests.proxy.admin.scripted_dns import ScriptedDns, reply

pytestmark = pytest.mark.peers
FERRY = {"delegation": "ferry IN NS a.\n"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "w").mkdir()
    return tmp_path / "w"


@pytest.fixture
def world(root: Path) -> Iterator[World]:
    found = World(root, **FERRY, elsewhere={"ferry.com": f"@ IN NS a.\nold IN A {OLD}\nnew IN A {NEW}\n"})
    yield found
    found.stop()


def record(found: Any, name: str, kind: str = "address") -> Any:
    (one,) = [r for r in found["records"] if (r["name"], r["type"]) == (name, kind)]
    return one


def values(found: Any, name: str, kind: str = "address") -> set[tuple[str, ...]]:
    return {tuple(seen["values"]) for seen in record(found, name, kind)["seen"]}


def test_aliases_wildcards_texts_in_pieces_and_no_ttl_at_all(world: World) -> None:
    pieces = '"v=spf1 ip4:192.0.2.1 " "a:mail.123" ".com" " -all"'
    world.change(
        f'@ 900 IN TXT {pieces}\n@ 900 IN TXT "it says \\"v=spf1\\""\n* 900 IN CNAME www\nwww 0 IN A {OLD}\n'
        "mail 0 IN AAAA 2001:db8::9\nautoconfig 900 IN CNAME one\none 900 IN CNAME two\ntwo 0 IN CNAME mail\n"
        "autodiscover 900 IN CNAME autodiscover.net\n"
    )
    found = world.dns("--json", "--address", "2001:db8::9").json
    assert record(found, "mail.123.com")["state"] == "right" and record(found, "mail.123.com")["ttl"] == 0
    assert record(found, "autoconfig.123.com")["state"] == "right", "three aliases, one behind the other"
    assert values(found, "123.com", "SPF") == {("v=spf1 ip4:192.0.2.1 a:mail.123.com -all",)}
    assert record(found, "123.com", "SPF")["state"] == "right"
    service = record(found, "_imaps._tcp.123.com", "SRV")
    assert (service["state"], values(found, service["name"], "SRV")) == ("not changed", {("CNAME www.123.com.",)})
    assert record(found, "_imap._tcp.123.com", "SRV")["state"] == "right", "a wildcard's alias offers nothing"
    assert record(found, "autodiscover.123.com")["state"] == "not changed"
    zone = world.dns("--zone", "--address", "2001:db8::9").out
    assert "mail.123.com.                    300 IN AAAA  2001:db8::9" in zone


def test_an_alias_elsewhere_is_followed_afresh_and_not_by_what_a_cache_has(world: World) -> None:
    world.change(BEFORE.replace(f"mail 900 IN A {OLD}", "mail 900 IN CNAME old.ferry.com."))
    world.resolver.learn("mail.123.com")
    assert world.dns("--json", "--address", NEW).states()["mail.123.com address"] == "not changed"
    world.change(BEFORE.replace(f"mail 900 IN A {OLD}", "mail 300 IN CNAME new.ferry.com."))
    found = record(world.dns("--json", "--address", NEW).json, "mail.123.com")
    assert [seen["state"] for seen in found["seen"]] == ["right", "right", "cached"]


def test_an_alias_that_leads_out_and_back(root: Path) -> None:
    world = World(root, **FERRY, elsewhere={"ferry.com": "@ IN NS a.\nbend IN CNAME mail.123.com.\n"})
    try:
        world.change(BEFORE.replace("autoconfig.qq.com.", "bend.ferry.com."))
        assert world.dns("--json", "--address", OLD).states()["autoconfig.123.com address"] == "right"
    finally:
        world.stop()


def test_no_cache_learns_that_a_name_is_not_there_yet(world: World) -> None:
    """Neither the one that an alias leads to, nor a new mail server, nor a host name in another zone."""
    lacking = BEFORE.replace(f"mail 900 IN A {OLD}\n", "").replace("autoconfig.qq.com.", "mail")
    world.change(lacking)
    world.configure(hostname="mail.123.com")
    asked = ("--mx", "mx.123.com", "--host", "pop.ferry.com", "--address", NEW)
    ran = world.dns(*asked, "--json")
    assert "mx.123.com has no address, so no mail could be delivered to it" in [r["text"] for r in ran.json["remarks"]]
    assert ran.states()["pop.ferry.com address"] == "missing"
    world.change(f"{lacking}mail 900 IN A {NEW}\nmx 900 IN A {NEW}\n")
    world.above.change("ferry.com", f"@ IN NS a.\npop IN CNAME mail.123.com.\nnew IN A {NEW}\n")
    for name in ("autoconfig.123.com", "mx.123.com", "pop.ferry.com"):
        assert NEW in world.resolver.learn(name).to_text(), name
    assert world.dns(*asked, "--json").states()["pop.ferry.com address"] == "right"


def test_a_server_whose_zone_is_broken(root: Path) -> None:
    addresses = Addresses()
    for _ in range(4):
        addresses.take()
    ill = addresses.take()
    glue = f"123 IN NS ill\nill IN A {ill}\n"
    world = World(root, delegation=glue, addresses=Addresses(addresses.port))
    other = Knot(root / "ill", ill, addresses.port, {"456.com": "", "123.com": "@ IN A not-an-address"})
    try:
        ran = world.dns("--json")
        assert [one["trouble"] for one in ran.json["servers"] if one["trouble"]] == ["refuses to answer (SERVFAIL)"]
        assert ran.states()["mail.123.com address"] == "right" and ran.status == 1
        assert {s["server"] for s in record(ran.json, "mail.123.com")["seen"]} == {"ns1.123.com", "ns2.123.com", ""}
    finally:
        other.stop()
        world.stop()


def test_a_signed_zone(root: Path) -> None:
    world = World(root, signed=True)
    try:
        assert "RRSIG" in world.ns1.signatures("mail.123.com")
        world.change(world.pasted("--address", NEW))
        ran = world.dns("--address", NEW)
        assert (ran.status, ran.err) == (0, ""), ran.out
    finally:
        world.stop()


def test_a_resolver_that_makes_names_up(world: World) -> None:
    def lie(query: QueryMessage, _: str) -> QueryMessage:
        question = query.question[0]
        made = [f"{question.name} 60 IN A 198.51.100.66"] if question.rdtype.name == "A" else []
        return reply(query, *made, own=False)

    with ScriptedDns(lie) as liar:
        found = world.dns("--json", "--resolver", f"127.0.0.1:{liar.port}").json
        states = [(seen["address"] == "127.0.0.1", seen["state"]) for seen in record(found, "mail.123.com")["seen"]]
        assert states == [(False, "right"), (False, "right"), (False, "right"), (True, "right")]
        assert record(found, "autodiscover.123.com")["state"] == "missing"
        assert not any("autodiscover" in question for question in liar.asked), "an authority says that there is none"
        found = world.dns("--json", "--address", OLD, "--resolver", f"127.0.0.1:{liar.port}").json
        assert [seen["state"] for seen in record(found, "mail.123.com")["seen"]] == [
            *("right", "right", "right", "cached")
        ], "as far as one look can tell: the record may have been that before"


def test_records_of_others_that_cannot_be_names(world: World) -> None:
    long = "x" * 70
    world.change(
        BEFORE.replace("include:spf.mail.qq.com", f"include:a..b include:{long}.com include:\\\\9 redirect=..")
    )
    ran = world.dns("--json")
    assert record(ran.json, "123.com", "SPF")["state"] == "not changed"
