"""Where to listen: Twisted's endpoint strings, read far enough to say what is wrong before anything is opened.

The syntax is that of `twisted.internet.endpoints.serverFromString`: parts apart by colons, first the kind, then
positional arguments, then `name=value`; a backslash takes away a character's meaning. TLS is a matter of the
key that the string stands under (`imaps`, `pop3s`), not of the string. "haproxy:" in front of a string, as Twisted has
it, is for a place where a proxy says by the PROXY protocol whose connection it passes on.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from proxy.config.mistakes import Unfit, meant

PROXIED: Final = "haproxy:"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place to listen at. `address` is "" for every interface; `path` and `mode` are a Unix socket's."""

    kind: str  # tcp | tcp6 | unix | systemd
    port: int = 0
    address: str = ""
    path: str = ""
    index: int = 0  # of a socket of systemd's, which has this or a name
    name: str = ""
    mode: int = field(default=0o666, compare=False)
    proxied: bool = field(default=False, compare=False)  # every connection begins with a PROXY header


def parse_endpoint(text: str) -> Endpoint:
    """Raises Unfit with what would be right."""
    if text.startswith(PROXIED):
        return replace(parse_endpoint(text.removeprefix(PROXIED)), proxied=True)
    if "::" in text:
        raise Unfit(f"\"{text}\": write an IPv6 address with escaped colons, such as 'tcp:143:interface=\\:\\:1'")
    kind, positional, named = _split(text)
    if kind == "ssl":
        raise Unfit('"ssl:" is not used: list the port under imaps, pop3s or web, which take [tls]\'s certificate')
    if kind == "haproxy":
        raise Unfit('"haproxy" is written once, in front of an endpoint: "haproxy:tcp:143"')
    maker = _KINDS.get(kind)
    if maker is None:
        raise Unfit(f'"{kind}" is no kind of endpoint{meant(kind, _KINDS)}; write for instance "tcp:143"')
    return maker(text, positional, named)


def _split(text: str) -> tuple[str, list[str], dict[str, str]]:
    parts: list[tuple[str | None, str]] = []
    name: str | None = None
    current = ""
    characters = iter(text)
    for character in characters:
        if character == "\\":
            escaped = next(characters, None)
            if escaped is None:
                raise Unfit("ends in a backslash that has nothing to escape")
            current += escaped
        elif character == ":":
            parts.append((name, current))
            name, current = None, ""
        elif character == "=" and name is None:
            name, current = current, ""
        else:
            current += character
    parts.append((name, current))
    if text.isdigit():
        raise Unfit(f'"{text}" lacks its kind: write "tcp:{text}"')
    positional = [value for key, value in parts if key is None]
    named = {key: value for key, value in parts if key is not None}
    if parts[0][0] is not None or not positional[0]:
        raise Unfit(f'"{text}" does not start with its kind: write for instance "tcp:143"')
    return positional[0], positional[1:], named


def _bind(
    text: str, positional: list[str], named: dict[str, str], order: tuple[str, ...], more: tuple[str, ...] = ()
) -> dict[str, str]:
    """The arguments by name; `order` are those that may be positional, `more` those that need their name."""
    if len(positional) > len(order):
        extra = positional[len(order)]
        raise Unfit(f'"{text}" has "{extra}" too many; write for instance "tcp:143:interface=127.0.0.1"')
    found = dict(zip(order, positional, strict=False))
    for key, value in named.items():
        if key not in order and key not in more:
            raise Unfit(f'"{text}": unknown argument "{key}"{meant(key, (*order, *more))}')
        if key in found:
            raise Unfit(f'"{text}" gives {key} twice')
        found[key] = value
    return found


def _number(text: str, what: str, value: str, lowest: int, highest: int) -> int:
    if not (value.isascii() and value.isdigit() and lowest <= int(value[:12]) <= highest):
        raise Unfit(f'"{text}": {what} must be a number from {lowest} to {highest}, not "{value}"')
    return int(value)


def _tcp(text: str, positional: list[str], named: dict[str, str]) -> Endpoint:
    kind = text.partition(":")[0]
    found = _bind(text, positional, named, ("port", "interface", "backlog"))
    if "port" not in found:
        raise Unfit(f'"{text}" lacks its port: write for instance "{kind}:143"')
    port = _number(text, "the port", found["port"], 1, 65_535)
    if "backlog" in found:
        _number(text, "backlog", found["backlog"], 1, 65_535)
    address = found.get("interface", "")
    if address:
        version = 6 if kind == "tcp6" else None
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            raise Unfit(f'"{text}": interface must be an address such as 127.0.0.1, not "{address}"') from None
        if version is not None and parsed.version != version:
            raise Unfit(f'"{text}": tcp6 takes an IPv6 address as interface; write "tcp:…" for {address}')
    return Endpoint(kind, port=port, address=address or ("::" if kind == "tcp6" else ""))


def _unix(text: str, positional: list[str], named: dict[str, str]) -> Endpoint:
    found = _bind(text, positional, named, ("address", "mode", "backlog"), ("lockfile",))
    path = found.get("address", "")
    if not path.startswith("/") or "\0" in path:
        raise Unfit(f'"{text}" needs an absolute path: write for instance "unix:/run/mailferry/imap"')
    if len(path.encode()) > 107:  # sun_path of unix(7), with its NUL
        raise Unfit(f'"{text}": a Unix socket\'s path has at most 107 octets')
    mode = found.get("mode", "666")
    if not mode.isdigit() or set(mode) - set("01234567") or len(mode) > 4:
        raise Unfit(f'"{text}": mode must be octal, such as 660, not "{mode}"')
    if "backlog" in found:
        _number(text, "backlog", found["backlog"], 1, 65_535)
    if found.get("lockfile", "1") not in {"0", "1"}:
        raise Unfit(f'"{text}": lockfile must be 0 or 1')
    return Endpoint("unix", path=path, mode=int(mode, 8))


def _systemd(text: str, positional: list[str], named: dict[str, str]) -> Endpoint:
    found = _bind(text, positional, named, ("domain",), ("index", "name"))
    if found.get("domain") not in {"INET", "INET6", "UNIX"}:
        raise Unfit(f'"{text}": domain must be INET, INET6 or UNIX')
    if ("index" in found) == ("name" in found):
        raise Unfit(f'"{text}" needs either index or name, such as "systemd:domain=INET:index=0"')
    if "index" in found:
        _number(text, "index", found["index"], 0, 1_023)
    return Endpoint("systemd", index=int(found.get("index", 0)), name=found.get("name", ""))


_KINDS: dict[str, Callable[[str, list[str], dict[str, str]], Endpoint]] = {
    "tcp": _tcp,
    "tcp6": _tcp,
    "unix": _unix,
    "systemd": _systemd,
}
