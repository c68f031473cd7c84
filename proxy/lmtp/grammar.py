"""The arguments of LMTP's commands: bytes in, typed values out (RFC 5321 4.1.2, RFC 6531 3.3, RFC 1870).

    mail      = "FROM:" Reverse-path [SP parameters]
    rcpt      = "TO:" ( "<Postmaster>" / Forward-path ) [SP parameters]
    path      = "<" [ A-d-l ":" ] Mailbox ">"          the source route is read and forgotten (RFC 5321 C)
    Mailbox   = Local-part "@" ( Domain / address-literal )
    Local-part = Dot-string / Quoted-string

Letters beyond ASCII are taken in addresses as RFC 6531 extends them; whether the client may send them is the
command's business (`Path.ascii`). A local part that is a dot-string but for its dots ("a..b") is common in Asia, and
taken. Nothing here knows who has an account. Raises BadCommand for everything that is not so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from proxy.lmtp.errors import BadCommand

LOCAL_MOST: Final = 64  # octets (RFC 5321 4.5.3.1.1)
DOMAIN_MOST: Final = 255

# atext and the dots between, UTF-8 included: no control characters, spaces or specials
_DOT_STRING = r"[^\x00-\x20\x7f()<>\[\]:;@\\,\"]+"
_QUOTED = r'"(?:[^\x00-\x1f\x7f"\\]|\\[\x20-\x7e])*"'
_DOMAIN = r"[^\x00-\x2c/\x3a-\x40\x5b-\x5e\x60\x7b-\x7f]+"
_LITERAL = r"\[[0-9A-Za-z:.\-]+\]"
_ROUTE = rf"(?:@{_DOMAIN}(?:,@{_DOMAIN})*:)?"
_PATH = re.compile(rf"<{_ROUTE}(?P<local>{_DOT_STRING}|{_QUOTED})@(?P<domain>{_DOMAIN}|{_LITERAL})>")
_POSTMASTER = re.compile(r"<postmaster>", re.IGNORECASE)
_NAME = re.compile(rf"(?:{_DOMAIN}|{_LITERAL})")
_PARAMETER = re.compile(rb"([A-Za-z0-9][A-Za-z0-9\-]*)(?:=([\x21-\x3c\x3e-\x7e]+))?")
_SIZE_DIGITS: Final = 20  # RFC 1870 4


@dataclass(frozen=True, slots=True)
class Path:
    """An address of an envelope. `local` is what is meant, without quotes; `text` as it came, with its brackets. Of
    `<>` and of `<Postmaster>` the domain is "", of `<>` the local part too."""

    local: str
    domain: str
    text: str

    @property
    def ascii(self) -> bool:
        return self.text.isascii()


NOBODY: Final = Path("", "", "<>")  # whom bounces are from


@dataclass(frozen=True, slots=True)
class Sender:
    """What MAIL says."""

    path: Path
    size: int = 0  # octets, as announced; 0: not
    utf8: bool = False  # SMTPUTF8
    parameters: Mapping[str, str] = field(default_factory=dict)


def nothing(rest: bytes) -> tuple[()]:
    if rest.strip():
        raise BadCommand("this command has no argument")
    return ()


def anything(_rest: bytes) -> tuple[()]:
    """NOOP may be followed by what it likes, VRFY and HELP by what is not looked at."""
    return ()


def greeting(rest: bytes) -> tuple[str]:
    """LHLO's domain or address literal (RFC 2033 4.1)."""
    name = _text(rest).strip(" ")
    if len(name) > DOMAIN_MOST or not name.isascii() or not _NAME.fullmatch(name):
        raise BadCommand("LHLO wants a host name")
    return (name,)


def sender(rest: bytes) -> tuple[Sender]:
    path, given = _path(rest, b"FROM:")
    known = {"SIZE", "BODY", "SMTPUTF8"}
    if unknown := given.keys() - known:
        raise BadCommand(f"unknown parameter {min(unknown)}", 555)
    if given.get("BODY", "7BIT").upper() not in {"7BIT", "8BITMIME"}:
        raise BadCommand("BODY is 7BIT or 8BITMIME")
    if given.get("SMTPUTF8"):
        raise BadCommand("SMTPUTF8 has no value")
    size = given.get("SIZE", "0")
    if not (size.isascii() and size.isdigit() and len(size) <= _SIZE_DIGITS):
        raise BadCommand("SIZE is no number")
    found = Sender(path, int(size), "SMTPUTF8" in given, given)
    if not (path.ascii or found.utf8):
        raise BadCommand("the sender's address needs SMTPUTF8", 553, "5.6.7")
    return (found,)


def recipient(rest: bytes) -> tuple[Path]:
    path, given = _path(rest, b"TO:")
    if given:
        raise BadCommand(f"unknown parameter {min(given)}", 555)
    if path == NOBODY:
        raise BadCommand("a recipient is missing", 501, "5.1.3")
    return (path,)


def _path(rest: bytes, keyword: bytes) -> tuple[Path, Mapping[str, str]]:
    """A path, and the parameters behind it."""
    if rest[: len(keyword)].upper() != keyword:
        raise BadCommand(f"the argument begins with {keyword.decode()}<")
    text = _text(rest[len(keyword) :]).lstrip(" ")  # many clients put a space there
    if text.startswith("<>"):
        return NOBODY, _parameters(text[2:])
    found = _PATH.match(text)
    if found is None:
        postmaster = _POSTMASTER.match(text)
        if postmaster is None or keyword != b"TO:":
            raise BadCommand("this is no address", 501, "5.1.3" if keyword == b"TO:" else "5.1.7")
        return Path("postmaster", "", "<postmaster>"), _parameters(text[postmaster.end() :])
    quoted = found["local"].startswith('"')
    local = re.sub(r"\\(.)", r"\1", found["local"][1:-1]) if quoted else found["local"]
    if len(local.encode()) > LOCAL_MOST or len(found["domain"].encode()) > DOMAIN_MOST:
        raise BadCommand("this address is too long", 501, "5.1.3" if keyword == b"TO:" else "5.1.7")
    shown = f"<{found['local']}@{found['domain']}>"
    return Path(local, found["domain"], shown), _parameters(text[found.end() :])


def _parameters(text: str) -> Mapping[str, str]:
    if text and not text.startswith(" "):
        raise BadCommand("there is something behind the address")
    given: dict[str, str] = {}
    for word in text.encode().split():
        found = _PARAMETER.fullmatch(word)
        if found is None:
            raise BadCommand("this is no parameter")
        name = found[1].decode().upper()
        if name in given:
            raise BadCommand(f"{name} is given twice")
        given[name] = "" if found[2] is None else found[2].decode()
    return given


def _text(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise BadCommand("this is not UTF-8", 501, "5.6.7") from None
