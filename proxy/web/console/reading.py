"""Lists of accounts that browsers send: how their forms are understood, and what is said of what is wrong with them.

A list is read in a thread, one at a time: a large one takes seconds.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from mailstore.roster import Difference
from proxy.admin import roster
from proxy.admin.importing import Manner, Preview, Unexpected
from proxy.admin.spreadsheet.chinese import in_chinese
from proxy.admin.spreadsheet.values import spelled_quota
from proxy.web.uploads import read_upload
from proxy.web.visit import Visit
from proxy.web.words import HTML

_FIELDS: Final = ("expect", "charset", "sheet", "domain")
_MISTAKES: Final = 200  # that a page names
_LONGEST: Final = 100  # characters of a field
_MOST_EXPECTED: Final = 10_000_000
_OPTION = re.compile(r"--(charset|sheet|domain)\b")
# What is suggested; any charset that Python knows may be written.
CHARSETS: Final = ("utf-8", "gb18030", "big5", "utf-16")


@dataclass(frozen=True, slots=True)
class Wrong:
    """One mistake, in the visitor's language where it has a translation. `language` is the text's."""

    place: str
    account: str
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a list is not taken: `said` in a sentence, and each mistake."""

    said: str
    mistakes: Sequence[Wrong] = ()
    count: int = 0
    understood: Sequence[tuple[str, str]] = ()  # with its language


class Reading:
    """Of one daemon's console."""

    def __init__(self) -> None:
        self._busy = False

    async def read_body(self, visit: Visit) -> None:
        """Of those who are logged in; nobody else's form is looked at. Raises Refused."""
        if visit.session is None:
            visit.refuse(403, "error.expired")
        await read_upload(visit)

    @asynccontextmanager
    async def alone(self, visit: Visit) -> AsyncIterator[None]:
        """Raises Refused where another list is read."""
        if self._busy:
            visit.refuse(503, "error.busy")
        self._busy = True
        try:
            yield
        finally:
            self._busy = False


def fields_of(form: Mapping[str, str]) -> dict[str, str]:
    """What is shown in the form again."""
    return {name: form.get(name, "")[:_LONGEST] for name in _FIELDS}


def manner_of(visit: Visit) -> Manner | Problem:
    """As the form has it. Raises Refused."""
    fields = {name: visit.form.get(name, "").strip() for name in _FIELDS}
    if any(len(value) > _LONGEST for value in fields.values()):
        visit.refuse(400, "error.malformed")
    expect = fields["expect"].replace(",", "")
    if expect and not (expect.isascii() and expect.isdigit() and int(expect) <= _MOST_EXPECTED):
        return Problem(visit.say("console.import.expect.wrong"))
    domain = fields["domain"].lower()
    if domain and domain not in visit.web.config.domains:
        visit.refuse(400, "error.malformed")
    return Manner(
        charset=fields["charset"] or None,
        sheet=fields["sheet"] or None,
        domain=domain or None,
        expect=int(expect) if expect else None,
    )


async def done_or_told(visit: Visit, work: Callable[[], Awaitable[Any]]) -> Any:
    """What the work comes to, or what is wrong with the list."""
    try:
        return await work()
    except roster.BadList as error:
        return problem_of(visit, error)
    except Unexpected as error:
        other = visit.say("console.import.unexpected", found=error.found, expected=error.expected)
        return Problem(other, understood=said(visit, error.understood))


def problem_of(visit: Visit, error: roster.BadList) -> Problem:
    """In the visitor's language."""
    some = [
        Wrong(_in_words(visit, one.place)[0], one.account, *_in_words(visit, one.text))
        for one in error.mistakes[:_MISTAKES]
    ]
    wrong = visit.say("console.import.mistakes", count=len(error.mistakes))
    return Problem(wrong, some, len(error.mistakes), said(visit, error.understood))


def said(visit: Visit, lines: Sequence[str]) -> list[tuple[str, str]]:
    """Each line in the visitor's language where it has a translation, and its language."""
    return [_in_words(visit, line) for line in lines]


def _in_words(visit: Visit, text: str) -> tuple[str, str]:
    """The text and its language: English where there is no translation. Options of the command line are fields here."""
    found = in_chinese(text) if visit.language == "zh" else None
    if found is not None:
        return found, HTML["zh"]
    return _OPTION.sub(lambda option: f"“{visit.say(f'console.import.{option[1]}')}”", text), HTML["en"]


def changes_of(visit: Visit, seen: Preview) -> list[tuple[Any, list[tuple[str, str, str]]]]:
    """The accounts that are not as the list has them, and how."""
    return [(each.entry, [_difference(visit, one) for one in each.differences]) for each in seen.changed]


def _difference(visit: Visit, difference: Difference) -> tuple[str, str, str]:
    """Field, before and now; of a password nothing but that there is another."""
    word = visit.say(f"console.import.field.{difference.field}")
    if difference.field == "password":
        return word, "", ""
    return word, _value(visit, difference.field, difference.before), _value(visit, difference.field, difference.now)


def _value(visit: Visit, field: str, value: Any) -> str:
    if field == "quota":
        return quota(visit, value)
    return (spelled(value) if field == "aliases" else str(value)) or visit.say("console.import.nothing")


def quota(visit: Visit, octets: int | None) -> str:
    if octets is None:
        return visit.say("console.import.quota.domain")
    return spelled_quota(octets) if octets else visit.say("console.import.quota.unlimited")


def spelled(addresses: Sequence[tuple[str, str]]) -> str:
    return ", ".join(sorted(f"{local}@{domain}" for local, domain in addresses))
