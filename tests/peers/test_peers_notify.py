"""`mailferry notify --send` by way of a real Postfix, into real mailboxes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.utils import getaddresses
from pathlib import Path

import pytest

from tests.legacy.dovecot import select_nothing
from tests.peers.ground import reachable
from tests.peers.postfix import Postfix
from tests.proxy.cli.noticing import DAY, Company

pytestmark = pytest.mark.peers

AWKWARD = 'O\'Neil, "Jim" (sales; EMEA) <eve@evil.example>, ' * 3 + "李伟 👨\u200d👩"


@pytest.fixture
def postfix() -> Iterator[Postfix]:
    with reachable("postfix") as root:
        server = Postfix(root, ["anna", "a..b", "li", "用户"])
        yield server
        server.stop()


def until(true: Callable[[], bool]) -> bool:
    end = time.monotonic() + 30
    while not true() and time.monotonic() < end:
        select_nothing(0.05)
    return true()


def test_notices_arrive_and_unknown_users_are_told(postfix: Postfix, tmp_path: Path) -> None:
    company = Company(tmp_path)
    company.add("用户")
    company.add("a..b")
    company.add("anna", full_name=AWKWARD)
    company.configure(f'relay = "localhost:{postfix.port}"\ntls = "starttls"\nca = "{postfix.root}/cert.pem"')
    result = company.notify("--send", "--yes", "--date", DAY)
    assert (result.exit_code, result.stderr) == (1, "")
    assert "4 sent, 1 refused, 0 not known, 0 not sent" in result.stdout
    assert "wang@123.com  refused  550 5.1.1 <wang@123.com>: Recipient address rejected" in result.stdout
    assert until(lambda: all(postfix.delivered(user) for user in ("anna", "a..b", "li", "用户")))
    (octets,) = postfix.delivered("li")
    message = message_from_bytes(octets, policy=policy.default)
    assert message["To"] == "李伟 <li@123.com>"
    assert message["Return-Path"] == "<it@123.com>"
    assert "with ESMTPS" in message["Received"]
    assert "李伟，您好！" in message.get_content()
    assert "with UTF8SMTPS" in message_from_bytes(postfix.delivered("用户")[0], policy=policy.default)["Received"]
    to = message_from_bytes(postfix.delivered("anna")[0])["To"]
    ((name, address),) = getaddresses([to])
    assert address == "anna@123.com" and str(make_header(decode_header(name))) == AWKWARD
