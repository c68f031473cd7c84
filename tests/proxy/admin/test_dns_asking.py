"""One question to one server: what comes of servers that answer well, wrongly, or not at all."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import pytest
from dns.message import QueryMessage
from dns.rdatatype import RdataType
from hypothesis import given
from hypothesis import strategies as st

from proxy.admin.dns import asking
from proxy.admin.dns.asking import Limit, answer
from proxy.admin.dns.records import Answer, Key, Server, Type
from tests.proxy.admin.scripted_dns import Script, ScriptedDns, reply

RECORDS = {
    RdataType.A: "A 192.0.2.1",
    RdataType.AAAA: "AAAA 2001:db8::1",
    RdataType.MX: "MX 10 mx1.123.com.",
    RdataType.SRV: "SRV 0 1 993 mail.123.com.",
    RdataType.TXT: 'TXT "v=spf1 mx -all"',
}
HOST, MX = Key("mail.123.com", "address"), Key("123.com", "MX")
SOA = "!123.com. 900 IN SOA ns1.123.com. h.123.com. 7 3600 600 86400 60"


def ask(script: Script, key: Key = MX, *, authority: bool = True, seconds: float = 5.0) -> tuple[Answer, list[str]]:
    with ScriptedDns(script) as server:
        return answer(server.server(authority=authority), key, Limit.after(seconds)), server.asked


def test_a_record() -> None:
    found, asked = ask(lambda query, _: reply(query, "123.com. 300 IN MX 10 MX1.123.com."))
    assert found == Answer(frozenset({"10 mx1.123.com."}), 300)
    assert asked == ["udp 123.com MX"]


def test_that_there_is_none_is_kept_for_a_time() -> None:
    found, _ = ask(lambda query, _: reply(query, SOA, rcode=dns.rcode.NXDOMAIN))
    assert found == Answer(ttl=60)
    assert ask(lambda query, _: reply(query))[0] == Answer()


def test_addresses_of_both_kinds_behind_aliases() -> None:
    def script(query: QueryMessage, _: str) -> QueryMessage:
        alias = "mail.123.com. 60 IN CNAME a.net."
        kind = query.question[0].rdtype.name
        return reply(query, alias, f"a.net. 300 IN {kind} {'192.0.2.1' if kind == 'A' else '2001:db8::1'}")

    assert ask(script, HOST)[0] == Answer(frozenset({"192.0.2.1", "2001:db8::1"}), 60, ("a.net",))


def test_an_address_of_one_kind_counts_with_its_own_ttl() -> None:
    def script(query: QueryMessage, _: str) -> QueryMessage:
        return reply(query, "mail.123.com. 300 IN A 192.0.2.1" if query.question[0].rdtype.name == "A" else SOA)

    assert ask(script, HOST)[0] == Answer(frozenset({"192.0.2.1"}), 300)


def test_aliases_in_a_circle_come_to_an_end() -> None:
    def script(query: QueryMessage, _: str) -> QueryMessage:
        return reply(query, "mail.123.com. 60 IN CNAME b.123.com.", "b.123.com. 60 IN CNAME mail.123.com.")

    found, _ = ask(script, HOST)
    assert found.values == frozenset() and found.aliases[0] == "b.123.com" and len(found.aliases) == 8


def test_only_spf_counts_of_what_is_text() -> None:
    texts = ('123.com. 300 IN TXT "v=spf1 " "mx -all"', '123.com. 300 IN TXT "some other text"')
    assert ask(lambda query, _: reply(query, *texts), Key("123.com", "SPF"))[0].values == {"v=spf1 mx -all"}


def test_no_text_of_others_moves_the_cursor_or_begins_a_line() -> None:
    found, _ = ask(
        lambda query, _: reply(query, '123.com. 300 IN TXT "v=spf1 \\027[2J\\010x -all"'), Key("123.com", "SPF")
    )
    assert found.values == {"v=spf1 �[2J�x -all"}


@given(st.integers(0, 200), st.binary(max_size=40), st.integers(0, 40), st.sampled_from(sorted(asking._TYPES)))
def test_no_answer_raises_anything_else(at: int, noise: bytes, gone: int, kind: Type) -> None:
    """Messages that are mutations of good ones, read as far as they can be."""
    key = Key("mail.123.com", kind)
    for rdtype in asking._TYPES[kind]:
        query = dns.message.make_query("mail.123.com.", rdtype)
        records = ("mail.123.com. 60 IN CNAME mail.123.com.", "mail.123.com. 60 IN NS ns1.123.com.", SOA)
        wire = reply(query, *records, f"mail.123.com. 60 IN {RECORDS[rdtype]}").to_wire()
        with contextlib.suppress(dns.exception.DNSException, EOFError, ValueError):
            said = dns.message.from_wire(wire[:at] + noise + wire[at + gone :])
            asking.read(said, key, rdtype)
            asking.start_of_authority(said)
            asking.names(said, "mail.123.com", RdataType.NS)
            asking.glue(said, "ns1.123.com")


def test_what_is_cut_is_asked_for_again_over_tcp() -> None:
    def script(query: QueryMessage, way: str) -> QueryMessage:
        if way == "udp":
            cut = reply(query)
            cut.flags |= dns.flags.TC
            return cut
        return reply(query, "123.com. 300 IN MX 10 mx1.123.com.")

    found, asked = ask(script)
    assert (found.values, asked) == ({"10 mx1.123.com."}, ["udp 123.com MX", "tcp 123.com MX"])


def test_a_server_without_edns_is_asked_without_it() -> None:
    def script(query: QueryMessage, _: str) -> QueryMessage:
        if query.edns >= 0:
            return reply(query, rcode=dns.rcode.FORMERR)
        return reply(query, "123.com. 300 IN MX 10 mx1.123.com.")

    assert ask(script)[0].values == {"10 mx1.123.com."}


def test_a_question_that_was_lost_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "FIRST_TRY", 0.1)
    lost: list[bool] = []

    def script(query: QueryMessage, _: str) -> QueryMessage | None:
        lost.append(True)
        return None if len(lost) == 1 else reply(query, "123.com. 300 IN MX 10 mx1.123.com.")

    assert ask(script)[0].values == {"10 mx1.123.com."}


@pytest.mark.parametrize(
    ("script", "trouble"),
    [
        (lambda query, _: reply(query, rcode=dns.rcode.REFUSED), "refuses to answer (REFUSED)"),
        (lambda query, _: reply(query, rcode=dns.rcode.SERVFAIL), "refuses to answer (SERVFAIL)"),
        (lambda query, _: reply(query, "123.com. 300 IN MX 10 mx1.123.com.", own=False), "is no authority for it"),
        (lambda query, _: reply(query, "!com. 300 IN NS a.net.", own=False), "refers to the servers of com instead"),
        (lambda query, _: reply(query, "!. 300 IN NS a.net.", own=False), "refers to the servers of the root instead"),
        (lambda query, _: b"garbage", "answers what is no DNS (ShortHeader)"),
        (lambda query, _: reply(query).to_wire()[:-3], "answers what is no DNS"),
    ],
)
def test_answers_that_are_none(script: Script, trouble: str) -> None:
    found, _ = ask(script)
    assert found.trouble.startswith(trouble)
    assert (found.values, found.content) == (frozenset(), frozenset())


def test_a_resolver_may_answer_from_what_it_was_told() -> None:
    found, _ = ask(lambda query, _: reply(query, "123.com. 42 IN MX 10 mx1.123.com.", own=False), authority=False)
    assert found == Answer(frozenset({"10 mx1.123.com."}), 42)


def test_only_resolvers_are_asked_to_ask_others() -> None:
    wanted: list[bool] = []

    def script(query: QueryMessage, _: str) -> QueryMessage:
        wanted.append(bool(query.flags & dns.flags.RD))
        return reply(query)

    ask(script)
    ask(script, authority=False)
    assert wanted == [False, True]


def test_a_dead_server_takes_no_longer_than_its_limit() -> None:
    begun = time.monotonic()
    found, asked = ask(lambda query, _: None, seconds=0.4)
    assert time.monotonic() - begun < 2
    assert (found.trouble, asked) == ("does not answer within 1 s", ["udp 123.com MX"])


def test_a_server_that_breaks_off_over_tcp(monkeypatch: pytest.MonkeyPatch) -> None:
    def script(query: QueryMessage, way: str) -> QueryMessage | None:
        if way == "tcp":
            return None
        cut = reply(query)
        cut.flags |= dns.flags.TC
        return cut

    assert ask(script)[0].trouble.startswith(("answers what is no DNS", "cannot be reached"))


def test_a_server_that_cuts_its_answer_and_takes_no_tcp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))  # and nobody else gets this port
        udp.bind(nobody_listens.getsockname())

        def cut_once() -> None:
            data, peer = udp.recvfrom(4096)
            said = dns.message.make_response(dns.message.from_wire(data))
            said.flags |= dns.flags.TC
            udp.sendto(said.to_wire(), peer)

        thread = threading.Thread(target=cut_once)
        thread.start()
        server = Server("ns1.123.com", "127.0.0.1", udp.getsockname()[1], authority=True)
        found = answer(server, MX, Limit.after(5))
        thread.join()
    assert found.trouble == "cuts its answer short, and by TCP cannot be reached: Connection refused"


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".com", ".".join(["abcdefg"] * 40), "\\9.com"])
def test_a_name_of_others_that_is_none_is_asked_of_nobody(name: str) -> None:
    found, asked = ask(lambda query, _: reply(query), Key(name, "SPF"))
    assert (found.trouble, asked) == ("was not asked: this is no name", [])


def test_nothing_is_asked_when_nobody_waits_any_more() -> None:
    limit = Limit.after(5)
    limit.abandoned.set()
    with ScriptedDns(lambda query, _: reply(query)) as server:
        assert answer(server.server(authority=True), MX, limit).trouble == "was not asked: the time was over"
        assert server.asked == []


def test_nothing_is_asked_when_the_time_is_over() -> None:
    found, asked = ask(lambda query, _: reply(query), seconds=-1)
    assert (found.trouble, asked) == ("was not asked: the time was over", [])
