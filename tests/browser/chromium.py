"""Debian's Chromium, driven by playwright: without a screen, and asking nobody but the test's own servers. It is the
shell without the browser's own windows, which would take as long as the pages.

chromium = Chromium(folder)  # begun when it is first needed
with chromium.visiting(company, language="zh-CN", phone=True) as page: …
chromium.close()
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.browser.company import Company

PROGRAM = Path("/usr/bin/chromium-headless-shell")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A page is not looked at for long enough to make its scripts fast, nor is there anyone to keep it from others for.
    "--js-flags=--no-opt --no-maglev",
    "--renderer-process-limit=1",
    "--disable-site-isolation-trials",
    "--host-resolver-rules=MAP mail.test 127.0.0.1 , MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1",
)
AXE = (Path(__file__).parent / "axe.js").read_text()
SECONDS = 120_000.0  # milliseconds that the page has for anything: a machine may do other things beside it


_enough: list[str] = []  # see axe.js


class Chromium:
    """One browser; each visit has cookies of its own. Of playwright there can be one at a time in a process, and none
    while others run an event loop in it: who has no use for the browser any more closes it. It may be used again."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the browser's own."""
        self._folder = folder
        self._open = ExitStack()
        self._browser: Any = None
        self._shots = Path(shots) if (shots := os.environ.get("MAILFERRY_SHOTS")) else None

    @property
    def browser(self) -> Any:
        """Playwright's. Missing: the test is left out, and under CI=true it fails."""
        if self._browser is None:
            self._browser = self._open.enter_context(_launched(self._folder))
        return self._browser

    def close(self) -> None:
        self._browser = None
        self._open.close()

    @contextmanager
    def visiting(
        self,
        company: Company,
        *,
        language: str = "en-US",
        phone: bool = False,
        dark: bool = False,
        script: bool = True,
        state: Any = None,
        address: str = "",
    ) -> Iterator[Any]:
        """A page of a fresh visitor at the company's `address`; of a former one with their `state`
        (`page.context.storage_state()`). What goes wrong in the page's console fails the test."""
        context = self.browser.new_context(
            base_url=address or company.address,
            ignore_https_errors=True,
            locale=language,
            color_scheme="dark" if dark else "light",
            viewport={"width": 360, "height": 740} if phone else {"width": 1100, "height": 800},
            is_mobile=phone,
            has_touch=phone,
            java_script_enabled=script,
            storage_state=state,
        )
        context.set_default_timeout(SECONDS)
        page = context.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if _is_ours(message) else None)
        try:
            yield page
        finally:
            context.close()
        assert wrong == []

    def shoot(self, page: Any, name: str) -> None:
        """Keep a picture, where somebody asked for pictures (MAILFERRY_SHOTS=folder)."""
        if self._shots is not None:
            page.screenshot(path=self._shots / f"{name}.png", full_page=True)


def _is_ours(message: Any) -> bool:
    """A mistake of the page's. That an answer had a status of refusal is none."""
    return message.type in {"error", "warning"} and "Failed to load resource" not in message.text


@contextmanager
def _launched(folder: Path) -> Iterator[Any]:
    if not PROGRAM.exists():
        words = "chromium-headless-shell is missing: apt-get install chromium-headless-shell"
        if os.environ.get("CI") == "true":
            pytest.fail(words)
        pytest.skip(words)
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=SECONDS)
    environment = {**os.environ, "HOME": str(folder), "TMPDIR": str(folder)}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=list(ARGUMENTS), env=environment)
        try:
            yield browser
        finally:
            browser.close()


def violations(page: Any) -> list[str]:
    """What axe-core finds wrong for people who do not see, hear or use a mouse (WCAG 2.2 A and AA), in words."""
    from axe_playwright_python.base import AXE_SCRIPT

    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    # What is well is as long as the page, and so is the way to each element of it; neither is asked for.
    options = {"runOnly": {"type": "tag", "values": tags}, "resultTypes": ["violations"], "selectors": False}
    page.evaluate(AXE_SCRIPT)
    found, enough = page.evaluate(f"([enough, options]) => ({AXE})(enough)(options)", [_enough, options])
    _enough[:] = enough
    return [f"{each['id']}: {each['help']}: {node['html'][:200]}" for each in found for node in each["nodes"]]
