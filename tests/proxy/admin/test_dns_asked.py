"""What an administrator asks of DNS: understood, remembered, and a look that goes by it until nobody waits for it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from dns.message import QueryMessage
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from proxy.admin.dns import keeping
from proxy.admin.dns.asked import Field, Given, NotMeant, looker, remember, remembered, understood
from proxy.admin.dns.delegation import NotFound
from proxy.admin.dns.keeping import EVERY, Looks
from proxy.admin.dns.looking import Abandoned, Look
from proxy.admin.tasks import Task, TaskFailed
from proxy.config import Config, parse
from tests.proxy.admin.scripted_dns import ScriptedDns, reply

GIVEN = Given(("mx.123.com",), ("ip4:192.0.2.1",), ("192.0.2.1", "2001:db8::9"), ("pop.123.com",), ("192.0.2.53:5353",))


def config(state: Path, resolver: str = "127.0.0.1:1") -> Config:
    text = f'''hostname = "mail.123.com"\nstate = "{state}"\nresolvers = ["{resolver}"]
[listen]\nimap = ["tcp:143"]\n[domain."123.com".legacy]\nhost = "pop.old.123.com"\n'''
    return parse(text.encode(), "test", Path("/"))


@pytest.mark.parametrize(
    ("field", "texts", "found"),
    [
        ("mx", ["10 MX1.123.com.", "mx2.123.com", "mx1.123.com"], ("mx1.123.com", "mx2.123.com")),
        ("hosts", ["邮件.net"], ("xn--5nq051n.net",)),
        ("addresses", ["2001:DB8::0:9", "192.0.2.1"], ("192.0.2.1", "2001:db8::9")),
        ("spf", ["v=spf1 mx", "a:mail.123.com -all"], ("mx", "a:mail.123.com")),
        ("resolvers", [" [::1]:53 "], ("[::1]:53",)),
    ],
)
def test_understood(field: Field, texts: list[str], found: tuple[str, ...]) -> None:
    assert understood(field, texts) == found
    assert understood(field, found) == found, "what was understood is understood again"


def test_what_cannot_be_meant_is_told_apart() -> None:
    cases: list[tuple[Field, str, str]] = [
        ("mx", "-x-", "name"), ("hosts", "192.0.2.1", "named"), ("addresses", "x", "address"),
        ("resolvers", "x", "resolver"), ("spf", "x", "spf.kind"), ("spf", "~mx", "spf.sign"),
        ("spf", "ip6:192.0.2.1", "spf.network"), ("spf", "exists:", "spf.name"),
    ]  # fmt: skip
    for field, value, wrong in cases:
        with pytest.raises(NotMeant) as error:
            understood(field, [value])
        assert (error.value.value, error.value.wrong) == (value, wrong)


def test_it_is_remembered_for_a_domain(tmp_path: Path) -> None:
    domain = config(tmp_path).domains["123.com"]
    assert remembered(tmp_path, domain) == Given()
    remember(tmp_path, domain, GIVEN)
    assert remembered(tmp_path, domain) == GIVEN
    assert [path.name for path in (tmp_path / "dns").iterdir()] == ["123.com.asked"]
    assert (tmp_path / "dns").stat().st_mode & 0o777 == 0o700
    remember(tmp_path, domain, Given())
    assert remembered(tmp_path, domain) == Given()


@pytest.mark.parametrize(
    "octets", [b"", b"[]", b"\xff", b'{"version": 2, "asked": {}}', b'{"version": 1, "asked": {"mx": ["-x-"]}}']
)
def test_a_file_that_is_none_is_as_good_as_none(tmp_path: Path, octets: bytes) -> None:
    (tmp_path / "dns").mkdir()
    (tmp_path / "dns" / "123.com.asked").write_bytes(octets)
    assert remembered(tmp_path, config(tmp_path).domains["123.com"]) == Given()


def test_flags_win_each_for_itself() -> None:
    assert Given(mx=("a.net",)).or_else(GIVEN) == Given(
        ("a.net",), GIVEN.spf, GIVEN.addresses, GIVEN.hosts, GIVEN.resolvers
    )
    assert Given().or_else(GIVEN) == GIVEN == GIVEN.or_else(Given())


def test_an_abandoned_look_asks_nothing_more_and_writes_nothing_down(tmp_path: Path) -> None:
    abandoned = threading.Event()

    def script(query: QueryMessage, _: str) -> QueryMessage:
        question = query.question[0]
        if question.rdtype.name == "MX":
            abandoned.set()  # all that comes before is behind us
        if question.rdtype.name == "SOA":
            return reply(query, "123.com. 60 IN SOA ns1.123.com. h.123.com. 7 60 60 60 60")
        return reply(query, "!123.com. 60 IN SOA ns1.123.com. h.123.com. 7 60 60 60 60")

    with ScriptedDns(script) as server:
        made = config(tmp_path, f"127.0.0.1:{server.port}")
        fixed = server.server(authority=True)
        one = looker(made, made.domains["123.com"], Given(mx=("mx.123.com",)), fixed=fixed)
        with pytest.raises(Abandoned):
            one.look(1000, abandoned)
        assert not any(" mx.123.com " in question for question in server.asked)
        assert len(one.look(1000).judgements) == 12
    assert json.loads((tmp_path / "dns" / "123.com.json").read_text())["version"] == 1


class Watched:
    """A task that looks, with answers that are handed in: what `_blocking` would give or raise."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, keep: bool) -> None:
        self.clock = Clock()
        self.asked: list[Deferred[Any]] = []
        self.abandoned: list[threading.Event] = []
        made = config(tmp_path)
        self.domain = made.domains["123.com"]
        self.looks = Looks(made, self.clock)

        def apart(_reactor: Any, function: Any, *arguments: Any) -> Deferred[Any]:
            if function is remember:
                remember(*arguments)
                return succeed(None)
            self.abandoned.append(arguments[-1])
            self.asked.append(Deferred())
            return self.asked[-1]

        monkeypatch.setattr(keeping, "apart", apart)
        self.task = Task("dns", "123.com", "ada", 0.0)
        self.running = Deferred.fromCoroutine(self.looks.work(self.domain, GIVEN, keep=keep)(self.task))


