"""The portal as a browser gets it, from a daemon with an old server behind it."""

from __future__ import annotations

import base64
import plistlib
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from sqlalchemy import update

from mailstore import schema, secrets
from mailstore.accounts import State
from proxy.login.throttle import FAILURES
from tests.browser.company import PASSWORD, Company
from tests.browser.old_server import letters
from tests.browser.visitor import Answer, Visitor

STRONG = "correct horse battery"


@pytest.fixture
def visitor(company: Company) -> Visitor:
    return Visitor(company)


def until(look: Callable[[], Answer], found: Callable[[Answer], bool]) -> Answer:
    """Look again and again, as a page without JavaScript does."""
    for _ in range(2_000):
        if found(answer := look()):
            return answer
    raise AssertionError(answer.words)


def when_here(visitor: Visitor) -> Answer:
    under_way = ("being carried over", "is listing your mail")
    return until(visitor.get, lambda answer: not any(words in answer.words for words in under_way))


def events(visitor: Visitor, *, most: int = 100_000) -> str:
    """What the server sends by itself, up to its end."""
    connection = visitor.connect()
    connection.request("GET", "/events", headers={"Cookie": "; ".join(f"{k}={v}" for k, v in visitor.cookies.items())})
    response = connection.getresponse()
    assert response.headers["Content-Type"].startswith("text/event-stream")
    told = response.read(most).decode()
    connection.close()
    return told


# Logging in


def test_a_first_login_moves_the_mailbox(company: Company, visitor: Visitor) -> None:
    address = company.hire(5)
    visitor.log_in(address, PASSWORD)
    answer = when_here(visitor)
    assert "All 5 messages are here" in answer.words
    account = company.account(address)
    assert account is not None and account.state is State.MOVED and account.last_login is not None
    assert len(list((company.daemon.maildir(address.split("@")[0]) / "cur").iterdir())) == 5
    assert "DELE" not in company.old.commands


def test_the_name_may_be_short_and_in_any_case(company: Company, visitor: Visitor) -> None:
    address = company.hire(1)
    visitor.log_in(f"  {address.split('@')[0].upper()} ", PASSWORD)
    assert "Your one message is here" in when_here(visitor).words


def test_an_empty_mailbox(company: Company, visitor: Visitor) -> None:
    visitor.log_in(company.hire(0), PASSWORD)
    assert "There was no old mail, and your mailbox is ready" in when_here(visitor).words


def test_the_page_comes_before_the_mail(company: Company, visitor: Visitor) -> None:
    company.old.hold()
    visitor.log_in(company.hire(9), PASSWORD)
    answer = until(visitor.get, lambda answer: "is listing your mail" not in answer.words)
    assert "Your old mail is being carried over" in answer.words
    assert "0 of 9" in answer.words and "being worked out" in answer.words
    assert '<noscript><meta http-equiv="refresh"' in answer.text
    again = Visitor(company, cookies=dict(visitor.cookies))
    assert "0 of 9" in again.get().words
    company.old.release()
    assert "All 9 messages are here" in when_here(visitor).words


def test_events_tell_of_every_step_and_end_with_the_move(company: Company, visitor: Visitor) -> None:
    company.old.hold()
    visitor.log_in(company.hire(6), PASSWORD)
    connection = visitor.connect()
    cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    connection.request("GET", "/events", headers={"Cookie": cookies, "Accept-Language": "zh"})
    response = connection.getresponse()
    told = b""
    while "正在迁移您的旧邮件" not in told.decode(errors="replace"):
        told += response.read1(65_536)
    company.old.release()
    told += response.read()
    connection.close()
    names = re.findall(r"^event: (.*)$", told.decode(), re.MULTILINE)
    assert names[0] == "standing" and names[-1] == "end" and "said" in names
    assert "全部 6 封邮件都在这里了" in told.decode()


def test_events_are_nobodys_who_is_not_logged_in(visitor: Visitor) -> None:
    assert visitor.get("/events").status == 403


