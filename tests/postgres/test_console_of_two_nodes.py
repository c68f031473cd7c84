"""The pages of two nodes with one database: a browser that comes to the one, and then to the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

from mailstore.accounts_server import AccountsServer
from mailstore.administrators import Administrators
from mailstore.database import AccountsDatabase
from mailstore.postgres import address, postgres_engine
from mailstore.secrets import hash_password
from tests.browser.visitor import Visitor
from tests.peers.daemon import Daemon
from tests.postgres.nodes import PASSWORD, Login, TwoNodes
from tests.postgres.server import PostgresServer

DOMAIN = "/console/domain/123.com"
LOGIN = "/console/login"
LIST = b"account,name,department\r\nli,Li Wei,Sales\r\n"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[TwoNodes]:
    root = tmp_path_factory.mktemp("pages")
    made = TwoNodes(root, postgres, workers=1, services=("imap", "web"))
    made.old.count = 3
    (root / "reports").mkdir()
    for node in (made.a, made.b):
        node.program = ("proxy.cli.main",)
    try:
        made.start(odd=False)
        for node in (made.a, made.b):  # as the README has it
            (node.root / "state" / "reports").symlink_to(root / "reports")
        engine = postgres_engine(address(postgres.url(made.database)), connections=1)
        with closing(AccountsDatabase(AccountsServer(engine, check=False))) as database:
            Administrators(database).add("root", hash_password(PASSWORD.encode()))
        yield made
    finally:
        made.close()


@pytest.fixture
def browser(nodes: TwoNodes) -> Visitor:
    company: Any = SimpleNamespace(daemon=nodes.a)
    return Visitor(company, port=nodes.a.ports["web"])


def at(browser: Visitor, node: Daemon) -> Visitor:
    """The same browser, at that node from now on."""
    browser.port = node.ports["web"]
    return browser


@pytest.fixture
def admin(browser: Visitor, nodes: TwoNodes) -> Visitor:
    """The login page is of the first node, and sent to the second."""
    page = at(browser, nodes.a).get(LOGIN)
    answer = at(browser, nodes.b).post(LOGIN, {"csrf": page.csrf, "name": "root", "password": PASSWORD})
    assert (answer.status, answer.headers["Location"]) == (303, "/console")
    return browser


def test_who_is_logged_in_at_one_is_so_at_the_other(admin: Visitor, nodes: TwoNodes) -> None:
    for node in (nodes.a, nodes.b):
        assert "123.com" in at(admin, node).get("/console").words
    assert admin.submit("/console", "/console/logout", {}).status == 200
    answer = at(admin, nodes.a).ask("GET", "/console")
    assert (answer.status, answer.headers["Location"]) == (303, LOGIN)


def test_a_page_of_one_is_answered_at_the_other(admin: Visitor, nodes: TwoNodes) -> None:
    page = at(admin, nodes.a).get(DOMAIN)
    for what, there in (("pause", 1), ("resume", 0)):
        assert at(admin, nodes.b).post(f"{DOMAIN}/pause", {"csrf": page.csrf, "what": what}).status == 303
        assert nodes.rows("SELECT count(*) FROM paused_domains") == [(there,)]
        told = at(admin, nodes.a).get(DOMAIN).words  # what was to be said on the page that comes next
        assert ("123.com is paused" in told) == bool(there)


def test_a_list_that_was_sent_to_the_other_is_to_be_sent_again(admin: Visitor, nodes: TwoNodes) -> None:
    """Which HAProxy sees to that it does not come about: one visitor, one node."""
    preview = at(admin, nodes.a).upload("/console/import", "/console/import", {}, "list.csv", LIST)
    place = re.search(r'action="(/console/import/[^"]+)"', preview.text)
    mark = re.search(r'name="mark" value="(\w+)"', preview.text)
    assert place is not None and mark is not None, preview.words
    yes = {"csrf": preview.csrf, "answer": "yes", "mark": mark[1]}
    answer = at(admin, nodes.b).post(place[1], yes)
    assert answer.status == 404
    assert "Nothing was changed" in answer.words
    assert nodes.rows("SELECT count(*) FROM accounts WHERE local = 'li'") == [(0,)]
    assert at(admin, nodes.a).post(place[1], yes).status in {200, 303}
    assert nodes.rows("SELECT count(*) FROM accounts WHERE local = 'li'") == [(1,)]
    assert "Li Wei" in at(admin, nodes.b).get("/console/accounts?domain=123.com").words


def test_what_one_has_compared_the_other_has_the_report_of(admin: Visitor, nodes: TwoNodes) -> None:
    login = Login(nodes.a, "compared")
    assert login.wait().startswith(b"a OK"), nodes.a.log
    login.close()
    page = f"{DOMAIN}/verify"
    assert at(admin, nodes.a).submit(page, page, {"way": "none"}).status == 200
    done = admin.until(lambda answer: f"{DOMAIN}/reports" in answer.text and "running" not in answer.text, page)
    assert "1 account" in done.words or "compared" in done.words
    assert at(admin, nodes.b).get(page).status == 200
    listed = admin.until(lambda answer: "verify-" in answer.text, f"{DOMAIN}/reports")
    file = re.search(rf'href="({DOMAIN}/reports/verify-[^"]+\.txt)"', listed.text)
    assert file is not None
    assert "compared@123.com" in admin.get(file[1]).text


def test_a_user_of_the_portal_is_known_at_both(browser: Visitor, nodes: TwoNodes) -> None:
    answer = at(browser, nodes.a).log_in("portal@123.com", PASSWORD)
    assert answer.status == 200
    for node in (nodes.b, nodes.a):
        assert "portal@123.com" in at(browser, node).get("/").words
