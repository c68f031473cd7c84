"""Changing the configuration file for its administrator: the keys that are meant, and not a comment or a space more.

The file is edited as text, so that what a person wrote stays as it is; what comes of it is checked whole before it
takes the old file's place in one step. Called by `proxy.admin.settling`.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import secrets
import stat
import tomllib
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import tomlkit
from tomlkit.items import InlineTable, Item, Table
from tomlkit.toml_document import TOMLDocument

from proxy.config import ConfigErrors, Mistake, parse
from proxy.config.mistakes import key_path, quoted_key
from proxy.config.names import ascii_name

Keys = tuple[str, ...]
_BOM: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class Edit:
    """A change that was checked and is not made yet, of the file as it was read."""

    path: Path
    before: bytes
    after: bytes

    @property
    def lines(self) -> list[str]:
        """What goes and what comes, each line behind its "-" or "+"."""
        old, new = (data.decode("utf-8-sig").splitlines() for data in (self.before, self.after))
        found = list(difflib.unified_diff(old, new, n=0, lineterm=""))
        return [line for line in found[2:] if not line.startswith("@@")]

    @property
    def digest(self) -> str:
        """Of this very change: another, or of another file, has another."""
        return hashlib.sha256(b"%d %b%b" % (len(self.before), self.before, self.after)).hexdigest()

    def write(self) -> None:
        """Make it. Raises OSError, also where somebody has changed the file meanwhile; then it is as it was."""
        if self.after != self.before:
            _replace(self.path.resolve(), self.before, self.after)


def edit(path: Path, changes: Mapping[Keys, Any], remarks: Mapping[Keys, str] | None = None) -> Edit:
    """Have each key, given as its path of tables, set to a value.

    Tables that are not there are made; a domain is found by whichever spelling the file has. `remarks` are comments, of
    one line or more, that come behind a key's line; one that is there already is not written again.

    Raises ConfigErrors where the file would not be right with it, or is not now, and OSError.
    """
    before = path.read_bytes()
    try:
        text = before.decode("utf-8-sig")
        for keys, value in changes.items():
            text = _with(text, _spelled(text, keys), value)
        for keys, remark in (remarks or {}).items():
            text = _remarked(text, _spelled(text, keys), remark)
        found = tomllib.loads(text)
    except ValueError as error:  # what cannot be read or edited; `parse` says it better where it can
        parse(before, str(path), path.parent)
        raise ConfigErrors(str(path), [Mistake("", f"cannot be edited: {error}")]) from error
    for keys, value in changes.items():
        if _at(found, _spelled(text, keys)) != value:
            raise ConfigErrors(str(path), [Mistake(key_path(keys), f"cannot be set here: write {value!r} by hand")])
    after = (_BOM if before.startswith(_BOM.encode()) else "").encode() + text.encode()
    parse(after, str(path), path.parent)
    return Edit(path, before, after)


def may_write(path: Path) -> bool:
    """May this process put another file in its place?"""
    return os.access(path.resolve().parent, os.W_OK | os.X_OK)


def _spelled(text: str, keys: Keys) -> Keys:
    """The path with the domain written as the file has it."""
    domains = tomllib.loads(text).get("domain")
    if keys[:1] != ("domain",) or len(keys) < 2 or not isinstance(domains, dict):
        return keys
    for written in domains:
        try:
            if ascii_name(written) == ascii_name(keys[1]):
                return ("domain", written, *keys[2:])
        except ValueError:
            continue
    return keys


def _with(text: str, keys: Keys, value: Any) -> str:
    """The text with one key set."""
    if _at(tomllib.loads(text), keys) == value:
        return text
    document = tomlkit.parse(text)
    table = _table(document, keys[:-1])
    if table is None:
        return _with_table(text, keys, value)
    if keys[-1] not in table and isinstance(table, Table):
        added = _inserted(document, table, f"{quoted_key(keys[-1])} = {tomlkit.item(value).as_string()}")
        if added is not None and _at(_loaded(added), keys) == value:
            return added
        document = tomlkit.parse(text)
        table = _table(document, keys[:-1])
        assert table is not None
    table[keys[-1]] = value
    return tomlkit.dumps(document)


def _inserted(document: TOMLDocument, table: Table, line: str) -> str | None:
    """A line behind the table's last key, and so before the comments that belong to what follows."""
    body = table.value.body
    last = [item for key, item in body if key is not None and isinstance(item, Item) and not isinstance(item, Table)]
    return None if not last else _behind(document, last[-1], line)


def _behind(document: TOMLDocument, item: Item, line: str) -> str:
    end = "\r\n" if "\r" in item.trivia.trail else "\n"
    item.trivia.trail = f"{end}{line}{item.trivia.trail or end}"
    return tomlkit.dumps(document)


def _with_table(text: str, keys: Keys, value: Any) -> str:
    """The text with a new table at its end."""
    end = "\r\n" if "\r\n" in text else "\n"
    gap = "" if not text else end if text.endswith("\n") else end * 2
    header = f"[{'.'.join(map(quoted_key, keys[:-1]))}]"
    return f"{text}{gap}{header}{end}{quoted_key(keys[-1])} = {tomlkit.item(value).as_string()}{end}"


def _remarked(text: str, keys: Keys, remark: str) -> str:
    lines = ["# " + " ".join(line.split()) for line in remark.splitlines()]
    document = tomlkit.parse(text)
    table = _table(document, keys[:-1])
    if all(line in text for line in lines) or table is None or isinstance(table, InlineTable) or keys[-1] not in table:
        return text
    end = "\r\n" if "\r\n" in text else "\n"
    item = table[keys[-1]]
    return _behind(document, item, end.join(lines)) if isinstance(item, Item) else text


def _table(document: TOMLDocument, keys: Keys) -> MutableMapping[str, Any] | None:
    table: Any = document
    for key in keys:
        table = table.get(key)
        if not isinstance(table, MutableMapping):
            return None
    return table if isinstance(table, MutableMapping) else None


def _loaded(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}


def _at(found: Any, keys: Keys) -> Any:
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _replace(path: Path, before: bytes, after: bytes) -> None:
    """In one step, with the file's mode and owner. Raises OSError, also where somebody has changed it meanwhile."""
    status = path.stat()
    passing = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with passing.open("xb") as file:
            os.fchmod(file.fileno(), stat.S_IMODE(status.st_mode))
            if os.geteuid() == 0:
                os.fchown(file.fileno(), status.st_uid, status.st_gid)
            file.write(after)
            file.flush()
            os.fsync(file.fileno())
        if path.read_bytes() != before:
            raise OSError(0, "it was changed by somebody else just now; try again", str(path))
        passing.replace(path)
    finally:
        passing.unlink(missing_ok=True)
