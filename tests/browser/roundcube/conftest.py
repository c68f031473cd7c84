"""Roundcube in front of mailferry, in front of a real Dovecot; and Debian's Chromium in front of it all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import SECONDS, Chromium
from tests.browser.roundcube.mail import write_talk
from tests.browser.roundcube.pages import Page, log_in, rows
from tests.browser.roundcube.rig import LOCAL, OldServer, Post, Webmail, needed_for_webmail
from tests.legacy.dovecot import Dovecot
from tests.peers.daemon import Daemon
from tests.peers.ground import reachable
from tests.peers.mailboxes import write_letters
from tests.peers.needs import needed

_numbers = count(1)


@pytest.fixture(scope="session")
def ground() -> Iterator[Path]:
    """A directory with a short name that others can reach."""
    with reachable("roundcube") as path:
        yield path


@pytest.fixture(scope="session")
def legacy(ground: Path) -> Iterator[Dovecot]:
    needed("dovecot")
    needed_for_webmail()
    (ground / "old").mkdir()
    server = Dovecot(ground / "old")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def the_old_server(legacy: Dovecot) -> Iterator[OldServer]:
    with OldServer(legacy.pop3) as server:
        yield server


@pytest.fixture
def old_server(the_old_server: OldServer) -> Iterator[OldServer]:
    """What stands before the legacy server; well at the beginning of each test."""
    the_old_server.logins = 0
    yield the_old_server
    the_old_server.be_well()


@pytest.fixture(scope="session")
def post() -> Iterator[Post]:
    with Post() as server:
        yield server


@pytest.fixture(scope="session")
def daemon(ground: Path, the_old_server: OldServer) -> Iterator[Daemon]:
    legacy = f'port = {the_old_server.port}\ntls = "none"'
    daemon = Daemon(ground / "ferry", legacy, workers=1, more='trusted = ["127.0.0.1"]\n')
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.fixture(scope="session")
def webmail(ground: Path, daemon: Daemon, post: Post) -> Iterator[Webmail]:
    (ground / "web").mkdir()
    configuration = ground / "web.toml"
    configuration.write_text('submission = "mail.123.com:587"\n' + daemon.config.read_text())
    local = LOCAL + f"$config['smtp_host'] = '127.0.0.1:{post.port}';\n$config['smtp_user'] = '';\n"
    with Webmail(ground / "web", configuration, local) as running:
        yield running
        assert "PHP" not in (running.root / "logs" / "php-fpm.log").read_text()
        assert not (running.root / "logs" / "php.log").exists(), running.log


@pytest.fixture
def visit(chromium: Chromium, webmail: Webmail) -> Iterator[Callable[..., Page]]:
    """Come to the webmail as somebody who was never there: visit(locale="zh-CN"). No script may fail meanwhile."""
    opened: list[Any] = []
    mistakes: list[str] = []

    def come(locale: str = "en-US", **more: Any) -> Page:
        context = chromium.browser.new_context(locale=locale, timezone_id="Asia/Shanghai", **more)
        opened.append(context)
        context.set_default_timeout(SECONDS)
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
def mailbox(chromium: Chromium, webmail: Webmail, legacy: Dovecot, the_old_server: OldServer) -> Iterator[Page]:
    """An open mailbox that has just come, for all tests of what is done in one."""
    the_old_server.be_well()
    write_talk(legacy, "wang")
    context = chromium.browser.new_context(locale="en-US", timezone_id="Asia/Shanghai", accept_downloads=True)
    context.set_default_timeout(SECONDS)
    page = context.new_page()
    page.goto(webmail.address)
    log_in(page, "wang")
    rows(page).first.wait_for()
    yield page
    context.close()
