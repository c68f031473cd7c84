"""What SEARCH may look for."""

from __future__ import annotations

import time
from datetime import date

import pytest

from proxy.imap.grammar.search_syntax import (
    MAX_SEARCH_DEPTH,
    All,
    And,
    Body,
    Dated,
    Flag,
    Header,
    Not,
    NumberSet,
    Or,
    Recent,
    Search,
    SearchKey,
    Size,
    Text,
    UidSet,
    When,
)
from proxy.imap.grammar.sequences import SequenceSet
from proxy.imap.grammar.syntax import BadCharset, BadSyntax
from tests.proxy.imap.grammar.spoken import spoken

SEEN, UNSEEN, DRAFT = Flag("\\Seen", True), Flag("\\Seen", False), Flag("\\Draft", True)
DAY = date(2020, 2, 1)


def search(text: bytes) -> Search:
    arguments = spoken(b"SEARCH " + text).arguments
    assert isinstance(arguments, Search)
    return arguments


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (b"ALL", All()),
        (b"all ", All()),
        (b"ANSWERED", Flag("\\Answered", True)),
        (b"UNANSWERED", Flag("\\Answered", False)),
        (b"DELETED", Flag("\\Deleted", True)),
        (b"UNDELETED", Flag("\\Deleted", False)),
        (b"DRAFT", DRAFT),
        (b"UNDRAFT", Flag("\\Draft", False)),
        (b"FLAGGED", Flag("\\Flagged", True)),
        (b"UNFLAGGED", Flag("\\Flagged", False)),
        (b"SEEN", SEEN),
        (b"UNSEEN", UNSEEN),
        (b"KEYWORD $Junk", Flag("$Junk", True)),
        (b"UNKEYWORD $Junk", Flag("$Junk", False)),
        (b"RECENT", Recent(True)),
        (b"OLD", Recent(False)),
        (b"NEW", And((Recent(True), UNSEEN))),
        (b"BCC x", Header("bcc", "x")),
        (b"CC x", Header("cc", "x")),
        (b"FROM x", Header("from", "x")),
        (b'SUBJECT "a b"', Header("subject", "a b")),
        (b"TO {3+}\r\nx y", Header("to", "x y")),
        (b'HEADER X-Spam ""', Header("x-spam", "")),
        (b'TEXT "x"', Text("x")),
        (b"BODY NIL", Body("NIL")),
        (b"LARGER 10", Size(True, 10)),
        (b"SMALLER 5000000000", Size(False, 5_000_000_000)),
        (b"BEFORE 1-Feb-2020", Dated(When.BEFORE, DAY, False)),
        (b'ON "1-Feb-2020"', Dated(When.ON, DAY, False)),
        (b"SINCE 01-feb-2020", Dated(When.SINCE, DAY, False)),
        (b"SENTBEFORE 1-Feb-2020", Dated(When.BEFORE, DAY, True)),
        (b"SENTON 1-Feb-2020", Dated(When.ON, DAY, True)),
        (b"SENTSINCE 1-Feb-2020", Dated(When.SINCE, DAY, True)),
        (b"UID 1:*", UidSet(SequenceSet(((1, 0),)))),
        (b"1:5,*", NumberSet(SequenceSet(((1, 5), (0, 0))))),
        (b"*", NumberSet(SequenceSet(((0, 0),)))),
    ],
)
def test_single_keys(text: bytes, key: SearchKey) -> None:
    assert search(text) == Search(None, key)
    assert search(b"NOT " + text).key == Not(key)
    assert search(b"( " + text + b" )").key == key
    assert search(b"OR DRAFT " + text).key == Or((DRAFT, key))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (b"SEEN DRAFT", And((SEEN, DRAFT))),
        (b"(SEEN DRAFT)", And((SEEN, DRAFT))),
        (b"SEEN (DRAFT ALL) 1", And((SEEN, DRAFT, All(), NumberSet(SequenceSet(((1, 1),)))))),
        (b"NEW DRAFT", And((Recent(True), UNSEEN, DRAFT))),
        (b"OR SEEN DRAFT ALL", And((Or((SEEN, DRAFT)), All()))),
        (b"OR (SEEN DRAFT) ALL", Or((And((SEEN, DRAFT)), All()))),
        (b"OR SEEN OR DRAFT ALL", Or((SEEN, DRAFT, All()))),
        (b"OR OR SEEN DRAFT ALL", Or((SEEN, DRAFT, All()))),
        (b"OR NOT SEEN NOT (DRAFT ALL)", Or((Not(SEEN), Not(And((DRAFT, All())))))),
        (b"NOT NOT SEEN", SEEN),
        (b"NOT NOT NOT SEEN", Not(SEEN)),
        (b"NOT NOT (SEEN DRAFT) ALL", And((SEEN, DRAFT, All()))),
        (b"NOT OR SEEN DRAFT", Not(Or((SEEN, DRAFT)))),
        (b"((((SEEN))))", SEEN),
        (b"( (SEEN) (DRAFT) )", And((SEEN, DRAFT))),
        (b"NOT (NOT (SEEN))", SEEN),
    ],
)
def test_keys_together(text: bytes, key: SearchKey) -> None:
    assert search(text).key == key


