"""PROXY headers: what they say, and that nothing else is taken for one. By haproxy's proxy-protocol.txt."""

from __future__ import annotations

import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.proxied import FIXED, LONGEST_LINE, MOST, SIGNATURE, End, Header, HeaderReader, Malformed, crc32c

CLIENT, SERVER = End("192.0.2.7", 56324), End("198.51.100.1", 143)
CLIENT6, SERVER6 = End("2001:db8::7", 56324), End("2001:db8:1::1", 143)
SAID = b"a LOGIN anna secret\r\n\0\xff"
TLS = b"\x20\x00\x13" + b"\x01" + bytes(4) + b"\x21\x00\x07TLSv1.3" + b"\x22\x00\x01x"


def binary(command: int, family: int, block: bytes, length: int | None = None) -> bytes:
    return SIGNATURE + bytes([command, family]) + (len(block) if length is None else length).to_bytes(2) + block


def addresses(client: End, server: End) -> bytes:
    packed = b"".join(ipaddress.ip_address(end.host).packed for end in (client, server))
    return packed + client.port.to_bytes(2) + server.port.to_bytes(2)


def summed(header: bytes) -> bytes:
    """With its checksum in a last TLV."""
    at = len(header) + 3
    length = (len(header) - FIXED + 7).to_bytes(2)
    whole = header[:14] + length + header[FIXED:] + b"\x03\x00\x04" + bytes(4)
    return whole[:at] + crc32c(whole).to_bytes(4)


