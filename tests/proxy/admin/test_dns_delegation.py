"""Whom a zone is delegated to, where that is of no use."""

from __future__ import annotations

import pytest
from dns.message import QueryMessage

from proxy.admin.dns import delegation
from proxy.admin.dns.asking import Limit
from proxy.admin.dns.delegation import NotFound, Ways, find_zone
from tests.proxy.admin.scripted_dns import ScriptedDns, reply


@pytest.mark.parametrize(
    ("addresses", "said"),
    [
        (
            ["ns1.123.com. 60 IN AAAA 2001:db8::1"],
            "123.com has no authoritative server with an address that this machine",
        ),
        ([], "123.com has no authoritative server with an address"),
    ],
)
def test_servers_that_cannot_be_reached_from_here(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str], said: str
) -> None:
    def script(query: QueryMessage, _: str) -> QueryMessage:
        zone, kind = query.question[0].name.to_text(), query.question[0].rdtype.name
        if kind == "SOA":
            return reply(query, f"{zone} 60 IN SOA ns1.123.com. h.123.com. 7 60 60 60 60", own=False)
        there = {("123.com.", "NS"): ["123.com. 60 IN NS ns1.123.com."], ("ns1.123.com.", "AAAA"): addresses}
        return reply(query, *there.get((zone, kind), []), own=False)

    monkeypatch.setattr(delegation, "_routed", lambda address: ":" not in address)
    with ScriptedDns(script) as resolver:
        with pytest.raises(NotFound) as error:
            find_zone("123.com", Ways([resolver.server(authority=False)]), Limit.after(5))
    assert str(error.value).startswith(said) and str(error.value).endswith("to") is bool(addresses)
