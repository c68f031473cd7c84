"""A domain's DNS in the console: against real name servers, in a daemon whose looks follow each other each second."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.administrators import administrator
from tests.browser.company import Company
from tests.browser.dns_company import Moving, moving
from tests.browser.visitor import Answer, Visitor
from tests.peers.dns_world import BEFORE, NEW, OLD
from tests.peers.nameservers import open_udp, received

pytestmark = pytest.mark.peers
PAGE = "/console/domain/123.com/dns"
UNDER_WAY = 'id="task"'


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Moving]:
    with moving(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def admin(company: Company) -> Visitor:
    """Where nobody looks at anything."""
    return administrator(company)


def look(admin: Visitor, **fields: str) -> Answer:
    """Begin one, and see how it ended."""
    admin.submit(PAGE, PAGE, fields)
    return admin.until(lambda answer: UNDER_WAY not in answer.text, PAGE)


def rows(answer: Answer) -> dict[str, str]:
    """The table of records: what each row says, by the first two words."""
    found = re.findall(r'<tr id="record-\d+">(.*?)</tr>', answer.text, re.S)
    words = [html.unescape(" ".join(re.sub(r"<[^>]+>", " ", row).split())) for row in found]
    return {" ".join(line.split()[:2]): line for line in words}


def fields(answer: Answer) -> dict[str, str]:
    """What stands in the form."""
    found = re.findall(r'<input id="(\w+)" name="\w+" type="text" value="([^"]*)"', answer.text)
    return {name: html.unescape(value) for name, value in found}


def pasted(answer: Answer) -> str:
    return html.unescape(
        answer.text.partition('<textarea class="snippet"')[2].partition(">")[2].partition("</textarea>")[0]
    )


def untimed(text: str) -> str:
    return re.sub(r"as of .*", "", text)


def test_from_the_first_look_to_where_all_is_right(place: Moving) -> None:
    admin, world = administrator(place.company), place.world
    first = admin.get(PAGE)
    assert "Nobody has looked since the daemon was started." in first.words and '<details id="ask" open>' in first.text
    world.resolver.learn("mail.123.com")
    seen = look(admin, addresses=f"{NEW}，2001:DB8::9 {NEW}", spf="v=spf1 ip4:192.0.2.1 ~all")
    assert "2 of 12 records are as they should be" in seen.words
    table = rows(seen)
    assert table["mail.123.com A/AAAA"].endswith(
        f"{NEW}, 2001:db8::9 not changed everywhere: {OLD} (TTL 900), as before"
    )
    assert table["123.com MX"] == "123.com MX as it is (5 mxbiz1.qq.com.) stays"
    assert table["_imaps._tcp.123.com SRV"].endswith("mail.123.com. missing")
    assert table["_submissions._tcp.123.com SRV"].endswith("0 0 0 . (or none) right")
    assert '"v=spf1 include:spf.mail.qq.com ip4:192.0.2.1 ~all"' in table["123.com TXT"]
    assert "before the change lower TTLs to 300" in seen.words and "answers, serial 1" in seen.words
    # It is remembered, for the next page and for the command line, whose flags win.
    assert fields(seen) == {
        "addresses": f"{NEW} 2001:db8::9", "hosts": "", "mx": "", "spf": "ip4:192.0.2.1", "resolvers": ""
    }  # fmt: skip
    ran = world.dns("--zone")
    assert untimed(ran.out) == untimed(pasted(seen))
    flags = f"--address {NEW} --address 2001:db8::9 --spf ip4:192.0.2.1"
    assert ran.err == f"mailferry: as asked for in the console: {flags} (--no-remembered goes without)\n"
    other = world.dns("--zone", "--address", OLD)
    assert "--address" not in other.err and "ip4:192.0.2.1" in other.out and NEW not in other.out
    assert world.dns("--no-remembered").err == ""
    file = admin.get(f"{PAGE}/zone")
    assert file.headers["Content-Disposition"] == 'attachment; filename="123.com-dns.txt"'
    assert file.text == pasted(seen)
    # What is to be pasted is pasted; a cache has what was before.
    world.change(file.text + "@ 900 IN MX 5 mxbiz1.qq.com.\n")
    cached = look(admin, **fields(seen))
    line = rows(cached)["mail.123.com A/AAAA"]
    assert re.search(
        rf"still cached ns1.+ns2.+: 2001:db8::9, {NEW} \(TTL 300\) resolver .+: still {OLD}, until 20", line
    )
    assert "The last cache forgets what was before at 20" in cached.words
    log = [json.loads(entry) for entry in place.company.daemon.log.splitlines() if '"did": "dns"' in entry]
    assert (log[0]["subject"], log[0]["keep"], log[0]["spf"]) == ("123.com", False, ["ip4:192.0.2.1"])
    admin.language = "zh"
    chinese = admin.get(PAGE)
    assert "12 条记录中有" in chinese.words and "仍在缓存中" in chinese.words and f"仍是 {OLD}，最迟到" in chinese.words


def test_it_is_watched_until_all_is_right_by_one_at_a_time(place: Moving) -> None:
    admin, world = administrator(place.company), place.world
    world.change(BEFORE.replace("900", "2"))
    going = admin.submit(PAGE, PAGE, {"addresses": NEW, "keep": "1"})
    assert UNDER_WAY in going.text
    admin.until(lambda answer: "DNS is being watched" in answer.words and "2 of 12 records" in answer.words, PAGE)
    other = administrator(place.company)
    assert "This is under way already" in other.submit(PAGE, PAGE, {"addresses": OLD}).words
    assert fields(other.get(PAGE))["addresses"] == NEW, "what was not begun is not remembered either"
    (at,) = re.findall(r"\?at=(\d+)", admin.get(PAGE).text)
    part = admin.get(f"{PAGE}?at={at}", **{"HX-Request": "true"})
    assert 'id="going"' in part.text
    assert ('id="found"' in part.text) is (f"?at={at}" not in part.text), "only what is new is sent again"
    assert 'id="found"' in admin.get(f"{PAGE}?at={at}").text
    world.change(world.pasted("--address", NEW))
    ended = admin.until(lambda answer: UNDER_WAY not in answer.text, PAGE)
    assert "All 12 records are as they should be" in ended.words and "not changed" not in ended.words


def test_a_look_that_is_stopped_and_a_daemon_that_stops(place: Moving) -> None:
    admin, world = administrator(place.company), place.world
    address = world.addresses.take()
    silent = open_udp(address, world.addresses.port)
    try:
        wish = {"resolvers": f"{address}:{world.addresses.port}", "keep": "1"}
        assert UNDER_WAY in admin.submit(PAGE, PAGE, wish).text
        stopped = admin.submit(PAGE, f"{PAGE}/stop", {})
        assert "It was stopped." in stopped.words and UNDER_WAY not in stopped.text
        assert "Stopped by an administrator" in stopped.words
        assert "It was stopped." not in admin.submit(PAGE, f"{PAGE}/stop", {}).words, "there is nothing to stop"
        admin.submit(PAGE, PAGE, wish)
        assert place.company.daemon.stop() == 0
        assert received(silent) <= 3, "nobody is asked anything more"
        assert not (place.company.daemon.root / "state" / "dns" / "123.com.json").exists()
        place.company.daemon.start()
        assert fields(admin.get(PAGE))["resolvers"] == wish["resolvers"]
    finally:
        silent.close()


def test_nobody_who_can_be_asked(place: Moving) -> None:
    admin = administrator(place.company)
    seen = look(admin, addresses=NEW)
    assert "2 of 12" in seen.words
    place.world.resolver.stop()
    failed = look(admin, addresses=NEW)
    assert "It did not work" in failed.words and "no resolver answers" in failed.words
    assert "2 of 12" in failed.words, "what was seen before is still there"


@pytest.mark.parametrize(
    ("field", "value", "en", "zh"),
    [
        ("addresses", "mail.123.com", "“mail.123.com” is no address of a server", "不是服务器的地址"),
        ("addresses", "224.0.0.1", "“224.0.0.1” is no address", "不是服务器的地址"),
        ("hosts", "a b_ -x-", "“-x-” cannot be a domain name", "不能作域名"),
        ("mx", "10 mx.123.com", "“10” is no name", "不是名称"),
        ("mx", "203.0.113.9", "“203.0.113.9” is no name", "不是名称"),
        ("spf", "mail.123.com", "nothing that SPF knows", "SPF 中没有"),
        ("spf", "-all -mx", "“-mx” permits nobody", "不会允许任何人"),
        ("spf", "ip4:1.2.3", "has no network", "没有网段"),
        ("spf", "include:", "has no name", "名称不能用"),
        ("resolvers", "dns.net", "“dns.net” is no address of a resolver", "不是解析服务器的地址"),
        ("resolvers", "192.0.2.1:0", "is no address of a resolver", "不是解析服务器的地址"),
        ("resolvers", " ".join(f"192.0.2.{n}" for n in range(17)), "At most 16.", "最多 16 项。"),
        ("hosts", "<script>alert(1)</script>", "“<script>alert(1)</script>” cannot be", "不能作域名"),
    ],
)
def test_what_cannot_be_meant(admin: Visitor, field: str, value: str, en: str, zh: str) -> None:
    for admin.language, said, nothing in (("en", en, "Nothing was begun"), ("zh", zh, "没有开始")):
        answer = admin.submit(PAGE, PAGE, {"hosts": "pop.123.com", field: value})
        assert answer.status == 400 and said in answer.words and nothing in answer.words, answer.words
        assert 'aria-invalid="true"' in answer.text and "<script>alert" not in answer.text
        assert fields(answer)[field] == value, "nobody has to type it again"
        assert UNDER_WAY not in admin.get(PAGE).text
    admin.language = "en"
    assert fields(admin.get(PAGE))["hosts"] == ""


def test_pages_that_are_not_there_and_forms_that_are_not_ours(company: Company, admin: Visitor) -> None:
    for path in ("/console/domain/124.com/dns", f"{PAGE}/zone", "/console/domain/124.com/dns/zone"):
        assert admin.get(path).status == 404, path
    token = admin.get(PAGE).csrf
    assert admin.post("/console/domain/124.com/dns", {"csrf": token}).status == 404
    assert admin.post("/console/domain/124.com/dns/stop", {"csrf": token}).status == 404
    for path in (PAGE, f"{PAGE}/stop"):
        assert admin.post(path, {"csrf": "forged"}).status == 403
    assert admin.post(PAGE, {"csrf": token, "spf": "mx " * 1000}).status == 400
    assert "Log in to the console" in Visitor(company).get(PAGE).words
    assert UNDER_WAY not in admin.get(PAGE).text
