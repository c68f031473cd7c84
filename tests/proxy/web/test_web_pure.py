"""Parts that need no server: languages, links, origins, paces, sessions' cookies."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy import config
from proxy.config import Config
from proxy.web import security
from proxy.web.address import portal_address
from proxy.web.languages import chosen
from proxy.web.portal.discovery import _question
from proxy.web.portal.setting import settings_of
from proxy.web.portal.standing import REMEMBERED, Paces, Standing
from proxy.web.visit import Refused, is_ours


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [
        ("", "", "en"),
        ("", "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("", "en-US,en;q=0.9,zh;q=0.8", "en"),
        ("", "fr,zh-TW;q=0.5", "zh"),
        ("", "zh;q=0", "en"),
        ("", "en;q=0.1, zh;q=0.2", "zh"),
        ("", "zhx", "en"),
        ("", "zh;q=viel", "en"),
        ("zh", "en", "zh"),
        ("en", "zh", "en"),
        ("<script>", "zh", "zh"),
    ],
)
def test_language(cookie: str, accepted: str, language: str) -> None:
    assert chosen(cookie, accepted) == language


@given(st.text(max_size=60))
def test_any_header_gives_a_language(accepted: str) -> None:
    assert chosen("", accepted) in {"en", "zh"}


@pytest.mark.parametrize(
    "path", ["", "//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "/a\r\nb", "/é"]
)
def test_a_link_back_leads_nowhere_else(path: str) -> None:
    assert not is_ours(path)


def test_a_link_back_leads_to_our_pages() -> None:
    assert is_ours("/")
    assert is_ours("/console/accounts?after=li&state=moved")


class Asked:
    """As much of a request as is looked at."""

    def __init__(self, address: str = "192.0.2.7", *, tls: bool = False, **headers: str) -> None:
        self._headers = {name.replace("_", "-").lower(): value for name, value in headers.items()}
        self._tls = tls
        self.host = address

    def getHeader(self, name: str) -> str | None:
        return self._headers.get(name.lower())

    def getClientAddress(self) -> Any:
        return self

    def isSecure(self) -> bool:
        return self._tls


def test_a_proxy_is_believed_on_this_machine_only() -> None:
    told = {"X_Forwarded_For": "203.0.113.9, 198.51.100.4", "X_Forwarded_Proto": "https"}
    assert security.visitor(Asked(**told)) == security.Visitor("192.0.2.7", secure=False, loopback=False)
    assert security.visitor(Asked("127.0.0.1", **told)) == security.Visitor("198.51.100.4", secure=True, loopback=False)
    assert security.visitor(Asked("::1", X_Forwarded_For="unknown")) == security.Visitor(
        "::1", secure=False, loopback=True
    )
    assert security.visitor(Asked("", X_Forwarded_For="2001:db8::5")).address == "2001:db8::5"


@pytest.mark.parametrize(
    ("headers", "same"),
    [
        ({}, True),
        ({"Sec_Fetch_Site": "same-origin"}, True),
        ({"Sec_Fetch_Site": "none"}, True),
        ({"Sec_Fetch_Site": "same-site"}, False),
        ({"Sec_Fetch_Site": "cross-site", "Origin": "https://mail.123.com"}, False),
        ({"Origin": "https://mail.123.com:8443"}, True),
        ({"Origin": "https://MAIL.123.com:8443"}, True),
        ({"Origin": "https://mail.123.com"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "https://mail.123.com:8443.evil.example"}, False),
        ({"Origin": "null"}, False),
    ],
)
def test_where_a_form_may_come_from(headers: dict[str, str], same: bool) -> None:
    assert security.same_origin(Asked(Host="mail.123.com:8443", **headers)) is same


def test_form_tokens_are_of_one_browser_and_one_place() -> None:
    key = b"k" * 32
    tokens = {security.form_token(key, place, browser) for place in ("portal", "console") for browser in ("a", "b")}
    assert len(tokens) == 4


@given(
    st.binary(max_size=400)
    | st.text(max_size=200).map(lambda text: f"<a><EMailAddress>{text}</EMailAddress></a>".encode())
)
def test_any_question_of_outlooks_is_answered(body: bytes) -> None:
    try:
        address, schema = _question(body)
    except Refused as refused:
        assert refused.status == 400
    else:
        assert isinstance(address, str) and isinstance(schema, str)


def test_pace() -> None:
    now = [0.0]
    paces = Paces(lambda: now[0])
    assert paces.left(1, 0, 1000) is None
    now[0] = 2.0
    assert paces.left(1, 100, 1000) is None  # too early to tell
    now[0] = 4.0
    assert paces.left(1, 200, 1000) == 20.0  # 16, and it is not so sure
    now[0] = 60.0
    assert paces.left(1, 200, 1000) is None  # it stands still
    now[0] = 61.0
    assert paces.left(1, 50, 1000) is None  # another move


def test_paces_are_bounded() -> None:
    paces = Paces(lambda: 0.0)
    for number in range(REMEMBERED + 5):
        paces.left(number, 0, 1)
    assert len(paces._looks) == REMEMBERED


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**12), st.integers(0, 10**12))
def test_percent_is_one(done: int, total: int, octets: int, octets_total: int) -> None:
    assert 0 <= Standing("moving", done, total, octets, octets_total).percent <= 100


def configured(listen: str, tls: bool = True, more: str = "") -> Config:
    files = '[tls]\ncertificate = "/c.pem"\nkey = "/k.pem"\n' if tls else ""
    text = f'hostname = "mail.123.com"\n{more}[listen]\n{listen}\n{files}[domain."123.com".legacy]\nhost = "old"\n'
    return config.parse(text.encode())


@pytest.mark.parametrize(
    ("listen", "tls", "address"),
    [
        ('web = ["tcp:443"]', True, "https://mail.123.com"),
        ('web = ["tcp:8443"]', True, "https://mail.123.com:8443"),
        ('web = ["tcp:80"]', False, "http://mail.123.com"),
        ('web = ["unix:/run/m/web"]', False, "https://mail.123.com"),
        ('web = ["systemd:domain=INET:index=0"]', True, "https://mail.123.com"),
        ('console = ["tcp:8443"]', True, None),
    ],
)
def test_where_the_portal_is(listen: str, tls: bool, address: str | None) -> None:
    assert portal_address(configured(listen, tls)) == address


def test_a_profile_is_offered_where_mail_can_be_read_and_sent() -> None:
    sending = 'submission = "mail.123.com:587"\n'
    assert settings_of(configured('imaps = ["tcp:993"]', more=sending), "li@123.com").profile
    assert settings_of(configured('imaps = ["tcp:993"]', more=sending), "").profile == ""
    assert settings_of(configured('imaps = ["tcp:993"]'), "li@123.com").profile == ""
    assert settings_of(configured('web = ["tcp:443"]', more=sending), "li@123.com").profile == ""
