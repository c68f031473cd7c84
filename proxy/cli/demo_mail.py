"""Sample mail for the demo: what an old mailbox of a Chinese company really holds, the same at every run.

Some of it keeps to the standards, some does not; a server that carries mail over must keep all of it to the byte.
Messages are written by hand, not by a mail library, which would mend what is to stay broken.
"""

from __future__ import annotations

import base64
import hashlib
import quopri
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Final

PEOPLE: Final = (
    ("王小明", "wang.xiaoming@123.com"),
    ("李娜", "li.na@example.cn"),
    ("陳美玲", "meiling.chen@example.tw"),
    ("Anna Schmidt", "anna.schmidt@example.de"),
    ("François Lefèvre", "francois@example.fr"),
    ("John Miller", "jmiller@example.com"),
)
SUBJECTS: Final = ("第三季度報告", "会议纪要", "關於辦公室搬遷的通知", "发票与付款", "项目进度更新", "春节放假安排")
LINES: Final = (
    "各位同事好，请查收附件中的最新版本，如有问题请在周五之前回复。",
    "上次会议讨论的三项事宜已经全部落实，具体安排见下文。",
    "請注意新的郵件地址將於下個月一日起生效，舊地址保留三個月。",
    "Please find the figures below; the totals are in the last column.",
    "Mit freundlichen Grüßen aus München — bis nächste Woche.",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One message of the old mailbox, as it goes over the wire before dot-stuffing."""

    uidl: str
    kind: str
    raw: bytes


class _Letter:
    """What every kind of message is made from: a number, its own source of chance, and the usual header."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.random = random.Random(number)  # noqa: S311 - samples, not secrets
        self.when = datetime(2011, 3, 1, 8, 30, tzinfo=UTC) + timedelta(hours=7 * number)

    def header(self, subject: bytes, *more: bytes, received: bytes | None = None) -> bytes:
        name, address = self.random.choice(PEOPLE)
        date = format_datetime(self.when + timedelta(seconds=41))
        if received is None:
            received = b"from mx.example.cn by pop.old.123.com with ESMTP id %d; " % self.number + date.encode()
        lines = [
            b"Received: " + received,
            b"Date: " + format_datetime(self.when).encode(),
            b"From: " + encoded(name, "utf-8") + b" <" + address.encode() + b">",
            b"To: " + encoded("示例", "utf-8") + b" <demo@123.com>",
            b"Subject: " + subject,
            b"Message-ID: <%d.%08x@example.cn>" % (self.number, self.random.getrandbits(32)),
            *more,
        ]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def subject(self) -> str:
        return f"{self.random.choice(SUBJECTS)}（{self.number}）"

    def text(self, lines: int = 0) -> str:
        chosen = [self.random.choice(LINES) for _ in range(lines or self.random.randint(3, 30))]
        return "\r\n".join(chosen) + "\r\n"


def encoded(text: str, charset: str) -> bytes:
    """An encoded word (RFC 2047), or the text itself where it needs none."""
    if text.isascii():
        return text.encode()
    return b"=?" + charset.encode() + b"?B?" + base64.b64encode(text.encode(charset)) + b"?="


def _base64(data: bytes) -> bytes:
    return base64.encodebytes(data).replace(b"\n", b"\r\n")


def _quoted(data: bytes) -> bytes:
    return quopri.encodestring(data.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")


def _part(content_type: bytes, body: bytes, *more: bytes) -> bytes:
    return b"\r\n".join([b"Content-Type: " + content_type, *more]) + b"\r\n\r\n" + body


def _multipart(kind: bytes, boundary: bytes, *parts: bytes) -> tuple[bytes, bytes]:
    """The Content-Type line and the body."""
    body = b"This is a multi-part message in MIME format.\r\n"
    for part in parts:
        body += b"--" + boundary + b"\r\n" + part + b"\r\n"
    line = b"Content-Type: multipart/" + kind + b'; boundary="' + boundary + b'"'
    return line, body + b"--" + boundary + b"--\r\n"


_MIME = b"MIME-Version: 1.0"
_BASE64 = b"Content-Transfer-Encoding: base64"
_QP = b"Content-Transfer-Encoding: quoted-printable"
_8BIT = b"Content-Transfer-Encoding: 8bit"


def _plain(m: _Letter) -> bytes:
    return (
        m.header(b"Weekly figures %d" % m.number)
        + b"Hello,\r\n\r\nthe totals are the same as last week.\r\n-- \r\nJ.\r\n"
    )


def _utf8_base64(m: _Letter) -> bytes:
    kind = b"Content-Type: text/plain; charset=utf-8"
    return m.header(encoded(m.subject(), "utf-8"), _MIME, kind, _BASE64) + _base64(m.text().encode())


def _utf8_8bit(m: _Letter) -> bytes:
    kind = b"Content-Type: text/plain; charset=utf-8"
    return m.header(encoded(m.subject(), "utf-8"), _MIME, kind, _8BIT) + m.text().encode()


def _gb18030_base64(m: _Letter) -> bytes:
    kind = b'Content-Type: text/plain; charset="gb18030"'
    return m.header(encoded(m.subject(), "gb18030"), _MIME, kind, _BASE64) + _base64(m.text().encode("gb18030"))


def _gb18030_8bit(m: _Letter) -> bytes:
    kind = b"Content-Type: text/plain; charset=GB18030"
    return m.header(encoded(m.subject(), "gb18030"), _MIME, kind, _8BIT) + m.text().encode("gb18030")


def _quoted_printable(m: _Letter) -> bytes:
    kind = b"Content-Type: text/plain; charset=iso-8859-1"
    text = "Café, crème brûlée und Apfelstrudel für alle – à bientôt!\r\n".replace("–", "-") * 6
    return m.header(b"=?iso-8859-1?Q?Men=FC_f=FCr_alle?=", _MIME, kind, _QP) + _quoted(text.encode("iso-8859-1"))


def _html(m: _Letter) -> bytes:
    text = m.text(5)
    page = "<html><body>" + "".join(f"<p>{line}</p>\r\n" for line in text.split("\r\n") if line) + "</body></html>\r\n"
    line, body = _multipart(
        b"alternative",
        b"----=_Next_%d" % m.number,
        _part(b"text/plain; charset=utf-8", _base64(text.encode()), _BASE64),
        _part(b"text/html; charset=utf-8", _quoted(page.encode()), _QP),
    )
    return m.header(encoded(m.subject(), "utf-8"), _MIME, line) + body


def _attachment(m: _Letter) -> bytes:
    data = b"%PDF-1.4\n" + m.random.randbytes(m.random.choice((900, 6_000, 40_000, 200_000)))
    name = b"filename*=utf-8''%E6%8A%A5%E5%91%8A" + b"%d.pdf" % m.number
    line, body = _multipart(
        b"mixed",
        b"=_mixed%d" % m.number,
        _part(b"text/plain; charset=gb2312", "附件是报告，请查收。\r\n".encode("gb2312"), _8BIT),
        _part(b"application/pdf", _base64(data), _BASE64, b"Content-Disposition: attachment;\r\n " + name),
    )
    return m.header(encoded(m.subject(), "gb18030"), _MIME, line) + body


def _inline_image(m: _Letter) -> bytes:
    picture = b"\x89PNG\r\n\x1a\n" + m.random.randbytes(1_500)
    line, body = _multipart(
        b"related",
        b"=_related%d" % m.number,
        _part(b"text/html; charset=us-ascii", b'<p>Our logo: <img src="cid:logo"></p>\r\n'),
        _part(b"image/png; name=logo.png", _base64(picture), _BASE64, b"Content-ID: <logo>"),
    )
    return m.header(b"New logo", _MIME, line) + body


def _nested(m: _Letter) -> bytes:
    inner = _utf8_8bit(_Letter(m.number + 10_000))
    line, body = _multipart(
        b"mixed",
        b"=_fwd%d" % m.number,
        _part(b"text/plain", b"See below.\r\n"),
        _part(b"message/rfc822", inner, b"Content-Disposition: inline"),
    )
    return m.header(b"Fwd: " + encoded("转发", "utf-8"), _MIME, line) + body


def _long_lines(m: _Letter) -> bytes:
    return m.header(b"One long line") + b"x" * (998 + m.random.randint(1, 9_000)) + b" end\r\n" + b"y" * 1_200 + b"\r\n"


def _dots(m: _Letter) -> bytes:
    body = (
        b".a leading dot\r\n..two of them\r\n.\r\n..\r\n...\r\nthe line above had three, one before only one\r\n.\r\n"
    )
    return m.header(b"Dots") + body


def _bare_lf(m: _Letter) -> bytes:
    return m.header(b"Bare line feeds") + b"one\ntwo\n.three\nfour\r\nfive\rwith a bare CR\r\n"


def _broken_header(m: _Letter) -> bytes:
    broken = m.header(b"Broken header", b"this line has no colon", b" : nor a name", b"X-Empty:", b"X-Folded: a\r\n\tb")
    return broken + b"The header above is broken.\r\n"


def _raw_header(m: _Letter) -> bytes:
    return m.header(m.subject().encode("gb18030")) + m.text(3).encode("gb18030")


def _nul(m: _Letter) -> bytes:
    return m.header(b"A NUL byte") + b"before\0after\r\n\0\r\n"


def _empty_body(m: _Letter) -> bytes:
    return m.header(b"(no text)")


def _no_blank_line(m: _Letter) -> bytes:
    return m.header(b"Header only")[:-2]


def _no_line_end(m: _Letter) -> bytes:
    return m.header(b"No line end") + b"the last line is not ended"


def _no_header(m: _Letter) -> bytes:
    return b"\r\nOnly a body, number %d.\r\n" % m.number


def _read_before(m: _Letter) -> bytes:
    marks = (b"Status: RO", b"X-Status: A") if m.number % 2 else (b"Status: O", b"X-Status: F")
    return m.header(encoded(m.subject(), "utf-8"), *marks) + b"Marked by a mail program of that time.\r\n"


def _odd_date(m: _Letter) -> bytes:
    dates = (b"Fri, 31 Feb 2012 25:61:00 +0800", b"yesterday", b"1 Jan 70 00:00 GMT (\xd6\xd0\xb9\xfa)", b"")
    return m.header(b"Odd dates", received=b"from a by b; " + m.random.choice(dates)) + b"When was this?\r\n"


def _blank_end(m: _Letter) -> bytes:
    return m.header(b"Blank lines") + b"text\r\n\r\n \r\n\t\r\n\r\n\r\n"


KINDS: Final[tuple[Callable[[_Letter], bytes], ...]] = (
    _plain,
    _utf8_base64,
    _gb18030_base64,
    _html,
    _attachment,
    _utf8_8bit,
    _gb18030_8bit,
    _quoted_printable,
    _dots,
    _bare_lf,
    _long_lines,
    _broken_header,
    _raw_header,
    _nul,
    _empty_body,
    _no_blank_line,
    _no_line_end,
    _no_header,
    _nested,
    _read_before,
    _odd_date,
    _inline_image,
    _blank_end,
)


def samples(count: int = 300) -> list[Sample]:
    """The mailbox, oldest first; the same at every call."""
    made = []
    for number in range(1, count + 1):
        kind = KINDS[(number - 1) % len(KINDS)]
        raw = kind(_Letter(number))
        uidl = hashlib.sha256(b"%d" % number).hexdigest()[:16]
        made.append(Sample(uidl, kind.__name__.strip("_"), raw))
    return made
