"""The configuration, key by key: values of keys that are known, in their places and right. Comments are left out, and
so is whatever stands where nothing should: anything may be there.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from typing import Any, Final

from proxy.admin.doctor.hiding import GONE, Hiding
from proxy.config import ConfigErrors
from proxy.config.model import known_keys

_ADDRESSES: Final = {"sender"}
_NOT_SHOWN: Final = {"contact", "user", "database"}  # a person's, a login's, and what may have a password in it
_LINE: Final = re.compile(r"^\s*([A-Za-z_]+)\s*=", re.MULTILINE)
_NAME: Final = re.compile(r"[\w.-]+")
_TABLES: Final = {(), ("listen",), ("tls",), ("storage",), ("migration",), ("notices",), ("domain", "", "legacy")}


def settings(data: bytes, wrong: Collection[str], hiding: Hiding) -> Any:
    """What the file says; `wrong` are the keys that are, by their paths."""
    try:
        raw = tomllib.loads(data.removeprefix(b"\xef\xbb\xbf").decode())
    except (ValueError, RecursionError):
        known = {key for table in _TABLES for key in known_keys(table)}
        named = set(_LINE.findall(data.decode("utf-8", "replace")))
        return {"keys that are in it": sorted(named & known)}
    return _table(raw, (), frozenset(wrong), hiding)


def _table(raw: Mapping[str, Any], above: tuple[str, ...], wrong: frozenset[str], hiding: Hiding) -> dict[str, Any]:
    found: dict[str, Any] = {}
    unknown = 0
    for key, value in raw.items():
        here = (*above, key)
        if above == ("domain",) and isinstance(value, dict) and _NAME.fullmatch(key):
            found[key] = _table(value, here, wrong, hiding)
        elif key not in known_keys(above):
            unknown += 1
        elif isinstance(value, dict):
            found[key] = _table(value, here, wrong, hiding)
        else:
            found[key] = GONE if _is_wrong(here, wrong) else _value(key, value, hiding)
    if unknown:
        found["keys that are not known"] = unknown
    return found


def _is_wrong(here: tuple[str, ...], wrong: frozenset[str]) -> bool:
    last = here[-1]
    return any(key == "" or last in re.split(r'[."\[\]]+', key) for key in wrong)


def _value(key: str, value: Any, hiding: Hiding) -> Any:
    if hiding.names and key != "database":
        return value
    if key in _NOT_SHOWN:
        return value if value == "sqlite" else GONE
    if key in _ADDRESSES:
        name, _, address = str(value).rpartition("<")
        return f"{GONE} <{hiding.account(address.rstrip('> '))}>" if name else hiding.account(address)
    return value


def mistakes(error: ConfigErrors, hiding: Hiding) -> list[dict[str, str]]:
    """What is wrong with it. Names of keys may be anything, where they are not known."""
    return [{"key": _named(m.key), "text": hiding.text(m.text)} for m in error.mistakes]


def _named(key: str) -> str:
    known = {name for table in _TABLES for name in known_keys(table)} | {"domain"}
    return ".".join(part if part in known else GONE for part in key.split(".")) if key else ""
