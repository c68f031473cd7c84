"""What an account has when it is first opened: special folders in its language, once, and its limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome, opened
from mailstore.quota import Limits
from proxy.config import parse
from proxy.login.furnishing import NAMES, Furnishing

CONFIG = """
hostname = "localhost"
[listen]
imap = ["tcp:10143:interface=127.0.0.1"]
[domain."123.com"]
folders = "zh"
quota = "1.5G"
[domain."123.com".legacy]
host = "127.0.0.1"
[domain."en.com".legacy]
host = "127.0.0.1"
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[MailHome]:
    with opened(MailboxEngine(), 1, tmp_path / "Maildir") as home:
        yield home


furnish = Furnishing(parse(CONFIG.encode()))


def shown(home: MailHome) -> dict[str, tuple[str, ...]]:
    return {folder.name: folder.special_use for folder in home.folders()}


CHINESE = {
    "INBOX": (),
    "已发送": ("\\Sent",),
    "草稿箱": ("\\Drafts",),
    "已删除": ("\\Trash",),
    "垃圾邮件": ("\\Junk",),
    "归档": ("\\Archive",),
}


def test_folders_in_the_users_language_subscribed(home: MailHome) -> None:
    furnish("user@123.com", home)
    assert shown(home) == CHINESE
    assert set(home.subscriptions()) == set(CHINESE) - {"INBOX"}
    assert home.limits == Limits(3 * 512 * 1024**2, None)


def test_an_account_s_own_quota_counts_before_its_domain_s(home: MailHome) -> None:
    own = {"small": 1024, "free": 0}
    furnish = Furnishing(parse(CONFIG.encode()), lambda local, _domain: own.get(local))
    for name, octets in (("small", 1024), ("free", None), ("user", 3 * 512 * 1024**2)):
        furnish(f"{name}@123.com", home)
        assert home.limits == Limits(octets, None)
    furnish("small@en.com", home)
    assert home.limits == Limits(1024, None)


def test_in_english_where_nothing_is_said(home: MailHome) -> None:
    furnish("user@en.com", home)
    assert set(shown(home)) == {"INBOX", "Sent", "Drafts", "Trash", "Junk", "Archive"}
    assert not home.limits


def test_never_a_second_time(home: MailHome) -> None:
    furnish("user@123.com", home)
    home.delete("归档")
    home.rename("草稿箱", "未完成")
    furnish("user@123.com", home)
    furnish("user@en.com", home)
    expected = {**CHINESE, "未完成": ("\\Drafts",)}
    del expected["归档"], expected["草稿箱"]
    assert shown(home) == expected


def test_a_folder_that_is_there_is_taken(home: MailHome) -> None:
    home.create("已发送")
    home.create("Entwürfe", ["\\Drafts"])
    furnish("user@123.com", home)
    expected = {**CHINESE, "Entwürfe": ("\\Drafts",)}
    del expected["草稿箱"]
    assert shown(home) == expected


def test_a_domain_that_is_gone_changes_nothing(home: MailHome) -> None:
    furnish("user@gone.com", home)
    assert shown(home) == {"INBOX": ()}


def test_every_language_has_every_folder() -> None:
    assert {tuple(names) for names in NAMES.values()} == {tuple(NAMES["en"])}
