"""A mailbox that has come over, in Roundcube: folders, search, threads, reading, filing and writing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.roundcube.mail import REPORT
from tests.browser.roundcube.pages import Page, command, folder, idle, is_open, log_in, row, rows
from tests.browser.roundcube.rig import OldServer, Post, Webmail

pytestmark = pytest.mark.peers


def test_the_folders_are_there_by_their_use(mailbox: Page) -> None:
    is_open(mailbox, 10)
    names = mailbox.locator("#mailboxlist li a").all_inner_texts()
    assert [re.sub(r"\s+\d*$", "", name) for name in names] == ["Inbox", "Drafts", "Sent", "Junk", "Trash", "Archive"]
    classes = [mailbox.locator(f"#mailboxlist li:has(> a[rel='{name}'])") for name in ("Drafts", "Sent", "Trash")]
    assert [each.get_attribute("class").split()[1] for each in classes] == ["drafts", "sent", "trash"]


@pytest.mark.parametrize(("words", "where", "found"), [("季度", "subject", "季度报告"), ("搬迁", "text", "会议纪要")])
def test_search_finds_chinese(mailbox: Page, words: str, where: str, found: str) -> None:
    mailbox.evaluate("where => { rcmail.env.search_mods = {'*': {[where]: 1}} }", where)
    mailbox.fill("#mailsearchform", words)
    idle(mailbox)
    with mailbox.expect_response(re.compile("_action=search")):
        mailbox.press("#mailsearchform", "Enter")
    row(mailbox, found).wait_for()
    assert row(mailbox, found).count() == rows(mailbox).count() == 1
    idle(mailbox)
    with mailbox.expect_response(re.compile("_action=list")):
        mailbox.evaluate("rcmail.command('reset-search')")
    is_open(mailbox, 10)


def test_threads(mailbox: Page) -> None:
    idle(mailbox)
    with mailbox.expect_response(re.compile("_action=list")):
        mailbox.evaluate("rcmail.set_list_options(null, undefined, undefined, 1)")
    mailbox.get_by_text("Threads 1 to 8 of 8").wait_for()
    first = rows(mailbox).filter(has_text="Budget").first
    first.locator("div.collapsed").click()
    depths = (
        rows(mailbox)
        .filter(has_text="Budget")
        .evaluate_all("rows => rows.map(row => row.querySelector('span.branch')?.textContent.length ?? 0)")
    )
    assert len(depths) == 3
    idle(mailbox)
    with mailbox.expect_response(re.compile("_action=list")):
        mailbox.evaluate("rcmail.set_list_options(null, undefined, undefined, 0)")
    is_open(mailbox, 10)


def test_a_message_is_read_with_its_attachment(mailbox: Page) -> None:
    row(mailbox, "季度报告").click()
    message = mailbox.frame_locator("#messagecontframe")
    message.get_by_text("请查收附件。").wait_for()
    with mailbox.expect_download() as download:
        message.get_by_role("link", name="季度报告.pdf").first.evaluate(
            "link => { location.href = link.href + '&_download=1' }"
        )
    assert download.value.suggested_filename == "季度报告.pdf"
    assert Path(download.value.path()).read_bytes() == REPORT


def test_a_message_is_flagged_moved_and_deleted(mailbox: Page) -> None:
    row(mailbox, "letter 3").click()
    mailbox.frame_locator("#messagecontframe").get_by_text("letter 3").first.wait_for()
    command(mailbox, "mark", "flagged")
    assert "flagged" in row(mailbox, "letter 3").get_attribute("class")
    command(mailbox, "move", "Archive")
    row(mailbox, "letter 3").wait_for(state="detached")
    folder(mailbox, "Archive")
    row(mailbox, "letter 3").click()
    command(mailbox, "delete")
    row(mailbox, "letter 3").wait_for(state="detached")
    folder(mailbox, "Trash")
    row(mailbox, "letter 3").wait_for()
    assert "flagged" in row(mailbox, "letter 3").get_attribute("class")
    folder(mailbox, "INBOX")
    mailbox.get_by_text("Messages 1 to 9 of 9").wait_for()


def test_a_folder_is_made_and_found(mailbox: Page, webmail: Webmail) -> None:
    page = mailbox.context.new_page()
    page.goto(webmail.address + "?_task=settings&_action=folders")
    idle(page)
    page.evaluate("rcmail.command('create-folder')")
    form = page.frame_locator("#preferences-frame")
    form.locator("input[name=_name]").fill("搬迁计划")
    form.get_by_role("button", name="Save").click()
    page.locator("#subscription-table").get_by_text("搬迁计划").wait_for()
    page.goto(webmail.address + "?_task=mail")
    page.locator("#mailboxlist").get_by_text("搬迁计划").wait_for()
    page.close()


def test_a_draft_is_kept_and_mail_that_is_sent_is_filed(mailbox: Page, webmail: Webmail, post: Post) -> None:
    page = mailbox.context.new_page()
    page.goto(webmail.address + "?_task=mail&_action=compose")
    page.fill("#compose-subject", "回复：搬迁")
    page.fill("#composebody", "星期三可以。")
    idle(page)
    page.evaluate("rcmail.command('savedraft')")
    page.get_by_text("Message saved to Drafts.").wait_for()
    idle(page)
    page.evaluate("document.getElementById('_to').value = 'li@123.com'")
    page.evaluate("rcmail.command('send', '', this, {})")
    page.wait_for_url(re.compile("_task=mail(?!.*compose)"))
    rows(page).first.wait_for()
    folder(page, "Sent")
    row(page, "回复：搬迁").wait_for()
    folder(page, "Drafts")
    page.get_by_text("Mailbox is empty").wait_for()
    assert len(post.mail) == 1
    assert b"To: li@123.com" in post.mail[0]
    page.close()


def test_after_the_move_a_login_opens_the_mailbox_at_once(
    mailbox: Page, visit: Callable[..., Page], old_server: OldServer
) -> None:
    old_server.away = True
    page = visit()
    log_in(page, "WANG@123.com")
    rows(page).first.wait_for()
    assert page.locator("#mailboxlist").get_by_text("Inbox").is_visible()


def test_to_install_again_does_no_harm(mailbox: Page, webmail: Webmail) -> None:
    webmail.install()
    mailbox.reload()
    rows(mailbox).first.wait_for()
