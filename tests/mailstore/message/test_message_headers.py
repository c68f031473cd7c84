"""Fields, encoded words, charsets, addresses and the envelope."""

from __future__ import annotations

import time

import pytest

from mailstore.message.addresses import MISSING_DOMAIN, MISSING_MAILBOX, Address, addresses
from mailstore.message.charsets import codec
from mailstore.message.envelope import envelope
from mailstore.message.headers import comment, decode_words, fields, first, unfold, without_comments

HEADER = b"From x Mon\r\nA: one\r\n two\r\nno colon\r\nB : 3\nbad name: 4\r\n: 5\r\na:\r\n\tsix\r\nC: 7: 8\r\n\r\n"


def test_fields() -> None:
    assert fields(HEADER) == [
        (b"A", b" one\r\n two"),
        (b"B", b" 3"),
        (b"a", b"\r\n\tsix"),
        (b"C", b" 7: 8"),
    ]
    assert fields(b"") == []
    assert fields(b"A: b") == [(b"A", b" b")]


def test_first() -> None:
    assert first(HEADER, b"a") == b" one\r\n two"
    assert first(HEADER, b"B") == b" 3"
    assert first(HEADER, b"c") == b" 7: 8"
    assert first(HEADER, b"name") is None
    assert first(HEADER, b"missing") is None
    assert first(b"A: b", b"a") == b" b"
    assert first(b"x-a: b\r\na: c", b"a") == b" c"


def test_unfold() -> None:
    assert unfold(b" one\r\n two\n\tthree ") == b"one two\tthree"
    assert unfold(b"a\rb\nc\0d") == b"a b c?d"


def test_comments() -> None:
    assert comment(b"x (a (b) \\) c) y", 2) == (b"a (b) ) c", 14)
    assert comment(b"(never (closed", 0) == (b"never (closed", 14)
    assert comment(b"(" * 100_000, 0)[1] == 100_000
    assert without_comments(b"a (b (c)) d(e)f") == b"a   d f"


WORDS = [
    (b"plain", "plain"),
    (b" folded\r\n value ", "folded value"),
    (b"=?utf-8?Q?a_b=21?=", "a b!"),
    (b"=?UTF-8?b?5L2g5aW9?=", "你好"),
    (b"=?gb2312?B?1tDOxA==?= and =?iso-8859-1*en?q?caf=e9?= too", "中文 and café too"),
    (b"=?us-ascii?q?a?=  \t=?us-ascii?q?b?=", "ab"),
    (b"=?utf-8?q?a?=\r\n =?utf-8?b?Yg==?=", "ab"),
    (b"=?utf-8?B?5L0=?= =?utf-8?B?oOWlvQ==?=", "你好"),  # a character cut in two
    (b"=?gbk?Q?=D6?= =?GBK?Q?=D0?=", "中"),
    (b"=?utf-8?q?a?==?utf-8?q?b?=", "ab"),
    (b'"=?utf-8?Q?M=C3=BCller?=" <a@b>', '"Müller" <a@b>'),
    (b"=?iso-2022-jp?B?GyRCRnxLXDhsGyhC?=", "日本語"),
    (b"=?big5?B?pKSk5Q==?=", "中文"),
    (b"=?koi8-r?B?8NLJ18XU?=", "Привет"),
    (b"=?ks_c_5601-1987?B?x9GxuQ==?=", "한국"),
    (b"=?unknown-8bit?q?=e4=bd=a0?=", "你"),
    (b"=?no-such-charset?q?=c4=e3?=", "你"),
    (b"=?utf-8?q?=ff?=", "\ufffd"),
    (b"=?utf-8?q?what?_yes?=", "what? yes"),
    (b"=?utf-8?b?5L2g5aW9", "=?utf-8?b?5L2g5aW9"),
    (b"=?utf-8?x?a?=", "=?utf-8?x?a?="),
    (b"=?utf-8?q??=", ""),
    (b"=?utf-8?b?YQ?=", "a"),  # padding is missing
    (b"=?utf-8?b?Y?=", ""),
    (b"=?utf-8?b?YQ==Yg==?=", "ab"),
    (b"=?utf-8?q?a=4?= b", "a=4 b"),
    ("你好".encode(), "你好"),
    ("你好".encode("gb18030"), "你好"),
    (b"caf\xe9", "café"),
    (b"", ""),
]


