"""A tree of Maildirs carried from one layout to another, account by account, while nobody serves it.

The file at the top of the tree (`mailstore.mooring`) says that it is on its way before the first mailbox is renamed,
and that it has arrived when the last is durable: in between no node lets anybody to a mailbox, and whoever was
interrupted goes on. The way back is the same: the layout that was left is the configuration's again.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from mailstore.barrier import sync_file_system
from mailstore.errors import MailstoreError, StorageFailed
from mailstore.mooring import MARKER, Mooring, Tree
from mailstore.placing import Carried, Carrier, parts
from mailstore.refusals import storage_errors

BATCH: Final = 500  # mailboxes between two barriers

PlaceOf = Callable[[str, str], Path]  # local part, domain → Maildir


class RehashRefused(MailstoreError):
    """It cannot begin. The text is for the administrator, and says what to do."""


@dataclass(frozen=True, slots=True)
class Way:
    """From where to where; templates are absolute."""

    top: Path  # where the file is that says so
    tree: Tree
    before: str
    now: str


@dataclass(slots=True)
class Result:
    """How it went."""

    count: Counter[Carried] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)  # accounts that stay where they were, and why


def find_way(mooring: Mooring, before: str | None) -> Way | None:
    """To the layout that the mooring has; None where everything is there, as far as is known. `before` is the template
    that mail lies by where nothing notes that. Raises RehashRefused, StorageFailed."""
    now = template(mooring.top, mooring.layout)
    noted = mooring.noted()
    top = mooring.top if noted is None or mooring.tree() is not None else Path(noted.top)
    tree = mooring.tree(top)
    if tree is None and noted is not None:
        raise RehashRefused(f"{top} is not the top of the mail as it was: is its disk mounted?")
    if before is not None:
        return _said(mooring, tree, before, now)
    if tree is None:
        raise RehashRefused("nothing notes where the mail lies until now: say so with --from TEMPLATE")
    own = template(top, tree.layout)
    if not tree.carried_to:
        return None if own == now else Way(top, tree, own, now)
    if now == tree.carried_to:
        return Way(top, tree, own, now)
    if now == own:  # the way back
        return Way(top, tree, tree.carried_to, now)
    raise RehashRefused(
        f"some mailboxes lie by {own}, others by {tree.carried_to} already: set storage.maildir to one of the two first"
    )


def _said(mooring: Mooring, tree: Tree | None, before: str, now: str) -> Way | None:
    if before == now:
        return None
    fixed = before.partition("{")[0]
    top = Path(fixed).parent if not fixed.endswith("/") else Path(fixed)
    found = mooring.tree(top) or tree or mooring.new_tree()
    if found.carried_to:
        raise RehashRefused("mailboxes are on their way already: run it without --from to its end first")
    return Way(top, replace(found, layout=before.removeprefix(str(top)).lstrip("/")), before, now)


def template(top: Path, layout: str) -> str:
    """Written out."""
    return f"{top}/{layout}"


def see_to_one_disk(way: Way, mooring: Mooring) -> None:
    """Raises RehashRefused where renaming cannot do it."""
    with storage_errors():
        target = next(each for each in (mooring.top, *mooring.top.parents) if each.exists())
        if way.top.exists() and way.top.stat().st_dev != target.stat().st_dev:
            raise RehashRefused(
                f"{way.top} and {mooring.top} are on different file systems: copy the tree while nothing runs "
                "(rsync -aH), and then run mailferry storage claim"
            )


def would(accounts: Iterable[tuple[str, str]], before: PlaceOf, now: PlaceOf) -> Result:
    """What would be done. Nothing is."""
    result = Result()
    for local, domain in accounts:
        old, new = before(local, domain), now(local, domain)
        with storage_errors():
            names, there = parts(old), parts(new)
        if old == new or not names:
            result.count[Carried.THERE if there else Carried.NOTHING] += 1
        elif {new.name + name.removeprefix(old.name) for name in names} & set(there):
            result.failed[f"{local}@{domain}"] = f"it is in {old.parent} and in {new.parent}"
        else:
            result.count[Carried.CARRIED] += 1
    return result


def _settle_all(top: Path) -> None:
    """Also what was renamed before an interruption."""
    with storage_errors():
        if not top.is_dir():
            return
        descriptor = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sync_file_system(descriptor)  # a server has renamed what it said that it has
        finally:
            os.close(descriptor)


def rehash(
    mooring: Mooring,
    way: Way,
    accounts: Iterable[tuple[str, str]],
    before: PlaceOf,
    now: PlaceOf,
    told: Callable[[int, str], None] = lambda _done, _account: None,
) -> Result:
    """Carry all of them. `told(done, account)` is called before each. What fails of one account stays where it was, and
    so does the mark that it is not done. Raises StorageFailed."""
    there = template(mooring.top, mooring.layout)
    if not way.tree.carried_to:
        mooring.write(replace(way.tree, carried_to=there), way.top)
    carrier, result = Carrier({way.top, mooring.top}), Result()
    for done, (local, domain) in enumerate(accounts):
        account = f"{local}@{domain}"
        told(done, account)
        try:
            result.count[carrier.carry(before(local, domain), now(local, domain))] += 1
        except StorageFailed as error:
            result.failed[account] = str(error)
        if done % BATCH == BATCH - 1:
            carrier.settle()
    carrier.settle()
    if not result.failed:
        _settle_all(mooring.top)
        mooring.write(replace(way.tree, layout=mooring.layout, carried_to=""), mooring.top)
        if way.top != mooring.top:
            with suppress(OSError):
                os.unlink(way.top / MARKER)  # noqa: PTH108 - with what is suppressed
    return result
