"""The company and the browser that the tests of this directory share."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.browser.chromium import Chromium
from tests.browser.sharing import company, good_again, relay, telling

__all__ = ["chromium", "company", "good_again", "relay", "telling"]

HERE = Path(__file__).parent
_open: list[Chromium] = []


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    made = Chromium(tmp_path_factory.mktemp("chromium"))
    _open.append(made)
    yield made
    _open.remove(made)
    made.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> Generator[None]:
    """What comes from elsewhere may have an event loop of its own."""
    yield
    if nextitem is None or HERE not in nextitem.path.parents:
        for each in _open:
            each.close()
