"""Paths: what the configuration may name, and where an account's Maildir is.

An account's name comes from a stranger. Here it becomes one component of a path, whatever is in it: a character
that means something to a file system is written as `%` and two hexadecimal digits for each of its octets, so
that different names are different places and the name can be read back. Only a name too long for a file system
is cut, and carries a digest instead.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Final

from proxy.config.mistakes import Unfit
from proxy.config.names import placeholders

PLACEHOLDERS: Final = ("state", "domain", "local", "hash")
CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"  # what systemd calls it
OF_THE_SERVICE: Final = Path("/run/credentials/mailferry.service")
LONGEST: Final = 240  # octets of a component; file systems allow 255, and ".db-wal" comes behind the Maildir's name
_PLAIN: Final = frozenset(
    "abcdefghijklmnopqrstuvwxyz0123456789.-_+=~,!#&'"
)  # not "@": it may part {local} from {domain}


def check_absolute(value: object) -> Path:
    """A path of the file. Raises Unfit."""
    if isinstance(value, Path):
        return value
    if not isinstance(value, str):
        raise Unfit('must be a path in quotes, such as "/var/lib/mailferry"')
    if not value or "\0" in value:
        raise Unfit("must be a path")
    path = Path(value)
    if value.startswith("{"):
        raise Unfit(f'"{value}" is not absolute: start with "/", "{{state}}/" or "{{credentials}}/"')
    if not path.is_absolute():
        raise Unfit(f'"{value}" is not absolute: start with "/", the working directory of a daemon is not yours')
    return path


def credentials() -> Path:
    """Where systemd puts what it was given for this service; for a command that it has not started, where it has put
    that for the daemon that is running."""
    named = os.environ.get(CREDENTIALS, "")
    return Path(named) if named.startswith("/") else OF_THE_SERVICE


def is_credential(path: Path) -> bool:
    """Is it one of them? Nobody but systemd makes or changes those."""
    return path.is_relative_to(credentials())


def is_unseen(path: Path) -> bool:
    """Is it one, and can only the service say whether it is there? Who is not the daemon's user may not look, and while
    the daemon does not run there is none."""
    return is_credential(path) and CREDENTIALS not in os.environ and not os.access(path, os.R_OK)


def expanded(value: str, state: str) -> str:
    """A path with what stands for a directory at its start written out."""
    for name, directory in (("{state}/", state), ("{credentials}/", str(credentials()))):
        if value.startswith(name):
            return str(Path(directory, value.removeprefix(name)))
    return value


def check_maildir(value: str) -> str:
    """The template of `storage.maildir`. Raises Unfit."""
    if "\0" in value or not value.isprintable():
        raise Unfit("must be printable text")
    found = placeholders(value, PLACEHOLDERS)
    if not value.startswith(("/", "{state}/")):
        raise Unfit(f'"{value}" is not absolute: start with "/" or "{{state}}/"')
    if "{state}" in value[1:] or ".." in Path(value).parts:
        raise Unfit(f'"{value}": {{state}} may only be at the start, and ".." nowhere')
    if any(_ambiguous(part) for part in Path(value).parts):
        raise Unfit(f'"{value}": put "/" or "@" between {{domain}} and {{local}}, or two accounts could share a place')
    if any("{hash}" in part for part in Path(value).parts if part != "{hash}") or value.count("{hash}") > 1:
        raise Unfit(
            f'"{value}": {{hash}} is two directories, such as "3f/a1": put "/" before and behind it, and write it once'
        )
    if "local" not in found:
        raise Unfit(f'"{value}" would be one Maildir for everybody: put {{local}} into it')
    return value


def _ambiguous(part: str) -> bool:
    names = sorted(("{domain}", "{local}"), key=part.find)
    between = part.partition(names[0])[2].partition(names[1])[0]
    return "{domain}" in part and "{local}" in part and "@" not in between


def component(name: str) -> str:
    """An account's or a domain's name as one component of a path. Raises Unfit for an empty one."""
    if not name:
        raise Unfit("an empty name has no place")
    text = "".join(_written(c) for c in name.lower())
    if text.startswith("."):
        text = "%2E" + text[1:]
    if len(text.encode()) <= LONGEST:
        return text
    digest = hashlib.sha256(name.lower().encode("utf-8", "surrogatepass")).hexdigest()[:40]
    kept = text.encode()[: LONGEST - 48].decode("utf-8", "ignore")
    kept = re.sub("%[0-9A-F]?$", "", kept)  # no octet half written
    return f"{kept}%~{digest}"  # "%~" begins no escaped octet, so that no other name can look like it


def _written(character: str) -> str:
    if character in _PLAIN or (character > "\x7f" and character.isalnum()):
        return character
    return "".join(f"%{octet:02X}" for octet in character.encode("utf-8", "surrogatepass"))


def maildir(template: str, state: Path, local: str, domain: str) -> Path:
    """Where the account's Maildir is."""
    spread = spread_of(local, domain) if "{hash}" in template else ""
    return Path(template.format(state=state, local=component(local), domain=component(domain), hash=spread))


def spread_of(local: str, domain: str) -> str:
    """`{hash}` of an account: two directories, each one of 256, by the first two octets of the SHA-256 of its address.
    It is the same everywhere and for ever: scripts compute it, too."""
    address = f"{local.lower()}@{domain.lower()}"
    digest = hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{digest[:2]}/{digest[2:4]}"


def maildir_root(template: str, state: Path) -> Path:
    """The directory above all Maildirs: the template up to the first part that depends on an account."""
    fixed = template.removeprefix("{state}")
    base = str(state) if fixed != template else ""
    before = base + fixed.partition("{")[0]
    return Path(before) if before.endswith("/") else Path(before).parent


def maildir_layout(template: str) -> str:
    """The rest of the template: a Maildir's place below that directory."""
    before, _, behind = template.removeprefix("{state}").partition("{")
    return before.rpartition("/")[2] + "{" + behind
