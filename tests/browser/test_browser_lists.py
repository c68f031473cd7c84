"""Lists and reminders in the console, in a browser: sent, looked at, mended, taken over; users reminded; on a phone and
without JavaScript."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.administrators import at_the_console, enrol
from tests.browser.chromium import Chromium, violations
from tests.browser.company import Company
from tests.proxy.admin.relay import Relay

pytestmark = pytest.mark.peers

GOOD = """公司人员名单
账号,姓名,部门,配额,别名,密码
list1@123.com,张伟,研发部/邮件组,2G,wei.zhang@123.com,old-password-1
list2@123.com,李娜,财务部,500M,,
list3@123.com,<b>Bob</b> O'Neil,Sales,,,
"""
BAD = GOOD.replace("list2@123.com", "list2@124.com").replace("2G", "lots")


def fits(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_a_list_is_mended_and_taken_over(company: Company, chromium: Chromium, tmp_path: Path) -> None:
    good, bad = tmp_path / "人员 good.csv", tmp_path / "bad.csv"
    good.write_text(GOOD, encoding="gb18030")
    bad.write_text(BAD, encoding="utf-8")
    enrol(company, [{"local": "list2", "full_name": "李 娜"}])
    with at_the_console(chromium, company) as page:
        page.get_by_role("link", name="Accounts", exact=True).click()
        page.get_by_role("link", name="Import a list").click()
        assert violations(page) == []
        chromium.shoot(page, "console-import")
        page.get_by_label("The file", exact=True).set_input_files(bad)
        page.get_by_role("button", name="Show what would happen").click()
        expect(page.get_by_role("alert")).to_contain_text("2 things are wrong with the list. Nothing was changed.")
        expect(page.locator("tbody tr").first).to_contain_text("row 3")
        assert violations(page) == []
        chromium.shoot(page, "console-import-wrong")
        page.get_by_label("The file", exact=True).set_input_files(good)
        page.get_by_label("How many accounts it has").fill("3")
        page.get_by_role("button", name="Show what would happen").click()
        expect(page.locator("h1")).to_have_text("What the list 人员 good.csv would do")
        expect(page.locator("table").first.locator("tbody tr")).to_have_count(2)
        expect(page.get_by_text("old-password")).to_have_count(0)
        assert violations(page) == []
        chromium.shoot(page, "console-import-preview")
        page.get_by_role("button", name="Take the list over").click()
        expect(page.locator(".told")).to_contain_text("The list is taken over: 2 added, 1 changed")
        page.get_by_label("Name or address").fill("list3")
        page.keyboard.press("Enter")
        expect(page.locator("tbody tr")).to_have_count(1)
        expect(page.locator("tbody tr")).to_contain_text("<b>Bob</b> O'Neil")


def test_on_a_phone_in_chinese_in_the_dark_without_javascript(
    company: Company, chromium: Chromium, tmp_path: Path
) -> None:
    file = tmp_path / "名单.csv"
    how = {"language": "zh-CN", "phone": True, "dark": True}
    with at_the_console(chromium, company, **how) as page:
        page.goto("/console/import")
        assert fits(page) and violations(page) == []
        chromium.shoot(page, "console-phone-import")
        file.write_text(BAD.replace("list", "phone"), encoding="utf-8")
        page.get_by_label("文件", exact=True).set_input_files(file)
        page.get_by_role("button", name="查看将会发生什么").click()
        expect(page.get_by_role("alert")).to_contain_text("名单中有 2 处错误")
        expect(page.locator("tbody tr").last).to_contain_text("本服务器没有“124.com”这个域")
        assert fits(page) and violations(page) == []
        chromium.shoot(page, "console-phone-import-wrong")
    with at_the_console(chromium, company, **how, script=False) as page:
        page.goto("/console/import")
        file.write_text(GOOD.replace("list", "phone").replace("wei.", "phone."), encoding="utf-8")
        page.get_by_label("文件", exact=True).set_input_files(file)
        page.get_by_role("button", name="查看将会发生什么").click()
        expect(page.locator("h1")).to_have_text("预览：名单.csv")
        assert fits(page)
        chromium.shoot(page, "console-phone-import-preview")
        page.get_by_role("button", name="导入这份名单").click()
        expect(page.locator(".told")).to_contain_text("名单已导入：新增 3 个")


def test_users_are_reminded(tmp_path_factory: pytest.TempPathFactory, chromium: Chromium) -> None:
    with Relay() as relay:
        notices = f'sender = "IT help desk <it@123.com>"\nrelay = "{relay.address}"\nrate = 100000'
        telling = Company(tmp_path_factory.mktemp("telling"), notices=notices)
        telling.start()
        try:
            people = enrol(telling, [{"local": f"rem{n}", "full_name": "王芳"} for n in range(1, 15)])
            relay.say("rem2@123.com", "550 no such user here")
            relay.say("rem4@123.com", "hold")
            with at_the_console(chromium, telling) as page:
                remind(page, chromium, relay)
                page.goto(f"/console/account/{people[1].id}")
                assert violations(page) == []
                chromium.shoot(page, "console-account-reminded")
            with at_the_console(chromium, telling, language="zh-CN", phone=True, dark=True) as page:
                page.goto(f"/console/account/{people[1].id}")
                page.get_by_role("button", name="发邮件提醒").click()
                expect(page.locator("h1")).to_have_text("提醒 1 位用户？")
                assert fits(page) and violations(page) == []
                chromium.shoot(page, "console-phone-remind-ask")
                page.goto("/console/remind")
                assert fits(page) and violations(page) == []
                chromium.shoot(page, "console-phone-remind")
        finally:
            telling.close()


def remind(page: Any, chromium: Chromium, relay: Relay) -> None:
    """All of the domain who have not logged in, and one whose message is not known to have come through."""
    page.goto("/console/domain/123.com")
    assert violations(page) == []
    chromium.shoot(page, "console-domain-buttons")
    page.get_by_role("button", name="Remind those who have not logged in").click()
    expect(page.locator("h1")).to_have_text("Remind 14 users?")
    page.locator("#date").fill("2099-12-05")
    page.locator("#language").select_option("en")
    page.get_by_role("button", name="Show it so").click()
    expect(page.locator(".letter")).to_contain_text("Saturday, 5 December 2099")
    assert violations(page) == []
    chromium.shoot(page, "console-remind-ask")
    page.get_by_role("button", name="Send it to 14 users").click()
    expect(page.locator("h1")).to_have_text("Reminders are being sent")
    assert relay.held.wait(30)
    page.reload()
    assert violations(page) == []
    chromium.shoot(page, "console-remind-going")
    relay.go.set()
    # The page is brought up to date by itself.
    expect(page.locator("h1")).to_have_text("The sending has ended, and not all have been reached")
    expect(page.get_by_role("cell", name="550 no such user here")).to_be_visible()
    assert violations(page) == []
    chromium.shoot(page, "console-remind-ended")
