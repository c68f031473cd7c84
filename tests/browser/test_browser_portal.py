"""The user's one step, in a browser: from the login to the last message."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import SECONDS, Chromium, violations
from tests.browser.company import PASSWORD, Company

pytestmark = pytest.mark.peers


def log_in(page: Any, address: str, password: str = PASSWORD) -> None:
    page.goto("/")
    page.locator("#name").fill(address)
    page.locator("#password").fill(password)
    page.locator("main button[type=submit]").click()


def test_the_whole_way_with_a_slow_server_closing_and_coming_back(company: Company, chromium: Chromium) -> None:
    address = company.hire(40)
    company.old.hold()
    with chromium.visiting(company) as page:
        page.goto("/")
        chromium.shoot(page, "login")
        assert violations(page) == []
        log_in(page, address)
        expect(page.get_by_role("heading", level=1)).to_have_text("Your old mail is being carried over")
        expect(page.locator("dd").first).to_have_text("0 of 40")
        assert violations(page) == []
        company.old.pace = 0.12  # what a server gives so slowly is put on disk every two seconds
        company.old.give(30)
        expect(page.locator("dd").first).to_have_text(re.compile(r"^[12]\d of 40$"), timeout=SECONDS)
        chromium.shoot(page, "moving")
        state = page.context.storage_state()
    with chromium.visiting(company, state=state) as page:
        page.goto("/")
        expect(page.get_by_role("heading", level=1)).to_have_text("Your old mail is being carried over")
        company.old.release()
        expect(page.get_by_role("heading", level=1)).to_have_text("All 40 messages are here")
        expect(page.locator("[role=status]")).to_have_text("Your old mail is here: 40 messages")
        assert violations(page) == []
        chromium.shoot(page, "here")
        page.reload()
        expect(page.get_by_role("heading", level=1)).to_have_text("All 40 messages are here")
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("status")).to_contain_text("You are logged out")