def test_who_logs_out_elsewhere_is_told_no_more(company: Company, visitor: Visitor) -> None:
    company.old.hold()
    visitor.log_in(company.hire(3), PASSWORD)
    connection = visitor.connect()
    cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    connection.request("GET", "/events", headers={"Cookie": cookies})
    response = connection.getresponse()
    response.read1(10)
    assert visitor.submit("/", "/logout", {}).status == 200
    assert response.read().decode().endswith("event: end\ndata: \n\n")
    connection.close()
    company.old.release()


def test_quarantined_messages_are_told(company: Company, visitor: Visitor) -> None:
    address = company.hire(letters(4))
    company.old.damaged = frozenset({2})
    visitor.log_in(address, PASSWORD)
    answer = when_here(visitor)
    assert "3 of 4 messages are here" in answer.words
    assert "1 message could not be carried over" in answer.words
    assert "Number 2 of the old mailbox" in answer.words


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"state": "moving", "tries": 1}, "The move is interrupted"),
        ({"state": "moving", "tries": 0}, "The old server is listing your mail"),
        ({"state": "moving", "paused": 1}, "The administrator has paused the move"),
        ({"state": "moving", "password_state": "rejected"}, "does not take your password any more"),
        ({"state": "blocked", "reason": "internal"}, "This account needs the administrator"),
        ({"state": "waiting"}, "The move has not begun"),
    ],
)
def test_where_a_move_may_stand(company: Company, visitor: Visitor, values: dict[str, object], words: str) -> None:
    address = company.hire(2)
    visitor.log_in(address, PASSWORD)
    when_here(visitor)
    account, database = company.account(address), company.accounts()
    assert account is not None
    with database.write() as connection:
        later = {"due": 4_000_000_000, **values}
        connection.execute(update(schema.accounts).where(schema.accounts.c.id == account.id).values(**later))
    database.close()
    answer = visitor.get()
    assert words in answer.words and "internal" not in answer.text
    assert ("/events" in answer.text) is (values["state"] == "moving" and "password_state" not in values)


# Refusals, told apart


def test_wrong_password(company: Company, visitor: Visitor) -> None:
    address = company.hire()
    answer = visitor.log_in(address, "nonsense")
    assert answer.status == 403
    assert "Address or password is wrong" in answer.words
    assert f'value="{address}"' in answer.text and "nonsense" not in answer.text
    assert company.account(address) is None
    assert "nonsense" not in company.daemon.log


@pytest.mark.parametrize("password", ["", "a\r\nDELE 1", "a\0b", "x" * 1001])
def test_what_is_no_password_does_not_get_to_the_old_server(company: Company, visitor: Visitor, password: str) -> None:
    address, before = company.hire(), company.old.logins
    answer = visitor.log_in(address, password)
    assert (answer.status, company.old.logins) == (403, before)


@pytest.mark.parametrize("name", ["", "li@elsewhere.example", "a b@123.com", "x" * 70 + "@123.com", "<b>li</b>@x.org"])
def test_what_is_no_address_here(company: Company, visitor: Visitor, name: str) -> None:
    before = company.old.logins
    answer = visitor.log_in(name, PASSWORD)
    assert (answer.status, company.old.logins) == (422, before)
    assert "Write your whole address, such as name@123.com" in answer.words
    assert 'aria-invalid="true"' in answer.text and "<b>" not in answer.text


def test_in_use(company: Company, visitor: Visitor) -> None:
    company.old.refusal = "-ERR [IN-USE] mailbox locked"
    answer = visitor.log_in(company.hire(), PASSWORD)
    assert answer.status == 503
    assert "Your old mailbox is in use by another program" in answer.words


def test_the_old_server_does_not_let_the_account_in(company: Company, visitor: Visitor) -> None:
    company.old.refusal = "-ERR [SYS/PERM] POP3 is switched off for you"
    answer = visitor.log_in(company.hire(), PASSWORD)
    assert "The old mail server does not let this account in" in answer.words
    assert "the help desk, telephone 8001" in answer.words


