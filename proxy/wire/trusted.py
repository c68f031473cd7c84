"""Machines that speak for others, a webmail's above all: whose user it is, they say themselves."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


class Trusted:
    """The networks of such machines."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """`networks` as the configuration has them, checked. Raises ValueError."""
        self._networks = [ipaddress.ip_network(network) for network in networks]

    def covers(self, address: str) -> bool:
        """Is the machine with this address one of them?"""
        found = plain_address(address)
        return found is not None and any(found in network for network in self._networks)


def plain_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address without its zone (RFC 4007 11), which may be any text; IPv4 written as IPv6 is IPv4 (RFC 4291
    2.5.5.2). None: it is none."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
