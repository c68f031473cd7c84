"""All that the web says, in every language: plain tables, one file a subject, the same keys in each language.

`{name}` is replaced by a value, which templates escape. Where a text depends on a number it has two forms apart by
`|`: for one, and for others; the number is the value `count`. Tests see to it that no key and no value is missing.
"""

from __future__ import annotations

from typing import Final, Literal

from proxy.web.words import (
    common,
    compare,
    console,
    dns,
    finish,
    legacy,
    lists,
    notices,
    portal,
    reminders,
    steps,
    verify,
)

Language = Literal["en", "zh"]

LANGUAGES: Final[dict[Language, str]] = {"en": "English", "zh": "中文"}  # as those who speak it call it
HTML: Final[dict[Language, str]] = {"en": "en", "zh": "zh-Hans"}  # BCP 47

_SUBJECTS: Final = (common, portal, console, lists, reminders, steps, finish, compare, legacy, verify, dns, notices)

WORDS: Final[dict[Language, dict[str, str]]] = {
    "en": {key: text for subject in _SUBJECTS for key, text in subject.EN.items()},
    "zh": {key: text for subject in _SUBJECTS for key, text in subject.ZH.items()},
}


def say(language: Language, key: str, **values: object) -> str:
    """The text. Integers are written with commas at the thousands. Raises KeyError for a key or value that is none."""
    text = WORDS[language][key]
    one, bar, other = text.partition("|")
    if bar:
        text = one if values["count"] == 1 else other
    shown = {name: f"{value:,}" if type(value) is int else value for name, value in values.items()}
    return text.format_map(shown) if shown else text
