"""What a folder's directories hold beside what the index says of it: what other programs did.

Pure: names in, differences out; `mailstore.reconciling` reads the directories and carries out what follows.
A file is the message of the row that has its unique name, whatever its flags; a second file with the same unique
name is another message that has to get a name of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mailstore.index.flagtext import from_text
from mailstore.index.rows import Flags
from mailstore.maildir import flags_of, info, unique_of


@dataclass(frozen=True, slots=True)
class Lying:
    """A file: in `new` or `cur`, under this name."""

    sub: str
    name: str


@dataclass(frozen=True, slots=True)
class Renamed:
    """A message whose file is not where its flags put it."""

    uid: int
    file: str
    flags: Flags  # as the index has them
    lying: Lying


@dataclass(slots=True)
class Difference:
    """What is not as the index says."""

    unknown: list[Lying] = field(default_factory=list)
    duplicates: list[tuple[Lying, Lying]] = field(default_factory=list)  # a message's file, and one more of its name
    renamed: list[Renamed] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)  # UIDs

    def __bool__(self) -> bool:
        return bool(self.unknown or self.duplicates or self.renamed or self.missing)


def compare(rows: Iterable[tuple[int, str, str]], new: Iterable[str], cur: Iterable[str]) -> Difference:
    """`rows` are (UID, flags as text, unique name). Nearly all files are where they should be: those are passed
    over by one look into a set each."""
    left = set(cur)
    suffixes: dict[str, str] = {}
    odd: list[tuple[int, str, str]] = []
    kept: dict[str, str] = {}
    for uid, flags, file in rows:
        suffix = suffixes.get(flags)
        if suffix is None:
            suffix = suffixes[flags] = info(from_text(flags))
        name = file + suffix
        if name in left:
            left.remove(name)
            kept[file] = name
        else:
            odd.append((uid, flags, file))
    found = Difference()
    lying = _by_unique(left, new)
    for uid, flags, file in odd:
        candidates = lying.pop(file, None)
        if candidates is None:
            found.missing.append(uid)
            continue
        # In `cur` rather than in `new`, and of several the one with the most flags: the last to be renamed.
        best = max(candidates, key=lambda at: (at.sub == "cur", len(flags_of(at.name)), at.name))
        found.renamed.append(Renamed(uid, file, from_text(flags), best))
        found.duplicates += [(best, other) for other in candidates if other is not best]
    _sort_out(found, lying, kept)
    return found


def _by_unique(cur: Iterable[str], new: Iterable[str]) -> dict[str, list[Lying]]:
    lying: dict[str, list[Lying]] = {}
    for sub, names in (("cur", cur), ("new", new)):
        for name in names:
            if not name.startswith("."):  # the Maildir rule: such are no messages
                lying.setdefault(unique_of(name), []).append(Lying(sub, name))
    return lying


def _sort_out(found: Difference, lying: Mapping[str, list[Lying]], kept: Mapping[str, str]) -> None:
    for unique, files in lying.items():
        if unique in kept:
            found.duplicates += [(Lying("cur", kept[unique]), other) for other in files]
            continue
        ordered = sorted(files, key=lambda at: (at.sub == "cur", len(flags_of(at.name)), at.name), reverse=True)
        found.unknown.append(ordered[0])
        found.duplicates += [(ordered[0], other) for other in ordered[1:]]
    found.unknown.sort(key=delivered)
    found.duplicates.sort(key=lambda pair: delivered(pair[1]))


def delivered(lying: Lying) -> tuple[int, str]:
    """The order in which messages are taken in: by the time of delivery that stands in the name, then by name."""
    digits = lying.name.partition(".")[0]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 16 else 0, lying.name