@pytest.mark.parametrize(("value", "text"), WORDS)
def test_decode_words(value: bytes, text: str) -> None:
    assert decode_words(value) == text


def test_the_fallback_is_the_callers() -> None:
    assert decode_words(b"\xc4\xe3", fallback=("cp1252",)) == "Äã"


CODECS = {
    b"gb2312": "gb18030",
    b"GBK": "gb18030",
    b"cp936": "gb18030",
    b"ks_c_5601-1987": "cp949",
    b"euc-kr": "cp949",
    b"x-sjis": "cp932",
    b"Shift_JIS": "cp932",
    b"unicode-1-1-utf-7": "utf_7",
    b"iso-8859-8-i": "iso8859_8",
    b"windows-874": "cp874",
    b"tis-620": "cp874",
    b"windows-1251": "cp1251",
    b"iso-8859-1": "cp1252",
    b"iso-8859-15": "iso8859_15",
    b"big5": "big5hkscs",
    b"iso-2022-jp": "iso2022_jp_ext",
    b"hz-gb-2312": "hz",
    b"koi8-r": "koi8_r",
    b"koi8-u": "koi8_u",
    b'"UTF-8"': "utf_8",
    b"us-ascii": None,
    b"": None,
    b"\xff\0": None,
    b"rot13": None,
    b"idna": None,
    b"punycode": None,
    b"hex": None,
    b"zip": None,
    b"unicode_escape": None,
    b"undefined": None,
    b"x" * 1000: None,
}


@pytest.mark.parametrize("label", CODECS)
def test_codec(label: bytes) -> None:
    assert codec(label) == CODECS[label]


def plain(mailbox: bytes, host: bytes, name: bytes | None = None) -> Address:
    return Address(name, None, mailbox, host)


def group(name: bytes) -> Address:
    return Address(None, None, name, None)


END = Address(None, None, None, None)

LISTS = [
    (b"", ()),
    (b" , ,; ", ()),
    (b"(only a comment)", ()),
    (b"a@b", (plain(b"a", b"b"),)),
    (b"a@b, <c@d>,e@f", (plain(b"a", b"b"), plain(b"c", b"d"), plain(b"e", b"f"))),
    (b"a@b; c@d;", (plain(b"a", b"b"), plain(b"c", b"d"))),
    (b"Jo Q. Public <j@p.org>", (plain(b"j", b"p.org", b"Jo Q. Public"),)),
    (b'"Public, Jo \\"Q\\"" <j@p.org>', (plain(b"j", b"p.org", b'Public, Jo "Q"'),)),
    (b"j@p.org (Jo (Q.) Public)", (plain(b"j", b"p.org", b"Jo (Q.) Public"),)),
    (b"<j@p.org> (Jo)", (plain(b"j", b"p.org", b"Jo"),)),
    (b"Jo <j@p.org> (comment)", (plain(b"j", b"p.org", b"Jo"),)),
    (b"a@b <a@b>", (plain(b"a", b"b", b"a@b"),)),
    (b'"q q"@h', (plain(b"q q", b"h"),)),
    (b"a . b@c . d", (plain(b"a.b", b"c.d"),)),
    (b"x@[1.2.3.4]", (plain(b"x", b"[1.2.3.4]"),)),
    (b"[List] Jo <j@p>", (plain(b"j", b"p", b"[List] Jo"),)),
    (b"[List Jo <j@p>", (plain(b"j", b"p", b"[List Jo"),)),
    (b"=?gb2312?B?1tDOxA==?= <a@b>", (plain(b"a", b"b", b"=?gb2312?B?1tDOxA==?="),)),
    (b"=?utf-8?Q?Public,_Jo?= <a@b>", (plain(b"a", b"b", b"=?utf-8?Q?Public,_Jo?="),)),
    (b"\xd6\xd0 <a@b>", (plain(b"a", b"b", b"\xd6\xd0"),)),
    (b"<@r1,@r2:a@b>, c@d", (Address(None, b"@r1,@r2", b"a", b"b"), plain(b"c", b"d"))),
    (b"<a@b, c@d", (plain(b"a", b"b"), plain(b"c", b"d"))),
    (b"root", (plain(b"root", MISSING_DOMAIN),)),
    (b"Jo <root>", (plain(b"root", MISSING_DOMAIN, b"Jo"),)),
    (b"<>", (plain(MISSING_MAILBOX, MISSING_DOMAIN),)),
    (b"a@", (plain(b"a", MISSING_DOMAIN),)),
    (b"@b", (plain(MISSING_MAILBOX, b"b"),)),
    (b"Jo Public", (plain(MISSING_MAILBOX, MISSING_DOMAIN, b"Jo Public"),)),
    (b"Jo Public j@p", (plain(b"j", b"p", b"Jo Public"),)),
    (b"a@b@c", (plain(b"a@b", b"c"),)),
    (b'"never <closed@x>', (plain(b"never <closed@x>", MISSING_DOMAIN),)),
    (b"undisclosed-recipients:;", (group(b"undisclosed-recipients"), END)),
    (
        b"A Group: Jo <j@p>, c@d; , x@y",
        (group(b"A Group"), plain(b"j", b"p", b"Jo"), plain(b"c", b"d"), END, plain(b"x", b"y")),
    ),
    (b"g: a@b", (group(b"g"), plain(b"a", b"b"), END)),
    (b":;", (group(b""), END)),
    (b"a@b,\r\n c@d", (plain(b"a", b"b"), plain(b"c", b"d"))),
]


