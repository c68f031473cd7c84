"""Whatever comes to the password service: every answer is a line of the protocol, nobody is let in who has not shown
the password, and it is the same when it comes byte by byte."""

from __future__ import annotations

import re
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from proxy.sasl.requests import NotTheProtocol, UnfitRequest, parse
from tests.proxy.mutations import mutated
from tests.proxy.sasl.desk import AS_POSTFIX, HELLO, Desk, auth, plain

LINES = (
    auth(), auth(2), auth(3, plain(password="no")), auth(4, b"AAAA"), b"AUTH\t5\tLOGIN\tsecured\n",
    b"CONT\t5\tdXNlcg==\n", b"CONT\t5\tcGFzcw==\n", b"AUTH\t6\tPLAIN\trip=192.0.2.7\tsecured\n",
    b"CONT\t6\t" + plain() + b"\n", b"CANCEL\t5\n", b"AUTH\t7\tPLAIN\trip=19\x012.0.2.7\tlip=::1\tsecured=tls\n",
    b"AUTH\t8\tSCRAM-SHA-256\tresp=biwsbj11\n", HELLO, AS_POSTFIX, b"\n",
)  # fmt: skip
ANSWER = re.compile(
    r"OK\t\d+\tuser=user@123\.com|CONT\t\d+\t[A-Za-z0-9+/=]*"
    r"|FAIL\t\d+\treason=[ -~]+(\t(temp|user_disabled))?(\tcode=[a-z_]+)?"
)
conversations = st.lists(mutated(st.sampled_from(LINES)), max_size=8)


def outcome(hello: bytes, lines: list[bytes], *, bytewise: bool) -> tuple[list[str], bool, int]:
    desk = Desk()
    channel = desk.connect(hello)
    for line in lines:
        channel.send(line, bytewise=bytewise)
    said, closed = desk.said(channel), channel.server_has_closed()
    right = sum(each.password.reveal() == b"pass" and each.username == b"user" for each in desk.gate.asked)
    desk.close()
    return said, closed, right


@given(st.sampled_from([HELLO, AS_POSTFIX, b""]), conversations)
def test_whatever_a_client_says(hello: bytes, lines: list[bytes]) -> None:
    said, closed, right = whole = outcome(hello, lines, bytewise=False)
    assert all(ANSWER.fullmatch(line) for line in said)
    assert sum(line.startswith("OK") for line in said) == right
    assert outcome(hello, lines, bytewise=True) == whole
    assert not closed or lines


@given(mutated(st.sampled_from(LINES), most=6))
def test_whatever_a_line_is(line: bytes) -> None:
    for each in line.split(b"\n"):
        with suppress(NotTheProtocol, UnfitRequest):
            parse(each)
