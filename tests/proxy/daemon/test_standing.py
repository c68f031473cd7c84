"""What a figure says of the certificate is what clients are shown."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailstore.database import AccountsDatabase
from proxy import config
from proxy.config.model import Tls
from proxy.daemon.standing import DAY, Standing
from proxy.daemon.tls import read_pair, server_tls
from tests.legacy.certificates import Authority
from tests.proxy.login.login_rig import CONFIG

AUTHORITY = Authority()


def test_the_days_left_are_of_the_certificate_that_is_shown_not_of_the_file(tmp_path: Path) -> None:
    certificate, key = AUTHORITY.issue("mail.123.com", days=2).write(tmp_path, "mail")
    names = Tls(certificate=certificate, key=key)
    shown = server_tls(names)
    assert shown is not None
    database = AccountsDatabase(tmp_path / "accounts.db")
    text = CONFIG.format(state=tmp_path, accounts="open", port=110, connections=5)

    def shown_until() -> datetime:
        return shown.pair.until()

    standing = Standing(config.parse(text.encode()), database, lambda: 0.0, shown_until)

    def days() -> float:
        left = {gauge.name: gauge.rows for gauge in standing.gauges()}["certificate_days_left"]
        return left[0][1] + (datetime.now(UTC) - now).total_seconds() / DAY

    now = datetime.now(UTC)
    assert days() == pytest.approx(2, abs=0.1)
    AUTHORITY.issue("mail.123.com", days=90).write(tmp_path, "mail")
    assert days() == pytest.approx(2, abs=0.1)
    renewed = read_pair(names)
    assert renewed is not None
    shown.renew(renewed)
    assert days() == pytest.approx(90, abs=0.1)
    database.close()
