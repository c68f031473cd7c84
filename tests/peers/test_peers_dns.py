"""`mailferry dns` against real name servers: knot as authorities whose zones change, unbound as a resolver that
remembers."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.legacy.certificates import Authority
from tests.peers.dns_world import BEFORE, MAIL, NEW, ODD, OLD, ROOT, World
from tests.peers.nameservers import Addresses, Knot, open_udp, received
from tests.peers.needs import needed

pytestmark = pytest.mark.peers


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path / "w")
    yield found
    found.stop()


@pytest.fixture(autouse=True)
def short(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()


def test_before_the_move(world: World) -> None:
    ran = world.dns("--address", NEW)
    assert (ran.status, ran.err) == (1, "")
    lines = ran.out.splitlines()
    assert lines[0].startswith("123.com at 20") and lines[0].endswith(": 4 of 12 records are as they should be")
    assert f"mail.123.com  A  not changed  {NEW}" in lines
    assert f"    everywhere: {OLD} (TTL 900), as before" in lines
    assert "123.com  MX  stays  as it is (5 mxbiz1.qq.com.)" in lines
    assert '123.com  TXT (SPF)  not changed  "v=spf1 include:spf.mail.qq.com a:mail.123.com ~all"' in lines
    assert "_imaps._tcp.123.com  SRV  missing  0 1 993 mail.123.com." in lines
    assert "_imap._tcp.123.com  SRV  right  0 0 0 . (or none)" in lines
    assert "autoconfig.123.com  CNAME  not changed  mail.123.com." in lines
    assert any(
        line.startswith("authoritative ns1.123.com (127.") and line.endswith("answers, serial 1") for line in lines
    )
    assert any(line.startswith("advice: before the change lower TTLs to 300 (mail.123.com has 900") for line in lines)
    assert any("new mail for 123.com goes to mxbiz1.qq.com (Tencent Exmail): it stays there" in line for line in lines)


def test_what_is_pasted_is_what_should_be(world: World) -> None:
    """The snippet as knot reads it; a resolver that was never asked has it at once."""
    world.change(world.pasted("--address", NEW))
    ran = world.dns("--address", NEW)
    assert (ran.status, ran.err) == (0, ""), ran.out
    assert ran.out.splitlines()[0].endswith("all 12 records are as they should be")
    assert "missing" not in ran.out and "not changed" not in ran.out


def test_to_look_for_what_is_missing_does_not_have_a_resolver_remember_that_it_is(world: World) -> None:
    assert world.dns("--address", NEW, "--json").states()["_imaps._tcp.123.com SRV"] == "missing"
    world.change(world.pasted("--address", NEW))
    found = world.resolver.learn("_imaps._tcp.123.com", "SRV")
    assert found.answer[0][0].to_text() == "0 1 993 mail.123.com."


def test_changed_but_cached_and_until_when(world: World) -> None:
    world.resolver.learn("mail.123.com")
    assert world.dns("--address", NEW, "--json").states()["mail.123.com address"] == "not changed"
    world.change(world.pasted("--address", NEW))
    ran = world.dns("--address", NEW, "--json")
    assert (ran.status, ran.json["right"]) == (1, False)
    (record,) = [r for r in ran.json["records"] if r["name"] == "mail.123.com"]
    assert [(seen["role"], seen["state"], seen["values"]) for seen in record["seen"]] == [
        ("authoritative", "right", [NEW]),
        ("authoritative", "right", [NEW]),
        ("resolver", "cached", [OLD]),
    ]
    at = datetime.fromisoformat(ran.json["at"])
    left = (datetime.fromisoformat(record["cached_until"]) - at).total_seconds()
    assert 600 < left <= 900, "what unbound has left of the TTL"
    elsewhere = (datetime.fromisoformat(record["cached_elsewhere_until"]) - at).total_seconds()
    assert left <= elsewhere <= 900, "and caches that nobody asked may have taken it a moment before the change"
    assert ran.json["cached_until"] == max(r["cached_elsewhere_until"] or "" for r in ran.json["records"])
    text = world.dns("--address", NEW).out
    assert f"mail.123.com  A  still cached  {NEW}" in text
    assert f": still {OLD}, until 20" in text
    assert "\nthe last cache forgets what was before at 20" in text


def test_a_ttl_that_was_lowered_is_told_of_with_when_it_counts(world: World) -> None:
    world.dns("--address", NEW)
    world.change(BEFORE.replace("900", "300"))
    text = world.dns("--address", NEW).out
    assert "advice: mail.123.com: its TTL was lowered to 300; caches that have the one before go by it until 20" in text
    assert "before the change lower TTLs" not in text


def test_changed_to_something_else(world: World) -> None:
    world.dns("--address", NEW)
    world.change(BEFORE.replace(OLD, ODD))
    ran = world.dns("--address", NEW, "--json")
    assert ran.states()["mail.123.com address"] == "wrong"
    assert ran.states()["autoconfig.123.com address"] == "not changed"
    text = world.dns("--address", NEW).out
    assert f"{ODD} (TTL 900), which is neither what was before nor what should be" in text


def test_authorities_that_differ_are_told_each_by_itself(world: World) -> None:
    pasted = world.pasted("--address", NEW)
    world.ns1.change("123.com", world.records(pasted))
    text = world.dns("--address", NEW).out
    assert f"mail.123.com  A  changed in part  {NEW}" in text
    assert f"ns1.123.com ({world.ns1.place}): {NEW} (TTL 300)" in text
    assert f"ns2.123.com ({world.ns2.place}): {OLD} (TTL 900), as before" in text
    assert "the servers of 123.com have not the same version of it" in text


def test_lame_and_dead_servers_are_told_of_and_take_no_time(tmp_path: Path) -> None:
    addresses = Addresses()
    for _ in range(4):
        addresses.take()
    lame, dead = addresses.take(), addresses.take()
    delegation = f"123 IN NS lame\nlame IN A {lame}\n123 IN NS dead\ndead IN A {dead}\n123 IN NS gone\n"
    made = Addresses(addresses.port)
    world = World(tmp_path / "w", delegation=delegation, addresses=made)
    other = Knot(tmp_path / "w" / "lame", lame, addresses.port, {"456.com": ""})
    silent = open_udp(dead, addresses.port)
    try:
        begun = time.monotonic()
        ran = world.dns("--json", "--resolver", f"{dead}:{addresses.port}")
        assert time.monotonic() - begun < 15
        assert received(silent) == 4, "a question as an authority, one as a resolver, and each once more"
        troubles = {(one["server"], one["role"]): one["trouble"] for one in ran.json["servers"] if one["trouble"]}
        assert troubles == {
            ("lame.com", "authoritative"): "refuses to answer (REFUSED)",
            ("dead.com", "authoritative"): "does not answer within 3 s",
            ("", "resolver"): "does not answer within 3 s",
        }
        assert ran.status == 1
        assert "123.com is delegated to gone.com, which has no address" in [r["text"] for r in ran.json["remarks"]]
        asked = {seen["server"] for record in ran.json["records"] for seen in record["seen"]}
        assert asked == {"ns1.123.com", "ns2.123.com", ""}
    finally:
        silent.close()
        other.stop()
        world.stop()


def test_watch_ends_when_the_last_cache_has_it(world: World) -> None:
    world.change(BEFORE.replace("900", "2"))
    world.resolver.learn("mail.123.com")
    world.change(world.pasted("--address", NEW))
    world.resolver.learn("mail.123.com")
    ran = world.dns("--address", NEW, "--watch", "--every", "1", "--json")
    looks = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.status == 0
    assert looks[-1]["right"] and not any(look["right"] for look in looks[:-1])


def test_watch_in_a_pipe_says_what_is_new(world: World) -> None:
    world.change(BEFORE.replace("900", "2"))
    command = world.command("--address", NEW, "--watch", "--every", "1")
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        try:
            world.change(world.pasted("--address", NEW))
            rest, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    assert "4 of 12 records" in first
    assert process.returncode == 0
    assert "all 12 records are as they should be" in rest
    assert f"\nmail.123.com  A  right  {NEW}\n" in rest


def test_answers_too_long_for_udp(world: World) -> None:
    noise = "\n".join(f'@ 900 IN TXT "{number:03}{"x" * 200}"' for number in range(12))
    world.change(BEFORE + noise)
    (record,) = [r for r in world.dns("--json").json["records"] if r["type"] == "SPF"]
    assert {tuple(seen["values"]) for seen in record["seen"]} == {("v=spf1 include:spf.mail.qq.com ~all",)}


def test_several_spf_records_and_too_many_lookups(world: World) -> None:
    many = " ".join(f"a:h{number}.123.com" for number in range(11))
    world.change(f'{BEFORE}@ 900 IN TXT "v=spf1 {many} -all"\n')
    ran = world.dns("--json")
    mistakes = [r["text"] for r in ran.json["remarks"] if r["weight"] == "mistake"]
    assert mistakes[0].startswith("123.com has 2 SPF records")
    assert mistakes[1].startswith("the SPF record of 123.com costs 13 lookups")
    assert ran.status == 1


def test_an_mx_that_is_asked_for(world: World) -> None:
    assert world.dns("--mx", "mail.123.com", "--json").states()["123.com MX"] == "not changed"
    world.change(world.pasted("--mx", "mail.123.com").replace(MAIL.splitlines()[0], ""))
    assert world.dns("--mx", "mail.123.com", "--json").states()["123.com MX"] == "cached"
    mistakes = [r["text"] for r in world.dns("--mx", "autoconfig.123.com", "--json").json["remarks"]]
    assert any("autoconfig.123.com is an alias, and an MX must not lead to one" in text for text in mistakes)


def test_a_domain_in_its_own_script(tmp_path: Path) -> None:
    world = World(tmp_path / "w", domain="xn--fsqu00a.com")
    try:
        world.configure(domain="例子.com", hostname="mail.例子.com")
        for written in ("例子.com", "xn--fsqu00a.com", "XN--FSQU00A.COM."):
            states = world.dns("--json", domain=written).states()
            assert states["_imaps._tcp.xn--fsqu00a.com SRV"] == "missing"
            assert states["mail.xn--fsqu00a.com address"] == "right"
    finally:
        world.stop()


def test_a_host_name_of_another_domain_is_asked_for_where_it_belongs(tmp_path: Path) -> None:
    world = World(
        tmp_path / "w", delegation="ferry IN NS a.\n", elsewhere={"ferry.com": f"@ IN NS a.\nmail IN A {NEW}\n"}
    )
    try:
        world.configure(hostname="mail.ferry.com")
        ran = world.dns("--json")
        (record,) = [r for r in ran.json["records"] if r["name"] == "mail.ferry.com"]
        assert [(seen["server"], seen["state"]) for seen in record["seen"]] == [("a", "right"), ("", "right")]
        lines = world.dns("--zone", "--address", OLD).out.splitlines()
        place = lines.index("; In the zone of that name, not in this one:")
        assert lines[place + 2].split() == [";", "mail.ferry.com.", "300", "IN", "A", OLD]
        assert not any(line.startswith("mail.ferry.com") for line in lines)
    finally:
        world.stop()


def test_a_host_name_that_is_an_alias_of_another_zone(tmp_path: Path) -> None:
    """Its addresses are known to a resolver only."""
    world = World(
        tmp_path / "w", delegation="ferry IN NS a.\n", elsewhere={"ferry.com": f"@ IN NS a.\nbox IN A {NEW}\n"}
    )
    try:
        world.change(BEFORE.replace(f"mail 900 IN A {OLD}", "mail 900 IN CNAME box.ferry.com."))
        assert world.dns("--address", NEW, "--json").states()["mail.123.com address"] == "right"
        assert world.dns("--address", OLD, "--json").states()["mail.123.com address"] == "not changed"
    finally:
        world.stop()


def test_a_part_of_the_domain_that_is_a_zone_of_its_own_is_asked_for_there(tmp_path: Path) -> None:
    """As Active Directory has it."""
    services = "@ IN NS a.\n_imaps IN SRV 0 1 993 mail.123.com.\n"
    world = World(tmp_path / "w", elsewhere={"_tcp.123.com": services})
    try:
        world.change(f"{BEFORE}_tcp IN NS a.\n")
        ran = world.dns("--json")
        (record,) = [r for r in ran.json["records"] if r["name"] == "_imaps._tcp.123.com"]
        assert [(seen["server"], seen["state"]) for seen in record["seen"]] == [("a", "right"), ("", "right")]
        assert ran.states()["_pop3s._tcp.123.com SRV"] == "missing"
    finally:
        world.stop()


def test_name_servers_that_the_zone_names_otherwise_are_told_of(world: World) -> None:
    world.change(f"{BEFORE}@ IN NS ns3\n")
    hosts = "ns1.123.com, ns2.123.com"
    assert f"advice: 123.com is delegated to {hosts}, and itself names {hosts}, ns3.123.com" in world.dns().out


def test_a_certificate_that_is_not_for_the_names_is_told_of(world: World) -> None:
    authority = Authority()
    for names, told in ((["mail.123.com"], "autoconfig.123.com, autodiscover.123.com"), (["*.123.com"], "")):
        certificate, _ = authority.issue(*names).write(world.root, "server")
        world.config.write_text(world.config.read_text().replace("/etc/mailferry/fullchain.pem", str(certificate)))
        said = f"advice: the certificate in {certificate} is not for {told}: programs"
        assert (said in world.dns().out) is bool(told)


def test_one_server_may_stand_for_all_authorities(world: World) -> None:
    ran = world.dns("--json", "--authority", world.ns2.place)
    roles = [(one["role"], one["address"]) for one in ran.json["servers"]]
    assert roles == [("authoritative", world.at2), ("resolver", world.resolver.address)]


def test_a_domain_that_nobody_has_registered(world: World) -> None:
    world.configure(domain="789.com", hostname="mail.789.com")
    ran = world.dns(domain="789.com")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == "mailferry: 789.com is not in DNS: it is not registered, or not delegated to any server\n"


def test_without_a_resolver_nothing_can_be_found(world: World) -> None:
    world.resolver.stop()
    ran = world.dns()
    assert (ran.status, ran.out) == (1, "")
    assert "no resolver answers, and without one the authoritative servers cannot be found" in ran.err


def test_what_was_seen_is_kept_only_where_there_is_a_place_for_it(world: World) -> None:
    world.dns()
    assert (world.root / "state" / "dns" / "123.com.json").exists()
    world.configure(state=str(world.root / "elsewhere"))
    assert "what was seen is not remembered for the next look" in world.dns().out
    assert not (world.root / "elsewhere").exists()


def test_on_a_terminal_it_is_a_table(world: World) -> None:
    command = " ".join(world.command("--address", NEW))
    environment = {"TERM": "dumb", "COLUMNS": "140", "PATH": "/usr/bin:/bin"}
    ran = subprocess.run(
        [needed("script"), "-qec", command, "/dev/null"],
        cwd=ROOT, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    lines = [line.rstrip() for line in ran.stdout.splitlines()]
    assert any(line.split() == ["name", "type", "should", "be", "is"] for line in lines), ran.stdout
    assert any(line.split() == ["mail.123.com", "A", NEW, "not", "changed"] for line in lines)
    assert ran.returncode == 1


def test_watch_on_a_terminal_ends_with_the_whole(world: World) -> None:
    world.change(BEFORE.replace("900", "2"))
    world.dns("--address", NEW)
    world.change(world.pasted("--address", NEW))
    ran = subprocess.run(
        [needed("script"), "-qec", " ".join(world.command("--address", NEW, "--watch", "--every", "1")), "/dev/null"],
        cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=60,
        env={"TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "140", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
    assert "all 12 records are as they should be" in ran.stdout
    assert ran.stdout.rstrip().endswith("carried over by each move"), "what there is to know comes with the end"
