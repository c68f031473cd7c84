"""What clients ask of every message, computed once and kept: envelope, structure, preview, a few header fields.

`computed` reads a message whole; `Facts.packed` and `Facts.unpacked` are the form in which the index keeps it. What is
kept is compressed, and taken apart only as far as it is asked for.

EMAILID (RFC 8474 5.1) is made from the message's bytes: equal bytes have equal ids, in whatever folder and however they
came. THREADID (RFC 8474 5.2) is made from the message-id that a conversation begins with: the first of References,
else of In-Reply-To, else the message's own Message-ID; without any, from the bytes. Neither ever changes, and messages
with one EMAILID have one THREADID. A reply that names only a message in the middle of a conversation begins a new one.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import re
import struct
import zlib
from base64 import urlsafe_b64encode
from functools import cached_property
from typing import Any, Final

from mailstore.message.addresses import Address
from mailstore.message.envelope import Envelope, envelope
from mailstore.message.headers import first_in
from mailstore.message.octets import Windows, pieces
from mailstore.message.preview import preview
from mailstore.message.section import header_fields
from mailstore.message.structure import Disposition, Leaf, Multipart, Structure, structure
from mailstore.message.walker import Part, walk

# The fields that clients fetch for their lists of messages, in lower case.
KEPT_FIELDS: Final = frozenset(
    b"bcc cc content-transfer-encoding content-type date disposition-notification-to from importance in-reply-to "
    b"list-id list-post list-unsubscribe list-unsubscribe-post mail-followup-to mail-reply-to message-id mime-version "
    b"newsgroups priority references reply-to return-receipt-to sender subject to x-draft-info x-mailer x-priority "
    b"x-spam-flag x-uniform-type-identifier x-universally-unique-identifier chat-version".split()
)
LONGEST: Final = 64 * 1024  # octets of packed facts; what is longer is computed each time

_FORMAT: Final = 1
_LENGTHS = struct.Struct(">BIII")
_MESSAGE_ID = re.compile(rb"<[^<>\s]{1,998}>")
_STEP: Final = 256 * 1024
_ID_OCTETS: Final = 18  # of a SHA-256: 24 characters


class Facts:
    """One message's facts. `email_id` and `thread_id` are RFC 8474 object ids."""

    def __init__(self, email_id: str, thread_id: str, sections: tuple[bytes, bytes, bytes, bytes]) -> None:
        self.email_id = email_id
        self.thread_id = thread_id
        self._sections = sections

    @property
    def header(self) -> bytes:
        """The fields of KEPT_FIELDS as they stand in the message, and a blank line."""
        return self._sections[0]

    @cached_property
    def envelope(self) -> Envelope:
        return _envelope_from(_load(self._sections[1]))

    @cached_property
    def structure(self) -> Structure:
        return _structure_from(_load(self._sections[2]))

    @property
    def preview(self) -> str:
        """At most 200 characters on one line (RFC 8970)."""
        return self._sections[3].decode()

    def packed(self) -> bytes | None:
        """As the index keeps it, without the ids; None when that would be too long."""
        head, people, parts, _ = self._sections
        plain = _LENGTHS.pack(_FORMAT, len(head), len(people), len(parts)) + b"".join(self._sections)
        if len(plain) > 16 * LONGEST:
            return None
        packed = zlib.compress(plain, 6)
        return packed if len(packed) <= LONGEST else None

    @classmethod
    def unpacked(cls, email_id: str, thread_id: str, packed: bytes) -> Facts | None:
        """None where an older version packed it, or the bytes are damaged: they are to be computed again."""
        try:
            plain = zlib.decompress(packed)
            form, head, people, parts = _LENGTHS.unpack_from(plain)
        except (zlib.error, struct.error):
            return None
        if form != _FORMAT:
            return None
        a = _LENGTHS.size
        b, c = a + head, a + head + people
        return cls(email_id, thread_id, (plain[a:b], plain[b:c], plain[c : c + parts], plain[c + parts :]))


def computed(data: bytes | mmap.mmap | Windows) -> tuple[Facts, Part]:
    """The facts of a whole message, and where its parts are. Raises nothing, whatever it is."""
    root = walk(data)
    header = root.header
    email_id = _email_id(data)
    sections = (
        header_fields(header, KEPT_FIELDS, exclude=False),
        _dump(_envelope_to(envelope(header))),
        _dump(_structure_to(structure(root, data))),
        preview(root, data).encode("utf-8", "replace"),
    )
    return Facts(email_id, _thread_id(header, email_id), sections), root


