"""The account list then and now, in the console: the differences are shown, and nothing is changed."""

from __future__ import annotations

import pytest

from mailstore.accounts import State
from tests.browser.administrators import administrator, enrol
from tests.browser.company import Company
from tests.browser.visitor import Answer, Visitor

PAGE = "/console/domain/123.com/compare"


@pytest.fixture(scope="module")
def admin(company: Company) -> Visitor:
    return administrator(company)


def send(admin: Visitor, data: bytes, page: str = PAGE, **fields: str) -> Answer:
    return admin.upload(page, page, fields, "later <b>.csv", data)


def test_who_came_who_went_and_what_differs(company: Company, admin: Visitor) -> None:
    enrol(
        company,
        [
            {"local": "0cmp1", "full_name": "李 娜", "enrolled": 5},
            {"local": "0cmp2", "enrolled": 5, "state": State.MOVED},
            {"local": "0cmp3", "state": State.MOVED},
        ],
    )
    folder = company.daemon.root / "state" / "uploads"
    kept = sorted(folder.iterdir()) if folder.exists() else []
    found = send(admin, "账号,姓名\n0cmp1@123.com,李娜\n0cmp4@123.com,<i>陈静\n".encode())
    assert found.status == 200
    assert "later <b>.csv, and what is here In the list, and not here 1" in found.words
    new = found.words.partition("They came to the old server after the import.")[2]
    assert "0cmp4@123.com – <i>陈静" in new and "<i>陈静" not in found.text and "<b>.csv" not in found.text
    gone = new.partition("An earlier list had them.")[2]
    assert "0cmp2@123.com moved" in gone
    assert "0cmp3@123.com moved" in gone.partition("Here by a login, and in no list")[2]
    assert "0cmp1@123.com Name: 李 娜 → 李娜" in found.words
    assert 'href="/console/import?domain=123.com"' in found.text
    account = company.account("0cmp1@123.com")
    assert account is not None and account.full_name == "李 娜" and account.enrolled == 5
    assert company.account("0cmp4@123.com") is None
    assert (sorted(folder.iterdir()) if folder.exists() else []) == kept
    admin.language = "zh"
    try:
        assert "名单中有而这里没有" in send(admin, b"account\n0cmp1@123.com\n").words
    finally:
        admin.language = "en"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"account\nx@124.com\n", '"124.com" is not served here'),
        (b"\x89PNG\0\0\0\r" * 50, "is no text"),
        (b"account\n" + b"x" * (2 << 20), ""),
    ],
    ids=["empty", "foreign", "binary", "large"],
)
def test_what_is_wrong_with_a_list(admin: Visitor, data: bytes, said: str) -> None:
    refused = send(admin, data)
    assert refused.status == 400 and said in refused.words and "Traceback" not in refused.text


def test_no_file(admin: Visitor) -> None:
    refused = admin.upload(PAGE, PAGE, {}, "", b"")
    assert refused.status == 400 and "No file was chosen." in refused.words


def test_another_domain_a_forged_form_and_a_stranger(company: Company, admin: Visitor) -> None:
    assert admin.get("/console/domain/124.com/compare").status == 404
    assert send(admin, b"account\n0cmp1@123.com\n", csrf="forged").status == 403
    assert Visitor(company).ask("GET", PAGE).status == 303
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    assert Visitor(company).ask("POST", PAGE, b"--x--", kind).status == 403
