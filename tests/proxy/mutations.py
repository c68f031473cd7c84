"""What goes wrong with bytes on their way: the same for IMAP, POP3 and messages."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from hypothesis import strategies as st

NOISE: Final = (
    b"\0", b"\xff", b"\xe4\xbd", b"\x80", b'"', b"\\", b"(", b")", b"(" * 40, b"[", b"]",
    b"<0.1>", b"{", b"}", b"{3}", b"{5+}",
    b"{0}", b"{-1}", b"{99999999999999999999}", b"{4294967296+}", b"~{3}", b"\r", b"\n", b"\r\n", b"\n\r", b" ", b"  ",
    b"\t", b"%", b"*", b"+", b"&", b"&-", b"$", b":", b",", b"0", b"-1", b"4294967295", b"4294967296",
    b"18446744073709551616",
    b"9" * 40, b"NIL", b"UID", b"DONE", b".", b"A" * 70, b"=", b"==", b"\x1b$B", b"DELE 1", b"\r\n.\r\n",
)  # fmt: skip
_NUMBER: Final = re.compile(rb"\d+")

Mutation = Callable[[bytes, int, int, bytes], bytes]


def _dropped(data: bytes, at: int, to: int, _noise: bytes) -> bytes:
    return data[:at] + data[to:]


def _doubled(data: bytes, at: int, to: int, _noise: bytes) -> bytes:
    return data[:to] + data[at:]


def _swapped(data: bytes, at: int, to: int, _noise: bytes) -> bytes:
    return data[:at] + data[at:to][::-1] + data[to:]


def _inserted(data: bytes, at: int, _to: int, noise: bytes) -> bytes:
    return data[:at] + noise + data[at:]


def _replaced(data: bytes, at: int, to: int, noise: bytes) -> bytes:
    return data[:at] + noise + data[to:]


def _miscounted(data: bytes, at: int, to: int, noise: bytes) -> bytes:
    """Another number in the place of the next: literals' sizes, sets, positions."""
    number = _NUMBER.search(data, at)
    if number is None:
        return data
    value = noise if noise.isdigit() else b"%d" % (int(number[0]) + to - at - 3) if to - at != 3 else b"0"
    return data[: number.start()] + value.lstrip(b"-") + data[number.end() :]


def _cut(data: bytes, at: int, _to: int, _noise: bytes) -> bytes:
    return data[:at]


KINDS: Final[tuple[Mutation, ...]] = (_dropped, _doubled, _swapped, _inserted, _replaced, _miscounted, _cut)
_MUTATION: Final = st.tuples(
    st.sampled_from(KINDS), st.floats(0, 1, exclude_max=True), st.integers(1, 12), st.sampled_from(NOISE)
)


@st.composite
def mutated(draw: st.DrawFn, originals: st.SearchStrategy[bytes], *, most: int = 3) -> bytes:
    """One of `originals` with up to so many things wrong with it."""
    data = draw(originals)
    for kind, place, length, noise in draw(st.lists(_MUTATION, max_size=most)):
        at = int(place * (len(data) + 1))
        data = kind(data, at, min(at + length, len(data)), noise)
    return data
