"""What strangers may send, and what they get: forged, replayed, foreign, too large, too long, misshapen."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.company import PASSWORD, Company
from tests.browser.visitor import Answer, Visitor

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def visitor(company: Company) -> Visitor:
    return Visitor(company)


def raw(company: Company, data: bytes, end: bytes = b"</html>") -> bytes:
    """Exactly these octets, and all that comes back, up to the end of a page or until the server hangs up."""
    context = ssl.create_default_context(cafile=company.daemon.ca)
    with socket.create_connection(("127.0.0.1", company.port), timeout=60) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as connection:
            connection.sendall(data)
            answer = b""
            while end not in answer and (piece := connection.recv(65_536)):
                answer += piece
            return answer


def is_the_form(answer: Answer) -> bool:
    return 'action="/login"' in answer.text


# What every answer says


@pytest.mark.parametrize("path", ["/", "/nothing", "/phone", "/qr.svg", "/mail/config-v1.1.xml", "/robots.txt", "/%ff"])
def test_every_answer_has_its_headers(visitor: Visitor, path: str) -> None:
    headers = visitor.ask("GET", path).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy and "form-action 'self'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Strict-Transport-Security"].startswith("max-age=")
    assert headers["Cache-Control"] == "no-store"
    assert headers["Server"] == "mailferry"


def test_static_files_are_kept_for_ever_by_their_content(visitor: Visitor) -> None:
    page = visitor.get().text
    address = page.partition('<link rel="stylesheet" href="')[2].partition('"')[0]
    found = visitor.ask("GET", address, headers={"Accept-Encoding": "gzip"})
    assert (found.status, found.headers["Cache-Control"]) == (200, "public, max-age=31536000, immutable")
    assert (found.headers["Content-Encoding"], found.headers["Content-Type"]) == ("gzip", "text/css; charset=utf-8")
    name = address.rpartition("/")[2]
    assert visitor.get(f"/static/0123456789abcdef/{name}").status == 404


def test_nothing_is_inline(company: Company, visitor: Visitor) -> None:
    visitor.log_in(company.hire(1), PASSWORD)
    for path in ("/", "/password", "/phone"):
        page = visitor.get(path).text
        assert " style=" not in page and "<style" not in page and " onclick" not in page and "hx-on" not in page
        assert all("src=" in script for script in page.split("<script")[1:])


def test_cookies_are_for_this_host_over_tls_and_not_for_scripts(company: Company, visitor: Visitor) -> None:
    visitor.log_in(company.hire(1), PASSWORD)
    assert len(visitor.cookie_lines) >= 2
    for line in visitor.cookie_lines:
        assert line.startswith("__Host-") and "; Path=/;" in line
        assert "; Secure; HttpOnly; SameSite=lax" in line and "Domain" not in line


# Forged and foreign forms


@pytest.mark.parametrize("path", ["/login", "/logout", "/password"])
def test_a_form_without_its_token(company: Company, visitor: Visitor, path: str) -> None:
    visitor.get()
    before = company.old.logins
    answer = visitor.post(path, {"name": company.hire(), "password": PASSWORD})
    assert (answer.status, company.old.logins) == (403, before)
    assert "This form is too old, or did not come from here" in answer.words


def test_the_token_of_another_browser(company: Company, visitor: Visitor) -> None:
    token = Visitor(company).get().csrf
    visitor.get()
    fields = {"csrf": token, "name": company.hire(), "password": PASSWORD}
    assert visitor.post("/login", fields).status == 403
    assert Visitor(company).post("/login", fields).status == 403  # without any cookie


def test_a_token_from_before_the_login_is_none_afterwards(company: Company, visitor: Visitor) -> None:
    before = visitor.get().csrf
    visitor.log_in(company.hire(1), PASSWORD)
    assert visitor.post("/logout", {"csrf": before}).status == 403
    assert not is_the_form(visitor.get())


def test_a_replayed_form_of_a_session_that_has_ended(company: Company, visitor: Visitor) -> None:
    visitor.log_in(company.hire(1), PASSWORD)
    token, cookies = visitor.get().csrf, dict(visitor.cookies)
    visitor.submit("/", "/logout", {})
    assert Visitor(company, cookies=cookies).post("/logout", {"csrf": token}).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_a_form_on_another_site(company: Company, visitor: Visitor, headers: dict[str, str]) -> None:
    """Even with the right token."""
    visitor.log_in(company.hire(1), PASSWORD)
    assert visitor.post("/logout", {"csrf": visitor.get().csrf}, **headers).status == 403
    assert not is_the_form(visitor.get())


def test_nothing_is_changed_by_reading(company: Company, visitor: Visitor) -> None:
    visitor.log_in(company.hire(1), PASSWORD)
    token = visitor.get().csrf
    for path in (f"/logout?csrf={token}", f"/password?csrf={token}&current=a&new=b&again=b", "/login?name=a"):
        visitor.get(path)
    assert not is_the_form(visitor.get())


# Too much, and misshapen


def test_a_body_that_says_it_is_too_large_is_not_read(company: Company) -> None:
    answer = raw(company, b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\nname=")
    assert answer.startswith(b"HTTP/1.1 413 ") and b"That is too much" in answer


def test_a_body_that_grows_too_large(company: Company, visitor: Visitor) -> None:
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    head = b"POST /login HTTP/1.1\r\nHost: localhost\r\nAccept-Language: zh\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = raw(company, head + chunk * 17)
    assert answer.startswith(b"HTTP/1.1 413 ") and "内容太大".encode() in answer
    assert visitor.get().status == 200


def test_a_form_of_just_under_the_limit_is_read(visitor: Visitor) -> None:
    assert visitor.ask("POST", "/login", b"name=" + b"x" * 1_000_000, FORM).status == 403


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 17_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 17_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 101 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/9.9 x\r\n\r\n",
        b"\x16\x03\x01 nonsense\r\n\r\n",
    ],
)
def test_heads_that_are_too_long_or_misshapen(company: Company, head: bytes) -> None:
    answer = raw(company, head)
    assert answer.startswith(b"HTTP/1.1 400 ") or answer == b""
    assert b"Traceback" not in answer


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "FROB"])
def test_methods_that_no_page_has(visitor: Visitor, method: str) -> None:
    answer = visitor.ask(method, "/login")
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD, POST"


def test_head_is_get_without_a_body(visitor: Visitor) -> None:
    answer = visitor.ask("HEAD", "/")
    assert (answer.status, answer.body) == (200, b"")


def test_a_post_where_there_is_only_a_page(visitor: Visitor) -> None:
    answer = visitor.post("/phone", {})
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert "This page cannot be used in that way" in answer.words


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", {"Content-Type": "application/json"}, 415),
        (b"name=a", {}, 415),
        (b"name=%ff", FORM, 400),
        (b"name=\xff", FORM, 400),
        (b"&".join([b"a=b"] * 2_001), FORM, 400),
        (b"", {**FORM, "Content-Type": "multipart/form-data; boundary=x"}, 415),
    ],
)
def test_forms_that_cannot_be_read(visitor: Visitor, body: bytes, headers: dict[str, str], status: int) -> None:
    answer = visitor.ask("POST", "/login", body, headers)
    assert answer.status == status
    assert "What was sent cannot be read" in answer.words


@pytest.mark.parametrize(
    "path",
    [
        "/static/../style.css",
        "/static/..%2f..%2fetc/passwd",
        "/static/%2e%2e/%2e%2e/etc/passwd",
        "/%00",
        "//etc/passwd",
        "/login/../../x",
        "/%ff%fe",
        "/<script>alert(1)</script>",
        "/static/x/htmx.LICENSE",
    ],
)
def test_paths_that_lead_nowhere(visitor: Visitor, path: str) -> None:
    answer = visitor.ask("GET", path)
    assert answer.status == 404
    assert "There is no such page" in answer.words
    assert "<script>alert" not in answer.text


@pytest.mark.parametrize("query", ["%ff=%ff", "a=%ff", "\xff".encode().decode("latin-1"), "&".join(["a=b"] * 2_001)])
def test_queries_that_cannot_be_read(company: Company, visitor: Visitor, query: str) -> None:
    target = f"GET /?{query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert raw(company, target.encode("latin-1")).startswith(b"HTTP/1.1 400 ")


def test_markup_in_a_name(company: Company, visitor: Visitor) -> None:
    """A mailbox's name may have it; a page shows it as it is."""
    name = "<img/src=x>'\"&"
    company.old.mailboxes[name] = PASSWORD, [b"Subject: <script>alert(1)</script>\r\n\r\nx\r\n"]
    assert "<img" not in visitor.log_in(name, "nonsense").text
    answer = visitor.log_in(name, PASSWORD)
    assert f"Mailbox {name}@123.com" in answer.words.replace("&#39;", "'")
    assert "<img/src" not in answer.text


