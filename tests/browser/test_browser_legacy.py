"""The old server, in a browser: found, tried with an account, and written into the configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from playwright.sync_api import expect

from proxy.config import load
from tests.browser.administrators import at_the_console, enrol
from tests.browser.chromium import Chromium, violations
from tests.browser.company import PASSWORD, Company
from tests.legacy.dovecot import PASSWORD as PASSWORD_THERE
from tests.legacy.dovecot import Dovecot, free_port
from tests.peers.mailboxes import write_letters
from tests.peers.needs import needed
from tests.proxy.admin.scripted_dns import ScriptedDns, Zone

pytestmark = pytest.mark.peers

PAGE = "/console/domain/123.com/legacy"


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """A company whose configuration names a port at which there is nobody, and whose DNS knows better."""
    zone = Zone()
    with ScriptedDns(zone) as dns:
        made = Company(tmp_path_factory.mktemp("lost"), settings=f'resolvers = ["127.0.0.1:{dns.port}"]')
        zone.records = {
            "_pop3._tcp.123.com SRV": f"0 0 {made.old.port} box.123.com.",
            "_imap._tcp.123.com SRV": "0 0 1 box.123.com.",
            "box.123.com A": "127.0.0.1",
        }
        file = made.daemon.config
        file.write_text(file.read_text().replace(f"port = {made.old.port}\n", f"port = {free_port()}\n"))
        yield made.start()
        made.close()


def test_found_written_and_tried(lost: Company, chromium: Chromium) -> None:
    account = lost.hire(40)
    enrol(lost, [{"local": f"waiting{n}"} for n in range(12)])
    lost.old.mailboxes[account] = lost.old.mailboxes.pop(account.partition("@")[0])
    with at_the_console(chromium, lost) as page:
        page.goto("/console/domain/123.com")
        page.locator("#step-legacy").click()
        expect(page.locator("h1")).to_have_text("The old server of 123.com")
        assert violations(page) == []
        # What is typed stays while the other task is under way, and when it ends.
        page.get_by_label("Account", exact=True).fill("half-typed")
        page.get_by_role("button", name="Find it").click()
        expect(page.get_by_role("heading", name=f"Best is POP3 at box.123.com, port {lost.old.port}")).to_be_visible()
        assert violations(page) == []
        chromium.shoot(page, "legacy-found")
        page.get_by_role("button", name="Write it into the configuration …").click()
        expect(page.locator("ins").first).to_have_text('+host = "box.123.com"')
        assert violations(page) == []
        chromium.shoot(page, "legacy-question")
        page.get_by_role("button", name="Write it").click()
        expect(page.locator(".told.good").first).to_contain_text("is written. It takes effect when")
        # box.123.com is in the DNS of this test alone: mail servers are dialled by this machine's.
        file = lost.daemon.config
        file.write_text(file.read_text().replace('"box.123.com"', '"127.0.0.1"'))
        page.get_by_label("Account", exact=True).fill(account)
        page.get_by_label("Password at the old server").fill("mistyped")
        page.keyboard.press("Enter")
        expect(page.locator("#tried")).to_contain_text("was not let in")
        expect(page.get_by_label("Password at the old server")).to_have_value("")
        page.get_by_label("Account", exact=True).fill(account)
        page.get_by_label("Password at the old server").fill(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert").first).to_contain_text("This account was refused just now")
        expect(page.get_by_label("Account", exact=True)).to_have_value(account)
        assert violations(page) == []
        chromium.shoot(page, "legacy-sure")
        page.get_by_label("I have made sure of the password").check()
        page.get_by_label("Password at the old server").fill(PASSWORD)
        page.get_by_role("button", name="Try it").click()
        expect(page.get_by_text("was let in, and looked at to the end.")).to_be_visible()
        expect(page.get_by_text("The configuration should say otherwise")).to_be_visible()
        assert violations(page) == []
        chromium.shoot(page, "legacy-tried")
        page.locator("#settle-probe").click()
        page.get_by_role("button", name="Write it").click()
        assert load(file).domains["123.com"].legacy.login == "full"
    assert lost.old.logins == 4


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    needed("dovecot")
    with TemporaryDirectory(prefix="old.", dir="/tmp") as folder:
        server = Dovecot(Path(folder))
        write_letters(server, "test", 8)
        yield server
        server.stop()


def test_a_real_server_encrypted_over_pop3_and_imap(dovecot: Dovecot, tmp_path: Path, chromium: Chromium) -> None:
    lines = f'port = {dovecot.pop3}\nca = "{dovecot.certificate}"'
    zone = Zone()
    zone.records = {"_pop3s._tcp.123.com SRV": f"0 0 {dovecot.pop3s} box.123.com.", "box.123.com A": "127.0.0.1"}
    with ScriptedDns(zone) as dns:
        company = Company(tmp_path, settings=f'resolvers = ["127.0.0.1:{dns.port}"]', legacy=lines)
        try:
            company.start()
            with at_the_console(chromium, company) as page:
                page.goto(PAGE)
                page.get_by_role("button", name="Find it").click()
                expect(page.locator("#found")).to_contain_text("TLSv1.3")
                _try_it(page)
                for words in ("TLSv1.3", "signed by itself", "sha256:", "2023-11-14", "is let in at the same time"):
                    expect(page.locator("#tried")).to_contain_text(words)
                assert violations(page) == []
                chromium.shoot(page, "legacy-real")
                file = company.daemon.config
                file.write_text(file.read_text().replace("ca =", f'source = "imap"\nimap_port = {dovecot.imap}\nca ='))
                page.goto(PAGE)
                expect(page.locator("#pending")).to_contain_text('source was "pop3" and is "imap"')
                _try_it(page)
                for words in ("INBOX: 8 messages", "gives UIDLs of 8 messages", "Dovecot"):
                    expect(page.locator("#tried")).to_contain_text(words)
                assert violations(page) == []
        finally:
            company.close()


def _try_it(page: Any) -> None:
    page.get_by_label("Account", exact=True).fill("test")
    page.get_by_label("Password at the old server").fill(PASSWORD_THERE)
    page.locator("#lock").check()
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_text("was let in, and looked at to the end.")).to_be_visible()


def test_on_a_phone_in_chinese_in_the_dark(lost: Company, chromium: Chromium) -> None:
    account = lost.hire(3)
    file = lost.daemon.config
    file.write_text(re.sub(r"(?m)^port = \d+$", f"port = {lost.old.port}", file.read_text()))
    lost.old.silent = True
    with at_the_console(chromium, lost, language="zh-CN", phone=True, dark=True) as page:
        page.goto(PAGE)
        page.get_by_role("button", name="开始查找").click()
        expect(page.get_by_role("heading", name="最好的是")).to_be_visible()
        page.get_by_label("账号", exact=True).fill(account)
        page.get_by_label("旧服务器上的密码").fill(PASSWORD)
        page.get_by_role("button", name="试一下").click()
        expect(page.locator("#tried")).to_contain_text("登录……")
        assert violations(page) == []
        chromium.shoot(page, "legacy-phone-going")
        page.get_by_label("账号", exact=True).fill("typed meanwhile")
        lost.old.speak()
        expect(page.get_by_text("登录成功，已全部查看完毕。")).to_be_visible()
        expect(page.get_by_label("账号", exact=True)).to_have_value("typed meanwhile")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert violations(page) == []
        chromium.shoot(page, "legacy-phone")


def test_without_javascript(lost: Company, chromium: Chromium) -> None:
    with at_the_console(chromium, lost, script=False) as page:
        page.goto(PAGE)
        page.get_by_role("button", name="Find it").click()
        while page.locator("#again-found").count():
            page.locator("#again-found").click()
        expect(page.get_by_role("heading", name="Best is POP3")).to_be_visible()
