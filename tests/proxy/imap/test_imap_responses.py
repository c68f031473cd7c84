"""Whatever mail holds, a response is well-formed."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from proxy.imap import responses

TOKEN = re.compile(rb'"(?:[^"\\\r\n\0\x80-\xff]|\\["\\])*"')


def read_back(data: bytes) -> bytes:
    """What a client makes of a string."""
    if data.startswith(b"{"):
        size, _, rest = data[1:].partition(b"}\r\n")
        assert len(rest) == int(size)
        return rest
    assert TOKEN.fullmatch(data), data
    return re.sub(rb"\\(.)", rb"\1", data[1:-1])


@given(st.binary(max_size=60))
def test_strings_come_back_as_they_went(value: bytes) -> None:
    assert read_back(responses.string(value)) == value.replace(b"\0", b"")


def test_strings() -> None:
    assert responses.string(b"plain") == b'"plain"'
    assert responses.string(b'a "quoted" \\') == b'"a \\"quoted\\" \\\\"'
    assert responses.string("é".encode()) == b"{2}\r\n\xc3\xa9"
    assert responses.string(b"a\0b\xff") == b"{3}\r\nab\xff"
    assert responses.nstring(None) == b"NIL"
    assert responses.astring(b"INBOX") == b"INBOX"
    assert responses.astring(b"nil") == b'"nil"'
    assert responses.astring(b"two words") == b'"two words"'
    assert responses.astring(b"") == b'""'


def test_flags_in_a_fixed_order() -> None:
    flags = frozenset({"$B", "\\Seen", "a", "\\Answered"})
    assert responses.flag_list(flags) == b"(\\Answered \\Seen $B a)"
    assert responses.flag_list(flags, recent=True) == b"(\\Answered \\Seen \\Recent $B a)"


@given(st.lists(st.integers(1, 60), unique=True))
def test_numbers_keep_their_order(values: list[int]) -> None:
    read = []
    for part in responses.numbers(values).split(b","):
        if part:
            first, _, last = part.partition(b":")
            read.extend(range(int(first), int(last or first) + 1))
    assert read == values
