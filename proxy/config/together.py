"""What several keys must be to each other.

Looks at the file as TOML gave it, not at the typed object, which there is none of while one key is wrong: an
administrator is to see everything at once. So nothing here takes a type for granted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from proxy.config.database import SQLITE, has_password
from proxy.config.encryption import level
from proxy.config.endpoints import Endpoint, parse_endpoint
from proxy.config.mistakes import Mistake, Unfit, key_path, quoted_key
from proxy.config.model import BEHIND_A_PROXY, SERVED
from proxy.config.names import ascii_name, is_loopback

_Raw = Mapping[str, Any]


def table(raw: _Raw, name: str) -> _Raw:
    """A table of the file, empty where there is none."""
    value = raw.get(name)
    return value if isinstance(value, dict) else {}


def contradictions(raw: _Raw) -> list[Mistake]:
    """All that does not fit together."""
    listen = [*_nothing_to_do(raw), *_twice(raw), *_proxied(raw), *_certificate(raw)]
    return [*listen, *_domains(raw), *_maildir(raw), *_storage(raw), *_notices(raw)]


def _nothing_to_do(raw: _Raw) -> Iterator[Mistake]:
    listen = raw.get("listen")
    if isinstance(listen, dict) and not any(listen.get(name) for name in SERVED if name != "metrics"):
        yield Mistake("listen", 'nothing to listen on: add, for instance, imap = ["tcp:143"] and pop3 = ["tcp:110"]')


def _endpoints(raw: _Raw, *names: str) -> Iterator[tuple[str, str, str, Endpoint]]:
    """Those of some services that can be read, each with its service and its place in the file."""
    for name in names:
        strings = table(raw, "listen").get(name)
        for number, text in enumerate(strings if isinstance(strings, list) else ()):
            try:
                endpoint = parse_endpoint(text) if isinstance(text, str) else None
            except Unfit:
                continue  # the model has said so
            if endpoint is not None:
                yield name, key_path(["listen", name, number]), text, endpoint


def _twice(raw: _Raw) -> Iterator[Mistake]:
    seen: dict[Endpoint, str] = {}
    for _, place, text, endpoint in _endpoints(raw, *SERVED):
        if endpoint.kind == "systemd":
            continue
        if endpoint in seen:
            yield Mistake(place, f'"{text}" is taken by {seen[endpoint]}: keep one of them')
        seen.setdefault(endpoint, place)


def _proxied(raw: _Raw) -> Iterator[Mistake]:
    """Whose word is taken for whose connection it is: nobody's but theirs that the file names."""
    networks = table(raw, "listen").get("proxied")
    named = [each for each in networks if isinstance(each, str)] if isinstance(networks, list) else []
    for number, network in enumerate(named):
        if network.strip().endswith("/0"):
            text = f'"{network}" would let everybody say whose connection it is: name HAProxy\'s own addresses'
            yield Mistake(key_path(["listen", "proxied", number]), text)
    marked = [each for each in _endpoints(raw, *SERVED) if each[3].proxied]
    for name, place, text, endpoint in marked:
        if name not in BEHIND_A_PROXY:
            yield Mistake(place, f'"{text}": there is no PROXY protocol for {name}: leave "haproxy:" away')
        elif endpoint.kind == "unix" and endpoint.mode & 0o002:
            yield Mistake(
                place, f'"{text}" would let everybody on this machine say whose connection it is: add mode=660'
            )
        elif endpoint.kind in {"tcp", "tcp6"} and not named:
            yield Mistake(place, f'"{text}" needs HAProxy\'s addresses: add, for instance, proxied = ["10.0.0.5"]')
    if named and not marked:
        text = 'is of no use without an endpoint that begins with "haproxy:", such as imap = ["haproxy:tcp:143"]'
        yield Mistake("listen.proxied", text)


def _certificate(raw: _Raw) -> Iterator[Mistake]:
    tls, listen = table(raw, "tls"), table(raw, "listen")
    certificate, key = tls.get("certificate"), tls.get("key")
    if certificate and not key:
        yield Mistake("tls.key", "is missing: a certificate needs its private key")
    if key and not certificate:
        yield Mistake("tls.certificate", "is missing: a private key needs its certificate")
    if certificate or key:
        return
    for name in ("imaps", "pop3s"):
        if listen.get(name):
            text = "needs a certificate: add certificate and key under [tls], or leave it out"
            if any(endpoint.proxied for *_, endpoint in _endpoints(raw, name)):
                text += f"; where TLS ends at HAProxy, write the endpoint under {name.removesuffix('s')}"
            yield Mistake(f"listen.{name}", text)
    # TLS may end at a proxy in front, whose PROXY header says so.
    if tls.get("plaintext_login") == "never" and not all(
        endpoint.proxied for *_, endpoint in _endpoints(raw, "imap", "pop3")
    ):
        yield Mistake(
            "tls.plaintext_login",
            '"never" without a certificate lets nobody in: add certificate and key, or write "loopback"',
        )


