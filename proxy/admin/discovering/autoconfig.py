"""What a domain tells mail programs in its own autoconfig file (Mozilla's format, "config-v1.1.xml").

Fetched from the domain's own names alone, by HTTPS and then by HTTP, with limits on time and size and without following
anybody elsewhere. What it says is a hint: it is proven by what answers there.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

LARGEST: Final = 64 * 1024  # octets; such a file has some 2,000
SECONDS: Final = 5.0  # for one fetch
CONNECTING: Final = 3.0
_PATHS: Final = (
    ("autoconfig.{domain}", "/mail/config-v1.1.xml"),
    ("{domain}", "/.well-known/autoconfig/mail/config-v1.1.xml"),
)
_TLS: Final[dict[str, Literal["none", "starttls", "implicit"]]] = {
    "SSL": "implicit",
    "STARTTLS": "starttls",
    "plain": "none",
}
_LOGIN: Final = {"%EMAILADDRESS%": "full", "%EMAILLOCALPART%": "local"}


@dataclass(frozen=True, slots=True)
class Told:
    """One server that the file names. `login` is "" where it names a form that is not known here."""

    protocol: Literal["pop3", "imap"]
    host: str
    port: int
    tls: Literal["none", "starttls", "implicit"]
    login: str


@dataclass(frozen=True, slots=True)
class Autoconfig:
    """One file. `source` is its address."""

    source: str
    servers: tuple[Told, ...]
    remarks: tuple[str, ...] = field(default=())


def fetch(
    domain: str, addresses: Callable[[str], Sequence[str]], port: Callable[[int], int] = lambda usual: usual
) -> Autoconfig | None:
    """The first of the domain's files that can be read, or None. `addresses` looks a host up."""
    remarks: list[str] = []
    for scheme in ("https", "http"):
        for host_form, path in _PATHS:
            host = host_form.format(domain=domain)
            found = addresses(host)
            if not found:
                continue
            source = f"{scheme}://{host}{path}"
            try:
                body = _get(scheme, host, found[0], port(443 if scheme == "https" else 80), path)
                return Autoconfig(source, tuple(read(body, domain)), tuple(remarks))
            except (OSError, http.client.HTTPException, ValueError) as error:
                if isinstance(error, (Unreadable, ssl.SSLCertVerificationError)):
                    remarks.append(f"{source}: {_why(error)}")
    return Autoconfig("", (), tuple(remarks)) if remarks else None


class Unreadable(ValueError):
    """An answer that is no autoconfig. The text says what it is."""


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate does not verify ({error.verify_message})"
    return str(error)


def _get(scheme: str, host: str, address: str, port: int, path: str) -> bytes:
    """Raises Unreadable, OSError, HTTPException."""
    end = time.monotonic() + SECONDS
    with socket.create_connection((address, port), CONNECTING) as plain, _cut_off(plain):
        line = plain
        line.settimeout(SECONDS)
        if scheme == "https":
            line = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        with line:
            connection = http.client.HTTPConnection(host)
            connection.sock = line
            connection.request("GET", path, headers={"Accept": "text/xml, application/xml", "Connection": "close"})
            answer = connection.getresponse()
            if 300 <= answer.status < 400:
                raise Unreadable(f"leads elsewhere ({answer.status}), which is not followed")
            if answer.status != 200:
                raise http.client.HTTPException(str(answer.status))
            return _body(answer, line, end)


@contextmanager
def _cut_off(connection: socket.socket) -> Iterator[None]:
    """However slowly the server talks: past its time the connection is at its end."""
    other = connection.dup()
    timer = threading.Timer(SECONDS, partial(_shut, other))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        other.close()


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # the server was first
        connection.shutdown(socket.SHUT_RDWR)


def _body(answer: http.client.HTTPResponse, line: socket.socket, end: float) -> bytes:
    """At most `LARGEST` octets, until `end`."""
    body = b""
    while len(body) <= LARGEST:
        left = end - time.monotonic()
        if left <= 0:
            raise Unreadable("does not come to its end")
        line.settimeout(left)
        piece = answer.read1(8192)
        if not piece:
            return body
        body += piece
    raise Unreadable(f"is over {LARGEST // 1024} KiB: this is no autoconfig")


def read(body: bytes, domain: str) -> Iterator[Told]:
    """The servers of a file for this domain, in its order. Raises Unreadable for what is none."""
    try:
        root = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise Unreadable(f"is no XML that can be taken ({type(error).__name__})") from None
    if root.tag != "clientConfig":
        raise Unreadable("is another kind of XML")
    return iter([told for server in root.iter("incomingServer") if (told := _server(server, domain)) is not None])


def _server(server: Element, domain: str) -> Told | None:
    protocol = server.get("type", "")
    host = _text(server, "hostname").replace("%EMAILDOMAIN%", domain)
    port, tls = _text(server, "port"), _TLS.get(_text(server, "socketType"))
    if protocol not in {"pop3", "imap"} or not host or tls is None:
        return None
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65_535):
        return None
    kind: Literal["pop3", "imap"] = "pop3" if protocol == "pop3" else "imap"
    return Told(kind, host, int(port), tls, _LOGIN.get(_text(server, "username"), ""))


def _text(server: Element, name: str) -> str:
    return (server.findtext(name) or "").strip()
