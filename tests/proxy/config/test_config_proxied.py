"""Endpoints behind a proxy, and whose word is taken for whose connection it is."""

from __future__ import annotations

import pytest

from proxy import config
from proxy.admin.dns.wanted import web_port
from proxy.admin.noticing import facts
from proxy.admin.offered import Server, offered
from proxy.config import Config, ConfigErrors
from proxy.config.endpoints import Endpoint, parse_endpoint
from proxy.web.address import portal_address

TLS = '[tls]\ncertificate = "/c.pem"\nkey = "/k.pem"\n'


def parsed(listen: str, more: str = "") -> Config:
    text = f'hostname = "mail.123.com"\n[listen]\n{listen}\n{more}[domain."123.com".legacy]\nhost = "pop.old.123.com"\n'
    return config.parse(text.encode())


def mistakes(listen: str, more: str = "") -> dict[str, str]:
    with pytest.raises(ConfigErrors) as caught:
        parsed(listen, more)
    return {mistake.key: mistake.text for mistake in caught.value.mistakes}


def test_the_mark_is_no_part_of_the_place() -> None:
    assert parse_endpoint("haproxy:tcp:143") == parse_endpoint("tcp:143") == Endpoint("tcp", 143)
    assert parse_endpoint("haproxy:tcp:143").proxied and not parse_endpoint("tcp:143").proxied
    found = mistakes('imap = ["haproxy:tcp:143", "tcp:143"]\nproxied = ["10.0.0.5"]')
    assert "is taken by listen.imap[0]" in found["listen.imap[1]"]


def test_what_is_right() -> None:
    right = parsed('imap = ["haproxy:tcp:143", "tcp:1143"]\nproxied = ["10.0.0.5", "10.1.0.0/16"]', TLS)
    assert right.listen.proxied == ("10.0.0.5/32", "10.1.0.0/16")
    assert parsed('imap = ["haproxy:unix:/run/mailferry/imap:mode=660"]')


@pytest.mark.parametrize(
    ("listen", "key", "said"),
    [
        ('imap = ["haproxy:tcp:143"]', "listen.imap[0]", "needs HAProxy's addresses: add, for instance, proxied"),
        ('imap = ["tcp:143"]\nproxied = ["10.0.0.5"]', "listen.proxied", "is of no use without"),
        ('imap = ["haproxy:tcp:143"]\nproxied = ["0.0.0.0/0"]', "listen.proxied[0]", "would let everybody say"),
        ('imap = ["haproxy:tcp:143"]\nproxied = ["::/0"]', "listen.proxied[0]", "would let everybody say"),
        ('imap = ["haproxy:tcp:143"]\nproxied = ["10.0.0.5/8"]', "listen.proxied[0]", "the network is 10.0.0.0/8"),
        ('imap = ["haproxy:unix:/run/x"]', "listen.imap[0]", "everybody on this machine say whose connection it is"),
        ('imap = ["tcp:143"]\nlmtp = ["haproxy:tcp:24"]', "listen.lmtp[0]", "there is no PROXY protocol for lmtp"),
        ('imap = ["tcp:143"]\nmetrics = ["haproxy:tcp:9143"]', "listen.metrics[0]", "no PROXY protocol for metrics"),
        ('imaps = ["haproxy:tcp:993"]\nproxied = ["10.0.0.5"]', "listen.imaps", "write the endpoint under imap"),
    ],
)
def test_what_is_wrong(listen: str, key: str, said: str) -> None:
    assert said in mistakes(listen)[key]


def test_tls_may_end_at_the_proxy() -> None:
    never = '[tls]\nplaintext_login = "never"\n'
    bare = parsed('imap = ["haproxy:tcp:143"]\nproxied = ["10.0.0.5"]', never)
    assert bare.warnings == ()
    listen = 'imap = ["haproxy:tcp:143"]\npop3 = ["tcp:110"]\nproxied = ["10.0.0.5"]'
    assert "lets nobody in" in mistakes(listen, never)["tls.plaintext_login"]
    assert "through tcp:110" in str(parsed(listen).warnings)


# What users are told


def test_the_ports_are_the_proxy_s() -> None:
    listen = 'imap = ["haproxy:tcp:1143"]\nimaps = ["haproxy:tcp:1993"]\npop3s = ["tcp:2995"]\n'
    listen += 'web = ["haproxy:tcp:8443"]\nproxied = ["10.0.0.5"]'
    settings = parsed(listen, TLS)
    assert offered(settings) == [
        Server("imap", "mail.123.com", 993, "tls"),
        Server("imap", "mail.123.com", 143, "starttls"),
        Server("pop3", "mail.123.com", 2995, "tls"),
    ]
    assert portal_address(settings) == "https://mail.123.com"
    assert facts.portal_address(settings) == "https://mail.123.com/"
    assert web_port(settings) == 443


def test_without_a_listener_for_tls_it_ends_at_the_proxy() -> None:
    listen = 'imap = ["haproxy:tcp:143"]\npop3 = ["haproxy:unix:/run/pop3:mode=660"]\nweb = ["haproxy:tcp:80"]\n'
    settings = parsed(listen + 'proxied = ["10.0.0.5"]')
    assert offered(settings) == [Server("imap", "mail.123.com", 993, "tls"), Server("pop3", "mail.123.com", 995, "tls")]
    assert portal_address(settings) == "https://mail.123.com"
