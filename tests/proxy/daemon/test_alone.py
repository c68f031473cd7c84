"""One daemon for a state directory, and how others see whether there is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.daemon.alone import Alone, NotAlone, at_work


def test_the_lock_is_seen_without_being_touched(tmp_path: Path) -> None:
    assert not at_work(tmp_path)
    assert list(tmp_path.iterdir()) == []
    one = Alone(tmp_path)
    assert at_work(tmp_path)
    with pytest.raises(NotAlone):
        Alone(tmp_path)
    one.end()
    assert not at_work(tmp_path)
