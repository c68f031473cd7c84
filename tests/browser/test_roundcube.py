"""Roundcube as its users see it, in Debian's Chromium: the first login, and the mailbox behind it."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.browser.roundcube_mail import REPORT, write_talk
from tests.browser.roundcube_rig import LOCAL, OldServer, Post, Webmail, chromium, needed_for_webmail
from tests.legacy.dovecot import PASSWORD, Dovecot
from tests.peers.daemon import Daemon
from tests.peers.mailboxes import write_letters
from tests.peers.needs import needed

pytestmark = pytest.mark.peers
_numbers = count(1)
Page = Any  # playwright's, which is only imported where Chromium is


@pytest.fixture(scope="module")
def ground() -> Iterator[Path]:
    """A directory with a short name that others can reach."""
    path = Path(tempfile.mkdtemp(prefix="roundcube.", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def legacy(ground: Path) -> Iterator[Dovecot]:
    needed("dovecot")
    needed_for_webmail()
    (ground / "old").mkdir()
    server = Dovecot(ground / "old")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def the_old_server(legacy: Dovecot) -> Iterator[OldServer]:
    with OldServer(legacy.pop3) as server:
        yield server


@pytest.fixture
def old_server(the_old_server: OldServer) -> Iterator[OldServer]:
    """What stands before the legacy server; well at the beginning of each test."""
    the_old_server.logins = 0
    yield the_old_server
    the_old_server.be_well()


@pytest.fixture(scope="module")
def post() -> Iterator[Post]:
    with Post() as server:
        yield server


@pytest.fixture(scope="module")
def daemon(ground: Path, the_old_server: OldServer) -> Iterator[Daemon]:
    daemon = Daemon(ground / "ferry", f'port = {the_old_server.port}\ntls = "none"', workers=1)
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.fixture(scope="module")
def webmail(ground: Path, daemon: Daemon, post: Post) -> Iterator[Webmail]:
    (ground / "web").mkdir()
    configuration = ground / "web.toml"
    configuration.write_text('submission = "mail.123.com:587"\n' + daemon.config.read_text())
    local = LOCAL + f"$config['smtp_host'] = '127.0.0.1:{post.port}';\n$config['smtp_user'] = '';\n"
    with Webmail(ground / "web", configuration, local) as running:
        yield running
        assert "PHP" not in (running.root / "logs" / "php-fpm.log").read_text()
        assert not (running.root / "logs" / "php.log").exists(), running.log


@pytest.fixture(scope="module")
def browser(legacy: Dovecot) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = chromium(playwright)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Any, webmail: Webmail) -> Iterator[Callable[..., Page]]:
    """Come to the webmail as somebody who was never there: visit(locale="zh-CN"). No script may fail meanwhile."""
    opened: list[Any] = []
    mistakes: list[str] = []

    def come(locale: str = "en-US", **more: Any) -> Page:
        context = browser.new_context(locale=locale, timezone_id="Asia/Shanghai", **more)
        opened.append(context)
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.on("pageerror", lambda error: mistakes.append(str(error)))
        page.goto(webmail.address)
        return page

    yield come
    for context in opened:
        context.close()
    assert mistakes == []


@pytest.fixture
def user(legacy: Dovecot) -> str:
    """Somebody with sixty letters at the old server."""
    name = f"user{next(_numbers)}"
    write_letters(legacy, name, 60)
    return name


@pytest.fixture(scope="module")
def mailbox(browser: Any, webmail: Webmail, legacy: Dovecot, the_old_server: OldServer) -> Iterator[Page]:
    """An open mailbox that has just come, for all tests of what is done in one."""
    the_old_server.be_well()
    write_talk(legacy, "wang")
    context = browser.new_context(locale="en-US", timezone_id="Asia/Shanghai", accept_downloads=True)
    context.set_default_timeout(20_000)
    page = context.new_page()
    page.goto(webmail.address)
    log_in(page, "wang")
    rows(page).first.wait_for()
    yield page
    context.close()


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
    """What a button does, and the server's answer to it."""
    idle(page)
    with page.expect_response(lambda response: "_remote=1" in response.url or response.request.method == "POST"):
        page.evaluate("words => { rcmail.command(...words) }", list(words))
    idle(page)


def test_a_first_login_shows_how_far_it_is_until_the_mailbox_opens(
    visit: Callable[..., Page], old_server: OldServer, user: str
) -> None:
    old_server.dam(9_000)
    page = visit()
    log_in(page, user)
    page.get_by_text("Your mail is on its way").wait_for()
    counted(page, r"^\d+ of 60 messages")
    bar = page.get_by_role("progressbar")
    # Longer than nginx, PHP and the plugin wait here: a stream ends, another follows, and there is no error.
    with page.expect_request(re.compile("mailferry.progress")):
        pass
    counted(page, r"^\d+ of 60 messages")
    assert bar.get_attribute("aria-valuenow") is not None
    assert page.locator("#mailferry-trouble").is_hidden()
    old_server.dam(1_500)  # some more, which are written down by and by
    counted(page, r"^[1-9]\d* of 60 messages")
    old_server.be_well()
    is_open(page, 60)
    assert old_server.logins == 1


