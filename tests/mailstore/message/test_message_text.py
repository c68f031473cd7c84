"""What SEARCH looks into."""

from __future__ import annotations

import base64
import binascii
import mmap
import tempfile
import time
import tracemalloc

import pytest

from mailstore.message import text
from mailstore.message.text import all_header_text, body_texts, fold, header_text
from mailstore.message.transfer import base64_octets, decoded
from mailstore.message.walker import walk


def body(data: bytes, overlap: int = text.OVERLAP) -> list[str]:
    return list(body_texts(walk(data), data, overlap))


def test_header_text() -> None:
    header = b"Subject: =?gb2312?B?1tDOxA==?=\r\nX: 1\r\nsubject: two\r\n three\r\nFrom: \xd6\xd0 <a@b>\r\n\r\n"
    assert header_text(header, b"SUBJECT") == ["中文", "two three"]
    assert header_text(header, b"From") == ["中 <a@b>"]
    assert header_text(header, b"To") == []
    assert all_header_text(header) == ["Subject: 中文", "X: 1", "subject: two three", "From: 中 <a@b>"]


def test_how_a_header_was_folded_says_nothing() -> None:
    header = b"Subject: one\r\n\ttwo \t three\r\n    four\r\n\r\n"
    assert header_text(header, b"subject") == ["one two three four"]
    assert all_header_text(header) == ["Subject: one two three four"]


SAMPLES = [
    ("gb2312", "8bit", "中文邮件 测试".encode("gb18030")),
    ("GB18030", "base64", base64.encodebytes("中文邮件 测试".encode("gb18030"))),
    ("gbk", "quoted-printable", binascii.b2a_qp("中文邮件 测试".encode("gb18030"))),
    ("utf-8", "BASE64", base64.encodebytes("中文邮件 测试".encode())),
    ("big5", "8bit", "中文郵件 測試".encode("big5")),
    ("iso-2022-jp", "7bit", "日本語の本文 テスト".encode("iso2022_jp")),
    ("shift_jis", "8bit", "日本語①".encode("cp932")),
    ("euc-jp", "8bit", "日本語".encode("euc_jp")),
    ("koi8-r", "quoted-printable", binascii.b2a_qp("Привет, мир".encode("koi8_r"))),
    ("windows-1251", "8bit", "Привет".encode("cp1251")),
    ("ks_c_5601-1987", "8bit", "한국어 똠".encode("cp949")),
    ("iso-8859-1", "8bit", b"caf\xe9 \x80"),
    ("utf-7", "7bit", b"+Zi9lTg-"),
    ("utf-16", "base64", base64.encodebytes("中文".encode("utf-16"))),
    ("utf-16", "base64", base64.encodebytes("中文".encode("utf-16-be"))),
    ("hz-gb-2312", "7bit", "中文".encode("hz")),
    ("", "8bit", "undeclared 中文".encode()),
    ("", "8bit", "undeclared 中文".encode("gb18030")),
    ("no-such", "", "unknown 中文".encode("gb18030")),
    ("us-ascii", "8bit", "中文".encode()),
]
DECODED = [
    "中文邮件 测试", "中文邮件 测试", "中文邮件 测试", "中文邮件 测试", "中文郵件 測試", "日本語の本文 テスト",
    "日本語①", "日本語", "Привет, мир",
    "Привет", "한국어 똠", "café €", "是敎", "中文", "中文", "中文", "undeclared 中文",
    "undeclared 中文", "unknown 中文", "中文",
]  # fmt: skip


@pytest.mark.parametrize(("sample", "expected"), list(zip(SAMPLES, DECODED, strict=True)))
def test_body_text(sample: tuple[str, str, bytes], expected: str) -> None:
    charset, encoding, octets = sample
    header = f'Content-Type: text/plain; charset="{charset}"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n'
    assert "".join(body(header.encode() + octets)).strip() == expected


