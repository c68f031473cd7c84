"""The companies that tests share: for the conftest of each directory that has such tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.company import Company
from tests.proxy.admin.relay import Relay


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
def relay() -> Iterator[Relay]:
    """What takes the mail of `telling`."""
    with Relay() as made:
        yield made


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory, relay: Relay) -> Iterator[Company]:
    """A company that can send its users mail."""
    notices = f'sender = "IT help desk <it@123.com>"\nrelay = "{relay.address}"\nrate = 100000'
    made = Company(tmp_path_factory.mktemp("telling"), notices=notices)
    yield made.start()
    made.close()
