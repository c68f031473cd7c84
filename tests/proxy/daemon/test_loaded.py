"""What processes of the daemon load at their start, and above all what they do not: it is most of what a start costs,
and a worker that has died is missed until another has loaded it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NOWHERE = [
    *("alembic", "dns", "email.policy", "jinja2", "klein", "openpyxl", "psycopg", "prometheus_client", "rich"),
    *("twisted.web", "proxy.web.opening", "proxy.web.portal", "proxy.web.console"),
]
IN_NO_WORKER = ["proxy.migration", "proxy.pop3.client", "proxy.imap.client", "twisted.internet.endpoints", "proxy.lmtp"]


@pytest.mark.parametrize(
    ("module", "slow"),
    [("proxy.daemon.worker", [*NOWHERE, *IN_NO_WORKER]), ("proxy.daemon.service", NOWHERE)],
    ids=["worker", "daemon"],
)
def test_a_process_of_the_daemon_loads_nothing_that_it_does_not_need(module: str, slow: list[str]) -> None:
    code = f"""import sys
import {module}
from proxy.daemon import logs
logs.start()
from twisted.internet import reactor
print([each for each in {slow} if sys.modules.get(each)])"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
