"""The names of a legacy server's folders: from the wire to levels of Unicode text.

What a server says of a folder is kept as it came, and sent back as it came. For people it is decoded: modified UTF-7
(RFC 3501 5.1.3) where it is that, else UTF-8 as servers with RFC 6855 and careless ones send it, else GB18030, else as
it stands. Nothing here raises: a folder with an odd name holds mail like any other.
"""

from __future__ import annotations

import binascii
import re

from mailstore.entries import NUL

_SHIFTED = re.compile(rb"&([A-Za-z0-9+,]*)-")


def text_of(name: bytes) -> str:
    """A folder's name as people read it."""
    return _decoded(name).replace("\0", NUL)


def _decoded(name: bytes) -> str:
    if name.isascii():
        try:
            return _SHIFTED.sub(_unshifted, name).decode()
        except ValueError:  # binascii.Error and both Unicode errors among them
            return name.decode("ascii")
    for charset in ("utf-8", "gb18030"):
        try:
            return name.decode(charset)
        except UnicodeDecodeError:
            continue
    return name.decode("latin-1")


def _unshifted(match: re.Match[bytes]) -> bytes:
    base64 = match[1].replace(b",", b"/")
    if not base64:
        return b"&"
    return binascii.a2b_base64(base64 + b"=" * (-len(base64) % 4)).decode("utf-16-be").encode()


def levels(name: bytes, delimiter: bytes | None) -> tuple[str, ...]:
    """The levels of a name, the topmost first. Parted before decoding: no delimiter is ever encoded."""
    parts = name.split(delimiter) if delimiter else [name]
    return tuple(text_of(part) for part in parts)