def test_a_forged_host_is_in_no_page(company: Company, visitor: Visitor) -> None:
    visitor.log_in(company.hire(1), PASSWORD)
    forged = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    for path in ("/", "/phone", "/password", "/mail/config-v1.1.xml", "/language/zh", "/qr.svg", "/nothing"):
        answer = visitor.ask("GET", path, headers=forged)
        assert "evil.example" not in answer.text + str(answer.headers)


def test_a_visitor_who_says_to_be_another(company: Company, visitor: Visitor) -> None:
    """Only what a proxy on this machine says last counts; it is what the log has."""
    visitor.address = "203.0.113.5, 192.0.2.44"
    visitor.log_in(company.hire(), "nonsense")
    assert '"peer": "192.0.2.44"' in company.daemon.log
    assert "203.0.113.5" not in company.daemon.log


def test_nobody_learns_who_has_an_account(company: Company) -> None:
    """A name that the old server does not know is answered as one whose password is wrong."""
    somebody = company.hire(1)
    pages = []
    for name in (somebody, "nobody-at-all@123.com"):
        visitor = Visitor(company)
        answer = visitor.log_in(name, "nonsense")
        pages.append((answer.status, answer.words, answer.text.count("\n")))
    assert pages[0] == pages[1]


def test_no_secret_is_in_the_log(company: Company, visitor: Visitor) -> None:
    visitor.log_in(company.hire(1), PASSWORD)
    secrets = [PASSWORD, *(value for name, value in visitor.cookies.items() if "language" not in name)]
    assert all(secret not in company.daemon.log for secret in secrets)
    assert "Traceback" not in company.daemon.log and '"unexpected"' not in company.daemon.log


