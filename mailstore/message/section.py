"""Which octets of a message an IMAP section names (RFC 3501 6.4.5), and header subsets.

| path | what   | octets |
|------|--------|--------|
| ()   | ""     | the whole message |
| ()   | HEADER | its header with the blank line |
| ()   | TEXT   | its body |
| path | ""     | the part's body, without its MIME header |
| path | MIME   | the part's MIME header with the blank line; of a message that is no multipart, part 1 has its header |
| path | HEADER | the header of the message inside, when the part is a message/rfc822 |
| path | TEXT   | the body of that message |
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from mailstore.message.walker import Part, find

_LINE = re.compile(rb"[^\n]*+\n?(?:[ \t][^\n]*+\n?)*")  # a logical line with its line ends


@dataclass(frozen=True, slots=True)
class Span:
    """Octets of a message."""

    offset: int
    length: int


def locate(root: Part, path: tuple[int, ...], what: str) -> Span | None:
    """The octets of section `path`.`what` in the message `root`; None when the message has no such section.

    `what` is "", "HEADER", "TEXT" or "MIME". The RFC leaves open what a section that is not there answers;
    Dovecot sends an empty string, not NIL.
    """
    part = find(root, path)
    if part is not None and path and what in ("HEADER", "TEXT"):
        part = part.message
    if part is None or (what == "MIME" and not path):
        return None
    if what in ("HEADER", "MIME"):
        return Span(part.start, part.body - part.start)
    start = part.start if not what and not path else part.body
    return Span(start, part.end - start)


def header_fields(header: bytes, names: Collection[bytes], *, exclude: bool) -> bytes:
    """The fields with these names, or all others, as they stand and in their order, and a blank line.

    This is HEADER.FIELDS and HEADER.FIELDS.NOT. Lines that are no field are among "all others", as Dovecot has
    it. The blank line is always there (RFC 3501 6.4.5), even when no field is.
    """
    wanted = {name.lower() for name in names}
    kept = []
    for line in _LINE.findall(header):
        name = line.partition(b":")[0].rstrip(b" \t").lower() if b":" in line else b""
        if line.strip(b"\r\n") and (name in wanted) is not exclude:
            kept.append(line if line.endswith(b"\n") else line + b"\r\n")
    kept.append(b"\r\n")
    return b"".join(kept)
