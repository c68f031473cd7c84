"""A domain's DNS in a browser: what should be is typed in, watched and pasted; on a phone, in Chinese, in the dark."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.administrators import at_the_console
from tests.browser.chromium import Chromium, violations
from tests.browser.dns_company import Moving, moving
from tests.peers.dns_world import BEFORE, NEW

pytestmark = pytest.mark.peers
PAGE = "/console/domain/123.com/dns"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Moving]:
    with moving(tmp_path) as made:
        yield made


def test_from_a_mistake_to_where_all_is_right(place: Moving, chromium: Chromium) -> None:
    world = place.world
    world.change(BEFORE.replace("900", "2"))
    with at_the_console(chromium, place.company) as page:
        page.goto("/console/domain/123.com")
        page.locator("#step-dns").click()
        expect(page.locator("h1")).to_have_text("DNS of 123.com")
        assert violations(page) == []
        chromium.shoot(page, "dns-first")
        page.get_by_label("This server's addresses").fill("mail.123.com")
        page.keyboard.press("Enter")
        expect(page.get_by_text("“mail.123.com” is no address of a server")).to_be_visible()
        assert page.evaluate("document.activeElement.id") == "addresses"
        assert violations(page) == []
        chromium.shoot(page, "dns-mistake")
        page.get_by_label("This server's addresses").fill(NEW)
        page.get_by_label(re.compile("Keep looking")).check()
        page.get_by_role("button", name="Look now").click()
        # How it goes, and what was found, comes without anybody loading the page anew.
        expect(page.get_by_role("heading", name="DNS is being watched")).to_be_visible()
        expect(page.get_by_role("heading", name=re.compile("2 of 12 records"))).to_be_visible()
        assert violations(page) == []
        chromium.shoot(page, "dns-watched")
        page.locator("#ask").evaluate("ask => { ask.open = true }")  # closed where a look was there already
        page.get_by_label("Other names that users have").fill("pop.123.com")
        world.change(page.locator(".snippet").input_value() + "@ 900 IN MX 5 mxbiz1.qq.com.\n")
        expect(page.get_by_role("heading", name=re.compile("All 12 records"))).to_be_visible()
        expect(page.locator("#task")).to_have_count(0)
        expect(page.get_by_label("Other names that users have")).to_have_value("pop.123.com")
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.get_by_role("button", name="Copy").click()
        expect(page.get_by_text("Copied.")).to_be_visible()
        assert "_imaps._tcp.123.com." in page.evaluate("navigator.clipboard.readText()")
        assert violations(page) == []
        chromium.shoot(page, "dns-right")


def test_on_a_phone_in_chinese_in_the_dark_and_without_javascript(place: Moving, chromium: Chromium) -> None:
    world = place.world
    world.resolver.learn("mail.123.com")
    with at_the_console(chromium, place.company, script=False) as page:
        page.goto(PAGE)
        page.get_by_label("This server's addresses").fill(NEW)
        page.get_by_role("button", name="Look now").click()
        _until_over(page)
        world.ns1.change("123.com", world.records(world.pasted("--address", NEW)))
        page.get_by_role("button", name="Look now").click()
        _until_over(page)
        expect(page.get_by_text("changed in part").first).to_be_visible()
        expect(page.get_by_role("button", name="Copy")).to_be_hidden()
        with page.expect_download() as download:
            page.get_by_role("link", name="Download").click()
        assert download.value.suggested_filename == "123.com-dns.txt"
    for dark, phone in ((True, True), (False, True), (True, False)):
        with at_the_console(chromium, place.company, language="zh-CN", phone=phone, dark=dark) as page:
            page.goto(PAGE)
            expect(page.get_by_text("部分已修改").first).to_be_visible()
            page.locator("#ask summary").click()
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            assert violations(page) == []
            chromium.shoot(page, f"dns-zh{'-dark' * dark}{'-phone' * phone}")


def _until_over(page: Any) -> None:
    while page.locator("#task").count():
        page.locator("#again").click()