@pytest.mark.parametrize(("value", "expected"), LISTS)
def test_addresses(value: bytes, expected: tuple[Address, ...]) -> None:
    assert addresses(value) == expected


def test_ten_thousand_recipients() -> None:
    found = addresses(b", ".join(b'"N %d" <user%d@example.com>' % (at, at) for at in range(10_000)))
    assert len(found) == 10_000
    assert found[9_999] == plain(b"user9999", b"example.com", b"N 9999")


HOSTILE = [b'"\\', b"(", b"<@a,", b"[", b"a[", b'.""', b"=?a?q?", b"<", b"@", b" ", b"a ", b":", b"\\", b"a.", b"()"]


@pytest.mark.parametrize("pattern", HOSTILE)
def test_time_is_linear(pattern: bytes) -> None:
    def took(value: bytes) -> float:
        best = 1.0e9
        for _ in range(3):
            began = time.process_time()
            addresses(value)
            decode_words(value)
            best = min(best, time.process_time() - began)
        return best

    assert took(pattern * 16_000) < 40 * took(pattern * 2_000) + 0.01  # 64 times, were it square


def test_envelope() -> None:
    found = envelope(
        b"Date:  Mon, 2 Jun 2008\r\n 10:00:00 +0800 \r\nSUBJECT: =?gb2312?B?1tDOxA==?=\r\nFrom: Jo <j@p>\r\n"
        b"Reply-To: r@p\r\nTo: a@b\r\nTo: c@d\r\nCc: g:;\r\nIn-Reply-To: <x>\r\n\t<y>\r\nMessage-ID: <m@p> \r\n\r\n"
    )
    assert found.date == b"Mon, 2 Jun 2008 10:00:00 +0800"
    assert found.subject == b"=?gb2312?B?1tDOxA==?="
    assert found.from_ == found.sender == (plain(b"j", b"p", b"Jo"),)
    assert found.reply_to == (plain(b"r", b"p"),)
    assert found.to == (plain(b"a", b"b"), plain(b"c", b"d"))
    assert found.cc == (group(b"g"), END)
    assert found.bcc == ()
    assert found.in_reply_to == b"<x>\t<y>"
    assert found.message_id == b"<m@p>"


def test_envelope_of_an_empty_header() -> None:
    found = envelope(b"Subject:\r\nFrom: (nobody)\r\nSender: \r\n\r\n")
    assert (found.subject, found.date, found.message_id, found.in_reply_to) == (b"", None, None, None)
    assert (found.from_, found.sender, found.reply_to, found.to) == ((), (), (), ())
