"""A compressed session (RFC 4978): both directions, whole and octet by octet, large and hostile."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.imap.compression import STEP, BrokenStream, Compression
from tests.dialogues.memory import MemoryChannel
from tests.proxy.imap.imap_rig import Rig


class Compressed:
    """A client that speaks DEFLATE over a channel."""

    def __init__(self, channel: MemoryChannel) -> None:
        self.channel = channel
        self._deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
        self._inflater = zlib.decompressobj(-15)

    def packed(self, data: bytes) -> bytes:
        return self._deflater.compress(data) + self._deflater.flush(zlib.Z_SYNC_FLUSH)

    def say(self, data: bytes, *, bytewise: bool = False) -> bytes:
        self.channel.send(self.packed(data), bytewise=bytewise)
        return self.heard()

    def heard(self) -> bytes:
        data = self.channel.read_exactly(len(self.channel.leftover()))
        return self._inflater.decompress(data)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, "fifty")
    yield rig
    rig.close()


def compressed(rig: Rig) -> Compressed:
    channel = rig.logged_in(select=True)
    channel.send(b"c COMPRESS DEFLATE\r\n")
    reply = channel.read_line()
    assert reply is not None
    assert reply.startswith(b"c OK ")
    assert channel.leftover() == b""
    return Compressed(channel)


@pytest.mark.parametrize("bytewise", [False, True])
def test_both_directions(rig: Rig, bytewise: bool) -> None:
    client = compressed(rig)
    assert client.say(b"a NOOP\r\n", bytewise=bytewise) == b"a OK NOOP completed.\r\n"
    said = client.say(b"b FETCH 1:* (UID FLAGS)\r\nc FETCH 1 BODY.PEEK[TEXT]\r\n", bytewise=bytewise)
    assert said.count(b" FETCH (") == 51
    assert b"body 1\r\n)\r\nc OK" in said
    assert client.say(b"d IDLE\r\n", bytewise=bytewise).startswith(b"+ ")
    assert client.say(b"DONE\r\n", bytewise=bytewise).startswith(b"d OK ")
    assert client.say(b"e LOGOUT\r\n", bytewise=bytewise).startswith(b"* BYE ")
    assert client.channel.server_has_closed()


def test_it_is_offered_and_taken_once(rig: Rig) -> None:
    client = compressed(rig)
    assert b"COMPRESS" not in client.say(b"a CAPABILITY\r\n")
    assert client.say(b"b COMPRESS DEFLATE\r\n").startswith(b"b NO [COMPRESSIONACTIVE] ")
    assert client.say(b"c NOOP\r\n") == b"c OK NOOP completed.\r\n"


def test_it_goes_on_for_the_next_user_of_the_connection(rig: Rig) -> None:
    """UNAUTHENTICATE takes back what was enabled; compression belongs to the connection, as TLS does (RFC 8437)."""
    client = compressed(rig)
    assert client.say(b"a UNAUTHENTICATE\r\n").startswith(b"a OK ")
    announced = client.say(b"b CAPABILITY\r\n")
    assert b"COMPRESS" not in announced
    assert b"STARTTLS" not in announced  # RFC 4978 3: not inside of compression
    assert client.say(b"c LOGIN user@123.com pass\r\n").startswith(b"c OK [CAPABILITY ")
    assert client.say(b"d COMPRESS DEFLATE\r\n").startswith(b"d NO [COMPRESSIONACTIVE] ")
    assert b"* 50 EXISTS" in client.say(b"e SELECT INBOX\r\n")


def test_a_large_message_in_and_out(rig: Rig) -> None:
    client = compressed(rig)
    message = b"Subject: large\r\n\r\n" + b"all work and no play\r\n" * 100_000
    said = client.say(b"a APPEND INBOX {%d}\r\n" % len(message))
    assert said.startswith(b"+ ")
    assert b"a OK [APPENDUID " in client.say(message + b"\r\n")
    sent_before = len(message)
    client.channel.send(client.packed(b"b FETCH 51 BODY.PEEK[]\r\n"))
    assert len(client.channel.leftover()) < sent_before / 20
    assert message in client.heard()


def test_what_comes_before_the_reply_is_thrown_away(rig: Rig) -> None:
    channel = rig.logged_in()
    channel.send(b"c COMPRESS DEFLATE\r\nx LOGOUT\r\n")
    assert channel.read_line() == b"c OK Compressed from here on."
    assert Compressed(channel).say(b"a NOOP\r\n") == b"a OK NOOP completed.\r\n"


@pytest.mark.parametrize("data", [b"a NOOP\r\n", b"\xff" * 10, zlib.compressobj(9, zlib.DEFLATED, -15).flush()])
def test_what_is_no_stream_ends_the_session(rig: Rig, data: bytes) -> None:
    client = compressed(rig)
    client.channel.send(data)
    assert client.heard() == b"* BYE The compressed data cannot be read.\r\n"
    assert client.channel.server_has_closed()


def test_a_line_that_never_ends_is_refused_before_it_is_made(rig: Rig) -> None:
    client = compressed(rig)
    said = client.say(b"a " + b"x" * 50_000_000)
    assert b"BYE" in said
    assert client.channel.server_has_closed()


def test_many_commands_in_few_octets_are_answered_one_by_one(rig: Rig) -> None:
    client = compressed(rig)
    said = client.say(b"a NOOP\r\n" * 50_000)
    assert said.count(b"a OK NOOP completed.\r\n") == 50_000


@given(pieces=st.lists(st.binary(max_size=2_000), max_size=10), cut=st.integers(1, 50))
def test_whatever_is_said_comes_out(pieces: list[bytes], cut: int) -> None:
    here, there = Compression(), Compression()
    stream = b"".join(map(here.deflate, pieces))
    found = []
    for at in range(0, len(stream), cut):
        there.received(stream[at : at + cut])
        while there.waiting:
            found.append(there.inflate())
    assert b"".join(found) == b"".join(pieces)


def test_no_step_gives_more_than_a_step() -> None:
    there = Compression()
    there.received(zlib.compressobj(9, zlib.DEFLATED, -15).compress(b"") + Compression().deflate(b"y" * 5_000_000))
    sizes = []
    while there.waiting:
        sizes.append(len(there.inflate()))
    assert sum(sizes) == 5_000_000
    assert max(sizes) <= STEP
    with pytest.raises(BrokenStream):
        there.received(b"\xff" * 100)
        there.inflate()
