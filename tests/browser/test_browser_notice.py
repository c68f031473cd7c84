"""The first notice in the console, in a browser: looked at, sent, watched, and what came of it; on a phone in the dark,
and without JavaScript."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.administrators import at_the_console, enrol
from tests.browser.chromium import Chromium, violations
from tests.browser.company import Company
from tests.proxy.admin.relay import Relay

pytestmark = pytest.mark.peers

PAGE = "/console/domain/123.com/notice"


def fits(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_users_are_told(telling: Company, chromium: Chromium, relay: Relay) -> None:
    enrol(telling, [{"local": f"told{n:02}", "full_name": "王芳", "department": "Told/North"} for n in range(1, 15)])
    enrol(telling, [{"local": "other", "department": "Other"}])
    relay.say("told02@123.com", "550 5.1.1 <told02@123.com>: Recipient address rejected: User unknown")
    relay.say(".", "250 ok", "250 ok", "hold")  # of the third, told04, nobody will know
    with at_the_console(chromium, telling) as page:
        page.goto("/console/domain/123.com")
        page.locator("#step-notice").click()
        expect(page.locator("h1")).to_have_text("Tell the users of 123.com")
        assert violations(page) == []
        chromium.shoot(page, "notice-first")
        page.get_by_label("Day of the move").fill("2999-12-05")
        page.get_by_label("Time (optional)").fill("20:00")
        page.get_by_label("Department").select_option("Told")
        page.locator("#language").select_option("en")
        page.get_by_role("button", name="Show it so").click()
        expect(page.locator(".letter")).to_contain_text("Thursday, 5 December 2999, 20:00")
        expect(page.locator("dd").first).to_have_text("14")
        page.get_by_role("button", name="as told02@123.com →").click()
        expect(page.get_by_role("heading", name="told02@123.com")).to_be_visible()
        expect(page.get_by_label("Show the mail of (optional)")).to_have_value("told02@123.com")
        assert violations(page) == []
        chromium.shoot(page, "notice-shown")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download as mails (ZIP)").click()
        assert download.value.suggested_filename.endswith(".zip")
        page.get_by_role("button", name="Send it …").click()
        expect(page.locator("h1")).to_have_text("Send the notice to 14 users of 123.com?")
        assert violations(page) == []
        chromium.shoot(page, "notice-ask")
        page.get_by_role("button", name="Send it to 14 users").click()
        expect(page.get_by_role("heading", name="The notice is being sent")).to_be_visible()
        assert relay.held.wait(30)
        page.reload()
        assert violations(page) == []
        chromium.shoot(page, "notice-going")
        relay.go.set()
        # The page is brought up to date by itself.
        expect(page.get_by_role("heading", name="The sending has ended, and not all have been reached")).to_be_visible()
        expect(page.get_by_text("Recipient address rejected")).to_be_visible()
        page.get_by_role("link", name="Not known (1)").click()
        expect(page.get_by_role("link", name="told04@123.com")).to_be_visible()
        assert violations(page) == []
        chromium.shoot(page, "notice-unknown")


def test_on_a_phone_in_chinese_in_the_dark(telling: Company, chromium: Chromium) -> None:
    enrol(telling, [{"local": "a-rather-long-name-of-a-user", "full_name": "欧阳娜娜", "department": "Phone"}])
    with at_the_console(chromium, telling, language="zh-CN", phone=True, dark=True) as page:
        page.goto(f"{PAGE}?department=Phone&date=2999-12-05")
        expect(page.locator(".letter")).to_contain_text("欧阳娜娜，您好！")
        assert fits(page) and violations(page) == []
        chromium.shoot(page, "notice-phone")
        page.get_by_role("button", name="发送…").click()
        expect(page.locator("h1")).to_have_text("向 123.com 的 1 位用户发送通知？")
        assert fits(page) and violations(page) == []
        chromium.shoot(page, "notice-phone-ask")
        page.goto(f"{PAGE}/sent?what=refused")
        assert fits(page) and violations(page) == []
        chromium.shoot(page, "notice-phone-sent")
    with at_the_console(chromium, telling, script=False) as page:
        page.goto("/console/accounts?department=Phone&domain=123.com")
        page.get_by_role("checkbox").first.check()
        page.locator("#what").select_option("notice")
        page.locator("#bulk").click()
        expect(page.get_by_text("The 1 account that was ticked.")).to_be_visible()
        page.get_by_label("Day of the move").fill("2999-12-05")
        page.get_by_role("button", name="Send it …").click()
        page.get_by_role("button", name="Send it to 1 user").click()
        expect(page.locator("h1")).to_have_text("How the sending went")


def test_what_a_configuration_lacks(company: Company, chromium: Chromium) -> None:
    enrol(company, [{"local": "untold-in-a-browser"}])
    with at_the_console(chromium, company, phone=True) as page:
        page.goto(PAGE)
        expect(page.get_by_text('sender = "IT help desk <it@123.com>"')).to_be_visible()
        assert fits(page) and violations(page) == []
        chromium.shoot(page, "notice-lacks")
