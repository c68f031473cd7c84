"""Every kind of damage to a Maildir, at the store: the mailbox opens, what is there is served, what was lost is said,
UIDs are not used again. `tests/proxy/test_damaged_maildirs.py` is the same for those who log in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mailstore.errors import MessageLost
from mailstore.index.folders import INBOX_ID
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome
from tests.mailstore.maildir_damage import DAMAGE, SAID
from tests.mailstore.store_rig import ACCOUNT, NOW, append, bodies, open_descriptors, read, rows


class Reports(list[str]):
    def __call__(self, event: str, **_figures: Any) -> None:
        self.append(event)


def opened(path: Path, said: Reports) -> MailHome:
    return MailHome(MailboxEngine(), ACCOUNT, path / "Maildir", clock=lambda: NOW, report=said)


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Path]:
    home = opened(tmp_path, Reports())
    for body in SAID:
        append(home, body)
    home.create("a")
    append(home, b"in a", "a")
    home.close()
    yield tmp_path


@pytest.mark.parametrize("while_open", [False, True], ids=["closed", "open"])
@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_there_is_served(account: Path, name: str, while_open: bool) -> None:
    said = Reports()
    home = opened(account, said)
    home.reconcile()
    files = [path for row in rows(home) if (path := home.maildir.find("", row.file)) is not None]
    before = home.status("INBOX")
    if not while_open:
        home.close()
    after = DAMAGE[name](account / "Maildir", files)
    if not while_open:
        home = opened(account, said)
    descriptors = open_descriptors(account)
    home.reconcile()
    touch(home)  # that a file has another size shows when it is read
    home.reconcile()
    found = bodies(home)
    assert {uid: found[uid] for uid in after.kept} == {uid: SAID[uid - 1] for uid in after.kept}
    assert sorted(found.pop(uid) for uid in list(found) if uid > 3) == sorted(after.new)
    assert set(found) == set(after.kept)
    if "strange" not in name and name != "no_maildir":
        assert list(bodies(home, "a").values()) == [b"in a", *([SAID[0]] if name == "moved_to_a_folder" else [])]
    now = home.status("INBOX")
    assert now.uidvalidity == before.uidvalidity
    assert append(home, b"later") == now.uidnext >= 4
    assert not after.said or any(after.said in event for event in said), said
    home.reconcile()
    assert not home.reconcile(INBOX_ID) or name in {"directory_for_a_file", "pipe_for_a_file", "links_elsewhere"}
    assert open_descriptors(account) == descriptors
    home.close()


def touch(home: MailHome) -> None:
    for row in rows(home):
        with suppress(MessageLost):
            read(home, row.uid)
