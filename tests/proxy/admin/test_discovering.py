"""Finding the legacy server: autoconfig as it is found in the world, what answers at a port, and which is best."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.admin.discovering import autoconfig, knocking
from proxy.admin.discovering.autoconfig import LARGEST, Told, Unreadable, fetch, read
from proxy.admin.discovering.found import Candidate
from proxy.admin.discovering.knocking import Encrypted, Heard, knock
from proxy.admin.discovering.places import Hint, Place, TlsMode
from tests.legacy.certificates import Authority
from tests.proxy.admin.scripted_hosts import Play, ScriptedHost, lines, page, quiet

FILE = b"""<?xml version="1.0"?>
<clientConfig version="1.1"><emailProvider id="123.com"><domain>123.com</domain>
<incomingServer type="imap"><hostname>imap.123.com</hostname><port>993</port><socketType>SSL</socketType>
<username>%EMAILADDRESS%</username></incomingServer>
<incomingServer type="pop3"><hostname>pop.%EMAILDOMAIN%</hostname><port> 110 </port><socketType>STARTTLS</socketType>
<username>%EMAILLOCALPART%</username></incomingServer>
<outgoingServer type="smtp"><hostname>smtp.123.com</hostname><port>465</port></outgoingServer>
</emailProvider></clientConfig>"""
BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><clientConfig><x>&b;</x></clientConfig>'
OUTSIDE = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><clientConfig><x>&a;</x></clientConfig>'


# Autoconfig


def test_what_a_file_names() -> None:
    assert list(read(FILE, "123.com")) == [
        Told("imap", "imap.123.com", 993, "implicit", "full"),
        Told("pop3", "pop.123.com", 110, "starttls", "local"),
    ]


@pytest.mark.parametrize(
    "changed",
    [
        (b"<port>993</port>", b"<port>0</port>"),
        (b"<port>993</port>", b"<port>99999</port>"),
        (b"<port>993</port>", b"<port>&#1633;</port>"),
        (b"<port>993</port>", b""),
        (b"<hostname>imap.123.com</hostname>", b""),
        (b'type="imap"', b'type="exchange"'),
        (b"<socketType>SSL</socketType>\n<username>%EMAILADDRESS%", b"<socketType>odd</socketType>\n<username>x"),
    ],
)
def test_a_server_that_is_not_whole_is_left_out(changed: tuple[bytes, bytes]) -> None:
    assert [told.protocol for told in read(FILE.replace(*changed, 1), "123.com")] == ["pop3"]


@pytest.mark.parametrize("body", [b"", b"<html></html>", b"<clientConfig>", b"\0", BOMB, OUTSIDE, b"\xff\xfe<"])
def test_what_is_no_autoconfig(body: bytes) -> None:
    with pytest.raises(Unreadable):
        list(read(body, "123.com"))


@given(st.binary(max_size=200), st.integers(0, len(FILE)), st.integers(0, 40))
def test_nothing_else_is_ever_raised(noise: bytes, at: int, gone: int) -> None:
    with contextlib.suppress(Unreadable):
        list(read(FILE[:at] + noise + FILE[at + gone :], "123.com"))


def ok(body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (size, body)


def fetched(play: Play) -> autoconfig.Autoconfig | None:
    with ScriptedHost(play) as host:
        ports = {80: host.port, 443: 1}
        return fetch("123.com", lambda name: ["127.0.0.1"] if name.startswith("auto") else [], ports.__getitem__)


def test_a_file_is_fetched() -> None:
    found = fetched(page(ok(FILE)))
    assert found is not None
    assert (found.source, len(found.servers)) == ("http://autoconfig.123.com/mail/config-v1.1.xml", 2)


@pytest.mark.parametrize(
    ("play", "said"),
    [
        (page(b"HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\n\r\n"), "leads elsewhere (302)"),
        (page(ok(b"x" * (LARGEST + 1))), "is over 64 KiB"),
        (page(ok(BOMB)), "is no XML that can be taken"),
        (page(ok(b"<html/>")), "is another kind of XML"),
    ],
)
def test_a_file_that_is_none_is_told_of(play: Play, said: str) -> None:
    found = fetched(play)
    assert found is not None and found.servers == ()
    assert found.remarks[0].startswith("http://autoconfig.123.com/mail/config-v1.1.xml: ") and said in found.remarks[0]


@pytest.mark.parametrize("play", [page(b"HTTP/1.1 404 Not Found\r\n\r\n"), page(b"garbage\r\n"), page(b"")])
def test_where_there_is_no_file_nothing_is_said(play: Play) -> None:
    assert fetched(play) is None


def drip(connection: socket.socket) -> None:
    """A header a moment, for as long as somebody listens."""
    connection.settimeout(0.02)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X: y\r\n")
        with contextlib.suppress(TimeoutError):
            if connection.recv(4096) == b"":
                return


@pytest.mark.parametrize("play", [quiet, drip])
def test_a_web_server_that_never_ends_is_left(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoconfig, "SECONDS", 0.3)
    begun = time.monotonic()
    found = fetched(play)
    assert found is None or found.servers == ()
    assert time.monotonic() - begun < 5


def test_by_https_the_certificate_must_be_for_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority()
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.write(tmp_path)))
    for name, source in (("autoconfig.123.com", "https://autoconfig.123.com/mail/config-v1.1.xml"), ("x.net", "")):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue(name).write(tmp_path, name))
        with ScriptedHost(page(ok(FILE)), context) as host:
            ports = {443: host.port, 80: 1}
            found = fetch("123.com", lambda n: ["127.0.0.1"] if n.startswith("auto") else [], ports.__getitem__)
        assert found is not None and found.source == source
        assert bool(found.remarks) is (source == "")


# What answers


CAPA = {b"CAPA": b"+OK\r\nTOP\r\nUIDL\r\n.\r\n"}


def knocked(play: Play, tls: TlsMode = "starttls", context: ssl.SSLContext | None = None) -> Heard:
    with ScriptedHost(play, context) as host:
        return knock(Place("localhost", host.port, "pop3", tls), "127.0.0.1")


def test_a_server_without_stls_is_spoken_to_in_the_clear() -> None:
    heard = knocked(lines(b"+OK \xc4\xe3\xba\xc3 ready\r\n", CAPA))
    assert (heard.greeting, heard.capabilities, heard.tls, heard.trouble) == (
        "+OK 你好 ready",
        ("TOP", "UIDL"),
        None,
        "",
    )
    assert heard.place.tls == "none"


def test_a_server_that_knows_no_capa_is_asked_for_stls_all_the_same() -> None:
    heard = knocked(lines(b"+OK hi\r\n", {}))
    assert (heard.greeting, heard.capabilities, heard.place.tls) == ("+OK hi", (), "none")


@pytest.mark.parametrize(
    ("greeting", "capa", "heard"),
    [
        (b"+ok hi\r\n", b"+ok\r\ntop\r\nstls \r\n.\r\n", ("+ok hi", ("top", "stls"))),  # as some write it
        (b"+OK\n", b"+OK\nTOP\n.\n", ("+OK", ("TOP",))),
        (b"+OK hi\r\n", b"+OK\r\n\x01\x02\r\n \r\nTOP\r\n.\r\n", ("+OK hi", ("TOP",))),  # once the end of `discover`
        (b"+OK " + b"x" * 2_500 + b"\r\n", b"-ERR no\r\n", (f"+OK {'x' * 195}…", ())),
    ],
)
def test_odd_greetings_and_capabilities(greeting: bytes, capa: bytes, heard: tuple[str, tuple[str, ...]]) -> None:
    said = knocked(lines(greeting, {b"CAPA": capa}))
    assert (said.greeting, said.capabilities) == heard and said.place.tls == "none" and not said.trouble


def test_an_imap_server_that_writes_in_lower_case() -> None:
    said = {b"a CAPABILITY": b"* capability imap4rev1 starttls\r\na ok done\r\n", b"a STARTTLS": b"a no\r\n"}
    with ScriptedHost(lines(b"* ok hi\r\n", said)) as host:
        heard = knock(Place("localhost", host.port, "imap", "starttls"), "127.0.0.1")
    assert (heard.greeting, heard.capabilities, heard.trouble) == ("* ok hi", ("imap4rev1", "starttls"), "")


@pytest.mark.parametrize(
    ("play", "trouble"),
    [
        (lines(b"220 smtp ready\r\n", {}), "answers, but not as a POP3 server does (220 smtp ready)"),
        (lines(b"* OK imap ready\r\n", {}), "answers, but not as a POP3 server does (* OK imap ready)"),
        (lines(b"-ERR go away\r\n", {}), "answers, but not as a POP3 server does (-ERR go away)"),
        (lines(b"x" * 100_000, {}), "sends what no mail server sends"),
        (lines(b"+OK\r\n", {b"CAPA": b"+OK\r\n" + b"X\r\n" * 1000}), "sends what no mail server sends"),
        (lambda connection: None, "closes the connection"),
    ],
)
def test_strangers(play: Play, trouble: str) -> None:
    heard = knocked(play)
    assert (heard.trouble, heard.answers) == (trouble, False)


def test_one_that_says_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knocking, "WHOLE", 0.3)
    assert knocked(quiet).trouble == "does not answer"


def test_a_port_that_is_closed() -> None:
    assert knock(Place("localhost", 1, "pop3", "starttls"), "127.0.0.1").trouble == "connection refused"


def test_what_is_no_tls_is_told_of() -> None:
    assert knocked(lines(b"+OK plain\r\n", {}), "implicit").trouble.startswith("what the server sends is not TLS")


def test_a_certificate_that_signed_itself_comes_with_the_line_that_takes_it(tmp_path: Path) -> None:
    identity = Authority.of_its_own("pop.old.net")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*identity.write(tmp_path, "own"))
    tls = knocked(lines(b"+OK hi\r\n", CAPA), "implicit", context).tls
    assert tls is not None
    assert tls.trouble == "the server's certificate is signed by itself"
    assert f'`fingerprint = "{identity.fingerprint}"`' in tls.remedy
    assert tls.fingerprint == identity.fingerprint
    assert tls.version.startswith("TLSv1") and tls.certificate.startswith("for pop.old.net, until 20")


def test_a_certificate_that_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority()
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.write(tmp_path)))
    knocking.client_options.__globals__["_made"].cache_clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("localhost").write(tmp_path, "good"))
    try:
        tls = knocked(lines(b"+OK hi\r\n", CAPA), "implicit", context).tls
    finally:
        knocking.client_options.__globals__["_made"].cache_clear()
    assert tls is not None and (tls.trouble, tls.remedy) == ("", "")


# Which is best

GOOD = Encrypted("TLSv1.3", "for pop.123.com, until 2030-01-01", "sha256:00")
UNKNOWN = Encrypted("TLSv1.3", "for nobody, until 2030-01-01", "sha256:00", "it is signed by itself", "pin it")
HINTS = {
    "mx": Hint("MX", "MX of 123.com"),
    "common": Hint("common name", "a common name"),
    "srv": Hint("SRV", "SRV"),
    "auto": Hint("autoconfig", "autoconfig", "full"),
}


def candidate(host: str, hint: str, tls: Encrypted | None, port: int = 995, protocol: str = "pop3") -> Candidate:
    mode: TlsMode = "none" if tls is None else "implicit" if port in {993, 995} else "starttls"
    place = Place(host, port, "pop3" if protocol == "pop3" else "imap", mode)
    return Candidate(Heard(place, greeting="+OK", tls=tls), (HINTS[hint],))


BEST_FIRST = [
    candidate("pop.123.com", "auto", GOOD),
    candidate("pop.123.com", "srv", GOOD),
    candidate("mail.123.com", "common", GOOD),
    candidate("mail.123.com", "common", GOOD, 110),
    candidate("a.123.com", "mx", GOOD),
    replace(candidate("mail.123.com", "common", GOOD), fleeting=True),
    candidate("a.123.com", "auto", UNKNOWN),
    candidate("a.123.com", "auto", None, 110),
    candidate("imap.123.com", "auto", GOOD, 993, "imap"),
]


@given(st.permutations(BEST_FIRST))
def test_the_best_is_first(found: list[Candidate]) -> None:
    assert sorted(found, key=lambda c: c.order) == BEST_FIRST


def test_who_has_chosen_imap_is_not_led_away_from_it() -> None:
    """All folders come over by IMAP, and only the inbox by POP3."""
    chosen = [replace(each, preferred="imap") for each in BEST_FIRST]
    best = sorted(chosen, key=lambda c: c.order)[0]
    table = ("domain", "123.com", "legacy")
    assert best.place.host == "imap.123.com" and best.settings("123.com")[(*table, "source")] == "imap"
    # POP3 where nothing else answers: then all of it is said.
    assert chosen[0].settings("123.com")[(*table, "source")] == "pop3"


def test_settings_as_the_configuration_has_them() -> None:
    table = ("domain", "123.com", "legacy")
    assert BEST_FIRST[0].settings("123.com") == {
        (*table, "host"): "pop.123.com",
        (*table, "port"): 995,
        (*table, "tls"): "implicit",
        (*table, "login"): "full",
    }
    imap = BEST_FIRST[-1].settings("123.com")
    assert imap[(*table, "source")] == "imap" and imap[(*table, "imap_port")] == 993
    assert (*table, "port") not in imap
