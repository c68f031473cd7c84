"""Whatever a client sends, in whatever state: replies with codes, or the end; the same when it comes byte by byte."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.lmtp.commands import COMMANDS
from tests.memory import in_memory
from tests.proxy.lmtp.lmtp_rig import Desk, mail
from tests.proxy.mutations import mutated

EXAMPLES: Mapping[bytes, Sequence[bytes]] = {
    b"LHLO": (b"LHLO mx.123.com", b"LHLO [127.0.0.1]"),
    b"MAIL": (b"MAIL FROM:<>", b"MAIL FROM:<a@b.c> SIZE=10 BODY=8BITMIME", "MAIL FROM:<用@户> SMTPUTF8".encode()),
    b"RCPT": (b"RCPT TO:<anna@123.com>", b"RCPT TO:<nobody@123.com>", b"RCPT TO:<postmaster>"),
    b"DATA": (b"DATA\r\nSubject: a\r\n\r\n..b\r\n.", b"DATA\r\n.", b"DATA\r\nReturn-Path: x\n\n.\n.\r\n."),
    b"RSET": (b"RSET",),
    b"VRFY": (b"VRFY anna",),
    b"HELP": (b"HELP",),
    b"NOOP": (b"NOOP", b"NOOP x"),
    b"QUIT": (b"QUIT",),
}
STATES: Mapping[str, bytes] = {
    "greeted": b"",
    "ready": b"LHLO a\r\n",
    "with a sender": b"LHLO a\r\nMAIL FROM:<>\r\n",
    "with recipients": b"LHLO a\r\nMAIL FROM:<> SMTPUTF8\r\nRCPT TO:<anna@123.com>\r\nRCPT TO:<bob@123.com>\r\n",
    "within a message": b"LHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<anna@123.com>\r\nDATA\r\nSubject: a\r\n",
}
right = st.sampled_from(sorted(EXAMPLES)).flatmap(lambda name: st.sampled_from(EXAMPLES[name]))
session = st.lists(right, min_size=1, max_size=6).map(lambda lines: b"".join(line + b"\r\n" for line in lines))
blind = st.lists(st.binary(max_size=20), max_size=6).map(b"\r\n".join)
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    path = Path(tempfile.mkdtemp(dir=in_memory()))
    made = Desk(path, errors=1000, line=200)
    made.moved()
    yield made
    made.close()
    shutil.rmtree(path)


def talk(desk: Desk, state: str, data: bytes, *, bytewise: bool) -> bytes:
    """All that is said, without what is different each time."""
    channel = desk.connect()
    channel.send(STATES[state])
    channel.send(data, bytewise=bytewise)
    said = channel.leftover()
    channel.hang_up()
    desk.channels.remove(channel)
    assert not desk.log.events("error")
    lines = said.split(b"\r\n")
    assert lines.pop() == b""
    for line in lines:
        assert re.fullmatch(rb"[2-5]\d\d[ -][\x20-\x7e]*", line), line
    return re.sub(rb"2\.0\.0 [0-9a-f]{16} ", b"2.0.0 ID ", said)


def test_every_command_has_its_examples() -> None:
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize("state", STATES)
@quick
@given(data=st.one_of(mutated(session), mutated(session, most=8), blind))
def test_any_input_is_answered_and_one_by_one_the_same(desk: Desk, state: str, data: bytes) -> None:
    assert talk(desk, state, data, bytewise=False) == talk(desk, state, data, bytewise=True)


def test_after_all_of_that_it_still_takes_mail(desk: Desk) -> None:
    before = len(desk.inbox("bob@123.com"))
    channel = desk.ready()
    channel.send(mail(b"x\r\n", "bob@123.com"))
    assert len(desk.inbox("bob@123.com")) == before + 1
