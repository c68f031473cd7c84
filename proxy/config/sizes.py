"""Sizes, as an administrator writes them and as they are written for people.

What an administrator writes ("500M", "2G") counts by powers of 1024, in the configuration, in lists and in what is
exported of them (`proxy.admin.spreadsheet.values.spelled_quota`). What is told of mail and disks ("1.2 MB") counts by
powers of 1000, as disks and networks do: on the command line, in the browser and in the log alike.
"""

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


def size(octets: float) -> str:
    """1234567 is "1.2 MB"."""
    value = float(octets)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