# Without TLS


@pytest.fixture(scope="module")
def open_company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    made = Company(tmp_path_factory.mktemp("open"), encrypted=False)
    yield made.start()
    made.close()


def test_a_password_comes_unencrypted_from_this_machine_only(open_company: Company) -> None:
    here, far = Visitor(open_company), Visitor(open_company, address="192.0.2.9")
    assert "All 3 messages are here" in settled(here, open_company.hire(3))
    page = far.get()
    assert "Passwords are not taken over this connection" in page.words and not is_the_form(page)
    before = open_company.old.logins
    fields = {"csrf": here.get("/phone").csrf, "name": open_company.hire(), "password": PASSWORD}
    assert far.post("/login", fields).status == 403
    assert open_company.old.logins == before


def settled(visitor: Visitor, address: str) -> str:
    answer = visitor.log_in(address, PASSWORD)
    while "All" not in answer.words:
        answer = visitor.get()
    return answer.words


def test_behind_a_proxy_that_encrypts(open_company: Company) -> None:
    visitor = Visitor(open_company, address="192.0.2.9")
    assert not is_the_form(visitor.get())
    answer = visitor.ask("GET", "/", headers={"X-Forwarded-Proto": "https"})
    assert is_the_form(answer)
    assert answer.headers["Strict-Transport-Security"]
    assert "; Secure;" in visitor.cookie_lines[-1]


def test_without_tls_nothing_is_said_of_it(open_company: Company) -> None:
    visitor = Visitor(open_company)
    answer = visitor.get()
    assert answer.headers["Strict-Transport-Security"] is None
    assert visitor.cookie_lines and not any("Secure" in line or "__Host-" in line for line in visitor.cookie_lines)


def test_an_unsigned_profile_without_a_key(open_company: Company, tmp_path: Path) -> None:
    assert Visitor(open_company).get("/profile.mobileconfig?account=li").body.startswith(b"<?xml")
