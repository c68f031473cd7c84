"""What the users' portal says."""

from __future__ import annotations

from typing import Final

EN: Final[dict[str, str]] = {}

ZH: Final[dict[str, str]] = {}
