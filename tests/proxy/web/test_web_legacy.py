"""The old server in the console: how it is spoken to, what a look finds, what an account shows, and what is written."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mailstore.accounts import Accounts
from proxy.admin.probing.finding import Answer as LoginAnswer
from proxy.admin.probing.finding import Lock, Step
from proxy.config import load
from proxy.web.pages import Pages
from proxy.web.words import WORDS, say
from tests.browser.administrators import administrator
from tests.browser.company import PASSWORD, Company
from tests.browser.old_server import OldServer
from tests.browser.visitor import Answer, Visitor
from tests.legacy.dovecot import free_port
from tests.proxy.admin.scripted_dns import ScriptedDns, Zone

PAGE = "/console/domain/123.com/legacy"


@pytest.fixture(scope="module")
def zone() -> Zone:
    return Zone()


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory, zone: Zone) -> Iterator[Company]:
    """A company with a name server of its own."""
    with ScriptedDns(zone) as dns:
        made = Company(tmp_path_factory.mktemp("moving"), settings=f'resolvers = ["127.0.0.1:{dns.port}"]')
        yield made.start()
        made.close()


@pytest.fixture
def file(moving: Company) -> Iterator[Path]:
    """The configuration, which is afterwards as it was."""
    before = moving.daemon.config.read_bytes()
    yield moving.daemon.config
    moving.daemon.config.write_bytes(before)


@pytest.fixture
def old(moving: Company) -> Iterator[OldServer]:
    """The old server, with nothing in its memory of other tests."""
    moving.old.logins = 0
    yield moving.old
    moving.old.recover()


@pytest.fixture(scope="module")
def admin(moving: Company) -> Visitor:
    return administrator(moving)


def ended(admin: Visitor, words: Sequence[str] = ("Looking for the old server", "An account is being tried")) -> Answer:
    return admin.until(lambda answer: not any(each in answer.words for each in words), PAGE)


def probe(admin: Visitor, account: str, password: str = PASSWORD, **more: str) -> Answer:
    """Begin, and see what came of it, or what was said instead."""
    fields = {"csrf": admin.get(PAGE).csrf, "account": account, "password": password, **more}
    answer = admin.post(f"{PAGE}/probe", fields)
    assert len(password) < 3 or password not in html.unescape(answer.text)
    return ended(admin) if answer.status == 303 else answer


def look(admin: Visitor) -> Answer:
    admin.submit(PAGE, f"{PAGE}/discover", {})
    return ended(admin)


def hidden(answer: Answer) -> dict[str, str]:
    """What the form of the question has."""
    form = answer.text.partition(f'action="{PAGE}/write"')[2].partition("</form>")[0]
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))


def ask(admin: Visitor, what: str) -> Answer:
    return admin.submit(PAGE, f"{PAGE}/ask", {"what": what})


def write(admin: Visitor, question: Answer, **other: str) -> Answer:
    answer = admin.post(f"{PAGE}/write", hidden(question) | other)
    return admin.get(answer.headers["Location"]) if answer.status == 303 else answer


def facts(answer: Answer) -> dict[str, str]:
    """What the page says, by its labels."""
    rows = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", answer.text, re.DOTALL)
    return {label: " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split()) for label, text in rows}


def test_what_there_is_now(moving: Company, admin: Visitor) -> None:
    answer = admin.get(PAGE)
    told = facts(answer)
    assert (told["Server"], told["Port"], told["Encryption"]) == ("127.0.0.1", str(moving.old.port), "none")
    assert (told["Mail is carried over by"], told["Connections at most"]) == ("POP3: the inbox", "20")
    assert "Not proven yet: no account’s whole move was compared" in answer.words
    promise = (
        "At most two logins are tried at 127.0.0.1: test@123.com as “test”, and as “test@123.com” only if that is "
        "refused as a wrong name or password and as nothing else."
    )
    assert promise in answer.words
    assert 'href="/console/domain/123.com/legacy"' in admin.get("/console/domain/123.com").text
    assert 'value="li@123.com"' in admin.get(f"{PAGE}?account=li@123.com").text


def test_an_account_is_tried_and_all_of_it_told(moving: Company, admin: Visitor, old: OldServer) -> None:
    account = moving.hire(5)
    answer = probe(admin, account, lock="yes")
    told = facts(answer)
    user = account.partition("@")[0]
    assert f"{account} was let in, and looked at to the end." in answer.words
    assert told["Logins"] == f"2 of at most 2 were tried {user} : let in {user} : let in" and old.logins == 2
    assert told["Reached at"] == f"port {old.port}, encryption: none"
    assert (told["UIDL"], told["PIPELINING"], told["LAST"]) == ("announced, works", "announced, works", "no")
    assert told["Second session"] == "is let in at the same time"
    assert told["Mailbox"].startswith("5 messages, 10.0 kB (listed in ")
    assert "passwords and mail cross the network in the clear" in answer.words
    assert "The configuration is right as it is" in answer.words and 'id="settle-probe"' not in answer.text
    assert "DELE" not in old.commands
    lines = [json.loads(line) for line in moving.daemon.log.splitlines() if '"probe"' in line]
    assert (lines[-1]["event"], lines[-1]["trouble"]) == ("task", "")
    assert any(line["event"] == "administrator" and line["account"] == account for line in lines)
    assert PASSWORD not in moving.daemon.log and PASSWORD not in answer.text


def test_a_name_without_its_domain_is_of_this_one(moving: Company, admin: Visitor, old: OldServer) -> None:
    user = moving.hire(1).partition("@")[0]
    assert f"What came of {user}@123.com" in probe(admin, user).words


@pytest.mark.parametrize(
    ("account", "password", "said"),
    [
        ("", "no", "This is no account of this domain: write it as test@123.com."),
        ("li@456.com", "no", "This is no account of this domain"),
        ("li wang@123.com", "no", "This is no account of this domain"),
        ("x" * 65 + "@123.com", "no", "This is no account of this domain"),
        ("<b>@123.com@", "no", "This is no account of this domain"),
        ("li@123.com", "", "The password is empty"),
        ("li@123.com", "a\r\nDELE 1", "The password is empty, too long, or holds what no mail server can be told."),
        ("li@123.com", "x" * 2000, "The password is empty, too long"),
    ],
)
def test_what_is_tried_with_nothing(admin: Visitor, old: OldServer, account: str, password: str, said: str) -> None:
    answer = probe(admin, account, password)
    assert answer.status == 400 and said in answer.words and "Nothing was tried." in answer.words
    assert (old.logins, answer.text.count("<b>@")) == (0, 0)
    assert html.escape(account[:320], quote=True) in answer.text


def test_after_a_refusal_somebody_has_to_be_sure(moving: Company, admin: Visitor, old: OldServer) -> None:
    account = moving.hire(1)
    answer = probe(admin, account, "mistyped")
    assert f"{account} was not let in." in answer.words and old.logins == 2
    assert facts(answer)["Logins"].startswith("2 of at most 2 were tried")
    for who in (admin, administrator(moving)):  # another administrator as well
        answer = probe(who, account.upper(), "mistyped again", lock="yes")
        assert answer.status == 409 and old.logins == 2
        assert "This account was refused just now" in answer.words and 'name="sure"' in answer.text
        assert 'name="lock" value="yes" checked' in answer.text
    other = moving.hire(1)
    assert f"{other} was let in" in probe(admin, other).words and old.logins == 3  # nobody has refused that one
    assert f"{account} was let in" in probe(admin, account, sure="yes").words and old.logins == 4


def test_who_is_paused_is_not_asked_for(moving: Company, admin: Visitor, old: OldServer) -> None:
    account = moving.hire(1)
    admin.submit("/console/domain/123.com", "/console/domain/123.com/pause", {"what": "pause"})
    try:
        answer = probe(admin, account)
        assert answer.status == 409 and f"{account}, or its domain, is paused" in answer.words and old.logins == 0
    finally:
        admin.submit("/console/domain/123.com", "/console/domain/123.com/pause", {"what": "resume"})


def test_its_own_login_and_what_the_server_says_is_shown_as_text(
    moving: Company, admin: Visitor, old: OldServer
) -> None:
    account = moving.hire(1)
    database = moving.accounts()
    known = Accounts(database).add(*account.split("@"))
    Accounts(database)._change(known.id, legacy_login="u00317")
    database.close()
    old.refusal = "-ERR <script>alert(1)</script> your account is locked"
    answer = probe(admin, account)
    assert "u00317 : refused – <script>alert(1)</script> your account is locked" in facts(answer)["Logins"]
    assert "<script>alert" not in answer.text and old.logins == 1


def test_one_at_a_time_and_it_can_be_stopped(moving: Company, admin: Visitor, old: OldServer) -> None:
    account = moving.hire(1)
    old.silent = True
    admin.submit(PAGE, f"{PAGE}/probe", {"account": account, "password": PASSWORD})
    going = admin.until(lambda answer: "Logging in as" in answer.words, PAGE)
    assert "An account is being tried" in going.words
    busy = administrator(moving).submit(PAGE, f"{PAGE}/probe", {"account": account, "password": PASSWORD})
    assert "This is under way already: wait for its end." in busy.words
    admin.until(lambda _: old.logins == 1, PAGE)
    admin.submit(PAGE, f"{PAGE}/stop/probe", {})
    answer = ended(admin)
    # Nobody knows what it would have said: so it counts, and so does it here.
    assert facts(answer)["Logins"].startswith("1 of at most 2 was tried") and "broken off" in facts(answer)["Logins"]
    old.speak()
    assert probe(admin, account).status == 409
    assert old.logins == 1
    assert admin.post(f"{PAGE}/stop/else", {"csrf": admin.get(PAGE).csrf}).status == 404


def test_a_server_that_is_down(moving: Company, admin: Visitor, file: Path) -> None:
    """The file counts, also before the daemon is started with it."""
    dead = free_port()
    file.write_text(file.read_text().replace(f"port = {moving.old.port}\n", f"port = {dead}\n"))
    assert f"port was {moving.old.port} and is {dead}" in admin.get(PAGE).words
    answer = probe(admin, "li@123.com")
    assert "No login was possible." in answer.words and "refuses connections" in facts(answer)["Not reached"]
    assert facts(answer)["Logins"] == "0 of at most 2 were tried"
    file.write_text("nonsense")
    answer = admin.get(PAGE)
    assert "The configuration file cannot be taken as it is now." in answer.words
    assert "No login was possible." in answer.words and 'id="settle' not in answer.text


def test_what_a_probe_has_found_is_written_down(moving: Company, admin: Visitor, old: OldServer, file: Path) -> None:
    account = moving.hire(2)
    old.mailboxes[account] = old.mailboxes.pop(account.partition("@")[0])  # the whole address is its name there
    answer = probe(admin, account)
    assert "The configuration should say otherwise" in answer.words
    assert 'Instead of login = "local" login = "full" : ' + account in answer.words
    question = ask(admin, "probe")
    assert f'Of {file} only these lines change: +login = "full"' in question.words
    before = file.read_bytes()
    # Somebody else changes the file meanwhile, elsewhere: it is shown anew, and nothing is written.
    file.write_bytes(before + b"# theirs\n")
    shown = write(admin, question)
    assert shown.status == 409 and "is not what it was when you were asked" in shown.words
    assert file.read_bytes() == before + b"# theirs\n"
    done = write(admin, shown)
    assert f"{file} is written. It takes effect when the daemon is reloaded (SIGHUP) or started again." in done.words
    assert 'login was "local" and is "full"' in done.words
    assert load(file).domains["123.com"].legacy.login == "full" and b"# theirs" in file.read_bytes()
    # A second click, and one more way to the same question.
    assert "not there any more, or the file has been changed since" in write(admin, shown).words
    # By the file, one login is enough now.
    old.logins = 0
    assert "The configuration is right as it is" in probe(admin, account).words and old.logins == 1
    lines = [json.loads(line) for line in moving.daemon.log.splitlines() if '"write configuration"' in line]
    assert lines[-1]["lines"] == ['+login = "full"'] and lines[-1]["by"].startswith("admin")


def test_what_was_found_with_other_settings_is_not_written(
    moving: Company, admin: Visitor, old: OldServer, file: Path
) -> None:
    account = moving.hire(1)
    old.mailboxes[account] = old.mailboxes.pop(account.partition("@")[0])
    probe(admin, account)
    question = ask(admin, "probe")
    file.write_text(file.read_text().replace('host = "127.0.0.1"', 'host = "localhost"'))
    before = file.read_bytes()
    assert "The configuration file has been changed since this was tried" in admin.get(PAGE).words
    for answer in (ask(admin, "probe"), write(admin, question)):
        assert "Nothing was written: look, or try, once more." in answer.words
    assert file.read_bytes() == before


def test_the_old_server_is_found_and_written_down(
    moving: Company, admin: Visitor, zone: Zone, old: OldServer, file: Path
) -> None:
    zone.records = {
        "_pop3._tcp.123.com SRV": f"0 0 {old.port} box.123.com.",
        "_imap._tcp.123.com SRV": "0 0 1 box.123.com.",
        "box.123.com A": "127.0.0.1",
    }
    dead = free_port()
    file.write_text(file.read_text().replace(f"port = {old.port}\n", f"port = {dead}\n"))
    answer = look(admin)
    assert f"Best is POP3 at box.123.com, port {old.port}" in answer.words
    assert facts(answer)["Found by"] == "SRV _pop3._tcp.123.com"
    assert "none: every password would cross the network in the clear" in answer.words
    assert f'[domain."123.com".legacy]\nhost = "box.123.com"\nport = {old.port}\ntls = "none"' in html.unescape(
        answer.text
    )
    assert f"POP3 127.0.0.1:{dead}: connection refused" in answer.words
    question = ask(admin, "discover")
    assert f'-host = "127.0.0.1" -port = {dead} +host = "box.123.com" +port = {old.port}' in question.words
    # Another look has found something else meanwhile.
    zone.records["box.123.com A"] = "127.0.0.2"
    assert "No POP3 or IMAP server answers" in look(admin).words
    assert "Nothing was written" in write(admin, question).words and f"port = {dead}" in file.read_text()
    zone.records["box.123.com A"] = "127.0.0.1"
    look(admin)
    done = write(admin, ask(admin, "discover"))
    assert f"{file} is written." in done.words and 'host was "127.0.0.1" and is "box.123.com"' in done.words
    assert load(file).domains["123.com"].legacy.host == "box.123.com"
    assert "says so already: nothing to write" in ask(admin, "discover").words
    assert old.logins == 0


def test_a_file_that_cannot_be_changed(moving: Company, admin: Visitor, zone: Zone, old: OldServer, file: Path) -> None:
    zone.records = {"_pop3._tcp.123.com SRV": f"0 0 {old.port} box.123.com.", "box.123.com A": "127.0.0.1"}
    before = file.read_text()
    dead = free_port()
    file.write_text(before.replace(f"port = {old.port}\n", f"port = {dead}\n") + 'ca = "none.pem"\nverify = false\n')
    look(admin)
    assert 'id="settle-discover"' not in admin.get(PAGE).text  # the file is wrong as it is
    wrong = ask(admin, "discover")
    assert "Nothing was written. The file would not be right with it" in wrong.words and hidden(wrong) == {}
    file.write_text(before.replace(f"port = {old.port}\n", f"port = {dead}\n"))
    question = ask(admin, "discover")
    file.unlink()
    gone = write(admin, question)
    assert gone.status == 409 and "No such file or directory" in gone.words
    assert not file.exists()


def test_dns_that_does_not_answer(admin: Visitor, zone: Zone) -> None:
    zone.dead = True
    try:
        assert "It did not work" in (shown := look(admin).words)
        assert "123.com could not be looked up: resolver 127.0.0.1" in shown
    finally:
        zone.dead = False


def test_what_no_page_of_ours_sends(moving: Company, admin: Visitor) -> None:
    token = admin.get(PAGE).csrf
    for what in ("", "both", "<b>"):
        assert admin.post(f"{PAGE}/ask", {"csrf": token, "what": what}).status == 400
        assert admin.post(f"{PAGE}/write", {"csrf": token, "what": what}).status == 400
    other = PAGE.replace("123.com", "456.com")
    assert admin.get(other).status == 404
    for path in ("discover", "probe", "stop/probe", "ask", "write"):
        assert admin.post(f"{other}/{path}", {"csrf": token, "what": "probe"}).status == 404
        assert admin.post(f"{PAGE}/{path}", {"csrf": "forged", "what": "probe"}).status == 403
        assert Visitor(moving).post(f"{PAGE}/{path}", {"what": "probe"}).status == 403
    assert Visitor(moving).ask("GET", PAGE).status == 303


def test_where_the_daemon_may_not_write_it_says_how_else() -> None:
    ground = SimpleNamespace(filed=SimpleNamespace(trouble=""), may_write=False)
    parts = Pages()._environment.get_template("console/legacy_parts.html")
    module: Any = parts.make_module({"t": partial(say, "en"), "ground": ground, "file": "/etc/m.toml"})
    said = module.settle("discover", "mailferry discover 123.com --write --config /etc/m.toml")
    assert "The daemon may not write beside /etc/m.toml." in said and "<form" not in said
    assert "<code>mailferry discover 123.com --write --config /etc/m.toml</code>" in said


def test_there_is_a_word_for_each_thing_that_a_probe_tells() -> None:
    wanted = {f"console.probe.answer.{each.name.lower()}" for each in LoginAnswer}
    wanted |= {f"console.probe.second.{each.name.lower()}" for each in Lock}
    wanted |= {f"console.probe.step.{each.value}" for each in Step}
    wanted |= {f"console.legacy.tls.{each}" for each in ("none", "starttls", "implicit")}
    assert wanted <= set(WORDS["en"])


def test_in_chinese(moving: Company, admin: Visitor, old: OldServer) -> None:
    account = moving.hire(1)
    admin.language = "zh"
    try:
        admin.submit(PAGE, f"{PAGE}/probe", {"account": account, "password": "mistyped"})
        answer = admin.until(lambda found: "正在用账号尝试" not in found.words, PAGE)
        assert f"{account} 没有登录成功。" in answer.words
        assert facts(answer)["登录次数"].startswith("共尝试 2 次，最多 2 次")
        assert "被拒绝：用户名或密码错误" in answer.words
    finally:
        admin.language = "en"