def test_blocked(company: Company, visitor: Visitor) -> None:
    address = company.hire()
    company.make(address, State.BLOCKED, reason="<i>something</i> internal")
    answer = visitor.log_in(address, PASSWORD)
    assert "This account needs the administrator" in answer.words
    assert "internal" not in answer.text


def test_paused(company: Company, visitor: Visitor) -> None:
    address, before = company.hire(), company.old.logins
    account = company.make(address, State.WAITING)
    database = company.accounts()
    with database.write() as connection:
        connection.execute(update(schema.accounts).where(schema.accounts.c.id == account.id).values(paused=1))
    answer = visitor.log_in(address, PASSWORD)
    assert "The administrator has paused the move" in answer.words
    assert company.old.logins == before
    database.close()


def test_too_many_wrong_passwords(company: Company) -> None:
    address, before = company.hire(), company.old.logins
    for number in range(FAILURES):
        guesser = Visitor(company)
        answer = guesser.post(
            "/login",
            {"csrf": guesser.get().csrf, "name": address, "password": f"guess {number}"},
            X_Forwarded_For=f"192.0.2.{number}",
        )
        assert answer.status == 403
    visitor = Visitor(company)
    answer = visitor.log_in(address, PASSWORD)
    assert (answer.status, company.old.logins) == (429, before + FAILURES)
    assert "Too many wrong passwords" in answer.words


def test_the_old_server_takes_its_time(company: Company, visitor: Visitor) -> None:
    company.old.silent = True
    answer = visitor.submit("/", "/login", {"name": company.hire(2), "password": PASSWORD})
    assert "Asking the old server" in answer.words
    assert 'http-equiv="refresh" content="2"' in answer.text
    company.old.speak()
    answer = until(lambda: visitor.get("/checking"), lambda answer: "Asking" not in answer.words)
    assert "All 2 messages are here" in when_here(visitor).words
    assert "attempt" not in " ".join(visitor.cookies)


def test_an_attempt_is_its_visitors_alone(company: Company, visitor: Visitor) -> None:
    company.old.silent = True
    visitor.submit("/", "/login", {"name": company.hire(2), "password": PASSWORD})
    other = Visitor(company, cookies={"__Host-attempt": "A" * 32})
    assert "Log in" in other.get("/checking").words
    company.old.speak()


# Passwords


def final(company: Company, password: str = PASSWORD) -> str:
    address = company.hire(0)
    company.make(address, State.FINAL, secrets.hash_password(password.encode()))
    return address


def test_before_the_end_the_password_is_the_old_servers(company: Company, visitor: Visitor) -> None:
    visitor.log_in(company.hire(1), PASSWORD)
    answer = visitor.get("/password")
    assert "Your password is still the old server's" in answer.words
    assert 'name="new"' not in answer.text
    tried = {"csrf": answer.csrf, "current": PASSWORD, "new": STRONG, "again": STRONG}
    assert visitor.post("/password", tried).status == 409


def test_the_password_of_a_final_account_is_changed_here(company: Company, visitor: Visitor) -> None:
    address = final(company)
    other = Visitor(company)
    for each in (visitor, other):
        assert "your mailbox is ready" in each.log_in(address, PASSWORD).words
    fields = {"current": PASSWORD, "new": STRONG, "again": STRONG}
    assert "Your password is changed" in visitor.submit("/password", "/password", fields).words
    assert "Log in" in other.get().words  # every other session has ended
    assert "wrong" in Visitor(company).log_in(address, PASSWORD).words
    assert "your mailbox is ready" in Visitor(company).log_in(address, STRONG).words
    assert STRONG not in company.daemon.log and '"password changed by its user"' in company.daemon.log


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"current": "nonsense"}, "This is not your current password"),
        ({"current": ""}, "This is not your current password"),
        ({"new": "short", "again": "short"}, "too short: at least 10 characters"),
        ({"new": "x" * 1001, "again": "x" * 1001}, "too long"),
        ({"new": "ten letters\n", "again": "ten letters\n"}, "cannot be typed everywhere"),
        ({"new": PASSWORD, "again": PASSWORD}, "the same as before"),
        ({"again": STRONG + "!"}, "The two are not the same"),
    ],
)
def test_a_new_password_that_is_not_taken(
    company: Company, visitor: Visitor, fields: dict[str, str], words: str
) -> None:
    address = final(company)
    visitor.log_in(address, PASSWORD)
    before = company.account(address)
    answer = visitor.submit("/password", "/password", {"current": PASSWORD, "new": STRONG, "again": STRONG, **fields})
    assert words in answer.words and answer.status in {403, 422}
    after = company.account(address)
    assert before is not None and after is not None and before.password_hash == after.password_hash


