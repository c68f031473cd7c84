"""Responses as bytes (RFC 3501 7 and 9): strings, flags, dates, folder names, status lines.

Every function gives complete syntax and no more: nothing here knows a session. What comes out of
mail is arbitrary bytes; what goes to a client is always well-formed, so strings that cannot be quoted
become literals, and NUL, which neither form may carry, is left out of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from mailstore.index.rows import SYSTEM_FLAGS, Flags
from mailstore.message.addresses import Address
from mailstore.message.envelope import Envelope
from mailstore.message.structure import Disposition, Leaf, Multipart, Structure
from mailstore.message.walker import Params
from proxy.imap.grammar import folder_names

SAFE_QUOTED = re.compile(rb"[ !#-\[\]-~]*")  # TEXT-CHAR without quoted-specials: as it is between quotes
QUOTABLE = re.compile(rb"[\t -~]*")
ATOM = re.compile(rb"[!#$&'+,\-./0-9:;<=>?@A-Z\[\^_`a-z|}~]+")  # ASTRING-CHAR without the wildcards
LONG_QUOTED = 1_000  # past this a literal is easier on clients with a line limit

NIL = b"NIL"
MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")


# Strings


def literal(value: bytes) -> bytes:
    return b"{%d}\r\n%b" % (len(value), value)


def string(value: bytes) -> bytes:
    """A quoted string where that is safe for every client, else a literal (RFC 3501 4.3)."""
    if len(value) <= LONG_QUOTED:
        if SAFE_QUOTED.fullmatch(value):
            return b'"%b"' % value
        if QUOTABLE.fullmatch(value):
            return b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return literal(value.replace(b"\0", b""))


def nstring(value: bytes | None) -> bytes:
    return NIL if value is None else string(value)


def astring(value: bytes) -> bytes:
    """An atom where possible, else a string."""
    return value if ATOM.fullmatch(value) and value.upper() != NIL else string(value)


def parenthesized(items: Iterable[bytes]) -> bytes:
    return b"(%b)" % b" ".join(items)


# Flags and dates


@lru_cache(maxsize=4096)
def flag_list(flags: Flags, *, recent: bool = False) -> bytes:
    """`(\\Answered \\Seen \\Recent $Forwarded)`: system flags in a fixed order, then keywords by name."""
    names = [flag for flag in SYSTEM_FLAGS if flag in flags]
    if recent:
        names.append("\\Recent")
    names.extend(sorted(flag for flag in flags if flag not in SYSTEM_FLAGS))
    return parenthesized(name.encode() for name in names)


def flags_known(keywords: Iterable[str]) -> bytes:
    """The FLAGS response: every flag in use (RFC 3501 7.2.6)."""
    return b"* FLAGS %b\r\n" % parenthesized(name.encode() for name in (*SYSTEM_FLAGS, *sorted(keywords)))


def flags_permanent(keywords: Iterable[str], *, writable: bool) -> bytes:
    """PERMANENTFLAGS: what the client may change; `\\*` says that it may make keywords (RFC 3501 7.1)."""
    if not writable:
        return b"* OK [PERMANENTFLAGS ()] Read-only mailbox.\r\n"
    names = (*SYSTEM_FLAGS, *sorted(keywords), "\\*")
    return b"* OK [PERMANENTFLAGS %b] Flags permitted.\r\n" % parenthesized(name.encode() for name in names)


def status(tag: bytes, condition: bytes, text: bytes, code: bytes | None = None) -> bytes:
    """`tag OK [CODE] text`; the tag is `*` for an untagged one (RFC 3501 7.1)."""
    if code:
        return b"%b %b [%b] %b\r\n" % (tag, condition, code, text)
    return b"%b %b %b\r\n" % (tag, condition, text)


def numbers(values: Iterable[int]) -> bytes:
    """A sequence set: `1:3,7`. Keeps the order of `values`, as COPYUID must (RFC 4315 3)."""
    parts: list[bytes] = []
    first = last = -1
    for value in values:
        if first >= 0 and value == last + 1:
            last = value
            continue
        if first >= 0:
            parts.append(_span(first, last))
        first = last = value
    if first >= 0:
        parts.append(_span(first, last))
    return b",".join(parts)


def _span(first: int, last: int) -> bytes:
    return b"%d" % first if first == last else b"%d:%d" % (first, last)


# Folders


def folder_name(name: str, *, utf8: bool = False) -> bytes:
    """A folder's name in modified UTF-7 (RFC 3501 5.1.3), or in UTF-8, quoted where it is not ASCII (RFC 9051 4.3)."""
    octets = folder_names.encode(name, utf8=utf8)
    if octets.isascii():
        return astring(octets)
    return b'"%b"' % octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


# Envelope and body structure (RFC 3501 7.4.2)


def envelope(value: Envelope) -> bytes:
    return parenthesized(
        (
            nstring(value.date),
            nstring(value.subject),
            *map(_addresses, (value.from_, value.sender, value.reply_to, value.to, value.cc, value.bcc)),
            nstring(value.in_reply_to),
            nstring(value.message_id),
        )
    )


def _addresses(values: tuple[Address, ...]) -> bytes:
    if not values:
        return NIL
    return b"(%b)" % b"".join(
        parenthesized(map(nstring, (each.name, each.route, each.mailbox, each.host))) for each in values
    )


def body(value: Structure, *, extended: bool) -> bytes:
    """BODY, or with `extended` BODYSTRUCTURE. As deep as the walker lets a message be."""
    if isinstance(value, Multipart):
        inner = b"".join(body(part, extended=extended) for part in value.parts)
        fields = [inner, string(value.subtype)]
        if extended:
            fields.append(_parameters(value.params))
    else:
        fields = _leaf(value, extended=extended)
        if extended:
            fields.append(nstring(value.md5))
    if extended:
        fields += (_disposition(value.disposition), _language(value.language), nstring(value.location))
    return parenthesized(fields)


def _leaf(value: Leaf, *, extended: bool) -> list[bytes]:
    """The basic fields of a part that is no multipart."""
    fields = [
        string(value.type),
        string(value.subtype),
        _parameters(value.params),
        nstring(value.id),
        nstring(value.description),
        string(value.encoding),
        b"%d" % value.octets,
    ]
    if value.envelope is not None and value.inner is not None:
        fields += (envelope(value.envelope), body(value.inner, extended=extended))
    if value.lines is not None:
        fields.append(b"%d" % value.lines)
    return fields


def _parameters(params: Params) -> bytes:
    if not params:
        return NIL
    return parenthesized(string(word) for pair in params for word in pair)


def _disposition(value: Disposition | None) -> bytes:
    return NIL if value is None else parenthesized((string(value.type), _parameters(value.params)))


def _language(values: tuple[bytes, ...]) -> bytes:
    return NIL if not values else parenthesized(map(string, values))