# Object ids


def _email_id(data: bytes | mmap.mmap | Windows) -> str:
    digest = hashlib.sha256()
    for piece in pieces(data, 0, len(data), _STEP):
        digest.update(piece)
    return _id("M", digest.digest())


def _thread_id(header: bytes, email_id: str) -> str:
    lowered = header.lower()
    for name in (b"references", b"in-reply-to", b"message-id"):
        found = _MESSAGE_ID.search(first_in(header, lowered, name) or b"")
        if found is not None:
            return _id("T", hashlib.sha256(found[0]).digest())
    return "T" + email_id[1:]


def _id(kind: str, digest: bytes) -> str:
    return kind + urlsafe_b64encode(digest[:_ID_OCTETS]).decode()


# Envelope and structure as JSON: octets stand in it as the characters of the same number


def _dump(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _load(text: bytes) -> Any:
    return json.loads(text)


def _str(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else value.encode("latin-1")


def _envelope_to(value: Envelope) -> list[Any]:
    people = (value.from_, value.sender, value.reply_to, value.to, value.cc, value.bcc)
    # Sender and Reply-To are From nearly always, and then not written again.
    lists = [
        0
        if at in {1, 2} and each == value.from_
        else [list(map(_str, (a.name, a.route, a.mailbox, a.host))) for a in each]
        for at, each in enumerate(people)
    ]
    return [_str(value.date), _str(value.subject), *lists, _str(value.in_reply_to), _str(value.message_id)]


def _envelope_from(value: list[Any]) -> Envelope:
    date, subject, *lists, in_reply_to, message_id = value
    from_ = _people(lists[0])
    sender, reply_to, to, cc, bcc = (from_ if each == 0 else _people(each) for each in lists[1:])
    return Envelope(
        _bytes(date), _bytes(subject), from_, sender, reply_to, to, cc, bcc, _bytes(in_reply_to), _bytes(message_id)
    )


def _people_to(values: tuple[Address, ...]) -> list[list[str | None]]:
    return [[_str(each.name), _str(each.route), _str(each.mailbox), _str(each.host)] for each in values]


def _people(values: list[list[str | None]]) -> tuple[Address, ...]:
    return tuple([Address(*[None if text is None else text.encode("latin-1") for text in each]) for each in values])


def _structure_to(value: Structure) -> list[Any]:
    shared = [
        None if value.disposition is None else [_str(value.disposition.type), _pairs_to(value.disposition.params)],
        list(map(_str, value.language)),
        _str(value.location),
    ]
    if isinstance(value, Multipart):
        return [[_structure_to(each) for each in value.parts], _str(value.subtype), _pairs_to(value.params), *shared]
    return [
        _str(value.type),
        _str(value.subtype),
        _pairs_to(value.params),
        _str(value.id),
        _str(value.description),
        _str(value.encoding),
        value.octets,
        value.lines,
        None if value.envelope is None else _envelope_to(value.envelope),
        None if value.inner is None else _structure_to(value.inner),
        _str(value.md5),
        *shared,
    ]


def _pairs_to(params: tuple[tuple[bytes, bytes], ...]) -> list[Any]:
    return [[_str(name), _str(value)] for name, value in params]


def _pairs_from(values: list[list[str]]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple([(name.encode("latin-1"), value.encode("latin-1")) for name, value in values])


def _structure_from(value: list[Any]) -> Structure:
    disposition, languages, location = value[-3:]
    shared = (
        None if disposition is None else Disposition(disposition[0].encode("latin-1"), _pairs_from(disposition[1])),
        tuple([each.encode("latin-1") for each in languages]),
        _bytes(location),
    )
    if isinstance(value[0], list):
        parts = tuple([_structure_from(each) for each in value[0]])
        return Multipart(parts, value[1].encode("latin-1"), _pairs_from(value[2]), *shared)
    kind, subtype, params, part_id, description, encoding, octets, lines, people, inner, md5 = value[:-3]
    return Leaf(
        kind.encode("latin-1"),
        subtype.encode("latin-1"),
        _pairs_from(params),
        _bytes(part_id),
        _bytes(description),
        encoding.encode("latin-1"),
        octets,
        lines,
        None if people is None else _envelope_from(people),
        None if inner is None else _structure_from(inner),
        _bytes(md5),
        *shared,
    )
