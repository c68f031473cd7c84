"""The directory of the Maildirs, looked at without writing to it: what it is on, and whether the mail is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mailstore.errors import StorageFailed
from mailstore.file_systems import Kind, file_system
from mailstore.mooring import MailAway, OtherLayout
from proxy.cli.checks.finding import Finding
from proxy.cli.checks.places import existing
from proxy.cli.checks.storage.mounted import of_mount
from proxy.cli.moored import crowds, mooring_of
from proxy.config import Config

CROWDED: Final = 100_000  # accounts whose mailboxes are in one directory


def storage_findings(config: Config) -> Iterator[Finding]:
    """What would damage mail, or keep it from being stored; all of it is tried by `check --storage`."""
    top = config.maildir_root
    try:
        found = file_system(existing(top))
    except OSError as error:
        yield Finding("storage", "fail", str(top), f"cannot be looked into: {error.strerror}", "is the server there?")
        return
    more = f"mailferry check --storage {existing(top)} tries it"
    if found.elsewhere or found.kind is Kind.UNKNOWN:
        yield Finding("storage", "ok", str(top), f"on {found.type} of {found.source or 'somewhere else'}", more)
    elif found.kind is Kind.MEMORY:
        yield Finding("storage", "warn", str(top), f"on {found.type}: all mail is gone with the next restart")
    if found.kind is Kind.NETWORK and config.storage.database == "sqlite":
        text = "indexes are SQLite's and lie there: this machine alone may serve them"
        yield Finding("storage", "warn", str(top), text)
    yield from (each for each in of_mount(found) if each.result != "ok" and found.kind is not Kind.UNKNOWN)
    yield from _moored(config)
    yield from _crowded(config)


def _crowded(config: Config) -> Iterator[Finding]:
    """A directory with a million entries is slow to list, to back up and to mend, and some file systems refuse it."""
    layout = config.maildir_layout
    if "{hash}" in layout:
        return
    above, _, _ = layout.partition("{local}")
    found = crowds(config)
    if "{domain}/" not in above:
        found = {"all domains": sum(found.values())}
    for domain, accounts in sorted(found.items()):
        if accounts >= CROWDED:
            text = f"{accounts:,} accounts of {domain} lie in one directory"
            remedy = "put {hash}/ into storage.maildir, and run mailferry storage rehash"
            yield Finding("storage", "warn", str(config.maildir_root), text, remedy)


def _moored(config: Config) -> Iterator[Finding]:
    place = str(config.maildir_root)
    try:
        mooring_of(config).look()
    except MailAway as error:
        remedy = "mount it; if the mail is all there, mailferry storage claim; nobody is let in before"
        yield Finding("storage", "fail", place, str(error), remedy)
    except OtherLayout as error:
        text, _, remedy = str(error).rpartition(": ")
        yield Finding("storage", "fail", place, text, remedy)
    except StorageFailed as error:
        yield Finding("storage", "fail", place, str(error))
