"""Addresses and parameters, right and wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.lmtp import grammar
from proxy.lmtp.errors import BadCommand
from proxy.lmtp.grammar import Path
from tests.proxy.mutations import mutated


@pytest.mark.parametrize(
    ("text", "local", "domain"),
    [
        ("<anna@123.com>", "anna", "123.com"),
        ("<Anna.Li@123.COM>", "Anna.Li", "123.COM"),
        ("<a+b@123.com>", "a+b", "123.com"),
        ("<a..b@123.com>", "a..b", "123.com"),
        ("<.a.@123.com>", ".a.", "123.com"),
        ("<o'neil@123.com>", "o'neil", "123.com"),
        ('<"anna"@123.com>', "anna", "123.com"),
        ('<"a b"@123.com>', "a b", "123.com"),
        ('<"a\\"b\\\\@c"@123.com>', 'a"b\\@c', "123.com"),
        ('<""@123.com>', "", "123.com"),
        ("<@relay.com,@other.com:anna@123.com>", "anna", "123.com"),
        ("<anna@[127.0.0.1]>", "anna", "[127.0.0.1]"),
        ("<anna@[IPv6:::1]>", "anna", "[IPv6:::1]"),
        ("<用户@邮局.com>", "用户", "邮局.com"),
        ("<anna@xn--0zwm56d.com>", "anna", "xn--0zwm56d.com"),
        (" <anna@123.com>", "anna", "123.com"),
        ("<Postmaster>", "postmaster", ""),
    ],
)
def test_addresses(text: str, local: str, domain: str) -> None:
    (path,) = grammar.recipient(b"TO:" + text.encode())
    assert (path.local, path.domain) == (local, domain)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"anna@123.com", b"<>", b"<anna>", b"<@123.com>", b"<anna@>", b"<anna@123.com", b"anna@123.com>",
        b"<a b@123.com>", b"<a@b@123.com>", b'<"a@123.com>', b'<"a"b@123.com>', b"<anna@[1.2.3.4>", b"<anna@1 2>",
        b"<\xff@123.com>", b"<anna@123.com>x", b"<anna@123.com> X", b"<anna@123.com> X=1", b"<a\0b@123.com>",
        b"<" + b"a" * 65 + b"@123.com>", b"<a@" + b"b" * 256 + b">", b"<a\x7f@123.com>", b"<@a,b:c@d>", b"<<a@b>>",
    ],
)  # fmt: skip
def test_what_is_no_recipient(text: bytes) -> None:
    with pytest.raises(BadCommand):
        grammar.recipient(b"TO:" + text)


@pytest.mark.parametrize(
    ("text", "path", "size", "utf8"),
    [
        ("FROM:<>", "<>", 0, False),
        ("from:<a@b.com> SIZE=12 BODY=8BITMIME", "<a@b.com>", 12, False),
        ("FROM:<a@b.com> body=7bit smtputf8", "<a@b.com>", 0, True),
        ("FROM:<用户@b.com> SMTPUTF8", "<用户@b.com>", 0, True),
        ('FROM:<@r.com:"a b"@b.com> SIZE=99999999999999999999', '<"a b"@b.com>', 99999999999999999999, False),
        ("FROM:<> ", "<>", 0, False),
    ],
)
def test_senders(text: str, path: str, size: int, utf8: bool) -> None:
    (sender,) = grammar.sender(text.encode())
    assert (sender.path.text, sender.size, sender.utf8) == (path, size, utf8)


@pytest.mark.parametrize(
    ("text", "code", "enhanced"),
    [
        ("FROM:", 501, "5.1.7"),
        ("FROM <a@b.com>", 501, "5.5.4"),
        ("FROM:<postmaster>", 501, "5.1.7"),
        ("FROM:<a@b.com> SIZE=", 501, "5.5.4"),
        ("FROM:<a@b.com> SIZE", 501, "5.5.4"),
        ("FROM:<a@b.com> SIZE=-1", 501, "5.5.4"),
        ("FROM:<a@b.com> SIZE=" + "9" * 21, 501, "5.5.4"),
        ("FROM:<a@b.com> SIZE=1 SIZE=2", 501, "5.5.4"),
        ("FROM:<a@b.com> BODY=BINARYMIME", 501, "5.5.4"),
        ("FROM:<a@b.com> SMTPUTF8=1", 501, "5.5.4"),
        ("FROM:<a@b.com> AUTH=<>", 555, "5.5.4"),
        ("FROM:<a@b.com> RET=FULL", 555, "5.5.4"),
        ("FROM:<a@b.com> =", 501, "5.5.4"),
        ("FROM:<用户@b.com>", 553, "5.6.7"),
    ],
)
def test_what_is_no_sender(text: str, code: int, enhanced: str) -> None:
    with pytest.raises(BadCommand) as caught:
        grammar.sender(text.encode())
    assert (caught.value.code, caught.value.enhanced) == (code, enhanced)


@pytest.mark.parametrize("name", ["mx.123.com", "localhost", "my_pc", "[127.0.0.1]", "[IPv6:::1]"])
def test_host_names(name: str) -> None:
    assert grammar.greeting(name.encode()) == (name,)


@pytest.mark.parametrize("name", ["", "a b", "a\r", "邮局.com", "a" * 256, "<a>", "[", "a;b", "a(b)"])
def test_what_is_no_host_name(name: str) -> None:
    with pytest.raises(BadCommand):
        grammar.greeting(name.encode())


RIGHT = st.sampled_from([b"TO:<anna@123.com>", b'TO:<"a b"@[1.2.3.4]>', b"TO:<@a:b@c> SIZE=1 X", "TO:<用@户>".encode()])


@given(data=st.one_of(mutated(RIGHT), mutated(RIGHT, most=8), st.binary(max_size=40)))
def test_anything_is_an_address_or_refused(data: bytes) -> None:
    try:
        (path,) = grammar.recipient(data)
    except BadCommand as error:
        assert error.text.isascii() and 500 <= error.code < 560
    else:
        assert isinstance(path, Path)
        assert grammar.recipient(b"TO:" + path.text.encode()) == (path,)
