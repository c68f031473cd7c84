"""The user's one step, in a browser: from the login to the last message, and what may come between."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from mailstore import secrets
from mailstore.accounts import State
from tests.browser.chromium import Chromium, violations
from tests.browser.company import PASSWORD, Company

pytestmark = pytest.mark.peers


def log_in(page: Any, address: str, password: str = PASSWORD) -> None:
    page.goto("/")
    page.locator("#name").fill(address)
    page.locator("#password").fill(password)
    page.locator("main button[type=submit]").click()


def heading(page: Any) -> Any:
    return page.get_by_role("heading", level=1)


def fits(page: Any) -> bool:
    """Is nothing wider than the screen?"""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_the_whole_way_with_a_slow_server_closing_and_coming_back(company: Company, chromium: Chromium) -> None:
    address = company.hire(40)
    company.old.hold()
    with chromium.visiting(company) as page:
        page.goto("/")
        chromium.shoot(page, "login")
        assert violations(page) == []
        log_in(page, address)
        expect(heading(page)).to_have_text("Your old mail is being carried over")
        expect(page.locator("dd").first).to_have_text("0 of 40")
        assert violations(page) == []
        company.old.pace = 0.12  # what a server gives so slowly is put on disk every two seconds
        company.old.give(30)
        expect(page.locator("dd").first).to_have_text(re.compile(r"^[12]\d of 40$"))
        chromium.shoot(page, "moving")
        state = page.context.storage_state()
    with chromium.visiting(company, state=state) as page:
        page.goto("/")
        expect(heading(page)).to_have_text("Your old mail is being carried over")
        company.old.release()
        expect(heading(page)).to_have_text("All 40 messages are here")
        expect(page.locator("[role=status]")).to_have_text("Your old mail is here: 40 messages")
        assert violations(page) == []
        chromium.shoot(page, "here")
        page.reload()
        expect(heading(page)).to_have_text("All 40 messages are here")
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("status")).to_contain_text("You are logged out")


def test_in_chinese_on_a_phone_in_the_dark(company: Company, chromium: Chromium) -> None:
    address = company.hire(12)
    company.old.hold()
    with chromium.visiting(company, language="zh-CN", phone=True, dark=True) as page:
        page.goto("/")
        expect(heading(page)).to_have_text("您的邮箱正在迁移到这里")
        assert violations(page) == [] and fits(page)
        chromium.shoot(page, "phone-login")
        log_in(page, address, "nonsense")
        expect(page.get_by_role("alert")).to_contain_text("邮箱地址或密码不正确")
        assert violations(page) == [] and fits(page)
        chromium.shoot(page, "phone-wrong")
        log_in(page, address)
        expect(heading(page)).to_have_text("正在迁移您的旧邮件")
        expect(page.locator("dd").first).to_have_text("0 / 12")
        assert violations(page) == [] and fits(page)
        chromium.shoot(page, "phone-moving")
        company.old.release()
        expect(heading(page)).to_have_text("全部 12 封邮件都在这里了")
        page.get_by_text("其他方式").click()
        assert violations(page) == [] and fits(page)
        chromium.shoot(page, "phone-here")
        page.get_by_role("link", name="English").click()
        expect(heading(page)).to_have_text("All 12 messages are here")


def test_with_the_keyboard_alone(company: Company, chromium: Chromium) -> None:
    address = company.hire(2)
    with chromium.visiting(company) as page:
        page.goto("/")
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_text("To the content")
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.type(address)
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        expect(heading(page)).to_have_text("All 2 messages are here")
        page.reload()
        for _ in range(4):
            page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_text("Log out")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("You are logged out")


def test_without_javascript(company: Company, chromium: Chromium) -> None:
    address = company.hire(3)
    company.old.hold()
    with chromium.visiting(company, script=False) as page:
        log_in(page, address)
        expect(heading(page)).to_have_text("Your old mail is being carried over")
        company.old.release()
        expect(heading(page)).to_have_text("All 3 messages are here")


def test_a_check_that_takes_long(company: Company, chromium: Chromium) -> None:
    company.old.silent = True
    with chromium.visiting(company) as page:
        log_in(page, company.hire(1))
        expect(heading(page)).to_have_text("Asking the old server")
        chromium.shoot(page, "checking")
        company.old.speak()
        expect(heading(page)).to_have_text("Your one message is here")


def test_another_password(company: Company, chromium: Chromium) -> None:
    address = company.hire(0)
    company.make(address, State.FINAL, secrets.hash_password(PASSWORD.encode()))
    with chromium.visiting(company) as page:
        log_in(page, address)
        page.get_by_role("link", name="Change password").click()
        expect(heading(page)).to_have_text("Change password")
        assert violations(page) == []
        page.get_by_label("Current password").fill(PASSWORD)
        page.get_by_label("New password", exact=True).fill("short")
        page.get_by_label("New password once more").fill("short")
        page.get_by_role("button", name="Change it").click()
        expect(page.get_by_role("alert")).to_have_text("It is too short: at least 10 characters.")
        assert violations(page) == []
        chromium.shoot(page, "password")
        page.get_by_label("Current password").fill(PASSWORD)
        page.get_by_label("New password", exact=True).fill("correct horse battery")
        page.get_by_label("New password once more").fill("correct horse battery")
        page.get_by_role("button", name="Change it").click()
        expect(page.get_by_role("status")).to_contain_text("Your password is changed")
        chromium.shoot(page, "password-changed")


def test_what_the_qr_code_leads_to(company: Company, chromium: Chromium) -> None:
    with chromium.visiting(company, phone=True) as page:
        page.goto("/phone?account=li%40123.com")
        assert violations(page) == [] and fits(page)
        chromium.shoot(page, "phone-page")
        with page.expect_download() as download:
            page.get_by_role("link", name="Download the profile").click()
        assert download.value.suggested_filename == "mail.mobileconfig"


def test_an_error_page(company: Company, chromium: Chromium) -> None:
    with chromium.visiting(company, dark=True) as page:
        page.goto("/nothing")
        expect(heading(page)).to_have_text("There is no such page")
        assert violations(page) == []
        chromium.shoot(page, "error")


def test_the_old_server_is_down(tmp_path_factory: pytest.TempPathFactory, chromium: Chromium) -> None:
    company = Company(tmp_path_factory.mktemp("down"))
    company.old.close()
    company.start()
    try:
        with chromium.visiting(company) as page:
            log_in(page, company.hire(10))
            expect(page.get_by_role("alert")).to_contain_text("The old mail server does not answer")
            expect(page.locator("#name")).to_have_value(re.compile("@123.com$"))
            assert violations(page) == []
            chromium.shoot(page, "down")
    finally:
        company.close()


def test_unencrypted_where_browsers_tell_less(tmp_path_factory: pytest.TempPathFactory, chromium: Chromium) -> None:
    """Over HTTP, with a name that is not this machine's, there is no Sec-Fetch-Site: Origin has to do."""
    company = Company(tmp_path_factory.mktemp("plain"), encrypted=False).start()
    try:
        with chromium.visiting(company, address=f"http://mail.test:{company.port}") as page:
            log_in(page, company.hire(2))
            expect(heading(page)).to_have_text("All 2 messages are here")
            page.reload()
            page.get_by_role("button", name="Log out").click()
            expect(page.get_by_role("status")).to_contain_text("You are logged out")
    finally:
        company.close()
