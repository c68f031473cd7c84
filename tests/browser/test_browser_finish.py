"""The administrator's way in a browser, from the import to the end: watch, retry, look who would be left behind, make
final, and the account list then and now; on a phone and without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.administrators import at_the_console
from tests.browser.chromium import Chromium, violations
from tests.browser.company import PASSWORD, Company

pytestmark = pytest.mark.peers

PAGE = "/console/domain/123.com/finish"


@pytest.fixture(scope="module")
def ending(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """A company that comes to its end."""
    made = Company(tmp_path_factory.mktemp("ending"))
    yield made.start()
    made.close()


def fits(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def well(page: Any, chromium: Chromium, name: str) -> None:
    assert fits(page), name
    assert violations(page) == [], name
    chromium.shoot(page, name)


def test_from_the_import_to_the_end_and_back(ending: Company, chromium: Chromium, tmp_path: Path) -> None:
    ending.old.damaged = frozenset({2})
    first, second = ending.hire(3), ending.hire(1)
    listed = [f'{first},李伟,"{PASSWORD}"', f'{second},王芳,"{PASSWORD}"', "never@123.com,陈静,"]
    file = tmp_path / "staff.csv"
    file.write_text("\n".join(["account,name,password", *listed]), encoding="utf-8")
    with at_the_console(chromium, ending) as page:
        import_and_watch(page, file, first, second)
        page.goto("/console/domain/123.com")
        page.locator("#step-finish").click()
        well(page, chromium, "finish")
        look_and_retry(page, chromium, ending, first)
        refused_and_then_final(page, chromium, ending)
        compared(page, chromium, tmp_path)
        page.goto(PAGE)
        page.get_by_role("button", name="Ask the old server again").click()
        expect(page.locator("h1")).to_have_text("Ask the old server again for 3 accounts of 123.com?")
        well(page, chromium, "finish-back")
        page.get_by_role("button", name="Yes, do it").click()
        expect(page.locator(".told")).to_have_text("3 accounts are no longer final.")
    on_a_phone(ending, chromium)


def import_and_watch(page: Any, file: Path, *names: str) -> None:
    page.goto("/console/import")
    page.get_by_label("The file", exact=True).set_input_files(file)
    page.get_by_role("button", name="Show what would happen").click()
    page.get_by_role("button", name="Take the list over").click()
    expect(page.locator(".told")).to_contain_text("Now freeze the accounts at the old server")
    for name in names:
        page.goto(f"/console/accounts?text={name}")
        page.get_by_label(f"Choose {name}").check()
        page.locator("#what").select_option("move")
        page.locator("#bulk").click()
        page.get_by_role("button", name="Yes, do it").click()
    page.goto("/console/domain/123.com")
    expect(page.locator(".states .moved + b")).to_have_text("2")


def look_and_retry(page: Any, chromium: Chromium, ending: Company, first: str) -> None:
    page.get_by_role("button", name="Look who would be left behind").click()
    expect(page.locator("#outcome")).to_have_text("2 accounts would leave something behind.")
    expect(page.get_by_role("heading", name="1 account: messages in quarantine")).to_be_visible()
    well(page, chromium, "finish-looked")
    ending.old.damaged = frozenset()
    page.get_by_role("link", name=first).click()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("3 of 3 messages")).to_be_visible()
    expect(page.get_by_role("button", name="Make final")).to_be_visible()
    page.goto(PAGE)
    page.get_by_role("button", name="Look once more").click()
    expect(page.locator("#outcome")).to_have_text("1 account would leave something behind.")


def refused_and_then_final(page: Any, chromium: Chromium, ending: Company) -> None:
    page.get_by_role("button", name="Make final").click()
    expect(page.locator("h1")).to_have_text("Make 3 accounts of 123.com final?")
    page.get_by_label("Leave this behind").check()
    page.get_by_label("Type 123.com").fill("12.com")
    page.get_by_role("button", name="Yes, make final").click()
    expect(page.get_by_role("alert")).to_have_text("That is not the name. Nothing was begun.")
    well(page, chromium, "finish-ask")
    ending.old.mailboxes["user2"] = PASSWORD, [*ending.old.mailboxes["user2"][1], b"Subject: since\r\n\r\nx\r\n"]
    ending.old.hold()
    expect(page.get_by_label("Leave this behind")).to_be_checked()
    page.get_by_label("Type 123.com").fill("123.com")
    page.get_by_role("button", name="Yes, make final").click()
    expect(page.get_by_role("heading", name="Making final")).to_be_visible()
    expect(page.get_by_text("1 of 2 done").first).to_be_visible()
    well(page, chromium, "finish-going")
    ending.old.release()
    # The page is brought up to date by itself.
    expect(page.locator("#outcome")).to_have_text("3 accounts were made final.")
    expect(page.get_by_text("1 account has left something behind, as you have said.")).to_be_visible()
    well(page, chromium, "finish-ended")


def compared(page: Any, chromium: Chromium, tmp_path: Path) -> None:
    later = tmp_path / "later.csv"
    later.write_text("account,name\nuser1@123.com,李 伟\nuser2@123.com,王芳\nchen@123.com,陈静\n", encoding="utf-8")
    page.get_by_role("link", name="Compare the account list").click()
    well(page, chromium, "compare")
    page.get_by_label("The file", exact=True).set_input_files(later)
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.locator("h1")).to_have_text("later.csv, and what is here")
    expect(page.get_by_text("chen@123.com")).to_be_visible()
    well(page, chromium, "compared")


def on_a_phone(ending: Company, chromium: Chromium) -> None:
    """In Chinese, in the dark, and then without JavaScript; one account by itself."""
    how = {"language": "zh-CN", "phone": True, "dark": True}
    account = ending.account("never@123.com")
    assert account is not None
    with at_the_console(chromium, ending, **how) as page:
        page.goto(PAGE)
        well(page, chromium, "finish-phone")
        page.get_by_role("button", name="完成 …").click()
        expect(page.locator("h1")).to_have_text("完成 123.com 的 3 个账号？")
        well(page, chromium, "finish-phone-ask")
        page.goto("/console/domain/123.com/compare")
        well(page, chromium, "compare-phone")
        page.goto(f"/console/account/{account.id}")
        well(page, chromium, "finish-phone-account")
    with at_the_console(chromium, ending, **how, script=False) as page:
        page.goto(f"/console/account/{account.id}")
        page.get_by_role("button", name="完成 …").click()
        page.get_by_label("同意遗留").check()
        page.get_by_label("请输入 never@123.com").fill("never@123.com")
        page.get_by_role("button", name="是，完成").click()
        while page.locator("#again").count():
            page.locator("#again").click()
        expect(page.locator("#outcome")).to_have_text("1 个账号变为已完成。")
        assert fits(page)
        chromium.shoot(page, "finish-phone-ended")
