"""The daemon ends in the middle of a move, with somebody watching; and with workers, which have no part in the web."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.browser.company import PASSWORD, Company
from tests.browser.visitor import Visitor


@pytest.fixture
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    made = Company(tmp_path_factory.mktemp("workers"), workers=2)
    yield made.start()
    made.close()


def test_a_restart_in_the_middle(company: Company) -> None:
    visitor = Visitor(company)
    company.old.hold()
    answer = visitor.log_in(company.hire(4), PASSWORD)
    while "0 of 4" not in answer.words:
        answer = visitor.get()
    connection = visitor.connect()
    cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    connection.request("GET", "/events", headers={"Cookie": cookies})
    response = connection.getresponse()
    response.read1(10)
    assert company.daemon.stop() == 0
    response.read()
    connection.close()
    company.old.release()
    company.daemon.start()
    answer = visitor.get()
    while "All 4 messages are here" not in answer.words:
        assert 'action="/login"' not in answer.text
        answer = visitor.get()


def test_a_daemon_without_web_loads_nothing_of_it() -> None:
    code = "import sys, proxy.daemon.service; sys.exit('klein' in sys.modules or 'jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
