"""Logging in at the portal, and what becomes of the mail: as a browser gets it from a daemon with an old server."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import update

from mailstore import schema
from mailstore.accounts import State
from proxy.login.throttle import FAILURES
from tests.browser.company import PASSWORD, Company
from tests.browser.old_server import letters
from tests.browser.visitor import Visitor


@pytest.fixture
def visitor(company: Company) -> Visitor:
    return Visitor(company)


# Logging in


def test_a_first_login_moves_the_mailbox(company: Company, visitor: Visitor) -> None:
    address = company.hire(5)
    visitor.log_in(address, PASSWORD)
    answer = visitor.when_here()
    assert "All 5 messages are here" in answer.words
    visitor.until(lambda _: (found := company.account(address)) is not None and found.last_login is not None)
    account = company.account(address)
    assert account is not None and account.state is State.MOVED
    assert len(list((company.daemon.maildir(address.split("@")[0]) / "cur").iterdir())) == 5
    assert "DELE" not in company.old.commands
    logged = f'"account": "{address}", "peer": "{visitor.address}", "event": "portal login"'
    assert logged in company.daemon.log
    visitor.until(lambda _: _seen(company, address))  # logins that follow others closely are written together


def _seen(company: Company, address: str) -> bool:
    account = company.account(address)
    return account is not None and account.last_login is not None


def test_the_name_may_be_short_and_in_any_case(company: Company, visitor: Visitor) -> None:
    address = company.hire(1)
    visitor.log_in(f"  {address.split('@')[0].upper()} ", PASSWORD)
    assert "Your one message is here" in visitor.when_here().words


def test_the_name_may_be_as_an_input_method_writes_it(company: Company, visitor: Visitor) -> None:
    """With full-width characters, or with those that have no width and come along from a web page."""
    local, _, domain = company.hire(1).partition("@")
    full_width = "".join(chr(ord(character) + 0xFEE0) for character in f"{local}@")
    visitor.log_in(f"\u3000{full_width}\u200b{domain}\ufeff", PASSWORD)
    assert "Your one message is here" in visitor.when_here().words


def test_an_empty_mailbox(company: Company, visitor: Visitor) -> None:
    visitor.log_in(company.hire(0), PASSWORD)
    assert "There was no old mail, and your mailbox is ready" in visitor.when_here().words


def test_the_page_comes_before_the_mail(company: Company, visitor: Visitor) -> None:
    company.old.hold()
    visitor.log_in(company.hire(9), PASSWORD)
    answer = visitor.until(lambda answer: "is listing your mail" not in answer.words)
    assert "Your old mail is being carried over" in answer.words
    assert "0 of 9" in answer.words and "being worked out" in answer.words
    assert '<noscript><meta http-equiv="refresh"' in answer.text
    again = Visitor(company, cookies=dict(visitor.cookies))
    assert "0 of 9" in again.get().words
    company.old.release()
    assert "All 9 messages are here" in visitor.when_here().words


def test_events_tell_of_every_step_and_end_with_the_move(company: Company, visitor: Visitor) -> None:
    company.old.hold()
    visitor.log_in(company.hire(6), PASSWORD)
    connection = visitor.connect()
    cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    connection.request("GET", "/events", headers={"Cookie": cookies, "Accept-Language": "zh"})
    response = connection.getresponse()
    told = b""
    while "正在迁移您的旧邮件" not in told.decode(errors="replace"):
        told += response.read1(65_536)
    company.old.release()
    told += response.read()
    connection.close()
    names = re.findall(r"^event: (.*)$", told.decode(), re.MULTILINE)
    assert names[0] == "standing" and names[-1] == "end" and "said" in names
    assert "全部 6 封邮件都在这里了" in told.decode()


def test_events_are_nobodys_who_is_not_logged_in(visitor: Visitor) -> None:
    assert visitor.get("/events").status == 403


def test_who_logs_out_elsewhere_is_told_no_more(company: Company, visitor: Visitor) -> None:
    company.old.hold()
    visitor.log_in(company.hire(3), PASSWORD)
    connection = visitor.connect()
    cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    connection.request("GET", "/events", headers={"Cookie": cookies})
    response = connection.getresponse()
    response.read1(10)
    assert visitor.submit("/", "/logout", {}).status == 200
    assert response.read().decode().endswith("event: end\ndata: \n\n")
    connection.close()
    company.old.release()


def test_quarantined_messages_are_told(company: Company, visitor: Visitor) -> None:
    address = company.hire(letters(4))
    company.old.damaged = frozenset({2})
    visitor.log_in(address, PASSWORD)
    answer = visitor.when_here()
    assert "3 of 4 messages are here" in answer.words
    assert "1 message could not be carried over" in answer.words
    assert "Number 2 of the old mailbox" in answer.words


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"state": "moving", "tries": 1}, "The move is interrupted"),
        ({"state": "moving", "tries": 0}, "The old server is listing your mail"),
        ({"state": "moving", "paused": 1}, "The administrator has paused the move"),
        ({"state": "moving", "password_state": "rejected"}, "does not take your password any more"),
        ({"state": "blocked", "reason": "internal"}, "This account needs the administrator"),
        ({"state": "waiting"}, "The move has not begun"),
    ],
)
def test_where_a_move_may_stand(company: Company, visitor: Visitor, values: dict[str, object], words: str) -> None:
    address = company.hire(2)
    visitor.log_in(address, PASSWORD)
    visitor.when_here()
    account, database = company.account(address), company.accounts()
    assert account is not None
    with database.write() as connection:
        later = {"due": 4_000_000_000, **values}
        connection.execute(update(schema.accounts).where(schema.accounts.c.id == account.id).values(**later))
    database.close()
    answer = visitor.get()
    assert words in answer.words and "internal" not in answer.text
    assert ("/events" in answer.text) is (values["state"] == "moving" and "password_state" not in values)


# Refusals, told apart


def test_wrong_password(company: Company, visitor: Visitor) -> None:
    address = company.hire()
    answer = visitor.log_in(address, "nonsense")
    assert answer.status == 403
    assert "Address or password is wrong" in answer.words
    assert f'value="{address}"' in answer.text and "nonsense" not in answer.text
    assert company.account(address) is None
    assert "nonsense" not in company.daemon.log


@pytest.mark.parametrize("password", ["", "a\r\nDELE 1", "a\0b", "x" * 1001])
def test_what_is_no_password_does_not_get_to_the_old_server(company: Company, visitor: Visitor, password: str) -> None:
    address, before = company.hire(), company.old.logins
    answer = visitor.log_in(address, password)
    assert (answer.status, company.old.logins) == (403, before)


@pytest.mark.parametrize("name", ["", "li@elsewhere.example", "a b@123.com", "x" * 70 + "@123.com", "<b>li</b>@x.org"])
def test_what_is_no_address_here(company: Company, visitor: Visitor, name: str) -> None:
    before = company.old.logins
    answer = visitor.log_in(name, PASSWORD)
    assert (answer.status, company.old.logins) == (422, before)
    assert "Write your whole address, such as name@123.com" in answer.words
    assert 'aria-invalid="true"' in answer.text and "<b>" not in answer.text


def test_in_use(company: Company, visitor: Visitor) -> None:
    company.old.refusal = "-ERR [IN-USE] mailbox locked"
    answer = visitor.log_in(company.hire(), PASSWORD)
    assert answer.status == 503
    assert "Your old mailbox is in use by another program" in answer.words


def test_the_old_server_does_not_let_the_account_in(company: Company, visitor: Visitor) -> None:
    company.old.refusal = "-ERR [SYS/PERM] POP3 is switched off for you"
    answer = visitor.log_in(company.hire(), PASSWORD)
    assert "The old mail server does not let this account in" in answer.words
    assert "the help desk, telephone 8001" in answer.words


def test_blocked(company: Company, visitor: Visitor) -> None:
    address = company.hire()
    company.make(address, State.BLOCKED, reason="<i>something</i> internal")
    answer = visitor.log_in(address, PASSWORD)
    assert "This account needs the administrator" in answer.words
    assert "internal" not in answer.text


def test_paused(company: Company, visitor: Visitor) -> None:
    address, before = company.hire(), company.old.logins
    account = company.make(address, State.WAITING)
    database = company.accounts()
    with database.write() as connection:
        connection.execute(update(schema.accounts).where(schema.accounts.c.id == account.id).values(paused=1))
    answer = visitor.log_in(address, PASSWORD)
    assert "The administrator has paused the move" in answer.words
    assert company.old.logins == before
    database.close()


def test_too_many_wrong_passwords(company: Company) -> None:
    address, before = company.hire(), company.old.logins
    for number in range(FAILURES):
        guesser = Visitor(company)
        answer = guesser.post(
            "/login",
            {"csrf": guesser.get().csrf, "name": address, "password": f"guess {number}"},
            X_Forwarded_For=f"192.0.2.{number}",
        )
        assert answer.status == 403
    visitor = Visitor(company)
    answer = visitor.log_in(address, PASSWORD)
    assert (answer.status, company.old.logins) == (429, before + FAILURES)
    assert "Too many wrong passwords" in answer.words


def test_the_old_server_takes_its_time(company: Company, visitor: Visitor) -> None:
    company.old.silent = True
    answer = visitor.submit("/", "/login", {"name": company.hire(2), "password": PASSWORD})
    assert "Asking the old server" in answer.words
    assert 'http-equiv="refresh" content="2"' in answer.text
    company.old.speak()
    visitor.until(lambda answer: "Asking" not in answer.words, "/checking")
    assert "All 2 messages are here" in visitor.when_here().words
    assert "attempt" not in " ".join(visitor.cookies)


def test_an_attempt_is_its_visitors_alone(company: Company, visitor: Visitor) -> None:
    company.old.silent = True
    visitor.submit("/", "/login", {"name": company.hire(2), "password": PASSWORD})
    other = Visitor(company, cookies={"__Host-attempt": "A" * 32})
    assert "Log in" in other.get("/checking").words
    company.old.speak()
