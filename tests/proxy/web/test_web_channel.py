"""What Twisted's channel lacked: times by which a request has to be here, and room for so many at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.web.resource import Resource

from proxy.web.channel import BODY_SECONDS, HEADER_SECONDS, IDLE_SECONDS, LINGER_SECONDS, MIB, UPLOAD_SECONDS, WebSite
from proxy.wire.arrivals import Arrivals


class Root(Resource):
    isLeaf = True

    def render_GET(self, _request: Any) -> bytes:
        return b"here"

    def render_POST(self, request: Any) -> bytes:
        return b"%d" % len(request.content.read())


class Talk:
    """One connection."""

    def __init__(self, site: WebSite) -> None:
        self.transport = StringTransport(peerAddress=IPv4Address("TCP", "192.0.2.1", 1))
        self.channel: Any = site.buildProtocol(None)
        self.channel.callLater = site.clock.callLater
        self.channel.makeConnection(self.transport)

    def say(self, data: bytes) -> bytes:
        self.transport.clear()
        self.channel.dataReceived(data)
        return self.transport.value()

    @property
    def ended(self) -> bool:
        return bool(self.transport.disconnected or self.transport.disconnecting)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def site(clock: Clock) -> Iterator[WebSite]:
    made = WebSite(
        Root(),
        reactor=clock,
        dress=lambda _request: None,
        too_large=lambda _request: b"too large",
        uploads=(b"/import",),
        most_upload=3 * MIB,
        arrivals=Arrivals(2, 3),
    )
    yield made
    for channel in list(made.channels):
        channel.connectionLost()


HEAD = b"GET / HTTP/1.1\r\nHost: h\r\n"


def test_a_head_that_trickles(site: WebSite, clock: Clock) -> None:
    talk = Talk(site)
    for _ in range(int(HEADER_SECONDS)):
        talk.say(b"G")
        clock.advance(1.0)
    assert talk.ended


def test_two_hosts(site: WebSite) -> None:
    """RFC 9112 3.2: it cannot be told which of them is meant."""
    talk = Talk(site)
    assert talk.say(HEAD + b"Host: other\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert talk.ended


def test_a_head_in_time(site: WebSite, clock: Clock) -> None:
    talk = Talk(site)
    clock.advance(HEADER_SECONDS - 1)
    assert b"here" in talk.say(HEAD + b"\r\n")
    clock.advance(HEADER_SECONDS + 1)
    assert not talk.ended  # it may ask again
    talk.say(b"G")
    clock.advance(HEADER_SECONDS)
    assert talk.ended


def test_a_connection_that_is_not_used(site: WebSite, clock: Clock) -> None:
    talk = Talk(site)
    talk.say(HEAD + b"\r\n")
    clock.advance(IDLE_SECONDS)
    assert talk.ended


@pytest.mark.parametrize(("path", "seconds"), [(b"/", BODY_SECONDS), (b"/import?x=y", UPLOAD_SECONDS)])
def test_a_body_that_trickles(site: WebSite, clock: Clock, path: bytes, seconds: float) -> None:
    talk = Talk(site)
    talk.say(b"POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: 10000\r\n\r\n" % path)
    for _ in range(int(seconds / 5) - 1):
        talk.say(b"x")
        clock.advance(5.0)
    assert not talk.ended
    clock.advance(5.0)
    assert talk.ended


def test_a_file_may_be_larger_than_a_form(site: WebSite) -> None:
    for path, taken in ((b"/", False), (b"/import", True)):
        answer = Talk(site).say(
            b"POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (path, 2 * MIB) + b"x" * 2 * MIB
        )
        assert answer.startswith(b"HTTP/1.1 200" if taken else b"HTTP/1.1 413")


def test_what_comes_behind_a_refusal_is_thrown_away(site: WebSite, clock: Clock) -> None:
    talk = Talk(site)
    answer = talk.say(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (MIB + 1))
    assert answer.startswith(b"HTTP/1.1 413 ") and answer.endswith(b"too large")
    assert talk.say(b"x" * (MIB + 1) + HEAD + b"\r\n") == b""
    assert not talk.ended
    clock.advance(LINGER_SECONDS)
    assert talk.ended


def test_a_chunked_body_is_counted(site: WebSite) -> None:
    talk = Talk(site)
    talk.say(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"80000\r\n" + b"x" * 0x80000 + b"\r\n"
    assert talk.say(chunk) == talk.say(chunk) == b""
    assert talk.say(b"1\r\nx\r\n0\r\n\r\n").startswith(b"HTTP/1.1 413 ")


def test_so_many_from_one_address(site: WebSite) -> None:
    talks = [Talk(site) for _ in range(3)]
    assert [talk.ended for talk in talks] == [False, False, True]
    talks[0].channel.connectionLost()
    assert not Talk(site).ended
    assert len(site.channels) == 2


def test_the_end_closes_all(site: WebSite) -> None:
    talk = Talk(site)
    site.end()
    assert talk.ended


def test_a_node_that_goes_out_of_service_closes_what_is_not_used(site: WebSite, clock: Clock) -> None:
    """… and leaves requests that are on their way to their end (`proxy.daemon.draining`)."""
    used, asking = Talk(site), Talk(site)
    used.say(HEAD + b"\r\n")
    asking.say(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab")
    site.ease()
    assert used.ended and not asking.ended
    assert asking.say(b"cde").endswith(b"5")
    site.ease()
    assert asking.ended
