"""What a server says, as values: one whole response in, one object out. As strict as RFC 9051 9 is.

Pure. `take` cuts the next response, with its literals, off a buffer; `understood` reads it. What no test of this
directory looks at is `Other`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

Value = Any  # bytes of an atom or a string, None for NIL, or a list of values

_LITERAL = re.compile(rb"\{(\d+)\}\r\n")
_ATOM = re.compile(rb"(?:[^ ()\"{}\x00-\x1f\[\]]|\[[^\]]*\])+")
_QUOTED = re.compile(rb'"((?:[^"\\\r\n]|\\["\\])*)"')
_STATUS = re.compile(rb"(OK|NO|BAD|BYE|PREAUTH) (?:\[([^\]]*)\] )?(.*)", re.DOTALL)


@dataclass(frozen=True)
class Tagged:
    """The end of a command, or an untagged status response (`tag` is then `*`)."""

    tag: bytes
    status: bytes
    code: bytes  # without brackets, b"" where there is none
    text: bytes

    def coded(self, name: bytes) -> list[bytes] | None:
        """The words behind `name` in the code, if that is its name."""
        words = self.code.split(b" ")
        return words[1:] if words[0] == name else None


@dataclass(frozen=True)
class Exists:
    count: int


@dataclass(frozen=True)
class Recent:
    count: int


@dataclass(frozen=True)
class Expunged:
    number: int


@dataclass(frozen=True)
class Vanished:
    uids: tuple[int, ...]
    earlier: bool


@dataclass(frozen=True)
class Fetched:
    """FETCH or UIDFETCH; `items` by name, a list of flags among them."""

    number: int  # or the UID
    by_uid: bool
    items: dict[bytes, Value]

    @property
    def uid(self) -> int | None:
        if self.by_uid:
            return self.number
        return int(self.items[b"UID"]) if b"UID" in self.items else None

    @property
    def flags(self) -> frozenset[str] | None:
        found = self.items.get(b"FLAGS")
        if found is None:
            return None
        assert len(found) == len(set(found)), f"a flag is told twice: {found}"
        return frozenset(flag.decode() for flag in found)

    @property
    def modseq(self) -> int | None:
        return int(self.items[b"MODSEQ"][0]) if b"MODSEQ" in self.items else None


@dataclass(frozen=True)
class Found:
    """SEARCH or SORT: numbers or UIDs."""

    kind: bytes
    numbers: tuple[int, ...]
    modseq: int | None


@dataclass(frozen=True)
class Figures:
    """ESEARCH: what was asked for, by name; ALL and PARTIAL as numbers."""

    tag: bytes
    uid: bool
    figures: dict[bytes, Any]


@dataclass(frozen=True)
class Threads:
    members: tuple[int, ...]


@dataclass(frozen=True)
class Listed:
    name: bytes
    attributes: frozenset[bytes]


@dataclass(frozen=True)
class Status:
    name: bytes
    figures: dict[bytes, int]


@dataclass(frozen=True)
class KnownFlags:
    flags: frozenset[str]


@dataclass(frozen=True)
class Continue:
    text: bytes


@dataclass(frozen=True)
class Other:
    line: bytes


Heard = (
    Tagged | Exists | Recent | Expunged | Vanished | Fetched | Found | Figures | Threads | Listed | Status
    | KnownFlags | Continue | Other
)  # fmt: skip


def take(buffer: bytearray) -> bytes | None:
    """The next whole response without its last CRLF, taken off `buffer`; None where it is not all there."""
    start = 0
    while (end := buffer.find(b"\r\n", start)) >= 0:
        announced = re.search(rb"\{(\d+)\}\Z", buffer[start:end])
        if announced is None:
            response = bytes(buffer[:end])
            del buffer[: end + 2]
            return response
        start = end + 2 + int(announced[1])
        if len(buffer) < start:
            return None
    return None


def understood(response: bytes) -> Heard:
    """Raises AssertionError for what is no response."""
    tag, _, rest = response.partition(b" ")
    if tag == b"+":
        return Continue(rest)
    if status := _STATUS.fullmatch(rest):
        return Tagged(tag, status[1], status[2] or b"", status[3])
    assert tag == b"*", f"neither tagged nor untagged: {response!r}"
    values = _Reader(rest).to_the_end()
    return _of_messages(values) or _of_folders(values) or Other(response)


def _of_messages(values: list[Value]) -> Heard | None:
    """What is said of messages and of how many there are."""
    match values:
        case [bytes(number), b"EXISTS"]:
            return Exists(int(number))
        case [bytes(number), b"RECENT"]:
            return Recent(int(number))
        case [bytes(number), b"EXPUNGE"]:
            return Expunged(int(number))
        case [b"VANISHED", bytes(uids)]:
            return Vanished(numbers_of(uids), False)
        case [b"VANISHED", [b"EARLIER"], bytes(uids)]:
            return Vanished(numbers_of(uids), True)
        case [bytes(number), (b"FETCH" | b"UIDFETCH") as word, list(items)]:
            return Fetched(int(number), word == b"UIDFETCH", _pairs(items))
    return None


def _of_folders(values: list[Value]) -> Heard | None:
    """What is said of folders, and what was looked for in them."""
    match values:
        case [b"FLAGS", list(flags)]:
            return KnownFlags(frozenset(flag.decode() for flag in flags))
        case [b"LIST", list(attributes), _, bytes(name), *_]:
            return Listed(name, frozenset(attributes))
        case [b"STATUS", bytes(name), list(items)]:
            return Status(name, {key: int(value) for key, value in _pairs(items).items()})
        case [b"ESEARCH", *fields]:
            return _figures(fields)
        case [(b"SEARCH" | b"SORT") as word, *found]:
            return _found(word, found)
        case [b"THREAD", *threads]:
            return Threads(tuple(_members(threads)))
    return None


def numbers_of(text: bytes) -> tuple[int, ...]:
    """The members of a set without "*", in its order."""
    numbers: list[int] = []
    for span in text.split(b","):
        first, _, last = span.partition(b":")
        numbers.extend(range(int(first), int(last or first) + 1))
    return tuple(numbers)


def _pairs(items: list[Value]) -> dict[bytes, Value]:
    assert len(items) % 2 == 0, f"names and values do not pair: {items}"
    names = items[::2]
    assert len(names) == len(set(names)), f"an item is told twice: {names}"
    return dict(zip(names, items[1::2], strict=True))


def _found(word: bytes, found: list[Value]) -> Found:
    modseq = None
    if found and isinstance(found[-1], list):
        name, value = found.pop()
        assert name == b"MODSEQ"
        modseq = int(value)
    numbers = tuple(map(int, found))
    assert len(numbers) == len(set(numbers)), "a message is found twice"
    return Found(word, numbers, modseq)


def _figures(fields: list[Value]) -> Figures:
    [[label, tag], *rest] = fields
    assert label == b"TAG"
    uid = bool(rest) and rest[0] == b"UID"
    figures: dict[bytes, Any] = {}
    for name, value in _pairs(rest[1:] if uid else rest).items():
        if name == b"ALL":
            figures[name] = numbers_of(value)
        elif name == b"PARTIAL":
            figures[name] = () if value[1] is None else numbers_of(value[1])
        else:
            figures[name] = int(value)
    return Figures(tag, uid, figures)


def _members(threads: list[Value]) -> list[int]:
    members: list[int] = []
    for each in threads:
        members.extend(_members(each) if isinstance(each, list) else [int(each)])
    return members


@dataclass
class _Reader:
    """Atoms, strings and parentheses."""

    data: bytes
    at: int = field(default=0)

    def to_the_end(self) -> list[Value]:
        values = []
        while self.at < len(self.data):
            values.append(self._value())
            if self.at < len(self.data) and self.data[self.at : self.at + 1] == b" ":
                self.at += 1
                assert self.at < len(self.data), f"a space at the end: {self.data!r}"
        return values

    def _value(self) -> Value:
        if self._skip(b"("):
            return self._list()
        if match := _LITERAL.match(self.data, self.at):
            self.at = match.end() + int(match[1])
            return self.data[match.end() : self.at]
        if match := _QUOTED.match(self.data, self.at):
            self.at = match.end()
            return re.sub(rb"\\(.)", rb"\1", match[1])
        match = _ATOM.match(self.data, self.at)
        assert match is not None, f"no value at {self.at}: {self.data!r}"
        self.at = match.end()
        return None if match[0] == b"NIL" else match[0]

    def _list(self) -> list[Value]:
        values: list[Value] = []
        while not self._skip(b")"):
            if values and self.data[self.at : self.at + 1] != b"(":  # lists in lists need no space: THREAD
                assert self._skip(b" "), f"a space is missing at {self.at}: {self.data!r}"
            elif values:
                self._skip(b" ")
            values.append(self._value())
        return values

    def _skip(self, octet: bytes) -> bool:
        if self.data[self.at : self.at + 1] == octet:
            self.at += 1
            return True
        return False
