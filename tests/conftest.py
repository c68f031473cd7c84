"""How much hypothesis tries: the same examples in every run, or, with MAILFERRY_EXAMPLES, new ones."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

settings.register_profile("same", derandomize=True)
settings.register_profile("new", derandomize=False)
settings.load_profile("new" if os.environ.get("MAILFERRY_EXAMPLES") else "same")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # run in the background: what is started here would ignore it too
    signal.signal(signal.SIGINT, signal.default_int_handler)
