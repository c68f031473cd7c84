"""What FETCH may ask for."""

from __future__ import annotations

import time

import pytest

from proxy.imap.grammar.syntax import BadSyntax, BodySection, Fetch, FetchAttribute, FetchItem
from tests.proxy.imap.grammar.spoken import spoken

A = FetchAttribute
FAST = (A.FLAGS, A.INTERNALDATE, A.RFC822_SIZE)


def items(text: bytes) -> tuple[FetchItem, ...]:
    arguments = spoken(b"FETCH 1 " + text).arguments
    assert isinstance(arguments, Fetch)
    return arguments.items


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"FLAGS", (A.FLAGS,)),
        (b"flags", (A.FLAGS,)),
        (b"(FLAGS)", (A.FLAGS,)),
        (b"( uid  flags )", (A.UID, A.FLAGS)),
        (b"(FLAGS UID FLAGS)", (A.FLAGS, A.UID)),
        (b"ALL", (*FAST, A.ENVELOPE)),
        (b"fast", FAST),
        (b"FULL", (*FAST, A.ENVELOPE, A.BODY)),
        (b"(BODY BODYSTRUCTURE ENVELOPE)", (A.BODY, A.BODYSTRUCTURE, A.ENVELOPE)),
        (
            b"(RFC822 RFC822.HEADER RFC822.SIZE RFC822.TEXT INTERNALDATE)",
            (A.RFC822, A.RFC822_HEADER, A.RFC822_SIZE, A.RFC822_TEXT, A.INTERNALDATE),
        ),
    ],
)
def test_items(text: bytes, expected: tuple[FetchItem, ...]) -> None:
    assert items(text) == expected


