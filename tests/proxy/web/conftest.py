"""One company for all tests of a process here; each has users of its own."""

from __future__ import annotations

from tests.browser.sharing import company, good_again

__all__ = ["company", "good_again"]
