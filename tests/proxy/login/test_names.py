"""From what a client sends to an account's name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.login.names import Name, parse

ONE = {"123.com": "123.com"}
TWO = ONE | {"example.org": "example.org"}
CHINESE = {"公司.cn": "公司.cn", "xn--55qx5d.cn": "公司.cn"}


@pytest.mark.parametrize(
    "username",
    [b"user@123.com", b"USER@123.COM", b" user@123.com\t", b"User@123.com.", b"user", b"USER"],
)
def test_one_account_however_it_is_written(username: bytes) -> None:
    assert parse(username, ONE) == Name("user", "123.com")


@pytest.mark.parametrize("username", ["user@公司.cn", "user@xn--55qx5d.cn", "user@XN--55QX5D.CN", "user"])
def test_an_internationalised_domain_in_either_spelling(username: str) -> None:
    assert parse(username.encode(), CHINESE) == Name("user", "公司.cn")


def test_without_domain_only_where_one_is_served() -> None:
    assert parse(b"user", TWO) is None
    assert parse(b"user@example.org", TWO) == Name("user", "example.org")


@pytest.mark.parametrize(
    ("username", "local"),
    [
        (b"first.last+tag", "first.last+tag"),
        ("用户".encode(), "用户"),
        ("ÄRGER".encode(), "ärger"),
        (b"../../etc/passwd", "../../etc/passwd"),  # a path is made of it by proxy.config.places, safely
        (b"x" * 64, "x" * 64),
    ],
)
def test_local_parts(username: bytes, local: str) -> None:
    assert parse(username, ONE) == Name(local, "123.com")


@pytest.mark.parametrize(
    "username",
    [
        b"",
        b"@",
        b"@123.com",
        b"user@",
        b"user@other.com",
        b"user@sub.123.com",
        b"a@b@123.com",
        b"us er",
        b"us\ner",
        b"us\rer",
        b"us\0er",
        b"us\x7fer",
        b"\xff\xfe",
        b"x" * 65,
    ],
)
def test_what_cannot_be_one_of_ours(username: bytes) -> None:
    assert parse(username, ONE) is None


@given(st.binary(max_size=200))
def test_any_octets_are_a_clean_name_or_none(username: bytes) -> None:
    name = parse(username, TWO)
    if name is not None:
        assert name.domain in TWO
        assert 0 < len(name.local) <= 64
        assert not any(c in name.local for c in "@ \0\r\n\t")
        assert parse(str(name).encode(), TWO) == name
