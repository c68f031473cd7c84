"""Durations as an administrator writes them: "30s", "5m", "1h30m", "2d"."""

from __future__ import annotations

import re

from proxy.config.mistakes import Unfit

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?")


def parse_duration(value: object) -> int:
    """Seconds. Raises Unfit with what would be right."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise Unfit(f'a number needs its unit, in quotes: write "{value}s" for seconds or "{value}m" for minutes')
    if not isinstance(value, str):
        raise Unfit('must be a duration in quotes, such as "30s", "20m" or "1h30m"')
    found = _DURATION.fullmatch(value)
    if found is None or not any(found.groups()):
        raise Unfit(f'"{value}" is no duration: write d, h, m and s in that order, such as "20m" or "1h30m"')
    return sum(int(number) * seconds for number, seconds in zip(found.groups("0"), _UNITS.values(), strict=True))


def spell(seconds: int) -> str:
    """The other way: 5400 is "1h30m"."""
    text = ""
    for unit, size in _UNITS.items():
        number, seconds = divmod(seconds, size)
        text += f"{number}{unit}" if number else ""
    return text or "0s"
