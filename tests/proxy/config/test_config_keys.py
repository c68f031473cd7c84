"""Single keys: durations, endpoints, names, paths, and what several must be to each other."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.endpoints import serverFromString
from twisted.internet.testing import MemoryReactor

from proxy.config.durations import parse_duration, spell
from proxy.config.endpoints import Endpoint, parse_endpoint
from proxy.config.mistakes import Unfit, key_path
from tests.proxy.config.examples import DESIGN, SMALLEST, accepted, changed, refused

LEGACY = 'domain."123.com".legacy'


# Durations


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("20m", 1200), ("1h30m", 5400), ("2d", 172_800), ("1d2h3m4s", 93_784), ("0s", 0)]
)
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds
    assert parse_duration(spell(seconds)) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "5 m", "m5", "30m1h", "1.5h", "-5m", "5M", "٥m", "9999999999s", True, None, [], 5]
)
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(Unfit):
        parse_duration(text)


@given(st.text(alphabet="0123456789dhms -."))
def test_durations_never_raise_anything_else(text: str) -> None:
    with contextlib.suppress(Unfit):
        assert parse_duration(text) >= 0


@pytest.mark.parametrize(("text", "said"), [("0s", "is not between 1s and 1d"), ("25h", '"1d1h" is not between')])
def test_the_hold_has_bounds(text: str, said: str) -> None:
    assert said in refused(changed(('"20m"', f'"{text}"')))["migration.hold_limit"]


# Endpoints


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("tcp:110", Endpoint("tcp", 110)),
        ("tcp:port=110", Endpoint("tcp", 110)),
        ("tcp:143:interface=127.0.0.1", Endpoint("tcp", 143, "127.0.0.1")),
        ("tcp:143:127.0.0.1:backlog=9", Endpoint("tcp", 143, "127.0.0.1")),
        ("tcp:143:interface=\\:\\:1", Endpoint("tcp", 143, "::1")),
        ("unix:/run/mailferry/imap", Endpoint("unix", path="/run/mailferry/imap")),
        ("unix:/run/a\\:b:mode=660:lockfile=0", Endpoint("unix", path="/run/a:b")),
    ],
)
def test_endpoints_as_twisted_reads_them(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text) == endpoint
    twisted = serverFromString(MemoryReactor(), text)
    if endpoint.kind == "tcp":
        assert (twisted._port, twisted._interface) == (endpoint.port, endpoint.address)
    else:
        assert twisted._address == endpoint.path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "does not start with its kind"),
        ("143", 'write "tcp:143"'),
        (":143", "does not start with its kind"),
        ("tcp", 'write for instance "tcp:143"'),
        ("tcp:", "the port must be a number"),
        ("tcp:0", "from 1 to 65535"),
        ("tcp:65536", "from 1 to 65535"),
        ("tcp:imap", 'not "imap"'),
        ("tcp:143:interfac=1.2.3.4", 'did you mean "interface"?'),
        ("tcp:143:interface=eth0", "must be an address"),
        ("tcp:143:interface=::1", "escaped colons"),
        ("tcp:143:port=143", "gives port twice"),
        ("tcp:1:127.0.0.1:5:6", '"6" too many'),
        ("tcp:143\\", "backslash"),
        ("tpc:143", 'did you mean "tcp"?'),
        ("ssl:993", "list the port under imaps"),
        ("haproxy", 'in front of an endpoint: "haproxy:tcp:143"'),
        ("haproxy:143", 'write "tcp:143"'),
        ("haproxy:tpc:143", 'did you mean "tcp"?'),
        ("unix:run/imap", "absolute path"),
        ("unix:/run/x:mode=999", "octal"),
        ("unix:/" + "x" * 200, "107 octets"),
        ("systemd:domain=INET", "index or name"),
        ("systemd:domain=IPX:index=0", "INET, INET6 or UNIX"),
        ("tcp6:143:interface=127.0.0.1", "takes an IPv6 address"),
    ],
)
def test_what_is_no_endpoint(text: str, said: str) -> None:
    with pytest.raises(Unfit) as caught:
        parse_endpoint(text)
    assert said in str(caught.value)


@given(st.text(alphabet="tcpunixsystemd:=\\/0123456789. é") | st.text())
def test_endpoints_never_raise_anything_else(text: str) -> None:
    with contextlib.suppress(Unfit):
        parse_endpoint(text)


def test_no_endpoint_twice() -> None:
    found = refused(changed(('imap = ["tcp:143"]', 'imap = ["tcp:143", "tcp:port=110"]')))
    assert found == {"listen.imap[1]": '"tcp:port=110" is taken by listen.pop3[0]: keep one of them'}


def test_something_to_listen_on() -> None:
    assert (
        "nothing to listen on"
        in refused(changed(('imap = ["tcp:10143:interface=127.0.0.1"]', ""), text=SMALLEST))["listen"]
    )
    assert "[listen] with" in refused('hostname = "a"\n[domain."b.c".legacy]\nhost = "d"\n')["listen"]


# Names


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("POP.old.123.com", "pop.old.123.com"),
        ("pop.old.123.com.", "pop.old.123.com"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("邮局.example", "xn--dgtz33j.example"),
    ],
)
def test_hosts(given: str, host: str) -> None:
    assert accepted(changed(('"pop.old.123.com"', f'"{given}"'))).domains["123.com"].legacy.host == host


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("pop3://old", 'without the "pop3://"'),
        ("old.123.com:110", 'write host = "old.123.com" and port = 110'),
        ("", "cannot be a domain name"),
        ("a..b", "cannot be a domain name"),
        ("-a.b", "cannot be a domain name"),
        ("a b", "cannot be a domain name"),
        ("a" * 64, "cannot be a domain name"),
    ],
)
def test_what_is_no_host(given: str, said: str) -> None:
    assert said in refused(changed(('"pop.old.123.com"', f'"{given}"')))[f"{LEGACY}.host"]


def test_the_port_follows_tls() -> None:
    text = changed(("port = 110\n", ""), ('tls = "starttls"', 'tls = "implicit"'))
    assert accepted(text).domains["123.com"].legacy.port == 995


def test_domains_are_lower_case_and_known_to_dns() -> None:
    config = accepted(DESIGN.replace("123.com", "公司.Example"))
    domain = config.domains["公司.example"]
    assert (domain.name, domain.ascii_name) == ("公司.example", "xn--55qx5d.example")


@pytest.mark.parametrize("other", ["123.COM", "123.com."])
def test_one_domain_under_two_names(other: str) -> None:
    found = refused(DESIGN + f'[domain."{other}".legacy]\nhost = "x"\n')
    assert found == {f'domain."{other}"': 'is the same domain as "123.com": keep one of them'}


def test_a_domain_without_quotes() -> None:
    found = refused(changed(text=DESIGN.replace('domain."123.com"', "domain.123.com")))
    assert found["domain.123.com"] == 'unknown key; if 123.com is the domain, it needs quotes: [domain."123.com"]'


@pytest.mark.parametrize(
    ("form", "name"),
    [("local", "li"), ("full", "li@123.com"), ("{local}%{domain}", "li%123.com"), ("123\\\\{local}", "123\\li")],
)
def test_login_forms(form: str, name: str) -> None:
    legacy = accepted(changed(('login = "local"', f'login = "{form}"'))).domains["123.com"].legacy
    assert legacy.login_name("li", "123.com") == name


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("lokal", 'did you mean "local"?'),
        ("{domain}", "the same login for everybody"),
        ("{locale}", 'did you mean "local"?'),
        ("{local.__class__}", "is not known here"),
        ("{local!r}", "is not known here"),
        ("{local:>9}", "is not known here"),
        ("{}", "is not known here"),
        ("{local", "brace without its pair"),
        ("{local}\\n", "printable"),
    ],
)
def test_what_is_no_login_form(form: str, said: str) -> None:
    assert said in refused(changed(('login = "local"', f'login = "{form}"')))[f"{LEGACY}.login"]


def test_key_paths() -> None:
    assert key_path(["domain", "123.com", "legacy", "tls"]) == 'domain."123.com".legacy.tls'
    assert key_path(["listen", "imap", 2]) == "listen.imap[2]"
    assert key_path(["domain", 'a"\\\n']) == 'domain."a\\"\\\\\\u000a"'


# What keys must be to each other


def test_certificate_and_key_belong_together() -> None:
    assert list(refused(changed(('key = "/etc/mailferry/privkey.pem"\n', "")))) == ["tls.key"]
    assert list(refused(changed(('certificate = "/etc/mailferry/fullchain.pem"\n', "")))) == ["tls.certificate"]


def test_implicit_tls_needs_a_certificate() -> None:
    text = changed(('key = "/etc/mailferry/privkey.pem"\n', ""), ('certificate = "/etc/mailferry/fullchain.pem"\n', ""))
    assert list(refused(text)) == ["listen.imaps", "listen.pop3s"]


def test_somebody_must_be_able_to_log_in() -> None:
    found = refused(SMALLEST + '[tls]\nplaintext_login = "never"\n')
    assert "lets nobody in" in found["tls.plaintext_login"]


def test_a_ca_that_would_not_be_used() -> None:
    assert list(refused(changed(("verify = true", 'verify = false\nca = "/x"')))) == [f"{LEGACY}.ca"]
    assert list(refused(changed(('tls = "starttls"', 'tls = "none"\nca = "/x"')))) == [f"{LEGACY}.ca"]


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('"loopback"', '"always"', "tls.plaintext_login"),
        ('tls = "starttls"', 'tls = "none"', f"{LEGACY}.tls"),
        ("verify = true", "verify = false", f"{LEGACY}.verify"),
        ("port = 110", "port = 995", f"{LEGACY}.port"),
        ('tls = "starttls"', 'tls = "implicit"', f"{LEGACY}.port"),
    ],
)
def test_what_is_allowed_and_probably_not_meant(old: str, new: str, key: str) -> None:
    assert [warning.key for warning in accepted(changed((old, new))).warnings] == [key]


def test_no_warning_on_loopback() -> None:
    assert accepted(SMALLEST).warnings == ()


def test_a_public_listener_without_a_certificate() -> None:
    (warning,) = accepted(changed((":interface=127.0.0.1", ""), text=SMALLEST)).warnings
    assert "only clients on this machine can log in through tcp:10143" in warning.text


def test_a_public_portal_without_a_certificate() -> None:
    text = SMALLEST.replace("[listen]", '[listen]\nweb = ["tcp:10080"]')
    (warning,) = accepted(text).warnings
    assert "only clients on this machine can log in through tcp:10080" in warning.text


def test_metrics_that_everybody_can_read() -> None:
    text = SMALLEST.replace("[listen]", '[listen]\nmetrics = ["tcp:9143:interface=127.0.0.1"]')
    assert accepted(text).warnings == ()
    (warning,) = accepted(text.replace("9143:interface=127.0.0.1", "9143")).warnings
    assert warning.key == "listen.metrics"
    assert "tcp:9143 shows the figures to everybody" in warning.text


def test_password_checks_that_everybody_can_ask_for() -> None:
    text = SMALLEST.replace(
        "[listen]", '[listen]\nauth = ["unix:/run/mailferry/auth", "tcp:12345:interface=127.0.0.1"]'
    )
    assert accepted(text).warnings == ()
    (warning,) = accepted(text.replace("12345:interface=127.0.0.1", "12345")).warnings
    assert warning.key == "listen.auth"
    assert "tcp:12345 takes passwords unencrypted" in warning.text


def test_metrics_serve_nobody_and_have_a_port_of_their_own() -> None:
    line = 'imap = ["tcp:10143:interface=127.0.0.1"]'
    assert line in SMALLEST
    alone = refused(SMALLEST.replace(line, 'metrics = ["tcp:9143"]'))
    assert alone["listen"].startswith("nothing to listen on")
    twice = refused(SMALLEST.replace(line, line + '\nmetrics = ["tcp:10143:interface=127.0.0.1"]'))
    assert "listen.metrics[0]" in twice
