"""One account proves its domain, and all of it is verified, in a browser: watched without loading anything anew, on a
phone in Chinese in the dark, and without JavaScript."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from mailstore.secrets import Sealer, load_key
from tests.browser.administrators import at_the_console, enrol
from tests.browser.chromium import Chromium, violations
from tests.browser.company import PASSWORD, Company
from tests.browser.old_server import letters
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.peers

STEP = "/console/domain/123.com/verify"


@pytest.fixture
def firm(tmp_path: Path) -> Iterator[Company]:
    made = Company(tmp_path)
    yield made.start()
    made.close()


def moved(firm: Company, messages: int) -> str:
    address = firm.hire(messages)
    user = Visitor(firm)
    user.log_in(address, PASSWORD)
    user.when_here()
    return address


def is_well(page: Any) -> None:
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_an_account_proves_the_domain_and_then_all_is_verified(firm: Company, chromium: Chromium) -> None:
    address = moved(firm, 30)
    others = [moved(firm, 3) for _ in range(3)]
    waits = firm.hire(4)
    sealed = Sealer(load_key(firm.daemon.root / "state" / "sealing.key")).seal(waits, PASSWORD.encode())
    enrol(firm, [{"local": waits.partition("@")[0], "sealed_password": sealed, "password_state": "untried"}])
    with at_the_console(chromium, firm) as page:
        page.goto(STEP)
        expect(page.get_by_text("No: no account's whole move was verified yet.")).to_be_visible()
        is_well(page)
        chromium.shoot(page, "verify-unproven")
        page.locator("#tried").click()
        expect(page.locator("h1")).to_have_text(address)
        chromium.shoot(page, "verify-account-button")
        firm.old.hold()
        page.get_by_role("button", name="Compare with the old server").click()
        expect(page.get_by_text("0 of 20 messages")).to_be_visible()
        is_well(page)
        chromium.shoot(page, "verify-account-going")
        firm.old.release()
        expect(page.get_by_text("123.com is proven with")).to_be_visible()
        is_well(page)
        chromium.shoot(page, "verify-account-whole")
        move_by_filter(page, waits)
        worsen(firm, others)
        page.goto(STEP)
        expect(page.get_by_text("Yes: 20")).to_be_visible()
        page.get_by_label("Messages of each sample").fill("0")
        page.locator("#verify").click()
        expect(page.get_by_role("alert")).to_contain_text("A number from 1 to 10,000")
        is_well(page)
        firm.old.hold()
        page.get_by_label("Every message").check()
        page.locator("#verify").click()
        expect(page.get_by_text("comparing with the old server").first).to_be_visible()
        is_well(page)
        chromium.shoot(page, "verify-going")
        firm.old.release()
        expect(page.get_by_role("heading", name="What was found")).to_be_visible()
        is_well(page)
        chromium.shoot(page, "verify-found")
        with page.expect_download() as download:
            page.get_by_role("link", name="All of it (JSON)").click()
        assert json.loads(download.value.path().read_text())["verdict"] == "incomplete"
        page.get_by_role("link", name="All reports that are kept").click()
        expect(page.locator("tbody tr")).to_have_count(2)
        is_well(page)
        chromium.shoot(page, "verify-reports")
    on_a_phone(firm, chromium)
    without_javascript(firm, chromium)


def move_by_filter(page: Any, waits: str) -> None:
    page.goto(f"/console/accounts?domain=123.com&text={waits}")
    page.locator("#what").select_option("move")
    page.locator("#which").select_option("all")
    page.locator("#bulk").click()
    page.get_by_role("button", name="Yes, do it").click()
    expect(page.locator(".told")).to_have_text("1 account is moved as soon as there is room.")
    expect(page.get_by_text("4 of 4 messages")).to_be_visible()


def worsen(firm: Company, others: list[str]) -> None:
    box = firm.old.mailboxes
    box[others[0].partition("@")[0]] = PASSWORD, [b"Subject: other\r\n\r\nbytes\r\n", *letters(3)[1:]]
    box[others[1].partition("@")[0]] = PASSWORD, letters(12)
    box[others[2].partition("@")[0]] = "changed", letters(3)


def on_a_phone(firm: Company, chromium: Chromium) -> None:
    with at_the_console(chromium, firm, language="zh-CN", phone=True, dark=True) as page:
        page.goto(STEP)
        expect(page.get_by_text("有邮件缺失或损坏")).to_be_visible()
        is_well(page)
        chromium.shoot(page, "verify-phone")
        page.locator("tbody a").first.click()
        page.get_by_role("link", name="上次的核对结果").click()
        is_well(page)
        chromium.shoot(page, "verify-phone-account")
        page.get_by_role("link", name="所有保存的报告").click()
        is_well(page)
        chromium.shoot(page, "verify-phone-reports")


def without_javascript(firm: Company, chromium: Chromium) -> None:
    with at_the_console(chromium, firm, script=False) as page:
        firm.old.hold()
        page.goto(STEP)
        page.locator("#verify").click()
        expect(page.get_by_text("is being compared")).to_be_visible()
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_text("Stopped by an administrator")).to_be_visible()
        firm.old.release()
