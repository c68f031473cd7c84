"""Sizes as an administrator writes them: "500M", "2G", "1.5T"."""

from __future__ import annotations

import re
from decimal import Decimal

from proxy.config.mistakes import Unfit

_UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_SIZE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([KMGT])")


def parse_size(value: object) -> int:
    """Octets. Raises Unfit with what would be right."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise Unfit(f'a number needs its unit, in quotes: write "{value}G" for gigabytes or "{value}M" for megabytes')
    if not isinstance(value, str):
        raise Unfit('must be a size in quotes, such as "500M" or "2G"')
    found = _SIZE.fullmatch(value)
    if found is None:
        raise Unfit(f'"{value}" is no size: write a number and K, M, G or T, such as "500M" or "2G"')
    return int(Decimal(found[1]) * _UNITS[found[2]])
