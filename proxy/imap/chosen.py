"""Which folders an extended LIST shows, and what it tells of each (RFC 5258 3, RFC 6154 2).

Pure: folders in, lines out. Names and patterns are Unicode with "/" between levels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mailstore.index.rows import Folder
from proxy.imap.grammar.folder_names import FolderPattern
from proxy.imap.grammar.list_options import ListExtended, Returned, Selection
from proxy.imap.listing import in_order, parents


@dataclass(frozen=True, slots=True)
class Chosen:
    """One line. `childinfo` are the selection options that something below it meets (RFC 5258 3.5), `old_name` is
    what the folder was called before (RFC 5465 5.4)."""

    name: str
    attributes: tuple[bytes, ...]
    selectable: bool
    childinfo: tuple[bytes, ...] = ()
    old_name: str | None = None


_EVERYTHING: Final = ListExtended(frozenset(), "", (), frozenset(Returned))


def chosen(folders: Sequence[Folder], subscriptions: Iterable[str], asked: ListExtended) -> list[Chosen]:
    """The lines of one LIST, in order, each folder once however many patterns it matches."""
    patterns = [FolderPattern(asked.reference + pattern) for pattern in asked.patterns if pattern]
    existing = {folder.name: folder for folder in folders}
    subscribed = set(subscriptions)
    above = {level for name in existing for level in parents(name)}
    names = existing.keys() | above
    if Selection.SUBSCRIBED in asked.selection:
        names = set(subscribed)
    if Selection.SPECIAL_USE in asked.selection:
        names = {name for name in names if name in existing and existing[name].special_use}
    within: set[str] = set()  # what has something below it that is chosen
    if Selection.RECURSIVEMATCH in asked.selection:
        within = {level for name in names for level in parents(name)}
    childinfo = tuple(
        b'"%b"' % option.value.encode()
        for option in (Selection.SUBSCRIBED, Selection.SPECIAL_USE)
        if option in asked.selection
    )
    return [
        Chosen(
            name,
            _attributes(name, existing, subscribed, above, asked),
            name in existing,
            childinfo if name in within else (),
        )
        for name in in_order(names | within)
        if any(pattern.matches(name) for pattern in patterns)
    ]


def described(names: Mapping[str, str | None], folders: Sequence[Folder], subscriptions: Iterable[str]) -> list[Chosen]:
    """Lines that nobody asked for: names, with the old name of a folder that was renamed, and all attributes."""
    existing = {folder.name: folder for folder in folders}
    subscribed = set(subscriptions)
    above = {level for name in existing for level in parents(name)} if names else set()
    return [
        Chosen(
            name, _attributes(name, existing, subscribed, above, _EVERYTHING), name in existing, old_name=names[name]
        )
        for name in in_order(names)
    ]


def _attributes(
    name: str, existing: dict[str, Folder], subscribed: set[str], above: set[str], asked: ListExtended
) -> tuple[bytes, ...]:
    """\\NonExistent stands for \\Noselect too (RFC 5258 4)."""
    told = [] if name in existing else [b"\\NonExistent"]
    if name in subscribed and (Returned.SUBSCRIBED in asked.returned or Selection.SUBSCRIBED in asked.selection):
        told.append(b"\\Subscribed")
    if Returned.CHILDREN in asked.returned:
        told.append(b"\\HasChildren" if name in above else b"\\HasNoChildren")
    if name in existing and (Returned.SPECIAL_USE in asked.returned or Selection.SPECIAL_USE in asked.selection):
        told.extend(use.encode() for use in existing[name].special_use)
    return tuple(told)
