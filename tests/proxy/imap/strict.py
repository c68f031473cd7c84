"""ENVELOPE, BODY and BODYSTRUCTURE read back as RFC 3501 9 writes them, and not one octet otherwise. Words whose case
says nothing come in small letters.

`Unfit` is raised for whatever a client with a strict parser would stumble over. Used on our own answers, and on those
of other servers.
"""

from __future__ import annotations

from typing import Any, Final

CHAR: Final = bytes(range(1, 128))
TEXT_CHAR: Final = bytes(each for each in CHAR if each not in b"\r\n")


class Unfit(AssertionError):
    """Not the grammar."""


class Reader:
    """One value after the other."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def expect(self, octets: bytes) -> None:
        if not self.data.startswith(octets, self.at):
            raise Unfit(f"{octets!r} should be at {self.at}: {self.data[self.at :][:40]!r}")
        self.at += len(octets)

    def next_is(self, octets: bytes) -> bool:
        return self.data.startswith(octets, self.at)

    def end(self) -> None:
        if self.at != len(self.data):
            raise Unfit(f"more than there should be: {self.data[self.at :][:40]!r}")

    def number(self) -> int:
        begin = self.at
        while self.data[self.at : self.at + 1].isdigit():
            self.at += 1
        if self.at == begin or (self.at - begin > 1 and self.data[begin : begin + 1] == b"0"):
            raise Unfit(f"no number: {self.data[begin:][:40]!r}")
        value = int(self.data[begin : self.at])
        if value >= 2**32:
            raise Unfit("a number of more than 32 bits")
        return value

    def string(self) -> bytes:
        """string = quoted / literal; a quoted one is ASCII."""
        if self.next_is(b"{"):
            self.at += 1
            size = self.number()
            self.expect(b"}\r\n")
            value = self.data[self.at : self.at + size]
            self.at += size
            if len(value) < size or b"\0" in value:
                raise Unfit("a literal that is too short, or has NUL")
            return value
        self.expect(b'"')
        value = bytearray()
        while not self.next_is(b'"'):
            if self.next_is(b"\\"):
                self.at += 1
                if self.data[self.at : self.at + 1] not in {b'"', b"\\"}:
                    raise Unfit("quoted what needs no quoting")
            octet = self.data[self.at : self.at + 1]
            if not octet or octet not in TEXT_CHAR:
                raise Unfit(f"{octet!r} in a quoted string")
            value += octet
            self.at += 1
        self.at += 1
        return bytes(value)

    def nstring(self) -> bytes | None:
        if self.next_is(b"NIL"):
            self.at += 3
            return None
        return self.string()


def envelope(reader: Reader) -> dict[str, Any]:
    """envelope = "(" env-date SP env-subject SP env-from SP … SP env-message-id ")" """
    found: dict[str, Any] = {}
    reader.expect(b"(")
    for name in ("date", "subject"):
        found[name] = reader.nstring()
        reader.expect(b" ")
    for name in ("from", "sender", "reply-to", "to", "cc", "bcc"):
        found[name] = _addresses(reader)
        reader.expect(b" ")
    found["in-reply-to"] = reader.nstring()
    reader.expect(b" ")
    found["message-id"] = reader.nstring()
    reader.expect(b")")
    return found


def _addresses(reader: Reader) -> list[tuple[bytes | None, ...]] | None:
    """ "(" 1*address ")" / nil; a group begins and ends with an address without host (RFC 3501 7.4.2)"""
    if reader.next_is(b"NIL"):
        reader.at += 3
        return None
    found: list[tuple[bytes | None, ...]] = []
    reader.expect(b"(")
    while not found or not reader.next_is(b")"):
        reader.expect(b"(")
        address = [reader.nstring()]
        for _ in range(3):
            reader.expect(b" ")
            address.append(reader.nstring())
        reader.expect(b")")
        if address[3] is None and (address[0] is not None or address[1] is not None):
            raise Unfit("the mark of a group with a name or a route")
        found.append(tuple(address))
    reader.expect(b")")
    groups = 0
    for address in found:
        if address[3] is None:
            groups += 1 if address[2] is not None else -1
            if groups not in {0, 1}:
                raise Unfit("groups within groups, or an end without a beginning")
    if groups:
        raise Unfit("a group without an end")
    return found


def body(reader: Reader, *, extended: bool, deep: int = 0) -> dict[str, Any]:
    """body = "(" (body-type-1part / body-type-mpart) ")" """
    if deep > 210:
        raise Unfit("deeper than anybody reads")
    reader.expect(b"(")
    found = _multipart(reader, extended, deep) if reader.next_is(b"(") else _part(reader, extended, deep)
    reader.expect(b")")
    return found


def _multipart(reader: Reader, extended: bool, deep: int) -> dict[str, Any]:
    parts = []
    while reader.next_is(b"("):
        parts.append(body(reader, extended=extended, deep=deep + 1))
    reader.expect(b" ")
    found: dict[str, Any] = {"type": b"multipart", "parts": parts, "subtype": reader.string().lower()}
    if extended:
        reader.expect(b" ")
        found["params"] = _params(reader)
        found |= _extension(reader)
    return found


def _part(reader: Reader, extended: bool, deep: int) -> dict[str, Any]:
    found: dict[str, Any] = {"type": reader.string().lower()}
    reader.expect(b" ")
    found["subtype"] = reader.string().lower()
    reader.expect(b" ")
    found["params"] = _params(reader)
    for name in ("id", "description"):
        reader.expect(b" ")
        found[name] = reader.nstring()
    reader.expect(b" ")
    found["encoding"] = reader.string().lower()
    reader.expect(b" ")
    found["octets"] = reader.number()
    if found["type"] == b"message" and found["subtype"].lower() in {b"rfc822", b"global"}:
        reader.expect(b" ")
        found["envelope"] = envelope(reader)
        reader.expect(b" ")
        found["body"] = body(reader, extended=extended, deep=deep + 1)
        reader.expect(b" ")
        found["lines"] = reader.number()
    elif found["type"] == b"text":
        reader.expect(b" ")
        found["lines"] = reader.number()
    if extended:
        reader.expect(b" ")
        found["md5"] = reader.nstring()
        found |= _extension(reader)
    return found


def _params(reader: Reader) -> list[tuple[bytes, bytes]] | None:
    """body-fld-param = "(" string SP string *(SP string SP string) ")" / nil"""
    if reader.next_is(b"NIL"):
        reader.at += 3
        return None
    found = []
    reader.expect(b"(")
    while True:
        name = reader.string()
        reader.expect(b" ")
        found.append((name.lower(), reader.string()))
        if reader.next_is(b")"):
            break
        reader.expect(b" ")
    reader.expect(b")")
    return found


def _extension(reader: Reader) -> dict[str, Any]:
    """Disposition, language, location: of a part and of a multipart alike."""
    found: dict[str, Any] = {}
    reader.expect(b" ")
    if reader.next_is(b"NIL"):
        reader.at += 3
        found["disposition"] = None
    else:
        reader.expect(b"(")
        kind = reader.string().lower()
        reader.expect(b" ")
        found["disposition"] = kind, _params(reader)
        reader.expect(b")")
    reader.expect(b" ")
    if reader.next_is(b"("):
        reader.expect(b"(")
        found["language"] = [reader.string()]
        while reader.next_is(b" "):
            reader.expect(b" ")
            found["language"].append(reader.string())
        reader.expect(b")")
    else:
        single = reader.nstring()
        found["language"] = None if single is None else [single]
    reader.expect(b" ")
    found["location"] = reader.nstring()
    return found


def read_envelope(data: bytes) -> dict[str, Any]:
    """A whole ENVELOPE. Raises Unfit."""
    reader = Reader(data)
    found = envelope(reader)
    reader.end()
    return found


def read_body(data: bytes, *, extended: bool) -> dict[str, Any]:
    """A whole BODY or BODYSTRUCTURE. Raises Unfit."""
    reader = Reader(data)
    found = body(reader, extended=extended)
    reader.end()
    return found
