"""Who is logged in to the portal: passwords, sessions, languages."""

from __future__ import annotations

import base64

import pytest

from mailstore import schema, secrets
from mailstore.accounts import State
from tests.browser.company import PASSWORD, Company
from tests.browser.visitor import Visitor

STRONG = "correct horse battery"


@pytest.fixture
def visitor(company: Company) -> Visitor:
    return Visitor(company)


# Passwords


def final(company: Company, password: str = PASSWORD) -> str:
    address = company.hire(0)
    company.make(address, State.FINAL, secrets.hash_password(password.encode()))
    return address


def test_before_the_end_the_password_is_the_old_servers(company: Company, visitor: Visitor) -> None:
    visitor.log_in(company.hire(1), PASSWORD)
    answer = visitor.get("/password")
    assert "Your password is still the old server's" in answer.words
    assert 'name="new"' not in answer.text
    tried = {"csrf": answer.csrf, "current": PASSWORD, "new": STRONG, "again": STRONG}
    assert visitor.post("/password", tried).status == 409


def test_the_password_of_a_final_account_is_changed_here(company: Company, visitor: Visitor) -> None:
    address = final(company)
    other = Visitor(company)
    for each in (visitor, other):
        assert "your mailbox is ready" in each.log_in(address, PASSWORD).words
    fields = {"current": PASSWORD, "new": STRONG, "again": STRONG}
    assert "Your password is changed" in visitor.submit("/password", "/password", fields).words
    assert "Log in" in other.get().words  # every other session has ended
    assert "wrong" in Visitor(company).log_in(address, PASSWORD).words
    assert "your mailbox is ready" in Visitor(company).log_in(address, STRONG).words
    assert STRONG not in company.daemon.log and '"password changed by its user"' in company.daemon.log


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"current": "nonsense"}, "This is not your current password"),
        ({"current": ""}, "This is not your current password"),
        ({"new": "short", "again": "short"}, "too short: at least 10 characters"),
        ({"new": "x" * 1001, "again": "x" * 1001}, "too long"),
        ({"new": "ten letters\n", "again": "ten letters\n"}, "cannot be typed everywhere"),
        ({"new": PASSWORD, "again": PASSWORD}, "the same as before"),
        ({"again": STRONG + "!"}, "The two are not the same"),
    ],
)
def test_a_new_password_that_is_not_taken(
    company: Company, visitor: Visitor, fields: dict[str, str], words: str
) -> None:
    address = final(company)
    visitor.log_in(address, PASSWORD)
    before = company.account(address)
    answer = visitor.submit("/password", "/password", {"current": PASSWORD, "new": STRONG, "again": STRONG, **fields})
    assert words in answer.words and answer.status in {403, 422}
    after = company.account(address)
    assert before is not None and after is not None and before.password_hash == after.password_hash


def test_a_password_is_not_the_address(company: Company, visitor: Visitor) -> None:
    address = final(company)
    visitor.log_in(address, PASSWORD)
    fields = {"current": PASSWORD, "new": address.upper(), "again": address.upper()}
    assert "It must not be your address" in visitor.submit("/password", "/password", fields).words


def test_where_password_managers_look(visitor: Visitor) -> None:
    assert visitor.ask("GET", "/.well-known/change-password").headers["Location"] == "/password"


# Sessions


def test_logging_out(company: Company, visitor: Visitor) -> None:
    visitor.log_in(company.hire(1), PASSWORD)
    former = Visitor(company, cookies=dict(visitor.cookies))
    assert "You are logged out" in visitor.submit("/", "/logout", {}).words
    assert "You are logged out" not in visitor.get().words  # it is said once
    assert "Mail address" in former.get().words  # the token is worth nothing any more


def test_a_login_has_a_token_of_its_own(company: Company) -> None:
    """A token that somebody has planted in the browser before is nobody's (session fixation)."""
    visitor = Visitor(company, cookies={"__Host-portal": "planted-planted-planted-planted"})
    visitor.log_in(company.hire(1), PASSWORD)
    assert visitor.cookies["__Host-portal"] != "planted-planted-planted-planted"


def test_an_account_that_is_gone_is_logged_out(company: Company, visitor: Visitor) -> None:
    address = company.hire(1)
    visitor.log_in(address, PASSWORD)
    visitor.when_here()
    account, database = company.account(address), company.accounts()
    assert account is not None
    with database.write() as connection:
        connection.execute(schema.accounts.delete().where(schema.accounts.c.id == account.id))
    database.close()
    assert "Mail address" in visitor.get().words


# What a browser may send


def test_what_is_told_once_may_be_anything(visitor: Visitor) -> None:
    """It goes by way of the browser."""
    for told in (b"[]", b'["good", "no.such.key", {}]', b'["bad", "portal.ask", {}]', b'["good", [], {}]', b"\xff"):
        visitor.cookies["__Host-told"] = base64.urlsafe_b64encode(told).decode()
        assert visitor.get().status == 200
    visitor.cookies["__Host-told"] = base64.urlsafe_b64encode(b'["x", "portal.ask", {"contact": "<b>"}]').decode()
    assert "&lt;b&gt;" in visitor.get().text


# Languages


def test_chinese_by_the_browsers_choice_and_by_ones_own(company: Company) -> None:
    visitor = Visitor(company, language="zh-CN,zh;q=0.9,en;q=0.8")
    answer = visitor.get()
    assert "您的邮箱正在迁移到这里" in answer.words and '<html lang="zh-Hans">' in answer.text
    assert "邮箱地址或密码不正确" in visitor.log_in(company.hire(), "nonsense").words
    assert "Your mail moves here" in visitor.get("/language/en?back=/").words
    assert "Your mail moves here" in visitor.get().words


def test_an_unknown_language_changes_nothing(visitor: Visitor) -> None:
    assert "Your mail moves here" in visitor.get("/language/xx?back=//evil.example/").words
