"""Which folders a LIST or LSUB shows, and with which attributes (RFC 3501 6.3.8, 6.3.9, RFC 3348).

Pure: names in, lines out. Names and patterns are Unicode with "/" between levels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from proxy.imap.grammar.folder_names import INBOX, SEPARATOR, FolderPattern

_NO_USES: Mapping[str, tuple[str, ...]] = {}


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of LIST or LSUB."""

    name: str
    attributes: tuple[bytes, ...]


def listed(folders: Iterable[str], pattern: str, uses: Mapping[str, tuple[str, ...]] = _NO_USES) -> list[Listed]:
    """LIST: the folders that match, and the levels above folders that are no folders themselves. Special uses
    are told unasked, as RFC 6154 2 allows: clients that know no extended LIST find their Sent by them."""
    wanted = FolderPattern(pattern)
    existing = set(folders)
    above = {name for folder in existing for name in parents(folder)}
    return [
        Listed(
            name,
            _attributes(selectable=name in existing, has_children=name in above)
            + tuple(use.encode() for use in uses.get(name, ())),
        )
        for name in in_order(existing | above)
        if wanted.matches(name)
    ]


def subscribed(subscriptions: Iterable[str], folders: Iterable[str], pattern: str) -> list[Listed]:
    """LSUB: the subscriptions that match, whether or not there is such a folder.

    Where a subscription itself is too deep for a final "%", the level of it that matches is shown with
    \\Noselect (RFC 3501 6.3.9).
    """
    wanted = FolderPattern(pattern)
    names = set(subscriptions)
    existing = set(folders)
    shown = {name: () if name in existing else (b"\\Noselect",) for name in names if wanted.matches(name)}
    if pattern.endswith("%"):
        for name in {above for deep in names for above in parents(deep)} - names:
            if wanted.matches(name):
                shown[name] = (b"\\Noselect",)
    return [Listed(name, shown[name]) for name in in_order(shown)]


def in_order(names: Iterable[str]) -> list[str]:
    """INBOX first, then by name, each folder before those below it."""
    return sorted(names, key=lambda name: (name != INBOX, name.split(SEPARATOR)))


def _attributes(*, selectable: bool, has_children: bool) -> tuple[bytes, ...]:
    children = b"\\HasChildren" if has_children else b"\\HasNoChildren"
    return (children,) if selectable else (b"\\Noselect", children)


def parents(name: str) -> Iterator[str]:
    """The levels above a name, the highest first."""
    place = name.find(SEPARATOR)
    while place > 0:
        yield name[:place]
        place = name.find(SEPARATOR, place + 1)