def look(*, right: bool, at: int = 1000) -> Look:
    from proxy.admin.dns.judging import Judgement
    from proxy.admin.dns.records import Key, Wish

    wish = Wish(Key("123.com", "MX"), "as it is", (), (), "")
    return Look("123.com", at, (), (Judgement(wish, "right" if right else "missing", ()),), ())


def test_it_looks_until_all_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(tmp_path, monkeypatch, keep=True)
    assert remembered(tmp_path, watched.domain) == GIVEN
    assert watched.task.step == "looking"
    watched.asked[-1].callback(look(right=False))
    assert (watched.task.step, len(watched.asked)) == ("waiting", 1)
    watched.clock.advance(EVERY)
    watched.asked[-1].errback(NotFound("no resolver answers"))
    assert watched.looks.last(watched.domain) == keeping.Last(look(right=False), "no resolver answers")
    watched.clock.advance(EVERY)
    watched.asked[-1].callback(look(right=True, at=1060))
    assert watched.looks.last(watched.domain) == keeping.Last(look(right=True, at=1060))
    ended: list[Look] = []
    watched.running.addCallback(ended.append)
    assert ended == [look(right=True, at=1060)] and len(watched.asked) == 3
    assert watched.clock.getDelayedCalls() == []


def test_one_look_is_one_and_a_first_that_comes_to_nothing_is_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = Watched(tmp_path, monkeypatch, keep=False)
    once.asked[-1].callback(look(right=False))
    assert once.running.called and once.clock.getDelayedCalls() == []
    failing = Watched(tmp_path, monkeypatch, keep=True)
    failing.asked[-1].errback(NotFound("123.com is not in DNS"))
    failed: list[Any] = []
    failing.running.addErrback(failed.append)
    assert failed[0].check(TaskFailed) and str(failed[0].value) == "123.com is not in DNS"


@pytest.mark.parametrize("step", ["looking", "waiting"])
def test_whoever_ends_it_has_it_abandoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    watched = Watched(tmp_path, monkeypatch, keep=True)
    if step == "waiting":
        watched.asked[-1].callback(look(right=False))
    assert watched.task.step == step
    watched.running.addErrback(lambda _: None)
    watched.running.cancel()
    assert watched.abandoned[-1].is_set() and watched.clock.getDelayedCalls() == []
