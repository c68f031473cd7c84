"""The configuration file, checked whole, as one typed object.

`load` reads a file and gives back a `Config` that is right in every part, or raises `ConfigErrors` with all that
is wrong in it at once: nothing behind this package checks a setting again. A `Config` is frozen; its attributes
have the names of the file's keys (DESIGN.md, "The configuration file"), times are in seconds, paths absolute.

`mistakes` words what is wrong; `model` has the keys; `together` what several keys must be to each other;
`remarks` what is allowed and yet probably not meant. No Twisted here: `mailferry status` does without.
"""

from __future__ import annotations

from proxy.config.loading import load, parse, read
from proxy.config.mistakes import ConfigErrors, Mistake
from proxy.config.model import Config, Domain, LegacyServer, Listen, Lmtp, Migration, Notices, Storage, Tls

__all__ = [
    "Config",
    "ConfigErrors",
    "Domain",
    "LegacyServer",
    "Listen",
    "Lmtp",
    "Migration",
    "Mistake",
    "Notices",
    "Storage",
    "Tls",
    "load",
    "parse",
    "read",
]