def _domains(raw: _Raw) -> Iterator[Mistake]:
    seen: dict[str, str] = {}
    for written, domain in table(raw, "domain").items():
        place = key_path(["domain", written])
        try:
            name = ascii_name(written)
        except ValueError as error:
            yield Mistake(place, str(error))
            continue
        if name in seen:
            yield Mistake(place, f"is the same domain as {quoted_key(seen[name])}: keep one of them")
        seen.setdefault(name, written)
        if isinstance(domain, dict):
            legacy = table(domain, "legacy")
            if "imap_port" in legacy and legacy.get("source", "pop3") == "pop3":
                text = 'is of no use without source = "imap": leave it out, or add that'
                yield Mistake(f"{place}.legacy.imap_port", text)
            yield from _encryption(legacy, f"{place}.legacy")


def _encryption(legacy: _Raw, place: str) -> Iterator[Mistake]:
    """What says how the legacy server's connection is encrypted, and to whom it leads."""
    if legacy.get("tls") == "none":
        for key in ("ca", "fingerprint", "tls_minimum", "ciphers"):
            if legacy.get(key):
                yield Mistake(f"{place}.{key}", 'is of no use with tls = "none": leave one of them out')
        return
    if legacy.get("verify") is False:
        for key in ("ca", "fingerprint"):
            if legacy.get(key):
                yield Mistake(f"{place}.{key}", "is of no use with verify = false: leave one of them out")
    elif legacy.get("ca") and legacy.get("fingerprint"):
        yield Mistake(f"{place}.ca", "is of no use beside fingerprint, which alone decides: leave one of them out")
    minimum, ciphers = legacy.get("tls_minimum"), legacy.get("ciphers")
    if minimum in {"1.0", "1.1"} and isinstance(ciphers, str) and level(ciphers) not in {None, "0"}:
        yield Mistake(f"{place}.ciphers", f'tls_minimum = "{minimum}" needs @SECLEVEL=0, not {level(ciphers)}')
    if minimum == "1.3" and ciphers:
        yield Mistake(f"{place}.ciphers", 'is of no use with tls_minimum = "1.3", whose suites are all good')


def _storage(raw: _Raw) -> Iterator[Mistake]:
    """What only a server has."""
    storage = table(raw, "storage")
    database = storage.get("database", SQLITE)
    if database == SQLITE:
        for key in ("password_file", "connections"):
            if key in storage:
                yield Mistake(f"storage.{key}", f'is of no use with database = "{SQLITE}": leave it out')
        return
    try:
        twice = "password_file" in storage and isinstance(database, str) and has_password(database)
    except Unfit:
        return  # the model has said so
    if twice:
        yield Mistake("storage.password_file", "storage.database has a password already: take it out there")


def _notices(raw: _Raw) -> Iterator[Mistake]:
    """How the relay is spoken to."""
    notices = table(raw, "notices")
    relay, tls = notices.get("relay", "localhost:25"), notices.get("tls", "offered")
    user, password = notices.get("user"), notices.get("password_file")
    if bool(user) is not bool(password):
        missing = "password_file" if user else "user"
        yield Mistake(f"notices.{missing}", "is missing: the relay's user and the file of its password go together")
    elsewhere = isinstance(relay, str) and not is_loopback(relay.rpartition(":")[0].strip("[]"))
    if user and tls in {"offered", "none"} and elsewhere:
        text = f'"{tls}" would send the password to whoever answers: write "starttls" or "implicit"'
        yield Mistake("notices.tls", text)
    if notices.get("ca") and tls in {"offered", "none"}:
        yield Mistake("notices.ca", f'is of no use with tls = "{tls}", which verifies nobody: leave one of them out')


def _maildir(raw: _Raw) -> Iterator[Mistake]:
    template = table(raw, "storage").get("maildir")
    domains = table(raw, "domain")
    if isinstance(template, str) and "{local}" in template and "{domain}" not in template and len(domains) > 1:
        yield Mistake(
            "storage.maildir",
            f'"{template}" would give accounts of {len(domains)} domains the same place: put {{domain}} into it',
        )
