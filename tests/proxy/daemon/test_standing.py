"""What a figure says of the certificate is what clients are shown; who is due is not counted all the time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailstore.database import AccountsDatabase
from mailstore.queue import Backlog, Queue
from proxy import config
from proxy.config.model import Tls
from proxy.daemon.standing import DAY, FRESH, OLDEST, Standing
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


def test_who_is_due_is_counted_more_seldom_where_that_takes_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, takes, counted = [1_000.0], [0.0], [0]

    def backlog(_queue: Queue, domains: Sequence[str]) -> dict[str, Backlog]:
        now[0] += takes[0]
        counted[0] += 1
        return {name: Backlog(counted[0], 0, 0) for name in domains}

    monkeypatch.setattr(Queue, "backlog", backlog)
    database = AccountsDatabase(tmp_path / "accounts.db")
    text = CONFIG.format(state=tmp_path, accounts="open", port=110, connections=5)
    standing = Standing(config.parse(text.encode()), database, lambda: now[0], lambda: None)

    def due(seconds: float) -> float:
        now[0] += seconds
        return {gauge.name: gauge.rows for gauge in standing.gauges()}["queue_due"][0][1]

    assert [due(0), due(FRESH), due(1), due(FRESH)] == [1, 2, 2, 3]
    takes[0] = 0.5
    assert [due(FRESH) for _ in range(5)] == [4, 4, 4, 4, 5]
    takes[0] = 60.0  # a server that is slow once
    assert [due(50), due(OLDEST - 61), due(61)] == [6, 6, 7]
    takes[0] = 0.0
    assert due(-1_000) == 8  # a clock that was set
    database.close()
