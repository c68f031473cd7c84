"""Companies for many tests; each has users of its own."""

from __future__ import annotations

from tests.browser.sharing import company, good_again, relay, telling

__all__ = ["company", "good_again", "relay", "telling"]
