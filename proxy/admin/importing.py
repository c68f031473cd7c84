"""A list of accounts on its way in by way of a person who looks at it first: what it would do, and then just that.

    preview → a person says yes → apply

`apply` does what the preview showed or nothing: it holds the list against the accounts again, in the transaction that
writes, and where that comes to something else the person gets a new preview. No password is in a preview, nor in what
previews are told apart by.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from mailstore.database import AccountsDatabase
from mailstore.roster import Absent, Changed, Comparison, Difference, Entry, Otherwise
from mailstore.secrets import Sealer
from proxy.admin import roster
from proxy.admin.spreadsheet.checking import Listing
from proxy.config import Config

SHOWN: Final = 200  # accounts of each kind that a preview names


@dataclass(frozen=True, slots=True)
class Manner:
    """How a list is to be read. `expect`: how many accounts it must have; None: as many as it has."""

    charset: str | None = None
    sheet: str | None = None
    domain: str | None = None
    expect: int | None = None


class Unexpected(Exception):
    """The list has another number of accounts than was said."""

    def __init__(self, expected: int, found: int, understood: Sequence[str]) -> None:
        super().__init__(f"{found} accounts, not {expected}")
        self.expected = expected
        self.found = found
        self.understood = understood


class NobodyOf(Exception):
    """The list has no account of the domain that it is compared for."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What would happen. Of new, changed and absent accounts the first SHOWN are here, and how many there are."""

    understood: Sequence[str]
    listed: int
    new: Sequence[Entry]  # without passwords
    new_count: int
    with_password: frozenset[str]  # of the new ones, those that come with one
    changed: Sequence[Changed]
    changed_count: int
    same_count: int
    absent: Sequence[Absent]
    absent_count: int
    absent_listed: int  # of all absent ones, those that an earlier list had
    passwords_kept: int
    spaced_passwords: int
    columns: frozenset[str]
    file: str  # digest of the file that was read
    mark: str  # the same for all that come to the same

    @property
    def changes(self) -> bool:
        return bool(self.new_count or self.changed_count)


def preview(config: Config, database: AccountsDatabase, sealer: Sealer, file: Path, manner: Manner) -> Preview:
    """What `apply` would do. Raises roster.BadList, Unexpected and MailstoreError."""
    listing, digest = _read(config, file, manner)
    return _preview(roster.compare(roster.kept(config, database, sealer), listing), listing, digest)


def against(config: Config, database: AccountsDatabase, sealer: Sealer, file: Path, manner: Manner) -> Preview:
    """The old server's list as it is now, held against what is here of the one domain of `manner`. Changes nothing.
    Raises as `preview`, and NobodyOf."""
    listing, digest = _read(config, file, manner)
    entries = {address: entry for address, entry in listing.entries.items() if entry.domain == manner.domain}
    if not entries:
        raise NobodyOf(manner.domain)
    found = roster.compare(roster.kept(config, database, sealer), replace(listing, entries=entries))
    found.absent.sort(key=lambda one: not one.enrolled)  # those first whom an earlier list had
    return _preview(found, listing, digest)


def apply(
    config: Config, database: AccountsDatabase, sealer: Sealer, file: Path, manner: Manner, seen: Preview
) -> tuple[bool, Preview]:
    """Do what was seen; gives back whether it was done, and what was done or would be done now. Raises as `preview`;
    nothing was changed then."""
    listing, digest = _read(config, file, manner)

    def agreed(found: Comparison) -> bool:
        return (digest, _mark(found)) == (seen.file, seen.mark)

    try:
        done = roster.enrol(roster.kept(config, database, sealer), listing, agreed)
    except Otherwise as error:
        return False, _preview(error.found, listing, digest)
    return True, _preview(done, listing, digest)


def _read(config: Config, file: Path, manner: Manner) -> tuple[Listing, str]:
    sheets = (manner.sheet,) if manner.sheet else ()
    listing = roster.read_file(config, file, charset=manner.charset, sheets=sheets, domain=manner.domain)
    if manner.expect is not None and manner.expect != len(listing.entries):
        raise Unexpected(manner.expect, len(listing.entries), listing.understood)
    with file.open("rb") as source:
        return listing, hashlib.file_digest(source, "sha256").hexdigest()


def _preview(found: Comparison, listing: Listing, digest: str) -> Preview:
    some = found.new[:SHOWN]
    return Preview(
        understood=tuple(listing.understood),
        listed=found.listed,
        new=[_without_password(entry) for entry in some],
        new_count=len(found.new),
        with_password=frozenset(entry.name for entry in some if entry.password is not None),
        changed=[Changed(c.id, _without_password(c.entry), c.differences) for c in found.changed[:SHOWN]],
        changed_count=len(found.changed),
        same_count=len(found.same),
        absent=found.absent[:SHOWN],
        absent_count=len(found.absent),
        absent_listed=sum(one.enrolled for one in found.absent),
        passwords_kept=found.passwords_kept,
        spaced_passwords=listing.spaced_passwords,
        columns=listing.fields,
        file=digest,
        mark=_mark(found),
    )


def _without_password(entry: Entry) -> Entry:
    return Entry(
        entry.local,
        entry.domain,
        entry.full_name,
        entry.department,
        entry.quota,
        entry.legacy_login,
        entry.aliases,
    )


def same_as(seen: Comparison | None) -> Callable[[Comparison], bool] | None:
    """Whether it comes to the same as what was seen; where nothing was, None."""
    return None if seen is None else lambda found: _mark(found) == _mark(seen)


def _mark(found: Comparison) -> str:
    """Of all that would be written. Who is not in the list is left as it is, and may come and go."""
    digest = hashlib.sha256()
    for line in _deeds(found):
        digest.update(f"{line}\n".encode(errors="surrogatepass"))
    return digest.hexdigest()


def _deeds(found: Comparison) -> Iterator[str]:
    yield from sorted(f"new {entry.name!r}" for entry in found.new)
    yield from sorted(f"{c.id} {c.entry.name!r} {list(map(_difference, c.differences))!r}" for c in found.changed)
    yield f"kept {found.passwords_kept}"


def _difference(difference: Difference) -> tuple[str, Any, Any]:
    if difference.field == "aliases":
        return difference.field, sorted(difference.before), sorted(difference.now)
    return difference.field, difference.before, difference.now