def test_a_password_is_not_the_address(company: Company, visitor: Visitor) -> None:
    address = final(company)
    visitor.log_in(address, PASSWORD)
    fields = {"current": PASSWORD, "new": address.upper(), "again": address.upper()}
    assert "It must not be your address" in visitor.submit("/password", "/password", fields).words


def test_where_password_managers_look(visitor: Visitor) -> None:
    assert visitor.ask("GET", "/.well-known/change-password").headers["Location"] == "/password"


# Sessions


def test_logging_out(company: Company, visitor: Visitor) -> None:
    visitor.log_in(company.hire(1), PASSWORD)
    former = Visitor(company, cookies=dict(visitor.cookies))
    assert "You are logged out" in visitor.submit("/", "/logout", {}).words
    assert "You are logged out" not in visitor.get().words  # it is said once
    assert "Mail address" in former.get().words  # the token is worth nothing any more


def test_a_login_has_a_token_of_its_own(company: Company) -> None:
    """A token that somebody has planted in the browser before is nobody's (session fixation)."""
    visitor = Visitor(company, cookies={"__Host-portal": "planted-planted-planted-planted"})
    visitor.log_in(company.hire(1), PASSWORD)
    assert visitor.cookies["__Host-portal"] != "planted-planted-planted-planted"


def test_an_account_that_is_gone_is_logged_out(company: Company, visitor: Visitor) -> None:
    address = company.hire(1)
    visitor.log_in(address, PASSWORD)
    when_here(visitor)
    account, database = company.account(address), company.accounts()
    assert account is not None
    with database.write() as connection:
        connection.execute(schema.accounts.delete().where(schema.accounts.c.id == account.id))
    database.close()
    assert "Mail address" in visitor.get().words


# Languages


def test_chinese_by_the_browsers_choice_and_by_ones_own(company: Company) -> None:
    visitor = Visitor(company, language="zh-CN,zh;q=0.9,en;q=0.8")
    answer = visitor.get()
    assert "您的邮箱正在迁移到这里" in answer.words and '<html lang="zh-Hans">' in answer.text
    assert "邮箱地址或密码不正确" in visitor.log_in(company.hire(), "nonsense").words
    assert "Your mail moves here" in visitor.get("/language/en?back=/").words
    assert "Your mail moves here" in visitor.get().words


def test_an_unknown_language_changes_nothing(visitor: Visitor) -> None:
    assert "Your mail moves here" in visitor.get("/language/xx?back=//evil.example/").words


# Settings


def test_settings(company: Company, visitor: Visitor) -> None:
    address = company.hire(1)
    visitor.log_in(address, PASSWORD)
    words = when_here(visitor).words
    ports = company.daemon.ports
    way = "{} Server localhost Port {} Encryption {}"
    assert way.format("Receiving (IMAP, recommended)", ports["imaps"], "SSL/TLS") in words
    assert way.format("Receiving (POP3)", ports["pop3s"], "SSL/TLS") in words
    assert way.format("Sending (SMTP)", 587, "STARTTLS") in words
    assert way.format("Receiving (IMAP, recommended)", ports["imap"], "STARTTLS") in words  # among the other ways
    assert address in words