IPV4 = addresses(CLIENT, SERVER)
WHOLE = {
    "v1, IPv4": (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 143\r\n", Header(CLIENT, SERVER)),
    "v1, IPv6": (b"PROXY TCP6 2001:DB8:0:0::7 2001:db8:1::1 56324 143\r\n", Header(CLIENT6, SERVER6)),
    "v1, unknown": (b"PROXY UNKNOWN\r\n", Header()),
    "v1, unknown, with more": (b"PROXY UNKNOWN \xff ffff::1 x 65535 65535\r\n", Header()),
    "v1, longest": (b"PROXY UNKNOWN " + b"f" * (LONGEST_LINE - 16) + b"\r\n", Header()),
    "v1, ports": (
        b"PROXY TCP4 192.0.2.7 198.51.100.1 0 65535\r\n",
        Header(End("192.0.2.7", 0), End("198.51.100.1", 65535)),
    ),
    "v2, IPv4": (binary(0x21, 0x11, IPV4), Header(CLIENT, SERVER)),
    "v2, IPv6": (binary(0x21, 0x21, addresses(CLIENT6, SERVER6)), Header(CLIENT6, SERVER6)),
    "v2, TLS": (binary(0x21, 0x11, IPV4 + b"\x04\x00\x02xx" + TLS), Header(CLIENT, SERVER, encrypted=True)),
    "v2, without TLS": (binary(0x21, 0x11, IPV4 + b"\x20\x00\x05" + bytes(5)), Header(CLIENT, SERVER)),
    "v2, a certificate and no TLS": (binary(0x21, 0x11, IPV4 + b"\x20\x00\x05\x06" + bytes(4)), Header(CLIENT, SERVER)),
    "v2, TLS too short": (binary(0x21, 0x11, IPV4 + b"\x20\x00\x04\x01" + bytes(3)), Header(CLIENT, SERVER)),
    "v2, summed": (summed(binary(0x21, 0x11, IPV4 + TLS)), Header(CLIENT, SERVER, encrypted=True)),
    "v2, local": (binary(0x20, 0x00, b""), Header()),
    "v2, local, what it says is nothing": (binary(0x20, 0xFF, IPV4 + TLS + b"\x20\xff"), Header()),
    "v2, unspecified": (binary(0x21, 0x00, TLS), Header()),
    "v2, a UNIX socket": (binary(0x21, 0x31, bytes(216) + TLS), Header()),
    "v2, UDP": (binary(0x21, 0x12, IPV4), Header()),
    "v2, longest": (
        binary(0x21, 0x11, IPV4 + b"\x04" + (MOST - 15).to_bytes(2) + bytes(MOST - 15)),
        Header(CLIENT, SERVER),
    ),
}
NONE = {
    "nothing of the kind": (b"a LOGIN anna secret\r\n", "begin"),
    "HTTP": (b"GET / HTTP/1.1\r\n", "begin"),
    "TLS": (b"\x16\x03\x01", "begin"),
    "almost": (b"PROXX", "begin"),
    "almost the signature": (SIGNATURE[:-1] + b"X", "begin"),
    "small letters": (b"proxy TCP4", "begin"),
    "no space": (b"PROXY\r\n", "begin"),
    "too long": (b"PROXY UNKNOWN " + b"f" * (LONGEST_LINE - 15) + b"\r\n", "too long"),
    "without end": (b"PROXY TCP4 " + b"1" * LONGEST_LINE, "too long"),
    "a bare LF": (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 143\n" + bytes(64), "too long"),
    "UDP": (b"PROXY UDP4 192.0.2.7 198.51.100.1 56324 143\r\n", "not understood"),
    "words missing": (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n", "not understood"),
    "words too many": (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 143 1\r\n", "not understood"),
    "two spaces": (b"PROXY TCP4  192.0.2.7 198.51.100.1 56324 143\r\n", "not understood"),
    "no address": (b"PROXY TCP4 mail.123.com 198.51.100.1 56324 143\r\n", "is none"),
    "leading zeros": (b"PROXY TCP4 192.0.02.7 198.51.100.1 56324 143\r\n", "is none"),
    "another family": (b"PROXY TCP4 2001:db8::7 198.51.100.1 56324 143\r\n", "not of the kind"),
    "a zone": (b"PROXY TCP6 fe80::1%eth0 2001:db8::1 56324 143\r\n", "not of the kind"),
    "a port too high": (b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 143\r\n", "port"),
    "a port with a zero": (b"PROXY TCP4 192.0.2.7 198.51.100.1 056 143\r\n", "port"),
    "a signed port": (b"PROXY TCP4 192.0.2.7 198.51.100.1 +56 143\r\n", "port"),
    "version 1 in binary": (binary(0x11, 0x11, IPV4), "version"),
    "version 3": (binary(0x31, 0x11, IPV4), "version"),
    "another command": (binary(0x22, 0x11, IPV4), "version"),
    "another family, binary": (binary(0x21, 0x41, IPV4), "family"),
    "another protocol": (binary(0x21, 0x13, IPV4), "family"),
    "too long, binary": (binary(0x21, 0x11, b"", MOST + 1), "too long"),
    "addresses cut short": (binary(0x21, 0x11, IPV4[:-1]), "addresses"),
    "IPv4 for IPv6": (binary(0x21, 0x21, IPV4), "addresses"),
    "a TLV cut short": (binary(0x21, 0x11, IPV4 + b"\x20\x00\x06\x01" + bytes(4)), "follows"),
    "half a TLV": (binary(0x21, 0x11, IPV4 + b"\x20\x00"), "follows"),
    "a wrong sum": (summed(binary(0x21, 0x11, IPV4))[:-1] + b"\0", "checksum"),
    "a sum too short": (binary(0x21, 0x11, IPV4 + b"\x03\x00\x03" + bytes(3)), "checksum"),
}


def feed(reader: HeaderReader, pieces: list[bytes]) -> Header | None:
    """What comes behind the header goes to `rest`, in whatever piece it was."""
    for number, piece in enumerate(pieces):
        found = reader.feed(piece)
        if found is not None:
            reader.rest += b"".join(pieces[number + 1 :])
            return found
    return None


@pytest.mark.parametrize("name", WHOLE)
def test_a_header_whole_and_byte_by_byte(name: str) -> None:
    text, header = WHOLE[name]
    for pieces in ([text + SAID], [bytes([octet]) for octet in text + SAID], [text, SAID]):
        reader = HeaderReader()
        assert feed(reader, pieces) == header
        assert reader.rest == SAID


@pytest.mark.parametrize("name", WHOLE)
def test_nothing_is_said_of_a_header_that_is_not_whole(name: str) -> None:
    text, _ = WHOLE[name]
    reader = HeaderReader()
    assert all(reader.feed(bytes([octet])) is None for octet in text[:-1])
    assert reader.rest == b""


@pytest.mark.parametrize("name", NONE)
def test_what_is_none(name: str) -> None:
    text, said = NONE[name]
    for pieces in ([text], [bytes([octet]) for octet in text]):
        with pytest.raises(Malformed, match=said):
            feed(HeaderReader(), pieces)


def test_the_checksum_is_that_of_the_rfc() -> None:
    """RFC 7143 A.4's examples."""
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"123456789") == 0xE3069283


@given(st.sampled_from(sorted(WHOLE)), st.integers(0, 80), st.integers(0, 255), st.binary(max_size=20))
def test_a_changed_header_is_one_or_none_and_the_same_in_pieces(name: str, at: int, octet: int, behind: bytes) -> None:
    text = bytearray(WHOLE[name][0])
    text[at % len(text)] = octet
    outcomes = []
    for pieces in ([bytes(text) + behind], [bytes([each]) for each in bytes(text) + behind]):
        reader = HeaderReader()
        try:
            outcomes.append((feed(reader, pieces), reader.rest))
        except Malformed as error:
            outcomes.append((str(error), b""))
    assert outcomes[0] == outcomes[1]


@given(st.binary(max_size=40), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11"]))
def test_it_raises_nothing_else_and_holds_no_more_than_a_header(text: bytes, begin: bytes) -> None:
    reader = HeaderReader()
    with contextlib.suppress(Malformed):
        reader.feed(begin + text)
        for _ in range(3):
            if reader.feed(bytes(1_000)) is not None:
                break
        else:
            raise AssertionError("it goes on and on")
