"""CATENATE: a new message from texts and from parts of messages that are here (RFC 4469).

Runs in a thread, in the same visit to the store that stores the message. Pieces go through a file, so that
nothing is in memory whole.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Final

from mailstore.content import Content
from mailstore.errors import MessageLost, NoSuchFolder, NoSuchMessage
from mailstore.mailhome import MailHome
from mailstore.message.section import Span, header_fields
from mailstore.refusals import storage_errors
from proxy.imap.answers import No
from proxy.imap.grammar.appending import Url
from proxy.imap.grammar.imap_urls import MessageUrl, message_url
from proxy.imap.grammar.syntax import BodySection
from proxy.imap.reading import OpenMessage
from proxy.wire.commands import Literal

PIECE: Final = 256 * 1024
_NOT_IN_CODE: Final = re.compile(rb"[^!-\\^-~]")  # of a URL that BADURL gives back: no space, no "]"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a URL is read in: who and where this is, and which folder is selected."""

    account: str
    hostname: str
    folder_id: int | None


def bad_url(url: Url) -> No:
    return No(b"There is nothing behind a URL.", b"BADURL " + (_NOT_IN_CODE.sub(b"?", url.text[:200]) or b"?"))


def opened(literal: Literal) -> IO[bytes]:
    """A literal as a file, at its start. It is closed by the session, with the command."""
    if isinstance(literal.data, bytes):
        return io.BytesIO(literal.data)
    literal.data.seek(0)
    return literal.data


def catenated(
    home: MailHome,
    parts: Sequence[Literal | Url],
    around: Surroundings,
    spool: Callable[[], IO[bytes]],
    limit: int,
) -> IO[bytes]:
    """The parts in one file, at its start; close it. Raises No ([BADURL], [TOOBIG]), StorageFailed."""
    with storage_errors():
        file = spool()
        try:
            _write(file, (piece for part in parts for piece in _part(home, part, around)), limit)
            file.seek(0)
        except BaseException:
            file.close()
            raise
    return file


def _write(file: IO[bytes], pieces: Iterable[bytes], limit: int) -> None:
    """Raises No, OSError."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise No(b"The message would be too large.", b"TOOBIG")
        file.write(piece)
    if not size:
        raise No(b"A message cannot be empty.")


def _part(home: MailHome, part: Literal | Url, around: Surroundings) -> Iterator[bytes]:
    return _url(home, part, around) if isinstance(part, Url) else _pieces(opened(part))


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece


def _url(home: MailHome, url: Url, around: Surroundings) -> Iterator[bytes]:
    """The octets behind a URL. Raises No ([BADURL])."""
    found = message_url(url.text)
    if found is None or not _is_here(found, around):
        raise bad_url(url)
    try:
        with home.open(_folder_id(home, found, around), found.uid) as content:
            yield from _octets(content, found, url)
    except (NoSuchFolder, NoSuchMessage, MessageLost):
        raise bad_url(url) from None


def _is_here(url: MessageUrl, around: Surroundings) -> bool:
    """Is it on this server, and of this account?"""
    users = {None, around.account, around.account.partition("@")[0]}
    return url.host in {None, around.hostname.lower()} and url.user in users


def _folder_id(home: MailHome, url: MessageUrl, around: Surroundings) -> int:
    """Raises NoSuchFolder."""
    for folder in home.folders():
        if folder.id == around.folder_id if url.folder is None else folder.name == url.folder:
            if url.uidvalidity in {None, folder.uidvalidity}:
                return folder.id
            break
    raise NoSuchFolder


def _octets(content: Content, url: MessageUrl, text: Url) -> Iterator[bytes]:
    first, count = url.partial or (0, None)
    section = url.section or BodySection((), "", (), True, None, b"")
    message = OpenMessage(lambda: content)
    if section.what in {"HEADER.FIELDS", "HEADER.FIELDS.NOT"}:
        span = message.span(section.path, "HEADER")
        if span is None:
            raise bad_url(text)
        header = content.read(span.offset, span.length)
        chosen = header_fields(header, section.fields, exclude=section.what == "HEADER.FIELDS.NOT")
        yield chosen[first : None if count is None else first + count]
        return
    found = message.span(section.path, section.what)
    if found is None or first > found.length:
        raise bad_url(text)
    length = found.length - first if count is None else min(count, found.length - first)
    yield from _read(content, Span(found.offset + first, length))


def _read(content: Content, span: Span) -> Iterator[bytes]:
    end = span.offset + span.length
    for at in range(span.offset, end, PIECE):
        yield content.read(at, min(PIECE, end - at))
