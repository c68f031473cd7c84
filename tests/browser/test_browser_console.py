"""The administrator's part, in a browser: watch, search, help, in both languages, on a phone, in the dark, without
JavaScript, and by keyboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from mailstore.accounts import Accounts, PasswordState
from tests.browser.administrators import PASSWORD, appoint, at_the_console, enrol
from tests.browser.chromium import Chromium, violations
from tests.browser.company import PASSWORD as OLD_PASSWORD
from tests.browser.company import Company

pytestmark = pytest.mark.peers


def test_from_the_login_to_a_retry(company: Company, chromium: Chromium) -> None:
    company.old.damaged = frozenset({2})
    address = company.hire(3)
    enrol(company, [{"local": address.partition("@")[0], "full_name": "李伟", "department": "Seek/Browser"}])
    name = appoint(company)
    with chromium.visiting(company) as page:
        page.goto("/console")
        assert violations(page) == []
        chromium.shoot(page, "console-login")
        page.locator("#name").fill(name)
        page.locator("#password").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
        page.locator("#password").fill(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("Domains")
        assert violations(page) == []
        chromium.shoot(page, "console-domains")
        page.get_by_role("link", name="123.com", exact=True).click()
        expect(page.locator("h1")).to_have_text("123.com")
        assert violations(page) == []
        chromium.shoot(page, "console-domain")
        page.get_by_role("link", name="Browser", exact=True).click()
        expect(page.locator("tbody tr")).to_have_count(1)
        page.get_by_role("link", name="Accounts", exact=True).click()
        page.get_by_label("Name or address").fill("李伟")
        page.keyboard.press("Enter")
        expect(page.locator("tbody tr")).to_have_count(1)
        assert violations(page) == []
        page.get_by_role("link", name=address).click()
        expect(page.locator("h1")).to_have_text(address)
        page.get_by_label("Password at the old server").fill(OLD_PASSWORD)
        page.get_by_label("Once more").fill(OLD_PASSWORD)
        page.get_by_role("button", name="Set a password").click()
        expect(page.locator(".told").first).to_have_text(f"The password of {address} is set.")
        # What the move brings is shown without anybody loading the page anew.
        expect(page.get_by_role("heading", name="Messages that could not be fetched")).to_be_visible()
        expect(page.get_by_text("2 of 3 messages")).to_be_visible()
        assert violations(page) == []
        chromium.shoot(page, "console-account")
        company.old.damaged = frozenset()
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_text("3 of 3 messages")).to_be_visible()
        expect(page.get_by_text("Nothing is the matter.")).to_be_visible()


def test_a_list_is_fresh_and_nobody_loses_the_place(company: Company, chromium: Chromium) -> None:
    people = enrol(company, [{"local": f"live{n:02}", "department": "Live", "state": "moved"} for n in range(40)])
    with at_the_console(chromium, company) as page:
        page.goto("/console/accounts?domain=123.com&department=Live")
        tick = page.get_by_label("Choose live30@123.com")
        tick.check()
        looked_at = page.locator(f"#account-{people[31].id}")
        looked_at.focus()
        before = looked_at.bounding_box()["y"]
        assert page.evaluate("window.scrollY") > 0
        database = company.accounts()
        Accounts(database).set_reason(people[0].id, "the moon is full")
        database.close()
        expect(page.locator("tbody tr").first).to_contain_text("the moon is full")
        expect(tick).to_be_checked()
        assert page.evaluate("document.activeElement.id") == f"account-{people[31].id}"
        assert abs(looked_at.bounding_box()["y"] - before) < 30  # though rows above it have grown
        page.locator("#what").select_option("pause")
        page.locator("#bulk").click()
        expect(page.locator("h1")).to_have_text("Pause 1 account?")
        assert violations(page) == []
        chromium.shoot(page, "console-confirm")
        page.get_by_role("button", name="Yes, do it").click()
        expect(page.locator(".told")).to_have_text("1 account is paused.")
        assert violations(page) == []
        chromium.shoot(page, "console-accounts")


def test_on_a_phone_in_chinese_in_the_dark(company: Company, chromium: Chromium) -> None:
    (account,) = enrol(
        company,
        [
            {
                "local": "phone-with-a-rather-long-name",
                "state": "moved",
                "department": "Phone",
                "password_state": PasswordState.REJECTED,
                "password_hash": "x",
                "reason": "the legacy server no longer takes the password",
                "trace": "ngqy5mhhupxf",
            }
        ],
    )
    with at_the_console(chromium, company, language="zh-CN", phone=True, dark=True) as page:
        for name, path in (
            ("domains", "/console"),
            ("domain", "/console/domain/123.com"),
            ("accounts", "/console/accounts?text=phone-with"),
            ("account", f"/console/account/{account.id}"),
        ):
            page.goto(path)
            assert page.evaluate("document.documentElement.lang") == "zh-Hans"
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
            assert violations(page) == []
            chromium.shoot(page, f"console-phone-{name}")
        expect(page.get_by_text("旧服务器不再接受已保存的密码：用户在旧系统上改过密码")).to_be_visible()
        expect(page.locator("#trace")).to_have_text("可在日志中查找： ngqy5mhhupxf")
        page.get_by_role("button", name="暂停", exact=True).click()
        expect(page.locator(".told").first).to_have_text(f"{account.name} 已暂停。")
        page.get_by_role("link", name="English").click()
        expect(page.get_by_role("heading", name="What is the matter")).to_be_visible()


def test_without_javascript(company: Company, chromium: Chromium) -> None:
    people = enrol(company, [{"local": f"plain{n}", "department": "Plain"} for n in range(2)])
    name = appoint(company)
    with chromium.visiting(company, script=False) as page:
        page.goto("/console/accounts")
        page.locator("#name").fill(name)
        page.locator("#password").fill(PASSWORD)
        page.locator("main button").click()
        expect(page.locator("h1")).to_have_text("Accounts")
        page.get_by_label("Name or address").fill("plain")
        page.get_by_role("button", name="Show").click()
        expect(page.locator("tbody tr")).to_have_count(2)
        page.locator("#which").select_option("all")
        page.locator("#what").select_option("pause")
        page.locator("#bulk").click()
        expect(page.locator("h1")).to_have_text("Pause 2 accounts?")
        page.get_by_role("button", name="Yes, do it").click()
        expect(page.locator(".told")).to_have_text("2 accounts are paused.")
        page.get_by_role("link", name=people[0].name).click()
        page.get_by_role("button", name="End the pause").click()
        expect(page.locator(".told").first).to_have_text(f"The pause of {people[0].name} has ended.")
        with page.expect_download() as download:
            page.goto("/console/accounts?text=plain")
            page.get_by_role("link", name="Download as a spreadsheet").click()
        assert re.fullmatch(r"accounts-[\d-]+\.csv", download.value.suggested_filename)
        page.get_by_role("button", name="Log out").click()
        expect(page.locator(".told")).to_have_text("You are logged out.")


def test_the_runbook_in_both_languages(company: Company, chromium: Chromium) -> None:
    with at_the_console(chromium, company) as page:
        page.goto("/console/runbook")
        chromium.shoot(page, "console-runbook")
        page.get_by_role("link", name="中文", exact=True).last.click()
        page.locator(".runbook").get_by_role("link", name="收尾，关闭旧服务器").click()
        expect(page).to_have_url(re.compile("/console/runbook/zh#8-"))
        expect(page.get_by_role("heading", name="8. 收尾")).to_be_in_viewport()
        assert violations(page) == []
    with at_the_console(chromium, company, language="zh-CN", phone=True, dark=True) as page:
        page.goto("/console/runbook")
        expect(page.get_by_role("heading", name="1. 开通域")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert violations(page) == []
        chromium.shoot(page, "console-runbook-phone")
