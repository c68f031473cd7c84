"""How much hypothesis tries: the same examples in every run, or, with MAILFERRY_EXAMPLES, new ones."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("same", derandomize=True)
settings.register_profile("new", derandomize=False)
settings.load_profile("new" if os.environ.get("MAILFERRY_EXAMPLES") else "same")
