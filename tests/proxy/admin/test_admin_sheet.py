"""`proxy.admin.sheet`: accounts as a file that spreadsheets open."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstore.accounts import State
from proxy.admin.sheet import BOM, sheet
from proxy.admin.spreadsheet.formulas import defused, undefused
from tests.proxy.admin.test_admin_remedies import account


def rows(*accounts: Any, language: Any = "en", paused: Any = None) -> list[list[str]]:
    text = "".join(sheet(accounts, language, paused or {}))
    assert text.startswith(BOM)
    return list(csv.reader(io.StringIO(text[1:], newline="")))


def test_a_line_for_each_account() -> None:
    titles, li, wang = rows(
        account(
            full_name="李伟, Dr.",
            department="Sales/North",
            reason='said "no"',
            last_login=1_700_000_000,
            messages_done=3,
        ),
        account(local="wang", state=State.WAITING, sealed_password=None),
    )
    assert len(titles) == len(li) == len(wang) == 13
    assert li[:5] == ["li@123.com", "李伟, Dr.", "Sales/North", "moved", 'said "no"']
    assert li[6] == "3" and li[10] == "2023-11-14 22:13:20"
    assert wang[4:6] == ["", ""]


def test_in_chinese() -> None:
    titles, li = rows(account(paused=True), language="zh")
    assert titles[0] == "账号" and li[12] == "是" and "暂停" in li[5]


def test_a_domain_s_pause_is_each_account_s() -> None:
    assert rows(account(), paused={"123.com": 1})[1][12] == "yes"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", '=HYPERLINK("x")'])
def test_formulas_are_defused(text: str) -> None:
    assert defused(text) == f"'{text}"
    assert rows(account(full_name=text))[1][1] == f"'{text}"


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs"]), max_size=30))
def test_whatever_a_name_is_it_is_one_cell_and_no_formula(name: str) -> None:
    found = rows(account(full_name=name))
    assert len(found) == 2 and len(found[1]) == 13
    assert undefused(found[1][1]) == name
    assert not found[1][1].startswith(("=", "+", "-", "@", "\t", "\r"))


def test_many_come_in_pieces() -> None:
    pieces = list(sheet((account(local=f"u{n}") for n in range(1_000)), "en", {}))
    assert len(pieces) > 5
    assert "".join(pieces).count("\r\n") == 1_001