def test_the_phones_page_tells_nothing_of_accounts(company: Company, visitor: Visitor) -> None:
    somebody, nobody = company.hire(1), "nobody@123.com"
    Visitor(company).log_in(somebody, PASSWORD)
    pages = [visitor.get(f"/phone?account={name}").text.replace(name, "NAME") for name in (somebody, nobody)]
    pages = [
        page.replace(name.replace("@", "%40"), "NAME") for page, name in zip(pages, (somebody, nobody), strict=True)
    ]
    assert pages[0] == pages[1]
    assert "localhost" in pages[0]


def test_the_qr_code_is_a_picture_of_the_address(visitor: Visitor) -> None:
    answer = visitor.get("/qr.svg?account=li%40123.com")
    assert answer.headers["Content-Type"] == "image/svg+xml"
    root = ElementTree.fromstring(answer.body)
    assert root.tag.endswith("svg")
    assert answer.body != visitor.get("/qr.svg?account=wang%40123.com").body
    assert visitor.get("/qr.svg?account=a%20b").body == visitor.get("/qr.svg").body


def test_the_profile_for_apples_devices(company: Company, visitor: Visitor, tmp_path: Path) -> None:
    answer = visitor.get("/profile.mobileconfig?account=li%40123.com")
    assert answer.headers["Content-Type"] == "application/x-apple-aspen-config"
    signed, plain = tmp_path / "signed", tmp_path / "plain"
    signed.write_bytes(answer.body)
    command = ["openssl", "cms", "-verify", "-inform", "DER", "-in", signed, "-out", plain, "-purpose", "any"]
    subprocess.run([*command, "-CAfile", company.daemon.ca], check=True, capture_output=True)
    profile = plistlib.loads(plain.read_bytes())
    (mail,) = profile["PayloadContent"]
    assert mail["PayloadType"] == "com.apple.mail.managed"
    assert (mail["EmailAccountType"], mail["EmailAddress"]) == ("EmailTypeIMAP", "li@123.com")
    assert (mail["IncomingMailServerHostName"], mail["IncomingMailServerPortNumber"]) == (
        "localhost",
        company.daemon.ports["imaps"],
    )
    assert mail["IncomingMailServerUseSSL"] is mail["OutgoingMailServerUseSSL"] is True
    assert mail["OutgoingMailServerPortNumber"] == 587
    assert not [key for key in mail if key.endswith("Password") and key != "OutgoingPasswordSameAsIncomingPassword"]
    again = visitor.get("/profile.mobileconfig?account=LI").body
    assert plistlib.dumps(profile) in again and profile["PayloadUUID"].encode() in again


@pytest.mark.parametrize("account", ["", "li@elsewhere.example", "a%0ab@123.com"])
def test_no_profile_for_others(visitor: Visitor, account: str) -> None:
    assert visitor.get(f"/profile.mobileconfig?account={account}").status == 404


# What programs ask


@pytest.mark.parametrize("path", ["/mail/config-v1.1.xml", "/.well-known/autoconfig/mail/config-v1.1.xml"])
def test_autoconfig(company: Company, visitor: Visitor, path: str) -> None:
    answer = visitor.get(f"{path}?emailaddress=li%40123.com", Host="autoconfig.123.com")
    assert answer.headers["Content-Type"] == "text/xml; charset=utf-8"
    provider = ElementTree.fromstring(answer.body).find("emailProvider")
    assert provider is not None
    assert [domain.text for domain in provider.findall("domain")] == ["123.com"]
    servers = [
        (s.get("type"), s.findtext("hostname"), s.findtext("port"), s.findtext("socketType"), s.findtext("username"))
        for s in (*provider.findall("incomingServer"), *provider.findall("outgoingServer"))
    ]
    ports = company.daemon.ports
    assert servers[0] == ("imap", "localhost", str(ports["imaps"]), "SSL", "%EMAILADDRESS%")
    assert ("pop3", "localhost", str(ports["pop3s"]), "SSL", "%EMAILADDRESS%") in servers
    assert servers[-1] == ("smtp", "localhost", "587", "STARTTLS", "%EMAILADDRESS%")


