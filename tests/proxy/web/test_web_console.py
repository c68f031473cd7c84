"""The console's pages as a browser gets them, and what its buttons do."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from mailstore.accounts import Account, PasswordState, State
from mailstore.secrets import hash_password
from proxy.legacy.errors import MaildropInUse
from tests.browser.administrators import administrator, enrol
from tests.browser.company import PASSWORD, Company
from tests.browser.visitor import Answer, Visitor
from tests.legacy.dovecot import select_nothing

MARKUP = '"><script>alert(1)</script> & <b>李</b>'


@pytest.fixture(scope="module")
def admin(company: Company) -> Visitor:
    return administrator(company)


def now(company: Company, account: Account) -> Account:
    found = company.account(account.name)
    assert found is not None
    return found


def until(company: Company, account: Account, holds: Callable[[Account], bool]) -> Account:
    """What it is once that is so; the daemon works in another process."""
    for _ in range(600):
        found = now(company, account)
        if holds(found):
            return found
        select_nothing(0.05)
    raise AssertionError(f"{account.name} is {found.state}: {found.reason}\n{company.daemon.log[-3000:]}")


def press(admin: Visitor, page: str, path: str, fields: dict[str, str]) -> Answer:
    answer = admin.submit(page, path, fields)
    assert answer.status == 200, answer.words
    return answer


def named(answer: Answer) -> list[str]:
    """The accounts of a list."""
    return re.findall(r'id="account-\d+" href="[^"]*">([^<@]*)@', answer.text)


def logged(company: Company) -> dict[str, Any]:
    """The last thing that an administrator did."""
    lines = [json.loads(line) for line in company.daemon.log.splitlines() if '"administrator"' in line]
    found: dict[str, Any] = lines[-1]
    return found


# Seeing


def test_domains_and_one_of_them(company: Company, admin: Visitor) -> None:
    enrol(company, [{"local": f"tree{n}", "department": d} for n, d in enumerate(("Sales/North", MARKUP))])
    page = admin.get("/console")
    assert "123.com" in page.words and "Expected end" in page.words
    page = admin.get("/console/domain/123.com")
    assert "Departments" in page.words and "North" in page.words
    assert "<script>alert" not in page.text and "&lt;script&gt;" in page.text
    assert [admin.get(f"/console/domain/123.com?span={s}").status for s in ("week", "all", "x", "%00")] == [200] * 4


@pytest.mark.parametrize(
    "path",
    [
        "/console/domain/nowhere.com",
        "/console/domain/..%2f..%2fetc%2fpasswd",
        "/console/account/0",
        "/console/account/999999999",
        "/console/account/99999999999999999999999",
        "/console/account/1x",
        "/console/account/%D9%A1",
        "/console/nothing",
    ],
)
def test_pages_that_are_none(admin: Visitor, path: str) -> None:
    answer = admin.get(path)
    assert answer.status == 404
    assert "Traceback" not in answer.text


def test_a_list_page_by_page_there_and_back(company: Company, admin: Visitor) -> None:
    enrol(company, [{"local": f"page{n:03}", "department": "Paging"} for n in range(120)])
    where = "?domain=123.com&department=Paging"
    first = admin.get("/console/accounts" + where)
    assert named(first) == [f"page{n:03}" for n in range(50)]
    assert "120 accounts" in first.words

    def link(page: Answer, name: str) -> str:
        found = re.search(rf'id="{name}" href="([^"]*)"', page.text)
        assert found is not None, page.words
        return found[1].replace("&amp;", "&")

    second = admin.get(link(first, "next"))
    third = admin.get(link(second, "next"))
    assert named(third) == [f"page{n:03}" for n in range(100, 120)]
    assert 'id="next"' not in third.text
    assert named(admin.get(link(third, "previous"))) == named(second)
    assert named(admin.get(link(third, "first"))) == named(first)
    for place in ("behind=x", "before=" + "A" * 3_000, "behind=WzEsMl0", "behind=%00", "behind=WyJ6eiIsInp6Il0"):
        assert named(admin.get(f"/console/accounts{where}&{place}")) == named(first)


def test_filters_and_search(company: Company, admin: Visitor) -> None:
    enrol(
        company,
        [
            {"local": "seek1", "full_name": "赵敏", "department": "Seek", "state": "moved"},
            {"local": "seek2", "full_name": MARKUP, "department": "Seek/Deep", "state": "blocked", "reason": MARKUP},
            {"local": "seek3", "department": "Seek", "paused": 1},
        ],
    )

    def found(query: str) -> list[str]:
        return named(admin.get("/console/accounts?" + query))

    assert found("text=seek") == ["seek1", "seek2", "seek3"]
    assert found("text=%E8%B5%B5") == ["seek1"]
    assert found("text=seek&state=blocked") == found("text=seek&state=attention") == ["seek2"]
    assert found("text=seek&state=paused") == ["seek3"]
    assert found("text=seek&domain=123.com&department=Seek%2FDeep") == ["seek2"]
    assert found("text=seek&state=no%20such&sort=nothing") == ["seek1", "seek2", "seek3"]
    assert found("text=seek&domain=nowhere.com") == []
    assert found("text=%25") == found("text=" + "x" * 2_000) == []
    page = admin.get("/console/accounts?text=seek2")
    assert "<script>alert" not in page.text and "It is blocked" in page.words
    assert "<script>" not in admin.get("/console/accounts?text=%22%3E%3Cscript%3Ealert(1)").text.replace(
        "<script src=", ""
    )


def test_one_account_with_its_reason_and_remedy(company: Company, admin: Visitor) -> None:
    reason = MaildropInUse("the mailbox is locked").advice
    (account,) = enrol(
        company,
        [
            {
                "local": "reason",
                "state": "moving",
                "reason": reason,
                "full_name": MARKUP,
                "messages_done": 3,
                "messages_total": 9,
            }
        ],
    )
    page = admin.get(f"/console/account/{account.id}")
    assert "3 of 9 messages" in page.words
    assert "Another program holds the mailbox at the old server" in page.words
    assert "close what else fetches this mailbox there (an old mail program, a telephone)" in page.words
    assert "a password that is wrong here is wrong there" in page.words
    assert "<script>alert" not in page.text
    admin.language = "zh"
    assert "旧服务器上的邮箱正被其他程序占用" in admin.get(f"/console/account/{account.id}").words
    admin.language = "en"


def test_an_account_whose_mailbox_is_broken_has_its_page(company: Company, admin: Visitor) -> None:
    (account,) = enrol(company, [{"local": "broken", "state": "moved", "messages_done": 1, "messages_total": 2}])
    maildir = company.daemon.maildir("broken")
    maildir.parent.mkdir(parents=True)
    maildir.write_text("no directory")
    answer = admin.get(f"/console/account/{account.id}")
    assert answer.status == 200
    assert "The mailbox here cannot be looked into just now" in answer.words


# Helping


def test_a_password_moves_a_mailbox_and_what_cannot_be_fetched_is_named(company: Company, admin: Visitor) -> None:
    address = company.hire(4)
    company.old.damaged = frozenset({3})
    (account,) = enrol(company, [{"local": address.partition("@")[0]}])
    path = f"/console/account/{account.id}"
    try:
        answer = press(admin, path, f"{path}/password", {"password": PASSWORD, "again": PASSWORD})
        assert f"The password of {address} is set." in answer.words
        until(company, account, lambda a: a.state is State.MOVED)
    finally:
        company.old.damaged = frozenset()
    page = admin.get(path)
    assert "3 of 4 messages" in page.words
    assert "Messages that could not be fetched" in page.words and "cannot be read" in page.words
    assert "Moves of late" in page.words and "to its end" in page.words
    assert "there is nothing to set" in page.words
    answer = press(admin, path, path, {"what": "retry"})
    assert f"{address} is tried again." in answer.words
    whole = until(company, account, lambda a: a.messages_done == 4)
    assert whole.reason == ""
    assert logged(company)["did"] == "retry"
    assert PASSWORD not in company.daemon.log


def test_a_wrong_password_is_tried_once_and_named(company: Company, admin: Visitor) -> None:
    address = company.hire(1)
    (account,) = enrol(company, [{"local": address.partition("@")[0]}])
    path = f"/console/account/{account.id}"
    before = company.old.logins
    press(admin, path, f"{path}/password", {"password": "wrong", "again": "wrong"})
    until(company, account, lambda a: a.password_state is PasswordState.REJECTED)
    assert company.old.logins == before + 1
    assert "does not take the password that an administrator gave" in admin.get(path).words


def test_the_password_of_a_final_account_is_set_here(company: Company, admin: Visitor) -> None:
    (account,) = enrol(company, [{"local": "final1", "state": "final", "password_hash": hash_password(b"old")}])
    path = f"/console/account/{account.id}"
    assert "checked here alone" in admin.get(path).words
    for password, again, said in (
        ("new password 新", "another", "The two passwords are not the same"),
        ("short", "short", "The password is too short"),
        ("", "", "The password is empty"),
    ):
        answer = admin.submit(path, f"{path}/password", {"password": password, "again": again})
        assert (answer.status, said in answer.words) == (400, True)
    assert now(company, account) == account
    inside = Visitor(company)
    assert "final1@123.com" in inside.log_in(account.name, "old").text
    press(admin, path, f"{path}/password", {"password": "new password 新", "again": "new password 新"})
    assert 'id="password"' in inside.get("/").text, "who was logged in has to log in anew"
    user = Visitor(company)
    assert "final1@123.com" in user.log_in(account.name, "new password 新").text
    old = Visitor(company)
    assert "final1@123.com" in old.log_in(account.name, "old").text and 'id="password"' in old.get("/").text


def test_pause_and_its_end(company: Company, admin: Visitor) -> None:
    (account,) = enrol(company, [{"local": "rest", "state": "moved"}])
    path = f"/console/account/{account.id}"
    answer = press(admin, path, path, {"what": "pause"})
    assert "rest@123.com is paused." in answer.words
    assert now(company, account).paused
    line = logged(company)
    assert (line["did"], line["account"], line["peer"]) == ("pause", "rest@123.com", admin.address)
    assert str(line["by"]).startswith("admin")
    press(admin, path, path, {"what": "resume"})
    assert not now(company, account).paused
    answer = press(admin, path, path, {"what": "retry"})
    assert "Nothing was done: its password is not known here" in answer.words
    assert admin.post(path, {"csrf": admin.get(path).csrf, "what": "delete"}).status == 400


def test_refused_logins_are_shown(company: Company, admin: Visitor) -> None:
    address = company.hire(1)
    Visitor(company, address="192.0.2.55").log_in(address, "wrong")
    (account,) = enrol(company, [{"local": address.partition("@")[0]}])
    words = admin.get(f"/console/account/{account.id}").words
    assert "192.0.2.55 wrong password" in words


def test_a_domain_is_paused_after_a_question(company: Company, admin: Visitor) -> None:
    page = "/console/domain/123.com"
    asked = admin.post(f"{page}/ask", {"csrf": admin.get(page).csrf, "what": "pause"})
    assert "Pause the domain 123.com?" in asked.words and 'action="/console/domain/123.com/pause"' in asked.text
    answer = press(admin, page, f"{page}/pause", {"what": "pause"})
    assert "Paused since" in answer.words
    answer = press(admin, page, f"{page}/pause", {"what": "resume"})
    assert "Paused since" not in answer.words
    for what, where in (("retry", "123.com"), ("pause", "nowhere.com")):
        answer = admin.post(f"/console/domain/{where}/pause", {"csrf": admin.get(page).csrf, "what": what})
        assert answer.status in {400, 404}


def test_many_that_are_ticked(company: Company, admin: Visitor) -> None:
    accounts = enrol(company, [{"local": f"tick{n}", "department": "Tick"} for n in range(3)])
    page = "/console/accounts?department=Tick&domain=123.com"
    fields = [("csrf", admin.get(page).csrf), ("domain", "123.com"), ("department", "Tick"), ("what", "pause")]
    picked = [("pick", str(account.id)) for account in accounts[:2]]
    asked = post(admin, "/console/accounts/ask", [*fields, *picked, ("which", "picked")])
    assert "Pause 2 accounts?" in asked.words and "tick1@123.com" in asked.words and "tick2" not in asked.words
    done = post(admin, "/console/accounts/do", [*fields, *picked, ("which", "picked")])
    assert done.headers["Location"] == "/console/accounts?domain=123.com&department=Tick"
    assert "2 accounts are paused." in admin.get(done.headers["Location"]).words
    assert [now(company, account).paused for account in accounts] == [True, True, False]
    again = post(admin, "/console/accounts/do", [*fields, *picked, ("pick", str(accounts[2].id))])
    assert "1 account is paused; 2 left out" in admin.get(again.headers["Location"]).words
    nobody = post(admin, "/console/accounts/ask", [*fields, ("which", "picked")])
    assert "No account was ticked" in admin.get(nobody.headers["Location"]).words
    for wrong in ("x", "-1", "1" * 30, "1; DROP TABLE accounts"):
        assert post(admin, "/console/accounts/ask", [*fields, ("pick", wrong)]).status == 400
    assert post(admin, "/console/accounts/do", fields).status == 400


def test_all_that_a_filter_finds(company: Company, admin: Visitor) -> None:
    accounts = enrol(company, [{"local": f"all{n:02}", "department": "All"} for n in range(60)])
    other = enrol(company, [{"local": "all-other"}])[0]
    page = "/console/accounts?department=All&domain=123.com"
    fields = [("csrf", admin.get(page).csrf), ("domain", "123.com"), ("department", "All"), ("which", "all")]
    asked = post(admin, "/console/accounts/ask", [*fields, ("what", "pause")])
    assert "Pause 60 accounts?" in asked.words and "and 50 more" in asked.words
    done = post(admin, "/console/accounts/do", [*fields, ("what", "pause")])
    assert "60 accounts are paused." in admin.get(done.headers["Location"]).words
    assert all(now(company, account).paused for account in (accounts[0], accounts[-1]))
    assert not now(company, other).paused
    line = logged(company)
    assert (line["count"], line["filter"]) == (60, {"domain": "123.com", "department": "All"})
    none = post(admin, "/console/accounts/do", [*fields, ("what", "move")])
    assert (
        "Nothing was done for any of them: its password is not known here" in admin.get(none.headers["Location"]).words
    )


def post(visitor: Visitor, path: str, fields: list[tuple[str, str]]) -> Answer:
    """A form in which a name may come several times."""
    from urllib.parse import urlencode

    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return visitor.ask("POST", path, urlencode(fields).encode(), kind)


def test_a_spreadsheet_of_what_is_shown(company: Company, admin: Visitor) -> None:
    enrol(company, [{"local": f"csv{n:03}", "department": "Sheet", "full_name": "=1+1"} for n in range(450)])
    answer = admin.get("/console/accounts.csv?domain=123.com&department=Sheet")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert re.fullmatch(r'attachment; filename="accounts-[\d-]+\.csv"', answer.headers["Content-Disposition"])
    rows = list(csv.DictReader(io.StringIO(answer.body.decode("utf-8-sig"), newline="")))
    assert [row["account"] for row in rows] == [f"csv{n:03}@123.com" for n in range(450)]
    assert rows[0]["name"] == "'=1+1"
    admin.language = "zh"
    assert admin.get("/console/accounts.csv?text=csv00").body.decode("utf-8-sig").startswith("账号,姓名,部门")
    admin.language = "en"
    assert Visitor(company).ask("GET", "/console/accounts.csv").headers["Location"].startswith("/console/login")


def test_the_runbook(company: Company, admin: Visitor) -> None:
    assert "Watch and help" in admin.get("/console/runbook").words
    assert admin.get("/console/runbook/en").status == 200
    assert admin.get("/console/runbook/xx").status == admin.get("/console/runbook/..%2f..%2fx").status == 404


@pytest.mark.parametrize(
    ("language", "step", "other"), [("en", "3. Notice to users", "zh"), ("zh", "3. 通知用户", "en")]
)
def test_the_runbook_is_shown_in_the_language_that_is_chosen(
    admin: Visitor, language: str, step: str, other: str
) -> None:
    page = admin.get(f"/console/runbook/{language}")
    assert step in page.words and f'href="/console/runbook/{other}"' in page.text
    numbers = re.findall(r"<h2[^>]*>(\d)\. ", page.text)
    assert numbers == list("12345678")


def test_the_runbook_is_shown_in_the_visitor_s_language(company: Company) -> None:
    page = administrator(company, language="zh").get("/console/runbook")
    assert "1. 开通域" in page.words and '<article class="card runbook" lang="zh-Hans">' in page.text
