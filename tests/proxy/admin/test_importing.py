"""A list that is looked at before it is taken over: what was seen is what is done, or nothing is."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from mailstore.accounts import Accounts, PasswordState
from mailstore.database import AccountsDatabase
from mailstore.schema import accounts
from mailstore.secrets import Sealer
from proxy.admin import importing
from proxy.admin.importing import Manner, Preview, Unexpected
from proxy.admin.roster import BadList
from proxy.admin.spreadsheet.chinese import in_chinese
from proxy.config import Config
from tests.proxy.admin.test_roster_files import config

LIST = "邮箱,姓名,密码\na@123.com,张伟,geheim-1\nb@123.com,李娜,geheim-2\n"


class Rig:
    def __init__(self, root: Path) -> None:
        self.config: Config = config("123.com")
        self.database = AccountsDatabase(root / "accounts.db")
        self.sealer = Sealer(secrets.token_bytes(32))
        self.file = root / "list"

    def preview(self, text: str = LIST, **manner: object) -> Preview:
        self.file.write_text(text, encoding="utf-8")
        return importing.preview(self.config, self.database, self.sealer, self.file, Manner(**manner))  # type: ignore[arg-type]

    def apply(self, seen: Preview) -> tuple[bool, Preview]:
        return importing.apply(self.config, self.database, self.sealer, self.file, Manner(), seen)

    def names(self) -> list[str]:
        with self.database.read() as connection:
            return sorted(connection.scalars(accounts.select().with_only_columns(accounts.c.local)))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.database.close()


def test_what_was_seen_is_done(rig: Rig) -> None:
    seen = rig.preview()
    assert (seen.listed, seen.new_count, seen.changed_count) == (2, 2, 0)
    assert seen.with_password == {"a@123.com", "b@123.com"}
    assert rig.names() == []
    done, now = rig.apply(seen)
    assert (done, now.new_count, rig.names()) == (True, 2, ["a", "b"])
    assert not rig.preview().changes


def test_no_password_is_in_a_preview(rig: Rig) -> None:
    seen = rig.preview()
    assert "geheim" not in repr(seen)
    assert all(entry.password is None for entry in seen.new)
    rig.apply(seen)
    again = rig.preview(LIST.replace("geheim-1", "geheim-3"))
    assert [d.field for d in again.changed[0].differences] == ["password"]
    assert "geheim" not in repr(again)


def test_an_account_that_has_come_in_between(rig: Rig) -> None:
    seen = rig.preview()
    Accounts(rig.database).add("a", "123.com")
    done, now = rig.apply(seen)
    assert not done
    assert (now.new_count, now.changed_count, rig.names()) == (1, 1, ["a"])
    assert rig.apply(now)[0] and rig.names() == ["a", "b"]


def test_a_password_that_the_old_server_has_taken_in_between(rig: Rig) -> None:
    Accounts(rig.database).add("a", "123.com")
    seen = rig.preview()
    assert seen.passwords_kept == 0
    with rig.database.write() as connection:
        values = {"sealed_password": b"x", "password_state": PasswordState.KNOWN.value}
        connection.execute(update(accounts).values(**values))
    done, now = rig.apply(seen)
    assert (done, now.passwords_kept) == (False, 1)


def test_who_is_not_in_the_list_may_come_and_go(rig: Rig) -> None:
    seen = rig.preview()
    Accounts(rig.database).add("somebody", "123.com")
    assert rig.apply(seen)[0]


def test_another_file_is_not_what_was_seen(rig: Rig) -> None:
    seen = rig.preview()
    rig.file.write_text(LIST.replace("geheim", "other"), encoding="utf-8")
    assert not rig.apply(seen)[0]
    assert rig.names() == []


def test_a_name_that_is_taken_in_between(rig: Rig) -> None:
    text = "邮箱,别名\na@123.com,x\n"
    seen = rig.preview(text)
    Accounts(rig.database).add("x", "123.com")
    with pytest.raises(BadList) as caught:
        rig.apply(seen)
    (mistake,) = caught.value.mistakes
    assert "the alias x@123.com is an account here" in str(mistake)
    assert in_chinese(mistake.text) == "x@123.com 在这里已是一个账号：请去掉其中一个"
    assert rig.names() == ["x"]


def test_another_number_than_was_expected(rig: Rig) -> None:
    with pytest.raises(Unexpected) as caught:
        rig.preview(expect=3)
    assert (caught.value.found, caught.value.expected) == (2, 3)
    assert rig.preview(expect=2).listed == 2


def test_a_long_list_is_cut_and_counted(rig: Rig) -> None:
    seen = rig.preview("邮箱\n" + "".join(f"u{n}@123.com\n" for n in range(1_000)))
    assert (seen.new_count, len(seen.new)) == (1_000, importing.SHOWN)


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("row 7", "第 7 行"),
        ('sheet "员工", row 7', "工作表“员工”第 7 行"),
        ("titles in row 1: 邮箱 = account, GB = quota in GB", "标题在第 1 行：邮箱 = 账号, GB = 配额（GB）"),
        ("is over 32 MiB: import it in parts", "文件超过 32 MiB：请分成几部分导入"),
        ("is a PDF: have the list as .xlsx or as CSV UTF-8", "这是 PDF：请提供 .xlsx 或 CSV UTF-8 格式的名单"),
        ('x@123.com is called "W" at the legacy server, as y@123.com is here: take one of them out',
         "x@123.com 在旧服务器上的名字“W”已属于这里的 y@123.com：请去掉其中一个"),
        ("something that nobody says", None),
    ],
)  # fmt: skip
def test_in_chinese(english: str, chinese: str | None) -> None:
    assert in_chinese(english) == chinese
