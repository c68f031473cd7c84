"""What an address is counted as: the machine that has it, and the network that the machine is in.

Of IPv6 the machine is the subnet, /64, in which it takes what addresses it likes (RFC 4862 5.3), and the network is the
/48 that a site is given at most (RFC 6177). Of IPv4 they are the address and its /24.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Final

_MAPPED: Final = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96, an IPv4 address (RFC 4291 2.5.5.2)


@dataclass(frozen=True, slots=True)
class Origin:
    """Keys, and no addresses: they are not for people to read."""

    machine: str
    network: str


def origin(address: str) -> Origin:
    """Of an address as a transport has it; what is none, a Unix socket's, is a machine and a network by itself."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            packed = socket.inet_pton(family, address.partition("%")[0])
        except (OSError, ValueError):
            continue
        if packed.startswith(_MAPPED):
            packed = packed[len(_MAPPED) :]
        if len(packed) == 4:
            return Origin("4:" + packed.hex(), "4:" + packed[:3].hex())
        return Origin("6:" + packed[:8].hex(), "6:" + packed[:6].hex())
    return Origin("other:" + address, "other:" + address)
