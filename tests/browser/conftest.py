"""The company and the browser that the tests of this directory share. `console`'s tests use the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.chromium import Chromium, launched
from tests.browser.company import Company


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    made = Company(tmp_path_factory.mktemp("company"))
    yield made.start()
    made.close()


@pytest.fixture(autouse=True)
def good_again(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test has asked of the old server is over with the test."""
    company = request.getfixturevalue("company") if "company" in request.fixturenames else None
    yield
    if company is not None:
        company.old.recover()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    folder: Path = tmp_path_factory.mktemp("chromium")
    with launched(folder) as browser:
        yield browser