@pytest.mark.parametrize(
    "text",
    [b"", b"NONSENSE", b"()", b"(SEEN", b"SEEN)", b"(SEEN))", b"NOT", b"OR", b"OR SEEN", b"NOT )", b"OR SEEN )",
     b"(OR SEEN)", b"(NOT) SEEN", b"NOT(SEEN)", b"(SEEN)(DRAFT)", b"SEEN,DRAFT", b"FROM", b"FROM (x)", b"HEADER x",
     b"KEYWORD", b"KEYWORD \\Seen", b'KEYWORD "x"', b"LARGER", b"LARGER x", b"LARGER -1", b"SMALLER " + b"9" * 5000,
     b"BEFORE", b"BEFORE yesterday", b"ON 30-Feb-2020", b"UID", b"UID x", b"UID 0", b"0", b"1:", b"1,,2", b"1 x",
     b"CHARSET", b"CHARSET UTF-8", b"CHARSET UTF-8 ", b"SEEN CHARSET UTF-8", b"{4+}\r\nSEEN", b'"SEEN"',
     b"SEEN {1+}\r\nx", b"RETURN (NONE) SEEN", b"RETURN (ALL)", b"RETURN (PARTIAL 0:1) ALL",
     b"RETURN (PARTIAL 1:-2) ALL", b"RETURN (PARTIAL 1:2 ALL) ALL", b"RETURN ALL SEEN", b"$x", b"UID $,1",
     b"MODSEQ x", b"MODSEQ 1 x", b'MODSEQ "/flags/x" 1', b'MODSEQ "/body" all 1', b"MODSEQ 9223372036854775808",
      b"SUBJECT \xe4", b"FROM {3+}\r\na\0b"],
)  # fmt: skip
def test_what_it_may_not_look_for(text: bytes) -> None:
    with pytest.raises(BadSyntax):
        search(text)


# --- Charsets ---


@pytest.mark.parametrize(
    ("declared", "codec", "text"),
    [
        ("UTF-8", "utf-8", "会议"),
        ("utf-8", "utf-8", "会议"),
        ("GB18030", "gb18030", "会议㐀"),
        ("GBK", "gbk", "会议"),
        ("gb2312", "gb2312", "会议"),
        ("Big5", "big5", "會議"),
        ("ISO-2022-JP", "iso2022_jp", "会議"),
        ("KOI8-R", "koi8_r", "встреча"),
        ("ISO-8859-1", "latin-1", "größe"),
        ("windows-1251", "cp1251", "встреча"),
        ("US-ASCII", "ascii", "meeting"),
    ],
)
def test_charsets(declared: str, codec: str, text: str) -> None:
    octets = text.encode(codec)
    found = search(b"CHARSET %b SUBJECT {%d+}\r\n%b" % (declared.encode(), len(octets), octets))
    assert found == Search(declared.upper(), Header("subject", text))


def test_undeclared_and_ascii_are_read_as_utf_8() -> None:
    octets = "会议".encode()
    assert search(b'SUBJECT "' + octets + b'"') == Search(None, Header("subject", "会议"))
    assert search(b'charset us-ascii SUBJECT "' + octets + b'"') == Search("US-ASCII", Header("subject", "会议"))
    assert search(b'CHARSET "UTF-8" SEEN') == Search("UTF-8", SEEN)


@pytest.mark.parametrize("text", [b'SUBJECT "\xb2\xe2"', b'CHARSET UTF-8 BODY "\xff"', b'CHARSET GB18030 TEXT "\xff"'])
def test_octets_that_the_charset_has_not(text: bytes) -> None:
    with pytest.raises(BadSyntax):
        search(text)


@pytest.mark.parametrize(
    "name", [b"X-NONSENSE", b'""', b"hex", b"idna", b"punycode", b"rot13", b'"utf-8\xff"', b"x" * 1000, b"../utf-8"]
)
def test_charsets_that_are_none(name: bytes) -> None:
    with pytest.raises(BadCharset) as raised:
        search(b"CHARSET " + name + b" SEEN")
    assert raised.value.code == "BADCHARSET (US-ASCII UTF-8 GB18030 GBK GB2312 BIG5 ISO-2022-JP KOI8-R)"


# --- Limits ---


def depth(key: SearchKey) -> int:
    if isinstance(key, And | Or):
        return 1 + max(map(depth, key.keys))
    return 1 + depth(key.key) if isinstance(key, Not) else 1


def test_the_depth_is_limited() -> None:
    def nested(levels: int) -> bytes:
        return b"OR ALL (ALL " * levels + b"SEEN" + b")" * levels

    deepest = (MAX_SEARCH_DEPTH - 1) // 2
    assert depth(search(nested(deepest)).key) == 2 * deepest + 1 <= MAX_SEARCH_DEPTH
    with pytest.raises(BadSyntax):
        search(nested(deepest + 1))


def test_chains_are_not_deep() -> None:
    chain = search(b"OR FROM x " * 900 + b"SEEN").key
    assert isinstance(chain, Or)
    assert len(chain.keys) == 901
    assert depth(chain) == 2
    assert depth(search(b"NOT " * 1_001 + b"SEEN").key) == 2
    assert search(b"(" * 900 + b"SEEN" + b")" * 900).key == SEEN
    assert depth(search(b"OR " * 900 + b"ALL SEEN" + b" SEEN" * 899).key) == 2


@pytest.mark.parametrize(
    "text",
    [b"(" * 60_000, b"( " * 30_000, b"NOT " * 15_000, b"OR " * 20_000, b"OR ALL " * 9_000, b"(NOT " * 12_000,
     b"SEEN " * 12_000, b"1 " * 30_000, b")" * 60_000, b"(SEEN" + b")" * 60_000, b"NOT (" * 12_000, b"1," * 30_000],
)  # fmt: skip
def test_bad_ones_are_refused_quickly(text: bytes) -> None:
    start = time.process_time()
    with pytest.raises(BadSyntax):
        search(text)
    assert time.process_time() - start < 1
