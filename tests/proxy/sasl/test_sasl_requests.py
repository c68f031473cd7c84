"""What a line of Dovecot's authentication protocol means, and what is none."""

from __future__ import annotations

import pytest

from proxy.sasl import replies
from proxy.sasl.requests import (
    Begin,
    Cancel,
    ClientProcess,
    Continue,
    NotTheProtocol,
    Request,
    UnfitRequest,
    Version,
    id_of,
    parse,
)


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        (b"VERSION\t1\t0", Version(1, 0)),
        (b"CPID\t4294967295", ClientProcess(4294967295)),
        (b"AUTH\t1\tPLAIN", Begin(1, b"PLAIN")),
        (b"AUTH\t1\tplain\tservice=smtp\tnologin\tlip=::1", Begin(1, b"PLAIN")),
        (
            b"AUTH\t7\tPLAIN\tservice=smtp\tnologin\tlip=192.0.2.1\trip=192.0.2.7\tsecured\tresp=AHUAcA==",
            Begin(7, b"PLAIN", "192.0.2.7", True, b"\0u\0p"),
        ),
        (b"AUTH\t1\tLOGIN\tsecured=tls\tcert_username=x\trip=2001:DB8::7", Begin(1, b"LOGIN", "2001:db8::7", True)),
        (b"AUTH\t1\tPLAIN\trip=::ffff:127.0.0.1", Begin(1, b"PLAIN", "127.0.0.1")),
        (b"AUTH\t1\tPLAIN\trip=fe80::1%eth0", Begin(1, b"PLAIN", "fe80::1")),
        (b"AUTH\t1\tPLAIN\tresp=", Begin(1, b"PLAIN")),
        (b"AUTH\t1\tPLAIN\tresp==", Begin(1, b"PLAIN")),
        (b"CONT\t3\tdXNlcg==", Continue(3, b"user")),
        (b"CONT\t3\t", Continue(3, b"")),
        (b"CANCEL\t0", Cancel(0)),
    ],
)
def test_lines_as_clients_send_them(line: bytes, request_: Request) -> None:
    assert parse(line) == request_


@pytest.mark.parametrize("rip", [b"unknown", b"", b"192.0.2.7\x01t", b"192.0.2.7, 10.0.0.1", b"\xff", b"192.0.2.7\x01"])
def test_what_is_no_address_is_none(rip: bytes) -> None:
    assert parse(b"AUTH\t1\tPLAIN\trip=" + rip) == Begin(1, b"PLAIN")


def test_values_are_unescaped() -> None:
    assert parse(b"AUTH\t1\tPLAIN\trip=19\x012.0.2.7") == Begin(1, b"PLAIN", "192.0.2.7")


@pytest.mark.parametrize(
    "line",
    [
        b"", b"\t", b"GET / HTTP/1.1", b"EHLO x", b"auth\t1\tPLAIN", b"AUTH", b"AUTH\t1", b"AUTH\tone\tPLAIN", b"CPID",
        b"AUTH\t-1\tPLAIN", b"AUTH\t4294967296\tPLAIN", b"AUTH\t99999999999999999999\tPLAIN", b"AUTH\t1 \tPLAIN",
        "AUTH\t١\tPLAIN".encode(), b"CONT\t1", b"CONT\t1\tAA==\tx", b"CANCEL", b"CANCEL\t1\t2", b"VERSION\t1",
        b"VERSION\t1\tx", b"CPID\t1\t2", b"USER\t1\tuser",
    ],
)  # fmt: skip
def test_what_is_no_line_of_the_protocol(line: bytes) -> None:
    with pytest.raises(NotTheProtocol):
        parse(line)


@pytest.mark.parametrize(
    ("line", "id_"),
    [
        (b"AUTH\t8\tPLAIN\tresp=AHUAcA", 8),
        (b"AUTH\t8\tPLAIN\tresp=A\x00==", 8),
        (b"AUTH\t8\tPLAIN\tresp=AHUAcA== ", 8),
        (b"AUTH\t8\tPLAIN\tresp=AHUAcA==\tsecured", 8),
        (b"CONT\t9\t*", 9),
    ],
)
def test_what_is_wrong_with_one_request(line: bytes, id_: int) -> None:
    with pytest.raises(UnfitRequest) as caught:
        parse(line)
    assert caught.value.id == id_
    assert caught.value.text.isascii()


def test_requests_do_not_show_what_they_carry() -> None:
    assert "secret" not in repr(parse(b"AUTH\t8\tPLAIN\tresp=AHUAc2VjcmV0")) + repr(parse(b"CONT\t8\tc2VjcmV0"))


def test_whose_a_line_is_that_is_too_long() -> None:
    assert id_of(b"AUTH\t12\tPLAIN\tresp=AAAA") == 12
    assert id_of(b"CONT\t12\tAAAA") == 12
    assert id_of(b"VERSION\t1\t") is None
    assert id_of(b"AUTH\t12") is None


def test_replies_have_one_line_each_whatever_is_in_them() -> None:
    assert replies.refused(1, "a\tb\nc\rd\0e\x01") == b"FAIL\t1\treason=a\x01tb\x01nc\x01rd\x010e\x011\n"
    assert replies.in_order(2, "user@123.com") == b"OK\t2\tuser=user@123.com\n"
    assert replies.goes_on(3, b"") == b"CONT\t3\t\n"
