"""What was read of another server's Maildir."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

INBOX = "INBOX"


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that could not be read, or means something else here: for the administrator."""

    folder: str
    text: str

    def __str__(self) -> str:
        return f"{self.folder}: {self.text}"


@dataclass(frozen=True, slots=True)
class Numbered:
    """A message in a list of UIDs. `uidl`: POP3's name that the list has of it; None: it has none."""

    uid: int
    uidl: str | None = None


@dataclass(slots=True)
class UidList:
    """A folder's UIDs, by the names of files without flags. UIDVALIDITY 0: not known."""

    uidvalidity: int = 0
    uidnext: int = 1
    by_file: dict[str, Numbered] = field(default_factory=dict)
    broken: int = 0  # lines that could not be read


@dataclass(frozen=True, slots=True)
class Found:
    """A message's file as it lies there. `uid` None: no list has it."""

    sub: str  # new | cur
    name: str
    uid: int | None
    uidl: str  # "": one of our own
    keywords: frozenset[str]


@dataclass(frozen=True, slots=True)
class FoundFolder:
    """One folder. `name` as ours are: Unicode, "/" between levels."""

    name: str
    directory: str  # where it lies, below the Maildir; "" is the INBOX
    uidvalidity: int
    uidnext: int
    messages: Sequence[Found]
    lettered: frozenset[str]  # keywords that the files' names can tell of; what else a message has is not in them


@dataclass(frozen=True, slots=True)
class Inheritance:
    """A whole Maildir. `subscriptions` None: there is no list of them."""

    folders: Sequence[FoundFolder]
    subscriptions: Sequence[str] | None
    uidvalidity: int  # the highest that was given out
    remarks: Sequence[Remark]
    kinds: Mapping[str, int] = field(default_factory=dict)  # which lists were found, and in how many folders
