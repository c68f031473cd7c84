"""The company that the tests of a process share: for the conftest of each directory that has such tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