def test_who_closes_the_browser_finds_the_move_where_it_is(
    visit: Callable[..., Page], old_server: OldServer, user: str
) -> None:
    old_server.dam(9_000)
    page = visit()
    log_in(page, user)
    page.get_by_role("progressbar").wait_for()
    page.context.close()
    later = visit("zh-CN")
    log_in(later, f"{user}@123.com")
    counted(later, r"^已迁移 \d+ 封，共 60 封")
    old_server.be_well()
    rows(later).first.wait_for()
    assert rows(later).count() == 60
    assert old_server.logins == 1


def test_who_comes_back_with_the_same_browser_need_not_log_in_again(
    visit: Callable[..., Page], old_server: OldServer, webmail: Webmail, user: str
) -> None:
    old_server.dam(9_000)
    page = visit()
    log_in(page, user)
    page.get_by_role("progressbar").wait_for()
    tab = page.context.new_page()
    page.close()
    tab.goto(webmail.address)
    tab.get_by_role("progressbar").wait_for()
    assert tab.locator(".account").inner_text() == user
    old_server.be_well()
    is_open(tab, 60)


def test_who_leaves_the_page_is_forgotten_and_the_move_goes_on(
    visit: Callable[..., Page], old_server: OldServer, webmail: Webmail, daemon: Daemon, user: str
) -> None:
    old_server.dam(9_000)
    page = visit()
    log_in(page, user)
    page.click("#mailferry-leave")
    page.wait_for_selector("#rcmloginuser")
    page.goto(webmail.address)
    page.wait_for_selector("#rcmloginuser")
    old_server.be_well()
    log_in(page, user)
    is_open(page, 60)
    assert old_server.logins == 1


def test_the_page_leads_on_to_where_the_user_wanted_to_go(
    visit: Callable[..., Page], old_server: OldServer, webmail: Webmail, user: str
) -> None:
    page = visit()
    page.goto(webmail.address + "?_task=settings&_action=folders")
    old_server.dam(9_000)
    log_in(page, user)
    page.get_by_role("progressbar").wait_for()
    old_server.be_well()
    page.wait_for_url(re.compile("_task=settings"))


def test_a_wrong_password_is_called_so(visit: Callable[..., Page], old_server: OldServer, user: str) -> None:
    page = visit()
    with page.expect_response(re.compile("_task=login")) as answer:
        log_in(page, user, "guess")
    assert answer.value.status == 401
    page.get_by_text("Login failed.").wait_for()
    assert page.locator("#rcmloginuser").is_visible()
    assert old_server.logins == 1


def test_a_wrong_password_is_called_so_if_the_old_server_takes_its_time(
    visit: Callable[..., Page], old_server: OldServer, user: str
) -> None:
    old_server.dam(1)  # its greeting, and no answer yet
    page = visit()
    log_in(page, user, "guess")
    page.get_by_text("Waiting for the old mail server …").wait_for()
    old_server.be_well()
    page.get_by_text("Login failed.").wait_for()
    assert page.locator("#rcmloginuser").is_visible()


def test_an_old_server_that_is_away_is_not_called_a_wrong_password(
    visit: Callable[..., Page], old_server: OldServer, user: str
) -> None:
    old_server.away = True
    page = visit()
    with page.expect_response(re.compile("_task=login")) as answer:
        log_in(page, user)
    assert answer.value.status == 200
    page.get_by_text("the old mail server cannot be reached. Your password was not found wrong.").wait_for()
    old_server.be_well()
    log_in(page, user)
    is_open(page, 60)


def test_an_old_mailbox_that_is_in_use_is_told_as_such(
    visit: Callable[..., Page], old_server: OldServer, user: str
) -> None:
    old_server.in_use = True
    page = visit("zh-CN")
    log_in(page, user)
    page.get_by_text("您的旧邮箱正被其他程序占用").wait_for()


def test_the_page_says_what_is_wrong_and_tries_again(
    visit: Callable[..., Page], old_server: OldServer, user: str
) -> None:
    old_server.dam(1)
    page = visit()
    log_in(page, user)
    page.get_by_text("Waiting for the old mail server …").wait_for()
    old_server.away = True
    old_server.drop()
    trouble = page.locator("#mailferry-trouble")
    trouble.get_by_text("the old mail server cannot be reached").wait_for()
    assert re.search(r"It is tried again in \d s\.$", trouble.inner_text())
    old_server.be_well()
    is_open(page, 60)


def test_the_page_is_in_chinese_and_fits_on_a_telephone(
    visit: Callable[..., Page], old_server: OldServer, user: str
) -> None:
    old_server.dam(9_000)
    page = visit("zh-CN", viewport={"width": 360, "height": 640}, color_scheme="dark")
    log_in(page, user)
    page.get_by_text("正在迁移您的邮件").wait_for()
    page.get_by_text("您可以关闭此页面").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    old_server.be_well()
    rows(page).first.wait_for()
    assert page.locator("#mailboxlist").get_by_text("收件箱").count() == 1


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


def test_the_page_outlives_a_restart_of_mailferry(
    visit: Callable[..., Page], old_server: OldServer, daemon: Daemon, user: str
) -> None:
    old_server.dam(9_000)
    page = visit()
    log_in(page, user)
    page.get_by_role("progressbar").wait_for()
    daemon.stop()
    page.locator("#mailferry-trouble").get_by_text("The mail server cannot be reached at the moment.").wait_for()
    old_server.be_well()
    daemon.start()
    is_open(page, 60)