@pytest.mark.parametrize(
    ("text", "path", "what", "fields", "peek", "part", "echo"),
    [
        (b"BODY[]", (), "", (), False, None, b"BODY[]"),
        (b"BODY.PEEK[]", (), "", (), True, None, b"BODY[]"),
        (b"body.peek[]<0.100>", (), "", (), True, (0, 100), b"BODY[]<0>"),
        (b"BODY[]<5000000000.0>", (), "", (), False, (5_000_000_000, 0), b"BODY[]<5000000000>"),
        (b"BODY[HEADER]", (), "HEADER", (), False, None, b"BODY[HEADER]"),
        (b"body[text]<1.2>", (), "TEXT", (), False, (1, 2), b"BODY[TEXT]<1>"),
        (b"BODY[1]", (1,), "", (), False, None, b"BODY[1]"),
        (b"BODY[1.2.3]", (1, 2, 3), "", (), False, None, b"BODY[1.2.3]"),
        (b"BODY[1.MIME]", (1,), "MIME", (), False, None, b"BODY[1.MIME]"),
        (b"BODY[2.1.HEADER]", (2, 1), "HEADER", (), False, None, b"BODY[2.1.HEADER]"),
        (b"BODY[4.text]", (4,), "TEXT", (), False, None, b"BODY[4.TEXT]"),
        (
            b'body[header.fields ("Subject" from)]<0.9>',
            (), "HEADER.FIELDS", (b"Subject", b"from"), False, (0, 9), b"BODY[HEADER.FIELDS (Subject from)]<0>",
        ),
        (
            b"BODY.PEEK[1.2.HEADER.FIELDS.NOT ({4+}\r\nDate X]-Y  )]",
            (1, 2), "HEADER.FIELDS.NOT", (b"Date", b"X]-Y"), True, None,
            b'BODY[1.2.HEADER.FIELDS.NOT (Date "X]-Y")]',
        ),
        (
            b'BODY[HEADER.FIELDS ("a b" "c\\"\\\\d" "")]',
            (), "HEADER.FIELDS", (b"a b", b'c"\\d', b""), False, None,
            b'BODY[HEADER.FIELDS ("a b" "c\\"\\\\d" "")]',
        ),
    ],
)  # fmt: skip
def test_sections(
    text: bytes, path: tuple[int, ...], what: str, fields: tuple[bytes, ...], peek: bool,
    part: tuple[int, int] | None, echo: bytes,
) -> None:  # fmt: skip
    section = BodySection(path, what, fields, peek, part, echo)
    assert items(text) == (section,)
    assert items(b"(UID " + text + b" FLAGS)") == (A.UID, section, A.FLAGS)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"()",
        b"NONSENSE",
        b"FLAGS ()",
        b"FLAGS (CHANGEDSINCE)",
        b"FLAGS (CHANGEDSINCE 9223372036854775808)",
        b"FLAGS (CHANGEDSINCE 1 CHANGEDSINCE 2)",
        b"FLAGS (VANISHED)",
        b"FLAGS (PARTIAL 0:1)",
        b"FLAGS (PARTIAL 1:-1)",
        b"FLAGS (NONSENSE 1)",
        b"(FLAGS",
        b"FLAGS)",
        b"FLAGS UID",
        b"(FLAGS)(UID)",
        b"((FLAGS))",
        b"(FLAGS,UID)",
        b"(ALL)",
        b"(FLAGS FAST)",
        b'"FLAGS"',
        b"{5+}\r\nFLAGS",
        b"BODY.PEEK",
        b"BODY[",
        b"BODY[]]",
        b"BODY []",
        b"BODY[ ]",
        b"BODY[0]",
        b"BODY[1.0]",
        b"BODY[4294967296]",
        b"BODY[" + b"9" * 5000 + b"]",
        b"BODY[.1]",
        b"BODY[1.]",
        b"BODY[1..2]",
        b"BODY[HEADER.1]",
        b"BODY[1HEADER]",
        b"BODY[MIME]",
        b"BODY[NONSENSE]",
        b"BODY[HEADER TEXT]",
        b"BODY[HEADER.FIELDS]",
        b"BODY[HEADER.FIELDS ()]",
        b"BODY[HEADER.FIELDS Date]",
        b"BODY[HEADER.FIELDS(Date)]",
        b"BODY[HEADER.FIELDS (Date]",
        b"BODY[HEADER.FIELDS (Date) ]",
        b'BODY[HEADER.FIELDS ("Date)]',
        b'BODY[HEADER.FIELDS ("D\xe4te")]',
        b"BODY[HEADER.FIELDS ({6+}\r\nDa\r\nte)]",
        b"BODY[HEADER (Date)]",
        b"BODY[]<0>",
        b"BODY[]<0.>",
        b"BODY[]<.1>",
        b"BODY[]<0.1",
        b"BODY[]<-1.1>",
        b"BODY[]<0.1.2>",
        b"BODY[]<" + b"9" * 5000 + b".1>",
        b"BODY[]x",
        b"FLAGS[]",
        b"RFC822[]",
        b"BODYSTRUCTURE[1]",
        b"BINARY[HEADER]",
        b"BINARY.SIZE[1]<0.1>",
        b"BODY[" + b"1." * 100 + b"1]",
        b"(" + b" ".join(b"BODY[%d]" % number for number in range(1, 502)) + b")",
        b"BODY[HEADER.FIELDS (" + b"x " * 1001 + b")]",
    ],
)
def test_what_it_may_not_ask_for(text: bytes) -> None:
    with pytest.raises(BadSyntax):
        items(text)


def test_a_deep_section_is_taken() -> None:
    assert items(b"BODY[" + b"1." * 99 + b"1]")


def test_long_nonsense_takes_no_long_time() -> None:
    start = time.process_time()
    for text in (
        b"(" * 60_000,
        b"BODY[" + b"1." * 30_000 + b"x]",
        b"BODY[" + b"1" * 60_000 + b"A-]",
        b"(" + b"UID " * 400,
    ):
        with pytest.raises(BadSyntax):
            items(text)
    assert time.process_time() - start < 2
