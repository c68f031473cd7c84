"""Whatever is sent, parsing ends in a command, BadSyntax or BadCharset, and in no time."""

from __future__ import annotations

import io
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.imap.grammar.parse import ARGUMENTS, parse
from proxy.imap.grammar.syntax import BadCharset, BadSyntax, Command
from proxy.wire.commands import CommandReader, Fragment, Literal, Ready
from proxy.wire.door import Limits

WORDS = st.sampled_from(
    [b" ", b"  ", b"(", b")", b"[", b"]", b"<0.5>", b"<", b"{5}", b'"', b'"a"', b'"\\"', b"\\", b"*", b"1", b"1:*",
     b"0", b",", b"1,2:3", b"FLAGS", b"+FLAGS.SILENT", b"\\Seen", b"\\Recent", b"$x", b"BODY", b"BODY.PEEK[",
     b"HEADER.FIELDS (", b"1.2.TEXT", b"RFC822.SIZE", b"ALL", b"NOT", b"OR", b"SEEN", b"FROM x",
     b"SINCE 1-Feb-2020", b"CHARSET", b"UTF-8", b"gb18030", b"utf-16", b"utf-7", b"iso-2022-jp", b"iso-2022-kr",
     b"hz", b"TEXT ", b"LARGER", b"UID", b"INBOX", b"&ZTZO9nux-", b"&AEE-", b"NIL", b'" 1-Feb-2020 12:00:00 +0800"',
     b"(MESSAGES)", b"\0", b"\xff", b"\xe6\x94\xb6", b"9" * 30, b"\x1b$B", b"+AGE-", b"~{",
     b"$", b"RETURN (", b"SAVE", b"PARTIAL ", b"-1:-2", b"1:2", b"MODSEQ ", b"(CHANGEDSINCE 5", b"VANISHED",
     b"SET ", b"STATUS ", b"(SELECTED ", b"(SUBTREE ", b"(MessageNew ", b"MessageExpunge)", b"NONE",
     b"(UNCHANGEDSINCE 5) ", b"(CONDSTORE)", b"(QRESYNC (7 ", b"(1:3 1:3)", b'"/flags/x" all ']
)  # fmt: skip
TEXT = st.lists(WORDS | st.binary(max_size=4), max_size=12).map(b"".join)
LITERAL = st.builds(
    lambda data, binary, file: Literal(len(data), io.BytesIO(data) if file else data, binary),
    st.binary(max_size=8) | WORDS,
    st.booleans(),
    st.booleans(),
)
COMMAND = st.sampled_from(sorted(ARGUMENTS)).map(str.encode)


def alternating(first: bytes, rest: list[tuple[Literal, bytes]]) -> tuple[Fragment, ...]:
    return (first, *(fragment for pair in rest for fragment in pair))


def attempt(fragments: tuple[Fragment, ...], *, utf8: bool) -> None:
    try:
        command = parse(Ready(b"a", fragments), utf8=utf8)
    except BadSyntax as error:
        assert error.text.isascii()
    except BadCharset as error:
        assert error.code.isascii()
    else:
        assert isinstance(command, Command)
        hash(command)
        repr(command)


@settings(max_examples=600)
@given(COMMAND, TEXT, st.lists(st.tuples(LITERAL, TEXT), max_size=3), st.booleans())
def test_commands_with_any_arguments(name: bytes, text: bytes, rest: list[tuple[Literal, bytes]], utf8: bool) -> None:
    attempt(alternating(name + b" " + text, rest), utf8=utf8)


@given(st.lists(LITERAL | TEXT, max_size=5).map(tuple), st.booleans())
def test_fragments_in_no_order(fragments: tuple[Fragment, ...], utf8: bool) -> None:
    attempt(fragments, utf8=utf8)


@given(COMMAND, st.binary(max_size=40), st.booleans())
def test_any_bytes_behind_a_name(name: bytes, data: bytes, utf8: bool) -> None:
    attempt((name + b" " + data,), utf8=utf8)


@given(st.sampled_from([b"SEARCH ", b"SEARCH CHARSET UTF-8 "]), st.lists(st.sampled_from(
    [b"(", b")", b"NOT ", b"OR ", b"SEEN ", b"ALL", b" ", b"1 ", b"NEW "]), max_size=30).map(b"".join))  # fmt: skip
def test_any_shape_of_search(begin: bytes, text: bytes) -> None:
    attempt((begin + text,), utf8=False)


def test_the_longest_lines_of_every_command() -> None:
    """A line of 64 KB that goes on in the least pleasant way, for every command."""
    start = time.process_time()
    for name in ARGUMENTS:
        for begin in (b"", b"1 ", b"x ", b"1 BODY[HEADER.FIELDS (", b"1 FLAGS "):
            for unit in (b"(", b'"\\', b"\\\\", b"1,", b"a ", b"1:", b"&-", b"[", b'"" '):
                line = name.encode() + b" " + begin + unit * (64_000 // len(unit))
                attempt((line,), utf8=False)
    assert time.process_time() - start < 20


def test_forty_thousand_commands_a_second() -> None:
    """Reader and parser together; the figure on a quiet machine is three times that, the test asks for a quarter."""
    reader = CommandReader(Limits(), io.BytesIO)
    count, best = 2_000, 0.0
    for _ in range(3):
        start = time.process_time()
        for _ in range(count):
            reader.feed(b"A001 UID FETCH 1:* (FLAGS UID)\r\n")
            event = reader.next()
            assert isinstance(event, Ready)
            parse(event)
        best = max(best, count / (time.process_time() - start))
    assert best > 10_000
