"""A tree of Maildirs carried from one layout to another, account by account.

The file at the top of the tree (`mailstore.mooring`) says that it is on its way before the first mailbox is renamed,
and that it has arrived when the last is durable; whoever was interrupted goes on. To say so nobody may serve it. From
then on who has the new layout may: each mailbox is brought to its place before it is opened, if it is not there yet.
Who has the old one lets nobody in. Where the tree gets another top nobody is let in before all of it is there.

The way back is the same: the layout that was left is the configuration's again.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from mailstore import membership
from mailstore.barrier import sync_file_system
from mailstore.database import AccountsDatabase
from mailstore.errors import MailstoreError, StorageFailed
from mailstore.mooring import CARRYING, MARKER, Mooring, Tree
from mailstore.placing import Carried, Carrier, Listing, in_both, is_there, one_at_a_time, unused
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
    served: bool  # once it is begun, may mailboxes be opened in their new places?
    begun: bool = False  # does the file say so already?


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
    own, served = template(top, tree.layout), top == mooring.top
    if not tree.carried_to:
        return None if own == now else Way(top, tree, own, now, served)
    there = tree.carried_to if tree.carried_to.startswith("/") else template(top, tree.carried_to)
    if now == there:
        return Way(top, tree, own, now, served, begun=tree.carried_to == _target(mooring, top))
    if now == own:  # the way back
        return Way(top, tree, there, now, served)
    raise RehashRefused(
        f"some mailboxes lie by {own}, others by {there} already: set storage.maildir to one of the two first"
    )


def _target(mooring: Mooring, top: Path) -> str:
    """What the file at the top calls the places that the mooring has. Nodes may have the tree mounted in different
    ones."""
    return mooring.layout if top == mooring.top else template(mooring.top, mooring.layout)


def _said(mooring: Mooring, tree: Tree | None, before: str, now: str) -> Way | None:
    if before == now:
        return None
    fixed = before.partition("{")[0]
    top = Path(fixed).parent if not fixed.endswith("/") else Path(fixed)
    found = mooring.tree(top) or tree or mooring.new_tree()
    if found.carried_to:
        raise RehashRefused("mailboxes are on their way already: run it without --from to its end first")
    found = replace(found, layout=before.removeprefix(str(top)).lstrip("/"))
    return Way(top, found, before, now, served=top == mooring.top)


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
    result, listing = Result(), Listing()
    for local, domain in accounts:
        old, new = before(local, domain), now(local, domain)
        with storage_errors():
            names = listing.parts(old)
            there, twice = is_there(new), in_both(old, names, new)
        if old == new or not names:
            result.count[Carried.THERE if there else Carried.NOTHING] += 1
        elif twice:
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


def nodes(database: AccountsDatabase) -> list[str]:
    """The names of nodes that are at work, which may have mailboxes open; none is known of where the accounts are in a
    file. Raises StorageFailed."""
    if database.engine is None:
        return []
    with database.write() as connection:
        membership.bury(connection)
        return [node.name for node in membership.every(connection)]


def begin(mooring: Mooring, way: Way) -> Way:
    """Say that it is on its way; harmless where that is said. Nobody has a mailbox open meanwhile. Raises
    StorageFailed."""
    if way.begun:
        return way
    tree = replace(way.tree, carried_to=_target(mooring, way.top))
    if way.served:  # also on the way back, where some are in either place
        tree = replace(tree, layout=way.before.removeprefix(f"{way.top}/"))
    elif way.tree.carried_to:
        tree = way.tree
    mooring.write(tree, way.top)
    return replace(way, tree=tree, begun=True)


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
    way = begin(mooring, way)
    carrier, result = Carrier({way.top, mooring.top}), Result()
    for done, (local, domain) in enumerate(accounts):
        account = f"{local}@{domain}"
        told(done, account)
        try:
            with storage_errors(), one_at_a_time(way.top), unused(before(local, domain)):
                result.count[carrier.carry(before(local, domain), now(local, domain))] += 1
        except StorageFailed as error:
            result.failed[account] = str(error)
        if done % BATCH == BATCH - 1:
            carrier.settle()
    carrier.settle()
    if not result.failed:
        _settle_all(mooring.top)
        with storage_errors(), one_at_a_time(way.top):
            mooring.write(replace(way.tree, layout=mooring.layout, carried_to=""), mooring.top)
        with suppress(OSError):
            os.unlink(way.top / CARRYING)  # noqa: PTH108 - with what is suppressed
        if way.top != mooring.top:
            with suppress(OSError):
                os.unlink(way.top / MARKER)  # noqa: PTH108 - with what is suppressed
    return result
