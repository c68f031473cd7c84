"""What a domain's records should be, from the configuration and from what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.admin.dns.records import Answer, Key, Wish
from proxy.admin.dns.wanted import Asked, in_order, quoted, remarks, wishes
from proxy.admin.hosted import hosted_by
from proxy.config import Config, parse

CONFIG = """
hostname = "mail.123.com"
submission = "mail.123.com:587"
[listen]
imap = ["tcp:143"]
imaps = ["tcp:993"]
pop3s = ["tcp:9995"]
web = ["tcp:443"]
[tls]
certificate = "/x/cert.pem"
key = "/x/key.pem"
[domain."123.com".legacy]
host = "pop.old.123.com"
"""
HOST = Key("mail.123.com", "address")
SPF, MX = Key("123.com", "SPF"), Key("123.com", "MX")
NOW = {
    HOST: Answer(frozenset({"203.0.113.9"}), 300),
    SPF: Answer(frozenset({"v=spf1 include:spf.mail.qq.com ~all"}), 300),
    MX: Answer(frozenset({"5 mxbiz1.qq.com.", "10 mxbiz2.qq.com."}), 300),
}


def config(*changes: tuple[str, str]) -> Config:
    text = CONFIG
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return parse(text.encode(), "test", Path("/"))


def wanted(
    asked: Asked | None = None, now: dict[Key, Answer] | None = None, *changes: tuple[str, str]
) -> dict[str, Wish]:
    found = wishes(config(*changes), "123.com", asked or Asked(), NOW if now is None else now)
    return {f"{wish.key.name} {wish.key.type}": wish for wish in found}


def test_every_service_is_told_of_and_what_is_not_offered_as_well() -> None:
    lines = {name: wish.lines for name, wish in wanted().items()}
    assert lines == {
        "mail.123.com address": ("A 203.0.113.9",),
        "123.com MX": (),
        "123.com SPF": ('TXT "v=spf1 include:spf.mail.qq.com a:mail.123.com ~all"',),
        "_imaps._tcp.123.com SRV": ("SRV 0 1 993 mail.123.com.",),
        "_imap._tcp.123.com SRV": ("SRV 5 1 143 mail.123.com.",),
        "_pop3s._tcp.123.com SRV": ("SRV 10 1 9995 mail.123.com.",),
        "_pop3._tcp.123.com SRV": ("SRV 0 0 0 .",),
        "_submissions._tcp.123.com SRV": ("SRV 0 0 0 .",),
        "_submission._tcp.123.com SRV": ("SRV 5 1 587 mail.123.com.",),
        "autoconfig.123.com address": ("CNAME mail.123.com.",),
        "autodiscover.123.com address": ("CNAME mail.123.com.",),
        "_autodiscover._tcp.123.com SRV": ("SRV 0 0 443 mail.123.com.",),
    }


def test_an_mx_is_wanted_only_when_it_was_asked_for() -> None:
    assert wanted()["123.com MX"].rule == "as it is"
    wish = wanted(Asked(mx=("mx1.123.com", "mx2.123.com")))["123.com MX"]
    assert wish.lines == ("MX 10 mx1.123.com.", "MX 20 mx2.123.com.")


def test_an_spf_record_that_could_not_be_read_is_not_replaced() -> None:
    now = {key: answer for key, answer in NOW.items() if key != SPF}
    assert wanted(now=now)["123.com SPF"].rule == "as it is"


@pytest.mark.parametrize(
    ("there", "asked", "expected"),
    [
        ([], (), "v=spf1 mx a:mail.123.com ~all"),
        (["v=spf1 ip4:203.0.113.9 -all"], (), "v=spf1 ip4:203.0.113.9 -all"),
        (["v=spf1 -all"], ("ip4:192.0.2.1",), "v=spf1 ip4:192.0.2.1 -all"),
        (["v=spf1 mx -all", "v=spf1 ip4:203.0.113.9 ~all"], (), "v=spf1 ip4:203.0.113.9 mx ~all"),
    ],
)
def test_spf_keeps_what_is_there(there: list[str], asked: tuple[str, ...], expected: str) -> None:
    now = NOW | {SPF: Answer(frozenset(there), 300)}
    assert wanted(Asked(spf=asked), now)["123.com SPF"].lines == (f'TXT "{expected}"',)


def test_without_submission_nothing_is_sent_from_here() -> None:
    without = ('submission = "mail.123.com:587"\n', "")
    assert wanted(None, None, without)["123.com SPF"].rule == "as it is"
    assert wanted(None, None, without)["_submission._tcp.123.com SRV"].rule == "not offered"


def test_without_a_portal_nobody_is_led_to_one() -> None:
    found = wanted(None, None, ('web = ["tcp:443"]\n', ""))
    rules = {name: wish.rule for name, wish in found.items() if "auto" in name}
    assert set(rules.values()) == {"as it is"} and len(rules) == 3
    now = NOW | {Key("autoconfig.123.com", "address"): Answer(frozenset(), 300, ("autoconfig.qq.com",))}
    told = [r.text for r in remarks(config(('web = ["tcp:443"]\n', "")), "123.com", Asked(), now)]
    assert any("autoconfig.123.com (CNAME autoconfig.qq.com.) tells mail programs" in text for text in told)


def test_addresses_that_were_given_are_wanted_as_they_are() -> None:
    wish = wanted(Asked(addresses=("192.0.2.1", "2001:db8::1")))["mail.123.com address"]
    assert (wish.rule, wish.lines) == ("addresses", ("A 192.0.2.1", "AAAA 2001:db8::1"))


def test_names_that_users_have_lead_here_and_the_domain_itself_by_addresses() -> None:
    found = wanted(Asked(hosts=("pop.123.com", "123.com")))
    assert found["pop.123.com address"].lines == ("CNAME mail.123.com.",)
    assert found["123.com address"].lines == ("A 203.0.113.9",)


def test_where_an_mx_leads_there_is_no_alias() -> None:
    found = wanted(Asked(mx=("mx.123.com",), hosts=("mx.123.com", "pop.123.com")))
    assert found["mx.123.com address"].lines == ("A 203.0.113.9",)
    assert found["pop.123.com address"].lines == ("CNAME mail.123.com.",)


def remarked(now: dict[Key, Answer] | None = None, asked: Asked | None = None, *changes: tuple[str, str]) -> list[str]:
    return [f"{r.weight}: {r.text}" for r in remarks(config(*changes), "123.com", asked or Asked(), now or NOW)]


def test_what_the_mx_means_is_said() -> None:
    (text,) = [line for line in remarked() if "new mail" in line]
    assert text.startswith(
        "advice: new mail for 123.com goes to mxbiz1.qq.com, mxbiz2.qq.com (Tencent Exmail): it stays"
    )
    here = remarked(NOW | {MX: Answer(frozenset({"10 mail.123.com."}), 300)})
    assert any("a Postfix has to answer there" in line for line in here)
    assert any("(a null MX, RFC 7505)" in line for line in remarked(NOW | {MX: Answer(frozenset({"0 ."}), 300)}))
    assert any("has no MX" in line for line in remarked(NOW | {MX: Answer(ttl=300)}))
    assert any("a Postfix has to answer there" in line for line in remarked(asked=Asked(mx=("mail.123.com",))))


def test_several_spf_records_are_a_mistake() -> None:
    lines = remarked(NOW | {SPF: Answer(frozenset({"v=spf1 mx -all", "v=spf1 a -all"}), 300)})
    assert any(line.startswith("mistake: 123.com has 2 SPF records") for line in lines)


def test_a_legacy_host_that_is_to_lead_here_is_a_mistake() -> None:
    lines = remarked(None, None, ("pop.old.123.com", "mail.123.com"))
    assert any(line.startswith("mistake: `legacy.host` is mail.123.com") for line in lines)
    lines = remarked(None, Asked(hosts=("pop.old.123.com",)))
    assert any(line.startswith("mistake: `legacy.host` is pop.old.123.com") for line in lines)


def test_a_name_of_somebody_elses_address_is_told_of() -> None:
    assert any("203.0.113.9, which is no address of this machine" in line for line in remarked())
    here = NOW | {HOST: Answer(frozenset({"127.0.0.1"}), 300)}
    assert not any("no address of this machine" in line for line in remarked(here))
    assert not any("no address of this machine" in line for line in remarked(asked=Asked(addresses=("192.0.2.1",))))


def test_a_portal_at_another_port_is_told_of() -> None:
    assert any("look for autoconfig at port 443" in line for line in remarked(None, None, ("tcp:443", "tcp:8443")))


def test_text_of_a_zone() -> None:
    assert quoted("v=spf1 -all") == '"v=spf1 -all"'
    assert quoted('a"b\\c') == '"a\\"b\\\\c"'
    assert [len(part) for part in quoted("x" * 600).split()] == [252, 252, 102]
    assert quoted("x" * 249 + '"y') == '"' + "x" * 249 + '\\"" "y"', "no string ends within what is escaped"
    assert quoted("é" * 126) == '"' + r"\195\169" * 125 + '" "' + r"\195\169" + '"', "octets, not letters"
    assert in_order({"10 b.", "5 c.", "20 a."}) == ["5 c.", "10 b.", "20 a."]


@pytest.mark.parametrize(
    ("exchange", "name"),
    [
        ("mxbiz1.qq.com", "Tencent Exmail"),
        ("qiye163mx01.mxmail.netease.com.", "NetEase Qiye"),
        ("MX.ym.163.com", "NetEase Ym"),
        ("mxn.mxhichina.com", "Alibaba Mail"),
        ("mx1.qiye.aliyun.com", "Alibaba Mail"),
        ("123-com.mail.protection.outlook.com", "Microsoft 365"),
        ("aspmx.l.google.com", "Google Workspace"),
        ("notgoogle.com", None),
        ("mx.123.com", None),
    ],
)
def test_hosted_services_are_known_by_their_mail_servers(exchange: str, name: str | None) -> None:
    found = hosted_by(exchange)
    assert (found.name if found else None) == name


@pytest.mark.parametrize("region", ["com", "eu", "in", "com.au", "com.cn"])
def test_a_service_has_hosts_in_each_of_its_regions(region: str) -> None:
    found = hosted_by(f"mx2.zoho.{region}")
    assert found is not None and (found.pop3, found.imap) == (f"poppro.zoho.{region}", f"imappro.zoho.{region}")
