"""From pydantic's findings to mistakes in words that an administrator can act on."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from proxy.config.mistakes import Mistake, key_path, meant, printable, shown
from proxy.config.model import known_keys

_MUST_BE = {
    "string_type": "text in quotes",
    "int_type": "a whole number, without quotes",
    "bool_type": "true or false, without quotes",
    "tuple_type": "a list in brackets",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "path_type": "a path in quotes",
    "is_instance_of": "a path in quotes",
}
_EXAMPLES = {
    "hostname": 'hostname = "mail.123.com"',
    "listen": '[listen] with, for instance, imaps = ["tcp:993"]',
    "domain": '[domain."123.com"] and its old server under [domain."123.com".legacy]',
    "legacy": 'the old server, with, for instance, host = "pop.old.123.com"',
    "host": 'the old server\'s name or address, such as host = "pop.old.123.com"',
}


def mistakes(error: ValidationError) -> list[Mistake]:
    """One for each finding, in the order of the keys."""
    found: dict[str, Mistake] = {}
    for details in error.errors(include_url=False):
        place = details["loc"]
        found.setdefault(key_path(place), Mistake(key_path(place), _text(details, place)))
    return list(found.values())


def _text(details: ErrorDetails, place: tuple[str | int, ...]) -> str:
    kind, given = details["type"], details["input"]
    context: dict[str, Any] = details.get("ctx", {})
    if kind == "value_error":
        return printable(str(context["error"]))  # it may quote the value
    if kind == "extra_forbidden":
        return _unknown_key(place, given)
    if kind == "missing":
        example = _EXAMPLES.get(str(place[-1]))
        return f"is missing: add {example}" if example else "is missing"
    if kind == "too_short":
        return f"has nothing in it: add {_EXAMPLES.get(str(place[-1]), 'an entry')}"
    if kind == "literal_error":
        return _no_choice(given, context["expected"])
    if kind in {"greater_than_equal", "less_than_equal"}:
        bound = "at least" if kind == "greater_than_equal" else "at most"
        return f"must be {bound} {context.get('ge', context.get('le'))}, not {shown(given)}"
    if kind in _MUST_BE:
        return f"must be {_MUST_BE[kind]}, not {shown(given)}"
    return f"{details['msg'][:1].lower()}{details['msg'][1:]}, not {shown(given)}"


def _unknown_key(place: tuple[str | int, ...], given: object) -> str:
    key, known = str(place[-1]), known_keys(place[:-1])
    if len(place) == 3 and place[0] == "domain" and isinstance(given, dict):
        return f'unknown key; if {place[1]}.{key} is the domain, it needs quotes: [domain."{place[1]}.{key}"]'
    hint = meant(key, known)
    return f"unknown key{hint}" if hint else f"unknown key; here may be {', '.join(known)}"


def _no_choice(given: object, expected: str) -> str:
    """`expected` is pydantic's "'none', 'starttls' or 'implicit'"."""
    choices = [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]
    hint = meant(given, choices) if isinstance(given, str) else ""
    return f"{shown(given)} is none of {', '.join(choices)}{hint}"
