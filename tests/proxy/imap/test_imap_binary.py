"""BINARY of parts that are too large to be kept, and of any window of them (RFC 3516)."""

from __future__ import annotations

import base64
import io
import os
import quopri
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mailstore.content import Content
from mailstore.message.section import Span
from proxy.imap import decoding
from proxy.imap.decoding import Decoded
from proxy.imap.grammar.syntax import BinarySection
from tests.proxy.imap.imap_rig import Rig

LONG = bytes(range(256)) * 8_000  # two megabytes, with NUL


def test_a_large_part_is_decoded_while_it_is_sent(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "empty")
    try:
        encoded = base64.encodebytes(LONG).replace(b"\n", b"\r\n")
        message = b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n" + encoded
        rig.mail.append("INBOX", io.BytesIO(message), (), None)
        channel = rig.logged_in(select=True)
        channel.send(b"a FETCH 1 (BINARY.SIZE[1] BINARY.PEEK[1] BINARY.PEEK[1]<1000.1500000>)\r\n")
        start = b"* 1 FETCH (BINARY.SIZE[1] %d BINARY[1] ~{%d}\r\n" % (len(LONG), len(LONG))
        assert channel.read_exactly(len(start)) == start
        assert channel.read_exactly(len(LONG)) == LONG
        start = b" BINARY[1]<1000> ~{1500000}\r\n"
        assert channel.read_exactly(len(start)) == start
        assert channel.read_exactly(1_500_000) == LONG[1_000:1_501_000]
        assert channel.read_line() == b")"
        assert channel.read_line() == b"a OK Fetch completed."
    finally:
        rig.close()


@given(
    octets=st.binary(max_size=300),
    encoding=st.sampled_from([b"7bit", b"base64", b"quoted-printable"]),
    partial=st.one_of(st.none(), st.tuples(st.integers(0, 400), st.integers(0, 400))),
    inline=st.sampled_from([0, 50, 1000]),
    before=st.binary(max_size=5),
)
def test_any_window(
    octets: bytes, encoding: bytes, partial: tuple[int, int] | None, inline: int, before: bytes
) -> None:
    if encoding == b"base64":
        encoded = base64.encodebytes(octets)
    elif encoding == b"quoted-printable":
        encoded = quopri.encodestring(octets, quotetabs=True)
    else:
        encoded = octets
    descriptor = os.memfd_create("message")
    os.write(descriptor, before + encoded + b"behind")
    with Content(descriptor, len(before) + len(encoded) + 6) as content:
        item = BinarySection((1,), True, False, partial, b"BINARY[1]")
        start, *rest = decoding._item(item, Span(len(before), len(encoded)), encoding, content, inline)
        assert isinstance(start, bytes)
        sent = start + b"".join(
            b"".join(piece.pieces(content)) if isinstance(piece, Decoded) else piece
            for piece in rest
            if isinstance(piece, bytes | Decoded)
        )
    wanted = octets if partial is None else octets[partial[0] : partial[0] + partial[1]]
    mark = b"~" if b"\0" in wanted else b""
    assert sent == b"BINARY[1] %b{%d}\r\n%b" % (mark, len(wanted), wanted)
