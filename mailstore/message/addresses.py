"""Address lists as the IMAP envelope has them (RFC 3501 7.4.2, from RFC 5322 3.4).

Encoded words stay raw: an IMAP client decodes them itself. A NIL host marks a group in an envelope, so an
address that lacks its host or mailbox says so in words, the same that Dovecot uses. Semicolons between
addresses count as commas (a widespread mail program writes them so). Nothing here raises, and a list of any
length takes time linear in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from mailstore.message.headers import comment, unfold

MISSING_MAILBOX: Final = b"MISSING_MAILBOX"
MISSING_DOMAIN: Final = b"MISSING_DOMAIN"


@dataclass(frozen=True, slots=True)
class Address:
    """One address, or where a group starts (`host` None, `mailbox` its name) or ends (all None)."""

    name: bytes | None
    route: bytes | None
    mailbox: bytes | None
    host: bytes | None


GROUP_END: Final = Address(None, None, None, None)

_TOKEN = re.compile(
    rb"""(?P<space>[ \t]++)"""
    rb"""|"(?P<quoted>[^"\\]*+(?:\\.[^"\\]*+)*)(?:"|\\?\Z)"""  # one that never closes goes to the end
    rb"""|(?P<comment>\()"""
    rb"""|(?P<special>[<>@,;:])"""
    rb"""|(?P<atom>=\?[^?\s]{1,80}\?[bBqQ]\?[^?\s]*+\?="""  # an encoded word may have any of these signs inside
    rb"""|\[[^\]\[<>,;"@]*+\]"""  # a domain literal, or a list's name before its addresses
    rb"""|[^\s"()<>@,;:\[]++|[\[)]|\s)""",
    re.DOTALL,
)


@dataclass(slots=True)
class _Word:
    """A word, or one of the signs < > @ , : with `sign` set."""

    text: bytes
    spaced: bool  # white space or a comment stands before it
    sign: bool = False


def addresses(value: bytes) -> tuple[Address, ...]:
    """The addresses of a raw header value, in order, with marks where groups start and end."""
    return tuple(_List(unfold(value)).found)


_ROUTE: Final = _Word(b"@", spaced=False, sign=True)


class _List:
    """One pass over an address list: `words` and `comment` are those of the address at hand."""

    __slots__ = ("comment", "found", "group", "opened", "words")

    def __init__(self, value: bytes) -> None:
        self.found: list[Address] = []
        self.words: list[_Word] = []
        self.comment: bytes | None = None
        self.opened: int | None = None  # where in `words` a "<" stands that is still open
        self.group = False
        self._read(value)
        self._finish()
        if self.group:
            self.found.append(GROUP_END)

    def _read(self, value: bytes) -> None:
        at, end = 0, len(value)
        spaced = False
        while at < end:
            token = _TOKEN.match(value, at)
            assert token is not None  # every octet starts some token
            at = token.end()
            kind = token.lastgroup
            if kind == "space":
                spaced = True
                continue
            if kind == "comment":
                self.comment, at = comment(value, token.start())
                spaced = True
                continue
            if kind == "special":
                self._sign(token[0], spaced)
            elif kind == "quoted":
                self.words.append(_Word(_unescaped(token["quoted"]), spaced))
            else:
                self.words.append(_Word(token[0], spaced))
            spaced = False

    def _sign(self, sign: bytes, spaced: bool) -> None:
        if sign == b";" or (sign == b"," and not self._in_route()):
            self._finish()
            if sign == b";" and self.group:
                self.found.append(GROUP_END)
                self.group = False
        elif sign == b":" and self.opened is None and not self.group:
            self.found.append(Address(None, None, _phrase(self.words), None))
            self._forget()
            self.group = True
        else:
            if sign == b"<":
                self.opened = len(self.words)
            elif sign == b">":
                self.opened = None
            self.words.append(_Word(sign, spaced, sign=True))

    def _in_route(self) -> bool:
        """`<@a,@b:c@d>`: a comma of an obsolete route (RFC 5322 4.4) separates no addresses."""
        if self.opened is None:
            return False
        return self.words[self.opened + 1 : self.opened + 2] == [_ROUTE]

    def _finish(self) -> None:
        words = self.words
        if words:
            opened = _index(words, b"<")
            if opened is None:
                self.found.append(_bare(words, self.comment))
            else:
                name = _phrase(words[:opened]) or self.comment
                self.found.append(_angle(words[opened + 1 :], name))
        self._forget()

    def _forget(self) -> None:
        self.words = []
        self.comment = None
        self.opened = None


def _angle(words: list[_Word], name: bytes | None) -> Address:
    """What is between "<" and ">": [ route ":" ] mailbox "@" host."""
    words = words[: _index(words, b">")]
    route = None
    if words and _is(words[0], b"@"):
        colon = _index(words, b":")
        if colon is not None:
            route = b"".join(word.text for word in words[:colon])
            words = words[colon + 1 :]
    local, host = _split(words)
    return Address(
        name or None,
        route,
        b" ".join(_runs(local)) or MISSING_MAILBOX,
        b" ".join(_runs(host)) or MISSING_DOMAIN,
    )


def _bare(words: list[_Word], remark: bytes | None) -> Address:
    """An address without angle brackets: `user@host (Name)`. Several words without "@" are only a name."""
    local, host = _split(words)
    runs = _runs(local)
    if local is words and len(runs) > 1:
        return Address(_phrase(words), None, MISSING_MAILBOX, MISSING_DOMAIN)
    return Address(
        b" ".join(runs[:-1]) or remark or None,
        None,
        b"".join(runs[-1:]) or MISSING_MAILBOX,
        b"".join(_runs(host)[:1]) or MISSING_DOMAIN,
    )


def _split(words: list[_Word]) -> tuple[list[_Word], list[_Word]]:
    """Mailbox and host: what is before and behind the last "@"; without one, `words` itself and nothing."""
    for at in range(len(words) - 1, -1, -1):
        if _is(words[at], b"@"):
            return words[:at], words[at + 1 :]
    return words, []


def _runs(words: list[_Word]) -> list[bytes]:
    """The words' text where white space divides it. White space beside "." divides nothing (RFC 5322 4.4)."""
    runs: list[list[bytes]] = []
    for word in words:
        if runs and (not word.spaced or word.text.startswith(b".") or runs[-1][-1].endswith(b".")):
            runs[-1].append(word.text)
        else:
            runs.append([word.text])
    return [b"".join(run) for run in runs]


def _phrase(words: list[_Word]) -> bytes:
    """The words' text, with one space wherever there was some."""
    return b"".join(b" " + word.text if word.spaced else word.text for word in words).strip(b" ")


def _is(word: _Word, sign: bytes) -> bool:
    return word.sign and word.text == sign


def _index(words: list[_Word], sign: bytes) -> int | None:
    return next((at for at, word in enumerate(words) if _is(word, sign)), None)


def _unescaped(text: bytes) -> bytes:
    return re.sub(rb"\\(.)", rb"\1", text, flags=re.DOTALL) if b"\\" in text else text
