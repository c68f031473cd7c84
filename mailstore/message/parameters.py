"""Values with parameters: Content-Type (RFC 2045 5.1) and Content-Disposition (RFC 2183).

Read as senders write them: values without quotes that need some, missing semicolons, comments, quotes that never
close. Continuations (RFC 2231 3) are joined under the parameter's name. Where a charset is declared
(RFC 2231 4) the joined value keeps it and its percent signs, under the name with its asterisk: that is how
Dovecot hands them to clients, and nothing is lost. Nothing here raises; all of it is linear.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from mailstore.message.headers import unfold

Params = tuple[tuple[bytes, bytes], ...]

_MOST_PARAMS: Final = 1000
_SHORT: Final = 512  # values up to this length are worth remembering: mail has few different ones

_TOKEN: Final = rb"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]++"
_MEDIA_TYPE = re.compile(rb"\s*+(%b)\s*+/\s*+(%b)" % (_TOKEN, _TOKEN))
_WORD = re.compile(rb"\s*+(?:\([^)]*+\)\s*+)*(%b)" % _TOKEN)
_PARAM = re.compile(
    rb"""(?<=[;\s"])([^\s;="(),/:<>?@\[\\\]]++)\s*+=\s*+"""  # what comes before; attribute =
    rb"""(?:"([^"\\]*+(?:\\.[^"\\]*+)*)(?:"|\\?\Z)|([^;]*+))""",  # "value" or value
    re.DOTALL,
)
_COMMENTED = re.compile(rb"([^\s(]++)\s*+\(.*\)", re.DOTALL)
_SECTION = re.compile(rb"([^*]+)\*(\d{1,4})(\*?)")


@dataclass(frozen=True, slots=True)
class ContentType:
    """A media type in lower case with its parameters; their names are in lower case, too."""

    type: bytes
    subtype: bytes
    params: Params = ()

    def param(self, name: bytes) -> bytes | None:
        """The octets of a parameter, whichever way it is written; None when it is missing."""
        return param(self.params, name)


TEXT_PLAIN: Final = ContentType(b"text", b"plain")
MESSAGE_RFC822: Final = ContentType(b"message", b"rfc822")
OCTET_STREAM: Final = ContentType(b"application", b"octet-stream")


def content_type(value: bytes | None, default: ContentType = TEXT_PLAIN) -> ContentType:
    """The media type of a raw Content-Type value. None gives `default`, a malformed one text/plain (RFC 2045 5.2)."""
    if value is None:
        return default
    return _remembered(value) if len(value) <= _SHORT else _content_type(value)


def _content_type(value: bytes) -> ContentType:
    value = unfold(value)
    media = _MEDIA_TYPE.match(value)
    if media is None:
        return TEXT_PLAIN
    return ContentType(media[1].lower(), media[2].lower(), _params(value, media.end()))


_remembered = lru_cache(maxsize=1024)(_content_type)


def word_with_params(value: bytes) -> tuple[bytes, Params] | None:
    """`attachment; filename=x` in its parts, the word in lower case. None when there is no word."""
    value = unfold(value)
    word = _WORD.match(value)
    if word is None:
        return None
    return word[1].lower(), _params(value, word.end())


def word(value: bytes) -> bytes | None:
    """The first word of a value, with comments passed over: that of `Content-Transfer-Encoding: (x) base64`."""
    found = _WORD.match(unfold(value))
    return found[1] if found else None


def param(params: Params, name: bytes) -> bytes | None:
    """The octets of a parameter, percent signs of RFC 2231 decoded; None when it is missing."""
    extended = name + b"*"
    for known, value in params:
        if known == name:
            return value
        if known == extended:
            return unquote_to_bytes(value.split(b"'", 2)[-1])
    return None


def _params(value: bytes, start: int) -> Params:
    found = []
    for match in islice(_PARAM.finditer(value, start), _MOST_PARAMS):
        name, quoted, bare = match.groups()
        found.append((name.lower(), _unquoted(quoted) if quoted is not None else _bare(bare)))
    if any(b"*" in name for name, _ in found):
        found = _joined(found)
    return tuple(found)


def _unquoted(text: bytes) -> bytes:
    return re.sub(rb"\\(.)", rb"\1", text, flags=re.DOTALL) if b"\\" in text else text


def _bare(text: bytes) -> bytes:
    """A value without quotes: a comment behind it goes, all else stays, as in `filename=annual report.pdf`."""
    text = text.strip()
    if text.endswith(b")") and (commented := _COMMENTED.fullmatch(text)):
        return commented[1]
    return text


def _joined(found: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Continuations put together, each where its first section stood. Those without a section 0 stay as they are."""
    sections: dict[bytes, dict[int, tuple[bool, bytes]]] = {}
    parsed = [_SECTION.fullmatch(name) for name, _ in found]
    for section, (_, value) in zip(parsed, found, strict=True):
        if section:
            sections.setdefault(section[1], {}).setdefault(int(section[2]), (bool(section[3]), value))
    joined = []
    for section, (name, value) in zip(parsed, found, strict=True):
        if section is None or 0 not in sections.get(section[1], {0: None}):
            joined.append((name, value))
        elif numbered := sections.pop(section[1], None):
            joined.append(_one(section[1], numbered))
    return joined


def _one(name: bytes, numbered: dict[int, tuple[bool, bytes]]) -> tuple[bytes, bytes]:
    run: list[tuple[bool, bytes]] = []
    while len(run) in numbered:
        run.append(numbered[len(run)])
    if not any(extended for extended, _ in run):
        return name, b"".join(value for _, value in run)
    if not run[0][0]:
        run.insert(0, (True, b"''"))  # RFC 2231 4.1: charset and language are in the first section, or nowhere
    return name + b"*", b"".join(
        value if extended else quote_from_bytes(value, safe="").encode() for extended, value in run
    )
