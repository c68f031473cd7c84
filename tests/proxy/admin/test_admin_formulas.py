"""`proxy.admin.spreadsheet.formulas`: one rule for all that is written for spreadsheets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.admin.spreadsheet.formulas import defused, marked, undefused, unmarked

TEXTS = st.text(alphabet="'= +-@\t\r\n＝＋－＠aé", max_size=6)


@pytest.mark.parametrize("text", ["=1+1", "  =1+1", "+86 10", "-1", "@SUM(A1)", "\t=1", "\n=1", "＝1", "'=1"])
def test_what_would_be_carried_out(text: str) -> None:
    assert defused(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "李娜", "a=b", "'quoted'", "O'Neil", "1-2"])
def test_what_would_not(text: str) -> None:
    assert defused(text) == text


@given(st.text() | TEXTS)
def test_it_is_undone_whatever_it_is(text: str) -> None:
    assert undefused(defused(text)) == text
    assert not defused(text).lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))


@given(st.text(alphabet="'=+-@aé", max_size=6))
def test_names_of_accounts_come_back_whatever_they_are(name: str) -> None:
    assert unmarked(marked(name)) == name
    assert not marked(name).startswith(("=", "+", "-", "@"))


def test_an_apostrophe_before_a_name_of_an_account_is_none_of_it() -> None:
    assert (unmarked("'00123"), unmarked(" '00123"), unmarked("o'neil")) == ("00123", "00123", "o'neil")