def test_autoconfig_without_an_address_and_with_a_foreign_one(visitor: Visitor) -> None:
    assert visitor.get("/mail/config-v1.1.xml").status == 200
    assert visitor.get("/mail/config-v1.1.xml?emailaddress=li%40elsewhere.example").status == 404


QUESTION = (
    '<?xml version="1.0"?><Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/'
    'requestschema/2006"><Request><EMailAddress>{address}</EMailAddress><AcceptableResponseSchema>{schema}'
    "</AcceptableResponseSchema></Request></Autodiscover>"
)
OUTLOOK = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"


@pytest.mark.parametrize("path", ["/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml"])
def test_autodiscover(company: Company, visitor: Visitor, path: str) -> None:
    body = QUESTION.format(address="Li@123.com", schema=OUTLOOK).encode()
    answer = visitor.ask("POST", path, body, {"Content-Type": "text/xml", "Host": "autodiscover.123.com"})
    root = ElementTree.fromstring(answer.body)
    name = f"{{{OUTLOOK}}}"
    protocols = {
        protocol.findtext(f"{name}Type"): [
            protocol.findtext(f"{name}{key}") for key in ("Server", "Port", "LoginName", "SSL", "Encryption")
        ]
        for protocol in root.iter(f"{name}Protocol")
    }
    ports = company.daemon.ports
    assert protocols == {
        "IMAP": ["localhost", str(ports["imaps"]), "li@123.com", "on", "SSL"],
        "POP3": ["localhost", str(ports["pop3s"]), "li@123.com", "on", "SSL"],
        "SMTP": ["localhost", "587", "li@123.com", "on", "TLS"],
    }


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (QUESTION.format(address="li@elsewhere.example", schema=OUTLOOK), 200, "<ErrorCode>600</ErrorCode>"),
        (QUESTION.format(address="li@123.com", schema="mobilesync"), 200, "<ErrorCode>601</ErrorCode>"),
        ("", 400, "cannot be read"),
        ("<a>", 400, "cannot be read"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', 400, "cannot be read"),
        ("<a>" + "x" * 70_000 + "</a>", 400, "cannot be read"),
        ('<?xml version="1.0" encoding="utf-7"?><a/>', 400, "cannot be read"),
    ],
)
def test_autodiscover_of_what_is_none_of_ours(visitor: Visitor, body: str, status: int, words: str) -> None:
    answer = visitor.ask("POST", "/autodiscover/autodiscover.xml", body.encode(), {"Content-Type": "text/xml"})
    assert (answer.status, words in answer.text) == (status, True)


def test_autodiscover_by_get(visitor: Visitor) -> None:
    assert "<ErrorCode>600" in visitor.get("/autodiscover/autodiscover.xml").text
    found = visitor.get("/AutoDiscover/AutoDiscover.xml?emailaddress=li%40123.com").text
    assert "<LoginName>li@123.com</LoginName>" in found


def test_where_autodiscover_is(company: Company, visitor: Visitor) -> None:
    for path in ("/autodiscover/autodiscover.json?", "/Autodiscover/autodiscover.json/v1.0/li@123.com?"):
        answer = visitor.get(f"{path}Email=li%40123.com&Protocol=AutodiscoverV1")
        assert f'"{company.address}/autodiscover/autodiscover.xml"' in answer.text
        refused = visitor.get(f"{path}Protocol=ActiveSync")
        assert refused.status == 400 and "ProtocolNotSupported" in refused.text


def test_what_is_told_once_may_be_anything(visitor: Visitor) -> None:
    """It goes by way of the browser."""
    for told in (b"[]", b'["good", "no.such.key", {}]', b'["bad", "portal.ask", {}]', b'["good", [], {}]', b"\xff"):
        visitor.cookies["__Host-told"] = base64.urlsafe_b64encode(told).decode()
        assert visitor.get().status == 200
    visitor.cookies["__Host-told"] = base64.urlsafe_b64encode(b'["x", "portal.ask", {"contact": "<b>"}]').decode()
    assert "&lt;b&gt;" in visitor.get().text