def test_which_parts_are_text() -> None:
    data = (
        b"Subject: not the body\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\npreamble\r\n"
        b"--a\r\nContent-Description: mime\r\n\r\none\r\n"
        b"--a\r\nContent-Type: application/octet-stream\r\n\r\nbinary\r\n"
        b"--a\r\nContent-Type: text/html\r\n\r\n<b>two</b>\r\n"
        b"--a\r\nContent-Type: message/rfc822\r\n\r\nSubject: =?utf-8?q?=C3=A9?=\r\n\r\ninner\r\n--a--\r\nepilogue"
    )
    assert body(data) == ["one", "<b>two</b>", "Subject: é", "inner"]


def test_a_long_text_comes_in_overlapping_pieces() -> None:
    words = "".join(f"{at:07d} " for at in range(40_000))
    data = b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(words.encode())
    pieces = body(data, overlap=100)
    assert len(pieces) > 3
    assert max(map(len, pieces)) < 200_000
    joined = pieces[0]
    for piece in pieces[1:]:
        assert joined.endswith(piece[:100])
        joined += piece[100:]
    assert joined == words


@pytest.mark.parametrize("encoding", ["8bit", "base64", "quoted-printable"])
def test_characters_are_not_cut_between_pieces(encoding: str) -> None:
    words = "中" * 100_001
    octets = words.encode()
    coded = {
        "8bit": octets,
        "base64": base64.encodebytes(octets),
        "quoted-printable": b"".join(b"=%02X" % octet for octet in octets),  # one line
    }[encoding]
    header = f"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    assert "".join(body(header.encode() + coded, overlap=0)) == words


def test_an_undeclared_charset_is_guessed_where_it_first_shows() -> None:
    words = "a" * 200_000 + "中文" * 50_000
    assert "".join(body(b"\r\n" + words.encode("gb18030"), overlap=0)) == words


def test_a_large_mapping_is_read_in_pieces() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"A: b\r\n\r\n" + (b"x" * 76 + b"\r\n") * 150_000)
        file.flush()
        with mmap.mmap(file.fileno(), file.tell(), access=mmap.ACCESS_READ) as mapping:
            root = walk(mapping)
            tracemalloc.start()
            try:
                characters = sum(len(piece) for piece in body_texts(root, mapping, 0))
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
    assert characters == 78 * 150_000
    assert peak < 2 * 1024 * 1024


def test_base64_in_the_wild() -> None:
    assert base64_octets(b"YW Jj\r\n*ZGVm") == b"abcdef"
    assert base64_octets(b"YQ==YmM=ZGVm") == b"abcdef"
    assert base64_octets(b"YWJjZ") == b"abc"
    assert base64_octets(b"====") == b""
    assert b"".join(decoded([b"Y", b"W", b"J", b"jZGVmZ", b"w==", b"YQ", b"=", b"=", b"Yg"], b"base64")) == b"abcdefgab"


def test_quoted_printable_in_pieces() -> None:
    coded = b"a=\r\nb=3D=E4=BD=A0 \r\n=zz="
    for step in (1, 2, 3, 5):
        pieces = [coded[at : at + step] for at in range(0, len(coded), step)]
        assert b"".join(decoded(pieces, b"quoted-printable")) == binascii.a2b_qp(coded)


FOLDED = [
    ("STRASSE", "straße"),
    ("ＡＢＣ", "abc"),
    ("ｱ", "ア"),
    ("É", "e\u0301"),
    ("ﬁ", "fi"),
    ("Привет", "ПРИВЕТ"),
    ("中文", "中文"),
]


@pytest.mark.parametrize(("one", "other"), FOLDED)
def test_fold(one: str, other: str) -> None:
    assert fold(one) == fold(other)


def test_fold_of_many_marks_takes_no_time() -> None:
    marks = "\u0316\u0301" * 100_000
    began = time.process_time()
    assert len(fold("a" + marks + "B" + marks)) > 100_000
    assert time.process_time() - began < 2.0


def test_fold_keeps_rows_of_signs() -> None:
    assert fold("Ａ" + "━。" * 100 + "Ｂ") == "a" + "━。" * 100 + "b"
