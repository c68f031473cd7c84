"""Where, when and of what a report was made: what every report says of itself."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from proxy.admin.moments import iso
from proxy.config import Config, Domain


@dataclass(frozen=True, slots=True)
class Origin:
    """Times in seconds since 1970."""

    version: str
    host: str  # this one
    asked_for: Sequence[str]
    legacy: Sequence[tuple[str, str]]  # domain, and how its legacy server is reached
    began: float
    ended: float


def origin(config: Config, asked_for: Sequence[str], domains: Iterable[str], began: float) -> dict[str, Any]:
    """The fields of an `Origin` of what ends now."""
    return {
        "version": version("mailferry"),
        "host": f"{config.hostname} ({socket.gethostname()})",
        "asked_for": asked_for,
        "legacy": [(name, reached(config.domains[name])) for name in sorted(set(domains))],
        "began": began,
        "ended": time.time(),
    }


def reached(domain: Domain) -> str:
    """How a domain's legacy server is spoken to, in words."""
    legacy = domain.legacy
    ways = {"none": "not encrypted", "starttls": "STLS", "implicit": "TLS"}
    verified = (
        "" if legacy.tls == "none" else ", certificate verified" if legacy.verify else ", certificate not verified"
    )
    return f"{legacy.host} port {legacy.port}, {ways[legacy.tls]}{verified}"


def as_json(said: Origin) -> dict[str, Any]:
    """The part of a report's JSON that says it."""
    return {
        "version": said.version,
        "host": said.host,
        "asked_for": list(said.asked_for),
        "began": iso(said.began),
        "ended": iso(said.ended),
        "legacy": dict(said.legacy),
    }
