"""How sizes are written, on the command line and in the browser alike: by powers of 1000, as disks and networks count.

Quotas are not: they are written as the configuration and lists have them, by powers of 1024
(`proxy.admin.spreadsheet.values.spelled_quota`).
"""

from __future__ import annotations


def size(octets: float) -> str:
    """1234567 is "1.2 MB"."""
    value = float(octets)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
