"""How a list that is held against what is here is shown: tables on a terminal, a line each in a pipe, JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

import click

from mailstore.accounts import State
from mailstore.roster import Absent, Changed, Comparison, Difference, Entry
from proxy.admin.spreadsheet.values import spelled_quota

MOST: Final = 20  # of each kind that are named where not all are

_WORDS: Final = {"full_name": "name", "legacy_login": "legacy login"}


def each(found: Comparison) -> None:
    """Every account that is new or changed; on a terminal the first of them."""
    if sys.stdout.isatty():
        _table(found)
        return
    for entry in found.new:
        click.echo("  ".join(("new", *filter(None, _about(entry)), *_more_about(entry))))
    for changed in found.changed:
        click.echo(f"changed  {changed.entry.name}  {spelled(changed)}")


def _about(entry: Entry) -> tuple[str, str, str]:
    return entry.name, entry.full_name, entry.department


def _more_about(entry: Entry) -> Iterator[str]:
    if entry.quota is not None:
        yield f"quota {_quota(entry.quota)}"
    if entry.aliases:
        yield f"alias {_addresses(entry.aliases)}"
    if entry.legacy_login:
        yield f"legacy login {entry.legacy_login}"
    if entry.password is not None:
        yield "with its password"


def _table(found: Comparison) -> None:
    from rich.console import Console  # noqa: PLC0415 - rich, only where there is a terminal
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console()
    if found.new:
        titles = ("new", "name", "department", "quota", "aliases", "legacy login", "password")
        table = Table(*titles, box=None, header_style="bold")
        for entry in found.new[:MOST]:
            quota = "" if entry.quota is None else _quota(entry.quota)
            known = "" if entry.password is None else "given"
            cells = (*_about(entry), quota, _addresses(entry.aliases), entry.legacy_login, known)
            table.add_row(Text(cells[0], style="green"), *map(Text, cells[1:]))
        console.print(table)
        _more(len(found.new))
    if found.changed:
        table = Table("changed", "what", box=None, header_style="bold")
        for changed in found.changed[:MOST]:
            table.add_row(Text(changed.entry.name, style="yellow"), Text(spelled(changed)))
        console.print(table)
        _more(len(found.changed))


def _more(count: int) -> None:
    if count > MOST:
        click.echo(f"and {count - MOST:,} more: all of them with --dry-run in a pipe, or with --json")


def spelled(changed: Changed) -> str:
    """ "name 李娜 → 李 娜; password"."""
    return "; ".join(_difference(difference) for difference in changed.differences)


def _difference(difference: Difference) -> str:
    word = _WORDS.get(difference.field, difference.field)
    if difference.field == "password":
        return word
    return f"{word} {_value(difference, difference.before)} → {_value(difference, difference.now)}"


def _value(difference: Difference, value: Any) -> str:
    if difference.field == "quota":
        return "the domain's" if value is None else _quota(value)
    return (_addresses(value) if difference.field == "aliases" else str(value)) or "(none)"


def _quota(octets: int) -> str:
    return "no limit" if octets == 0 else spelled_quota(octets)


def _addresses(addresses: Sequence[tuple[str, str]]) -> str:
    return ", ".join(sorted(f"{local}@{domain}" for local, domain in addresses))


def _count(number: int, one: str = "account", many: str = "accounts") -> str:
    return f"1 {one}" if number == 1 else f"{number:,} {many}"


def summary(found: Comparison, *, written: bool) -> str:
    """One line."""
    new, changed, same = len(found.new), len(found.changed), len(found.same)
    if written and not (new or changed):
        return f"{_count(found.listed)} in the list, all as they are here: nothing changes"
    if written:
        return f"{_count(found.listed)} in the list: {new:,} added, {changed:,} changed, {same:,} as they were"
    return f"{_count(found.listed)} in the list: {new:,} new, {changed:,} would change, {same:,} as they are here"


def absent(found: Comparison) -> Iterator[str]:
    """Those who are not in the list."""
    if found.absent:
        earlier = sum(one.enrolled for one in found.absent)
        were = f" ({earlier:,} of them in an earlier one)" if earlier else ""
        yield f"{_count(len(found.absent))} here, and not in the list{were}; left as they are:"
        yield from _named(found.absent)


def _named(some: Sequence[Absent]) -> Iterator[str]:
    for one in some[:MOST]:
        yield f"  {one.name}  {one.state.value}"
    if len(some) > MOST:
        yield f"  and {len(some) - MOST:,} more: all of them with --json"


def about_passwords(found: Comparison, spaced: int) -> Iterator[str]:
    if found.passwords_kept:
        yield (
            f"{_count(found.passwords_kept, 'password', 'passwords')} in the list not taken: the legacy server has "
            "taken one of the account already, or is no longer asked for it"
        )
    if spaced:
        yield f"{_count(spaced, 'password begins or ends', 'passwords begin or end')} with a space, and count with it"


def then_and_now(found: Comparison, file: str) -> None:
    """For `compare`."""
    click.echo(f"new there, and not here: {_count(len(found.new))}")
    for entry in found.new:
        click.echo("  ".join(("", *filter(None, _about(entry)))))
    gone = [one for one in found.absent if one.enrolled]
    others = [one for one in found.absent if not one.enrolled]
    click.echo(f"gone there, and still here: {_count(len(gone))}")
    for one in gone:
        click.echo(f"  {one.name}  {_fate(one)}")
    if others:
        click.echo(f"here by a login, and in no list: {_count(len(others))}")
        for one in others:
            click.echo(f"  {one.name}  {_fate(one)}")
    click.echo(f"in both: {_count(len(found.changed) + len(found.same))}")
    if found.new:
        click.echo(f"Take the new ones over with: mailferry accounts import {file}")


def _fate(one: Absent) -> str:
    return "waiting, never logged in here" if one.state is State.WAITING else one.state.value


def as_json(found: Comparison) -> dict[str, Any]:
    """Part of what `--json` prints."""
    return {
        "accounts": found.listed,
        "new": [_entry_json(entry) for entry in found.new],
        "changed": [_changed_json(changed) for changed in found.changed],
        "same": len(found.same),
        "absent": [{"account": a.name, "state": a.state.value, "listed_before": a.enrolled} for a in found.absent],
        "passwords_kept": found.passwords_kept,
    }


def _entry_json(entry: Entry) -> dict[str, Any]:
    return {
        "account": entry.name,
        "name": entry.full_name,
        "department": entry.department,
        "quota": entry.quota,
        "aliases": [f"{local}@{domain}" for local, domain in entry.aliases],
        "legacy_login": entry.legacy_login,
    }


def _changed_json(changed: Changed) -> dict[str, Any]:
    differences: dict[str, dict[str, Any]] = {}
    for d in changed.differences:
        word = "name" if d.field == "full_name" else d.field
        if d.field == "password":
            differences[word] = {}
        elif d.field == "aliases":
            differences[word] = {"before": _listed(d.before), "now": _listed(d.now)}
        else:
            differences[word] = {"before": d.before, "now": d.now}
    return {"account": changed.entry.name, "changes": differences}


def _listed(addresses: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{local}@{domain}" for local, domain in addresses]
