"""What a user does on Roundcube's pages."""

from __future__ import annotations

import re
from typing import Any

from tests.legacy.dovecot import PASSWORD

Page = Any  # playwright's, which is only imported where Chromium is


def log_in(page: Page, user: str, password: str = PASSWORD) -> None:
    page.fill("#rcmloginuser", user)
    page.fill("#rcmloginpwd", password)
    page.click("#rcmloginsubmit")


def rows(page: Page) -> Any:
    return page.locator("#messagelist tbody tr")


def row(page: Page, subject: str) -> Any:
    return rows(page).filter(has=page.get_by_role("link", name=subject, exact=True))


def is_open(page: Page, messages: int) -> None:
    """The mailbox is shown with all of it."""
    page.get_by_text(f"Messages 1 to {messages} of {messages}").wait_for()
    assert rows(page).count() == messages


def counted(page: Page, words: str) -> None:
    """The page of a first login says how far it is."""
    page.locator("#mailferry-status").filter(has_text=re.compile(words)).wait_for()


def idle(page: Page) -> None:
    """Roundcube takes no command while it waits for the answer to another."""
    page.wait_for_function("!rcmail.busy")


def folder(page: Page, name: str) -> None:
    """Open a folder and wait for its list."""
    idle(page)
    with page.expect_response(re.compile("_action=list")):
        page.click(f"#mailboxlist a[rel='{name}']")
    idle(page)


def command(page: Page, *words: str) -> None:
    """What a button does, and the server's answer to it. Roundcube passes over what comes while it is busy, which it
    may be again a moment after it was not."""
    with page.expect_response(lambda response: "_remote=1" in response.url or response.request.method == "POST"):
        page.wait_for_function("words => !rcmail.busy && (rcmail.command(...words), true)", arg=list(words))
    idle(page)
