"""Where a client is, as a transport has it."""

from __future__ import annotations

from twisted.internet.address import UNIXAddress

from proxy.wire.trusted import plain_address


def peer_of(address: object, unix: str) -> tuple[str, bool]:
    """The client's address for logs and limits, and whether it is this machine. `unix` is what a UNIX socket's is
    called. A socket that takes both kinds tells IPv4 addresses as IPv6."""
    if isinstance(address, UNIXAddress):
        return unix, True
    host = str(getattr(address, "host", "unknown"))
    found = plain_address(host)
    if found is None:
        return host, False
    return (str(found) if found.version == 4 else host), found.is_loopback
