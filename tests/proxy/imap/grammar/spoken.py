"""Commands as a client sends them, put together and parsed."""

from __future__ import annotations

import io

from proxy.imap.grammar.parse import parse
from proxy.imap.grammar.syntax import Command
from proxy.wire.commands import CommandReader, Ready
from proxy.wire.door import Limits


def ready(line: bytes) -> Ready:
    """The one command in `line`, whose literals are non-synchronising, after login."""
    reader = CommandReader(Limits(line=200_000), io.BytesIO)
    reader.authenticated = True
    reader.feed(b"a " + line + b"\r\n")
    event = reader.next()
    assert isinstance(event, Ready), event
    assert reader.pending == 0
    return event


def spoken(line: bytes, *, utf8: bool = False) -> Command:
    """Raises BadSyntax, BadCharset."""
    return parse(ready(line), utf8=utf8)
