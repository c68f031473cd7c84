"""Names in the configuration: of hosts, of domains, and how an account's name becomes its login at the old server."""

from __future__ import annotations

import ipaddress
import re
from string import Formatter
from typing import Final

from proxy.config.mistakes import Unfit, meant, shown

_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_RESOLVER = re.compile(r"(?:\[(?P<bracketed>[^\]]*)\]|(?P<plain>[^:\[\]]+))(?::(?P<port>[0-9]{1,5}))?")
_SENDER = re.compile(r"(?:(?P<name>[^<>]*)<)?(?P<local>[^\s<>@]{1,64})@(?P<domain>[^\s<>@]+?)(?(name)>)")
LOGIN_FORMS: Final = ("local", "full")
SUBMISSION: Final = ("587", "465")  # ports: STARTTLS (RFC 6409), TLS from the first byte (RFC 8314)


def ascii_name(name: str) -> str:
    """A domain name as DNS has it, in A-labels (RFC 5890) and lower case. Raises Unfit."""
    try:
        text = name.rstrip(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise Unfit(f'"{name}" cannot be a domain name') from None
    if not text or len(text) > 253 or not all(_LABEL.fullmatch(label) for label in text.split(".")):
        raise Unfit(f'"{name}" cannot be a domain name')
    return text


def check_hostname(value: str) -> str:
    """This machine's name. Raises Unfit."""
    if "@" in value or "/" in value or ":" in value:
        raise Unfit(f'"{value}" is no host name: write only the name, such as "mail.123.com"')
    return ascii_name(value)


def check_host(value: str) -> str:
    """A server's name or address. Raises Unfit with what would be right."""
    try:
        return str(ipaddress.ip_address(value.removeprefix("[").removesuffix("]")))
    except ValueError:
        pass
    if "://" in value:
        raise Unfit(f'write only the name, without the "{value.partition("://")[0]}://"')
    if re.fullmatch(r"[^:]+:\d+", value):
        name, _, port = value.partition(":")
        raise Unfit(f'write host = "{name}" and port = {port}')
    return ascii_name(value)


def check_submission(value: str) -> str:
    """Where users hand in what they send: "mail.123.com:587", or port 465. Raises Unfit."""
    host, _, port = value.rpartition(":")
    if not host or port not in SUBMISSION:
        raise Unfit(f'"{value}": write name and port, such as "mail.123.com:587" (STARTTLS) or ":465" (TLS)')
    return f"{check_host(host)}:{port}"


def check_resolver(value: str) -> str:
    """A DNS resolver's address, and its port unless that is 53: "192.0.2.53", "127.0.0.1:5353", "[::1]:5353". Raises
    Unfit."""
    resolver_address(value)
    return value


def resolver_address(value: str) -> tuple[str, int]:
    """The same as address and port. Raises Unfit."""
    found = _RESOLVER.fullmatch(value.strip())
    try:
        address = str(ipaddress.ip_address(found["bracketed"] or found["plain"] if found else value.strip()))
    except ValueError:
        raise Unfit(
            f'{shown(value)} is no address of a resolver: write "192.0.2.53", or "[2001:db8::53]:5353"'
        ) from None
    port = int(found["port"] or 53) if found else 53
    if not 1 <= port <= 65_535:
        raise Unfit(f"{shown(value)}: the port must be from 1 to 65535")
    return address, port


def check_network(value: str) -> str:
    """A machine's address or a network: "127.0.0.1", "10.1.0.0/16", "2001:db8::/64". Raises Unfit."""
    try:
        return str(ipaddress.ip_network(value.strip()))
    except ValueError:
        pass
    try:
        inside = ipaddress.ip_network(value.strip(), strict=False)
    except ValueError:
        raise Unfit(f'{shown(value)} is no address and no network: write "127.0.0.1", or "10.1.0.0/16"') from None
    raise Unfit(f"{shown(value)} has bits of a machine in it: the network is {inside}")


def check_relay(value: str) -> str:
    """The mail server that notices are handed to: name or address, and port. Raises Unfit."""
    host, _, port = value.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65_535:
        raise Unfit(f'"{value}": write name and port, such as "smtp.123.com:25"')
    return f"{check_host(host)}:{port}"


def check_sender(value: str) -> str:
    """Whom notices are from: an address, or a name and an address in angle brackets. Raises Unfit."""
    found = _SENDER.fullmatch(value) if value.isprintable() else None
    if found is None:
        raise Unfit(f'"{value}" is no sender: write "it@123.com", or "IT help desk <it@123.com>"')
    ascii_name(found["domain"])
    return value


def sender_parts(value: str) -> tuple[str, str, str]:
    """Name, local part and domain of a sender that has been checked; the domain as DNS has it."""
    found = _SENDER.fullmatch(value)
    assert found is not None
    return (found["name"] or "").strip(' "'), found["local"], ascii_name(found["domain"])


def is_address(host: str) -> bool:
    """Is it an IP address, and no name?"""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Does what is sent there stay on this machine?"""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def placeholders(template: str, known: tuple[str, ...]) -> set[str]:
    """The names in braces. Raises Unfit for any that is not known, and for braces that do not pair."""
    try:
        fields = list(Formatter().parse(template))
    except ValueError:
        raise Unfit(f'"{template}" has a brace without its pair') from None
    found = set()
    for _, name, form, conversion in fields:
        if name is None:
            continue
        allowed = ", ".join(f"{{{word}}}" for word in known)
        if name not in known or form or conversion:
            raise Unfit(f'"{template}": {{{name}}} is not known here{meant(name, known)}; there are {allowed}')
        found.add(name)
    return found


def check_login_form(value: str) -> str:
    """How accounts are called at the legacy server: "local", "full", or a template. Raises Unfit."""
    if value in LOGIN_FORMS:
        return value
    if not value.isprintable():
        raise Unfit("must be printable text")
    if "local" not in placeholders(value, ("local", "domain")):
        raise Unfit(
            f'"{value}" would be the same login for everybody{meant(value, LOGIN_FORMS)}; '
            'write "local", "full", or a template with {local} such as "{local}%{domain}"'
        )
    return value


def login_name(form: str, local: str, domain: str) -> str:
    """What to log in as at the legacy server."""
    template = {"local": "{local}", "full": "{local}@{domain}"}.get(form, form)
    return template.format(local=local, domain=domain)
