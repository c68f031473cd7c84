"""What FETCH says of odd messages, beside what Dovecot says of the same files: envelopes, structures, sizes, and every
section of every part. Where they differ on purpose, the reason is here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.dialogues.dovecot import SocketChannel
from tests.dialogues.memory import MemoryChannel
from tests.dialogues.store import drop
from tests.legacy.dovecot import Dovecot
from tests.peers.odd_messages import ODD
from tests.proxy.imap.imap_rig import Rig
from tests.proxy.imap.strict import Reader, body, envelope

_TEXT_ALL = frozenset({"BODYSTRUCTURE", "1", "1.MIME"})
# Message → what of it is told otherwise than by Dovecot, and why.
OTHERWISE: Final[Mapping[str, tuple[frozenset[str], str]]] = {
    "a folded subject": (frozenset({"ENVELOPE"}), "unfolding takes line ends away and nothing else (RFC 5322 2.2.3)"),
    "comments": (frozenset({"ENVELOPE"}), "a comment in front of an address is a name as well as one behind it"),
    "no addresses": (frozenset({"ENVELOPE"}), "a comma alone is no address, so none is made up"),
    "a type alone": (frozenset({"BODYSTRUCTURE"}), "a type that cannot be read is text/plain (RFC 2045 5.2)"),
    "a type that is none": (frozenset({"BODYSTRUCTURE"}), "a type that cannot be read is text/plain (RFC 2045 5.2)"),
    "a boundary that begins another": (
        frozenset({"BODYSTRUCTURE", "1", "1.MIME", "2", "2.MIME", "3", "3.MIME", "4", "4.MIME"}),
        "a line that goes on behind the boundary is none (RFC 2046 5.1.1), or text would be lost",
    ),
    "no boundary": (_TEXT_ALL, "what has no parts is shown as the text that it is, not as an empty part"),
    "no parts": (_TEXT_ALL, "what has no parts is shown as the text that it is, not as an empty part"),
}


class Asker:
    """One client of a server, with the messages of ODD in its INBOX, in order."""

    def __init__(self, channel: SocketChannel | MemoryChannel, user: str) -> None:
        self._channel = channel
        self._count = 0
        channel.read_line()
        for command in (b"LOGIN %b pass" % user.encode(), b"SELECT INBOX"):
            self._said(command)

    def _said(self, command: bytes) -> list[bytes]:
        """The untagged responses, whole."""
        self._count += 1
        tag = b"a%d" % self._count
        self._channel.send(tag + b" " + command + b"\r\n")
        found: list[bytes] = []
        while True:
            response = self._line()
            if response.startswith(tag + b" "):
                assert response.startswith(tag + b" OK"), response
                return found
            found.append(response)

    def _line(self) -> bytes:
        response = b""
        while True:
            line = self._channel.read_line()
            assert line is not None
            response += line
            if not line.endswith(b"}"):
                return response
            size = int(line[line.rindex(b"{") + 1 : -1])
            response += b"\r\n" + self._channel.read_exactly(size)

    def tells(self, number: int) -> dict[str, Any]:
        """All that can be asked of one message."""
        (said,) = self._fetched(number, b"(RFC822.SIZE ENVELOPE BODYSTRUCTURE)")
        told = said
        paths = ["HEADER", "TEXT", *_sections(told["BODYSTRUCTURE"])]
        for path in paths:
            (said,) = self._fetched(number, b"BODY.PEEK[%b]" % path.encode())
            told[path] = said[f"BODY[{path}]"]
        return told

    def _fetched(self, number: int, items: bytes) -> Iterator[dict[str, Any]]:
        for response in self._said(b"FETCH %d %b" % (number, items)):
            reader = Reader(response)
            reader.expect(b"* %d FETCH (" % number)
            found: dict[str, Any] = {}
            while not reader.next_is(b")"):
                end = response.index(b" ", reader.at)
                name = response[reader.at : end].decode()
                reader.at = end + 1
                if name == "ENVELOPE":
                    found[name] = envelope(reader)
                elif name == "BODYSTRUCTURE":
                    found[name] = body(reader, extended=True)
                elif name.startswith("BODY["):
                    found[name] = reader.nstring()
                elif name == "FLAGS":
                    reader.at = response.index(b")", reader.at) + 1
                else:
                    found[name] = reader.number()
                if reader.next_is(b" "):
                    reader.at += 1
            if any(name != "FLAGS" for name in found):
                yield found


def _sections(structure: dict[str, Any], path: str = "") -> list[str]:
    """Every section that a structure lets a client ask for (RFC 3501 6.4.5)."""
    if "parts" in structure:
        found = []
        for number, each in enumerate(structure["parts"], 1):
            found += _sections(each, f"{path}.{number}" if path else str(number))
        return ([path, f"{path}.MIME"] if path else []) + found
    path = path or "1"
    found = [path, f"{path}.MIME"]
    if "body" in structure:
        found += [f"{path}.HEADER", f"{path}.TEXT", *_sections(structure["body"], path)]
    return found


def differences(ours: Any, theirs: Any, place: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Where two answers differ, as deep as it goes."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in sorted({*ours, *theirs}):
            inner = f"{place}/{name}" if place else name
            yield from differences(ours.get(name, "absent"), theirs.get(name, "absent"), inner)
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True), 1):
            yield from differences(one, other, f"{place}/{number}")
    elif ours != theirs:
        yield place, (ours, theirs)


@pytest.fixture(scope="module")
def dovecot(legacy: Dovecot) -> Iterator[Asker]:
    cur = legacy.maildir("odd") / "cur"
    for number, message in enumerate(ODD.values(), 1):
        (cur / f"{1_300_000_000 + number}.M{number}P1.old:2,").write_bytes(message)
    legacy.own()
    channel = SocketChannel(legacy.imap)
    yield Asker(channel, "odd")
    channel.hang_up()


@pytest.fixture(scope="module")
def mailferry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    path: Path = tmp_path_factory.mktemp("odd")
    rig = Rig(path, "empty")
    for number, message in enumerate(ODD.values(), 1):
        drop(rig.mail, f"{1_300_000_000 + number}.M{number}P1.old", message)
    yield Asker(MemoryChannel(rig.factory.buildProtocol(None), rig.clock), "user@123.com")
    rig.close()


@pytest.mark.peers
@pytest.mark.parametrize("name", ODD)
def test_it_tells_what_dovecot_tells(dovecot: Asker, mailferry: Asker, name: str) -> None:
    number = list(ODD).index(name) + 1
    ours, theirs = mailferry.tells(number), dovecot.tells(number)
    differing = dict(differences(ours, theirs))
    expected, _why = OTHERWISE.get(name, (frozenset(), ""))
    assert {place.partition("/")[0] for place in differing} == expected, "\n".join(
        f"{place}:\n  ours   {one!r}\n  theirs {other!r}" for place, (one, other) in differing.items()
    )
