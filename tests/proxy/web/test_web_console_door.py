"""Who gets into the console, from where, and until when; and what is forged, foreign, replayed or too large."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

import pytest

from mailstore.web_sessions import WebSessions
from tests.browser.administrators import PASSWORD, administrator, appoint, dismiss, enrol
from tests.browser.company import Company
from tests.browser.visitor import Answer, Visitor

AWAY = "192.0.2.7"  # an address that is not this machine's
FILTER = Path(__file__).parents[3] / "conf/fail2ban/filter.d/mailferry.conf"


@pytest.fixture(scope="module")
def young(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """A company without encryption and with a listener for the console alone, before its first administrator."""
    folder: Path = tmp_path_factory.mktemp("young")
    made = Company(folder, encrypted=False, own_console=True)
    yield made.start()
    made.close()


def at_the_console(company: Company, **more: str) -> Visitor:
    return Visitor(company, port=company.daemon.ports.get("console", 0), **more)  # type: ignore[arg-type]


def log_in(visitor: Visitor, name: str, password: str = PASSWORD, to: str = "") -> Answer:
    form = {"csrf": visitor.get("/console/login").csrf, "name": name, "password": password, "to": to}
    return visitor.post("/console/login", form)


def logged(company: Company, event: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in company.daemon.log.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def found_by_fail2ban(company: Company) -> list[str]:
    """The addresses of refused administrators that the filter's patterns find; fail2ban itself reads the daemon's log
    in `tests/peers`."""
    pattern = next(line for line in FILTER.read_text().splitlines() if "administrator login refused" in line).strip()
    return re.findall(pattern.replace("<ADDR>", '([^"]+)'), company.daemon.log, re.MULTILINE)


def test_before_and_after_the_first_administrator(young: Company) -> None:
    here, away = at_the_console(young), at_the_console(young, address=AWAY)
    for path in ("/console", "/console/login", "/console/accounts", "/console/accounts.csv"):
        assert "mailferry admin add NAME" in here.get(path).text
        assert away.get(path).status == 403
        assert "admin add" not in away.get(path).text
    assert "mailferry admin add" in at_the_console(young, language="zh").get("/console").text
    name = appoint(young)
    assert 'action="/console/login"' in here.get("/console").text
    assert log_in(here, name).headers["Location"] == "/console"
    dismiss(young, name)
    assert "mailferry admin add NAME" in here.get("/console").text
    assert away.get("/console").status == 403


def test_a_listener_of_its_own_is_the_only_one(young: Company) -> None:
    appoint(young)
    assert Visitor(young).get("/console").status == 404
    assert at_the_console(young).ask("GET", "/").headers["Location"] == "/console"
    assert at_the_console(young).get("/").status == 200


def test_a_password_over_a_connection_that_others_can_read_is_refused(young: Company) -> None:
    name = appoint(young)
    away = at_the_console(young, address=AWAY)
    assert away.get("/console/login").status == 403
    assert "https://" in away.get("/console/login").text
    csrf = at_the_console(young).get("/console/login").csrf
    assert away.post("/console/login", {"name": name, "password": PASSWORD, "csrf": csrf}).status == 403
    encrypted = away.get("/console/login", **{"X-Forwarded-Proto": "https"})
    assert 'action="/console/login"' in encrypted.text


def test_in_and_out(company: Company) -> None:
    name = appoint(company)
    visitor = Visitor(company)
    assert visitor.ask("GET", "/console").headers["Location"] == "/console/login"
    assert visitor.get("/console").status == 200
    answer = log_in(visitor, name.upper())
    assert (answer.status, answer.headers["Location"]) == (303, "/console")
    cookie = next(line for line in answer.headers.get_all("Set-Cookie") or () if "console=" in line)
    assert cookie.startswith("__Host-console=")
    assert all(word in cookie for word in ("HttpOnly", "Secure", "SameSite=strict", "Path=/"))
    page = visitor.get("/console")
    assert f"Log out ({name})" in page.words
    said = visitor.get(visitor.post("/console/logout", {"csrf": page.csrf}).headers["Location"])
    assert "You are logged out." in said.words
    assert visitor.ask("GET", "/console").status == 303
    line = logged(company, "administrator logged out")[-1]
    assert (line["name"], line["peer"]) == (name, visitor.address)


def test_a_wrong_password_and_an_unknown_name_are_told_the_same(company: Company) -> None:
    name = appoint(company)
    for_whom = [
        (name, "wrong"),
        ("nobody-" + name, PASSWORD),
        ("", ""),
        ("'; DROP TABLE", PASSWORD),
        (name, "x" * 5_000),
    ]
    for number, (given, password) in enumerate(for_whom):
        answer = log_in(Visitor(company, address=f"192.0.2.{100 + number}"), given, password)
        assert answer.status == 403
        assert "The name or the password is wrong." in answer.words
        assert PASSWORD not in answer.text
    refused = logged(company, "administrator login refused")
    assert {"name": name, "peer": "192.0.2.100", "why": "wrong"}.items() <= refused[-5].items()
    assert [f"192.0.2.{100 + number}" for number in range(5)] == found_by_fail2ban(company)[-5:]
    assert PASSWORD not in company.daemon.log


def test_an_address_that_guesses_is_refused_for_a_while(company: Company) -> None:
    """Ten guesses at once, of which most are answered late; the next one is not looked at."""
    guesser = Visitor(company, address="192.0.2.130")
    name = appoint(company)
    form = {"csrf": guesser.get("/console/login").csrf, "name": name, "password": "wrong"}
    cookies = "; ".join(f"{key}={value}" for key, value in guesser.cookies.items())
    headers = {
        "Cookie": cookies,
        "X-Forwarded-For": guesser.address,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    guesses = [guesser.connect() for _ in range(10)]
    for guess in guesses:
        guess.request("POST", "/console/login", urlencode(form), headers)
    assert [guess.getresponse().status for guess in guesses[:3]] == [403] * 3
    answer = guesser.post("/console/login", {**form, "password": PASSWORD})
    for guess in guesses:
        guess.close()
    assert (answer.status, "Too many attempts" in answer.words) == (429, True)
    assert log_in(Visitor(company, address="192.0.2.131"), name).status == 303


def test_in_chinese(company: Company) -> None:
    visitor = Visitor(company, language="zh-CN", address="192.0.2.120")
    assert "登录管理控制台" in visitor.get("/console").words
    assert "用户名或密码不正确" in log_in(visitor, "nobody", "wrong").words


@pytest.mark.parametrize(
    ("to", "went"),
    [
        ("/console/accounts?state=blocked", "/console/accounts?state=blocked"),
        ("https://example.com/console/", "/console"),
        ("//example.com/console/", "/console"),
        ("/\\example.com", "/console"),
        ("/consolefake", "/console"),
        ("/console/\r\nSet-Cookie: x=1", "/console"),
        ("javascript:alert(1)", "/console"),
    ],
)
def test_one_comes_to_where_one_wanted_and_nowhere_else(company: Company, to: str, went: str) -> None:
    assert log_in(Visitor(company), appoint(company), to=to).headers["Location"] == went


def test_a_page_that_was_asked_for_comes_after_the_login(company: Company) -> None:
    visitor = Visitor(company)
    page = visitor.ask("GET", "/console/accounts?state=blocked")
    assert page.headers["Location"] == "/console/login?to=%2Fconsole%2Faccounts%3Fstate%3Dblocked"
    assert 'value="/console/accounts?state=blocked"' in visitor.get("/console/accounts?state=blocked").text


def test_part_of_a_page_is_not_replaced_by_the_login(company: Company) -> None:
    answer = Visitor(company).ask("GET", "/console/accounts", headers={"HX-Request": "true"})
    assert answer.headers["HX-Redirect"] == "/console/login"


def test_the_session_of_a_removed_administrator_has_ended(company: Company) -> None:
    name = appoint(company)
    visitor = Visitor(company)
    log_in(visitor, name)
    csrf = visitor.get("/console").csrf
    (account,) = enrol(company, [{"local": "kept", "reason": "x"}])
    dismiss(company, name)
    assert visitor.ask("GET", "/console").headers["Location"] == "/console/login"
    assert visitor.post(f"/console/account/{account.id}", {"csrf": csrf, "what": "pause"}).status == 403
    after = company.account(account.name)
    assert after is not None and not after.paused


def test_what_a_browser_is_told_ends_with_the_session(company: Company) -> None:
    visitor = Visitor(company)
    name = appoint(company)
    log_in(visitor, name)
    connection = visitor.connect()
    cookies = "; ".join(f"{key}={value}" for key, value in visitor.cookies.items())
    connection.request("GET", "/console/events", headers={"Cookie": cookies})
    answer = connection.getresponse()
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert answer.readline() == b"retry: 3000\n"
    enrol(company, [{"local": "news"}])
    assert answer.readline() == b"\n"
    assert answer.readline() == b"event: changed\n"
    dismiss(company, name)
    assert b"event: secret" not in answer.read()  # it comes to its end
    connection.close()


def test_the_portal_s_session_is_none_of_the_console(company: Company) -> None:
    with closing(company.accounts()) as database:
        token, _ = WebSessions(database).begin("portal", appoint(company))
    visitor = Visitor(company, cookies={"__Host-console": token, "__Host-portal": token})
    assert visitor.ask("GET", "/console").headers["Location"] == "/console/login"


def test_forged_foreign_and_replayed_requests_change_nothing(company: Company) -> None:
    (account,) = enrol(company, [{"local": "target", "state": "moved"}])
    path, form = f"/console/account/{account.id}", {"what": "pause"}
    one, other = administrator(company), administrator(company)
    csrf = one.get("/console").csrf
    assert one.post(path, form).status == 403
    assert one.post(path, {**form, "csrf": "x" * 32}).status == 403
    assert one.post(path, {**form, "csrf": other.get("/console").csrf}).status == 403
    assert Visitor(company).post(path, {**form, "csrf": csrf}).status == 403
    for headers in ({"Origin": "https://example.com"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}):
        assert one.post(path, {**form, "csrf": csrf}, **headers).status == 403
    one.post("/console/logout", {"csrf": csrf})
    assert one.post(path, {**form, "csrf": csrf}).status == 403
    after = company.account(account.name)
    assert after is not None and not after.paused


def test_what_changes_something_is_not_a_link(company: Company) -> None:
    visitor = administrator(company)
    (account,) = enrol(company, [{"local": "linked", "state": "moved"}])
    for path in ("/console/logout", "/console/accounts/do", f"/console/account/{account.id}/password"):
        assert visitor.get(path).status == 405
    assert visitor.ask("DELETE", f"/console/account/{account.id}").status == 405


def test_forms_that_are_too_large_or_of_another_kind(company: Company) -> None:
    visitor = administrator(company)
    csrf = visitor.get("/console").csrf
    assert visitor.post("/console/accounts/ask", {"csrf": csrf, "text": "x" * 1_100_000}).status == 413
    body = json.dumps({"csrf": csrf}).encode()
    answer = visitor.ask("POST", "/console/accounts/ask", body, {"Content-Type": "application/json"})
    assert answer.status == 415
