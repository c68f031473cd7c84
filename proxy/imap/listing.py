"""Which folders a LIST or LSUB shows, and with which attributes (RFC 3501 6.3.8, 6.3.9, RFC 3348).

Pure: names in, lines out. Names and patterns are Unicode with "/" between levels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

SEPARATOR = "/"
INBOX = "INBOX"


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of LIST or LSUB."""

    name: str
    attributes: tuple[bytes, ...]


def canonical(name: str) -> str:
    """The name as the store knows it: INBOX, also above other folders, in any case (RFC 3501 5.1)."""
    head, separator, rest = name.partition(SEPARATOR)
    return INBOX + separator + rest if head.upper() == INBOX else name


def matches(pattern: str, name: str) -> bool:
    """Does a folder name match? "*" stands for anything, "%" for anything within one level.

    Time is bounded by the product of both lengths, whatever the pattern.
    """
    reached = {0}  # the places in the pattern that the characters of the name up to here lead to
    for character in name:
        reached = _closed(pattern, reached)
        following = set()
        for place in reached:
            if place == len(pattern):
                continue
            expected = pattern[place]
            if expected == "*" or (expected == "%" and character != SEPARATOR):
                following.add(place)
            elif expected == character:
                following.add(place + 1)
        if not following:
            return False
        reached = following
    return len(pattern) in _closed(pattern, reached)


def _closed(pattern: str, reached: set[int]) -> set[int]:
    """`reached` and every place behind wildcards that match nothing."""
    result = set(reached)
    for start in reached:
        place = start
        while place < len(pattern) and pattern[place] in "*%":
            place += 1
            if place in result:
                break
            result.add(place)
    return result


def full_pattern(reference: str, pattern: str) -> str:
    """The pattern that a reference and a pattern make together, INBOX in its one spelling."""
    return canonical(reference + pattern)


def listed(folders: Iterable[str], pattern: str) -> list[Listed]:
    """LIST: the folders that match, and the levels above folders that are no folders themselves."""
    existing = set(folders)
    above = {name for folder in existing for name in _parents(folder)}
    return [
        Listed(name, _attributes(selectable=name in existing, has_children=name in above))
        for name in in_order(existing | above)
        if matches(pattern, name)
    ]


def subscribed(subscriptions: Iterable[str], folders: Iterable[str], pattern: str) -> list[Listed]:
    """LSUB: the subscriptions that match, whether or not there is such a folder.

    Where a subscription itself is too deep for a final "%", the level of it that matches is shown with
    \\Noselect (RFC 3501 6.3.9).
    """
    names = set(subscriptions)
    existing = set(folders)
    shown = {name: () if name in existing else (b"\\Noselect",) for name in names if matches(pattern, name)}
    if pattern.endswith("%"):
        for name in {above for deep in names for above in _parents(deep)} - names:
            if matches(pattern, name):
                shown[name] = (b"\\Noselect",)
    return [Listed(name, shown[name]) for name in in_order(shown)]


def in_order(names: Iterable[str]) -> list[str]:
    """INBOX first, then by name, each folder before those below it."""
    return sorted(names, key=lambda name: (name != INBOX, name.split(SEPARATOR)))


def _attributes(*, selectable: bool, has_children: bool) -> tuple[bytes, ...]:
    children = b"\\HasChildren" if has_children else b"\\HasNoChildren"
    return (children,) if selectable else (b"\\Noselect", children)


def _parents(name: str) -> Iterator[str]:
    place = name.find(SEPARATOR)
    while place > 0:
        yield name[:place]
        place = name.find(SEPARATOR, place + 1)
