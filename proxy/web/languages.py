"""Which language a visitor is spoken to in: what they chose, else what their browser asks for, else English."""

from __future__ import annotations

from typing import Final

from proxy.web.words import LANGUAGES, Language

_MOST: Final = 20  # languages of a header that are looked at


def chosen(cookie: str, accepted: str) -> Language:
    """`cookie` is the visitor's own choice, `accepted` the header Accept-Language (RFC 9110 12.5.4)."""
    for language in LANGUAGES:
        if cookie == language:
            return language
    best: Language = "en"
    weight = 0.0
    for part in accepted.split(",")[:_MOST]:
        tag, _, parameter = part.strip().lower().partition(";")
        quality = _quality(parameter)
        for language in LANGUAGES:
            if quality > weight and tag.partition("-")[0].strip() == language:
                best, weight = language, quality
    return best


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name != "q":
        return 1.0
    try:
        return min(1.0, max(0.0, float(value)))
    except ValueError:
        return 0.0
