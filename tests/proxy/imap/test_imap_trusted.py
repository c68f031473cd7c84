"""A webmail that speaks for its users says by ID where they are, and is believed where the configuration trusts it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proxy.wire.arrivals import Arrivals
from tests.proxy.imap.imap_rig import Rig, lines

HERE = "127.0.0.1"
ORIGIN = b'i ID ("name" "webmail" "X-Originating-IP" "%b")\r\n'


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    made: list[Rig] = []

    def make(*trusted: str) -> Rig:
        made.append(Rig(tmp_path / str(len(made)), trusted=trusted))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


def peer_of(rig: Rig, *said: bytes) -> str:
    """At which address the gate takes the client to be that says this before its login."""
    channel = rig.connect()
    for line in said:
        channel.send(line)
        assert lines(channel)[-1].startswith(b"i OK")
    channel.send(b"l LOGIN user@123.com pass\r\n")
    assert lines(channel)[-1].startswith(b"l OK")
    return rig.gate.asked[-1].peer


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
def test_who_is_trusted_is_believed(make: Callable[..., Rig], address: str) -> None:
    for trusted in (HERE, "127.0.0.0/8"):
        assert peer_of(make("10.0.0.0/8", trusted), ORIGIN % address.encode()) == address
    assert peer_of(make(HERE), ORIGIN % b"::ffff:192.0.2.7") == "192.0.2.7"
    assert peer_of(make(HERE), ORIGIN % b"fe80::1%eth0 and more") == "fe80::1"
    assert peer_of(make(HERE), ORIGIN % b"192.0.2.7", ORIGIN % b"192.0.2.8") == "192.0.2.8"


def test_nobody_else_is(make: Callable[..., Rig]) -> None:
    for trusted in ((), ("10.0.0.0/8",), ("::1",)):
        assert peer_of(make(*trusted), ORIGIN % b"192.0.2.7") == HERE


@pytest.mark.parametrize("text", [b"", b"mail.123.com", b"192.0.2.7, 10.0.0.1", b"192.0.2.777", b"0192.0.2.7"])
def test_what_is_no_address_changes_nothing(make: Callable[..., Rig], text: bytes) -> None:
    assert peer_of(make(HERE), ORIGIN % text) == HERE
    assert peer_of(make(HERE), b'i ID ("x-originating-ip" NIL)\r\n', b"i ID NIL\r\n") == HERE


def test_behind_the_login_it_is_too_late(make: Callable[..., Rig]) -> None:
    rig = make(HERE)
    channel = rig.logged_in()
    channel.send(ORIGIN % b"192.0.2.7" + b"u LOGOUT\r\n")
    channel.settle()
    assert "192.0.2.7" not in str(rig.log.lines)


def test_strangers_are_counted_where_they_are(make: Callable[..., Rig]) -> None:
    """Some that do not log in keep their own address full, and no other user of the webmail out."""
    rig = make(HERE)
    rig.factory.terms.arrivals._each = 2
    for number in range(4):
        channel = rig.connect()
        channel.send(ORIGIN % b"192.0.2.7")
        assert lines(channel)[-1].startswith(b"i OK" if number < 2 else b"i NO [LIMIT]")
        if number >= 2:
            channel.hang_up()
    assert peer_of(rig, ORIGIN % b"192.0.2.8") == "192.0.2.8"
    assert isinstance(rig.factory.terms.arrivals, Arrivals)
