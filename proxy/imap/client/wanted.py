"""What a migration asks for, how far ahead of the answers, and who takes what comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

UNKNOWN_SIZE: Final = 64 * 1024  # what a message counts whose size the server does not tell


@dataclass(frozen=True, slots=True)
class Reach:
    """How far requests run ahead of the answers, and how large one range is. At least one message is always asked
    for."""

    messages: int = 2048
    octets: int = 32 * 1024 * 1024
    range_messages: int = 256
    range_octets: int = 4 * 1024 * 1024
    command: int = 900  # octets of a sequence set: RFC 7162 4 would have commands of 8,192 at most, RFC 2683 of 1,000


ONE_BY_ONE: Final = Reach(messages=1, range_messages=1)


@dataclass(frozen=True, slots=True)
class Place:
    """A folder as the server says it, with what its UIDs are valid for."""

    name: bytes
    uidvalidity: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """A message. `number` is the caller's, and ascends by one between neighbours in a folder."""

    number: int
    place: Place
    uid: int
    octets: int


class Sink(Protocol):
    """Takes messages off the wire, by their numbers."""

    def message(self, number: int, data: bytes) -> None: ...

    def begin(self, number: int) -> None: ...

    def piece(self, data: bytes) -> None: ...

    def end(self) -> None: ...

    def missing(self, number: int, text: str) -> None: ...


def weight_of(wanted: Wanted) -> int:
    """The octets that count against `Reach`."""
    return wanted.octets or UNKNOWN_SIZE
