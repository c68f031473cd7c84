"""The first login to Roundcube, as its users see it: how far it is, what is wrong, and that nothing gets lost."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlencode

import pytest

from tests.browser.roundcube.pages import Page, counted, is_open, log_in, rows
from tests.browser.roundcube.rig import OldServer, Webmail
from tests.peers.daemon import Daemon

pytestmark = pytest.mark.peers
FORM = "application/x-www-form-urlencoded"


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


def test_a_guess_is_counted_for_the_browsers_address(webmail: Webmail, daemon: Daemon, user: str) -> None:
    there = HTTPConnection("127.0.0.1", webmail.port, timeout=60, source_address=("127.77.0.9", 0))
    with closing(there):
        there.request("GET", "/")
        page = there.getresponse()
        token = re.search(rb'name="_token" value="([^"]+)"', page.read())
        assert token is not None
        cookie = "; ".join(each.partition(";")[0] for each in page.headers.get_all("Set-Cookie", []))
        fields = {"_task": "login", "_action": "login", "_token": token[1].decode(), "_user": user, "_pass": "guess"}
        there.request("POST", "/?_task=login", urlencode(fields), {"Cookie": cookie, "Content-Type": FORM})
        assert there.getresponse().status == 401
    lines = [json.loads(line) for line in daemon.log.splitlines() if f"{user}@" in line]
    assert {line["peer"] for line in lines if line["event"] == "login refused"} == {"127.77.0.9"}


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
