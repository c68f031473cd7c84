"""The company and the browser that the tests of this directory share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.chromium import Chromium, launched
from tests.browser.sharing import company, good_again, relay, telling

__all__ = ["chromium", "company", "good_again", "relay", "telling"]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    folder: Path = tmp_path_factory.mktemp("chromium")
    with launched(folder) as browser:
        yield browser
