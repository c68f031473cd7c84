"""The end of a move in the console: who would be left behind, making final, stopping it, and the way back."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import update

from mailstore.accounts import Account, Accounts, State
from mailstore.schema import accounts as table
from mailstore.secrets import Sealer, load_key
from proxy.admin.reports import Reports
from tests.browser.administrators import administrator, enrol
from tests.browser.company import PASSWORD, Company
from tests.browser.old_server import letters
from tests.browser.visitor import Answer, Visitor

PAGE = "/console/domain/123.com/finish"
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def ending(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """A company that comes to its end."""
    made = Company(tmp_path_factory.mktemp("ending"), encrypted=False)
    yield made.start()
    made.close()


@pytest.fixture(autouse=True)
def others_are_done(request: pytest.FixtureRequest) -> None:
    """Accounts of other tests are final."""
    if "ending" not in request.fixturenames:
        return
    company: Company = request.getfixturevalue("ending")
    company.old.recover()
    with closing(company.accounts()) as database, database.write() as connection:
        connection.execute(update(table).values(state="final", reason="", sealed_password=None, asked=None, due=None))


@pytest.fixture
def admin(ending: Company) -> Visitor:
    return administrator(ending)


def known(company: Company, *addresses: str) -> None:
    """Their passwords are known here, and not tried yet."""
    with closing(company.accounts()) as database:
        accounts, sealer = Accounts(database), Sealer(load_key(company.daemon.root / "state" / "sealing.key"))
        for address in addresses:
            account = accounts.add(*address.split("@"))
            accounts.password_given(account.id, sealer.seal(account.name, PASSWORD.encode()))


def moved(company: Company, messages: int = 3) -> str:
    """Somebody who has logged in, and whose mail is here."""
    address = company.hire(messages)
    visitor = Visitor(company)
    visitor.log_in(address, PASSWORD)
    visitor.when_here()
    return address


def of(company: Company, address: str) -> Account:
    account = company.account(address)
    assert account is not None
    return account


def state(company: Company, *addresses: str) -> list[State]:
    return [of(company, address).state for address in addresses]


def submit(admin: Visitor, path: str, page: str = PAGE, **fields: str) -> Answer:
    """A form of the page, and where that leads."""
    return admin.submit(page, path, fields)


def over(admin: Visitor, page: str = PAGE) -> Answer:
    """When nothing is under way any more."""
    return admin.until(lambda answer: 'id="task"' not in answer.text, page)


def asked(admin: Visitor, page: str = PAGE) -> Answer:
    """The question before accounts become final."""
    return admin.post(f"{page}/ask", {"csrf": admin.get(page).csrf})


def hidden(question: Answer) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', question.text))


def make_final(admin: Visitor, page: str = PAGE, **fields: str) -> Answer:
    question = asked(admin, page)
    answer = admin.post(f"{page}/do", hidden(question) | fields)
    return admin.get(answer.headers["Location"]) if answer.status == 303 else answer


def kept(company: Company) -> list[str]:
    return [report.name for report in Reports(company.daemon.root / "state").of("123.com")]


def finalizing(company: Company) -> subprocess.Popen[bytes]:
    """The command, at the same time."""
    command = [sys.executable, "-m", "proxy.cli.main", "finalize", "123.com", "--yes", "--json"]
    return subprocess.Popen([*command, "--config", str(company.daemon.config)], cwd=ROOT, stdout=subprocess.PIPE)


def traces(company: Company, sealed: Sequence[bytes | None]) -> list[str]:
    """The database's files that still have one of these sealed passwords."""
    files = [path for path in (company.daemon.root / "state").glob("accounts.db*") if path.is_file()]
    return [path.name for path in files for each in sealed if each and each in path.read_bytes()]


def test_a_look_says_who_would_be_left_behind_and_changes_nothing(ending: Company, admin: Visitor) -> None:
    here = moved(ending)
    (never,) = enrol(ending, [{"local": "look-never", "full_name": "=<b>李</b>"}])
    local = here.partition("@")[0]
    ending.old.mailboxes[local] = PASSWORD, letters(4)
    before, files = of(ending, here), kept(ending)
    assert "Look who would be left behind" in admin.get(PAGE).words
    submit(admin, f"{PAGE}/look")
    found = over(admin)
    assert "1 account would leave something behind." in found.words
    assert "A last round would bring 1 message." in found.words
    assert "1 account: never logged in, so nothing was carried over What can be done: Remind them." in found.words
    assert f'<a href="/console/account/{never.id}">look-never@123.com</a>' in found.text and "<b>李" not in found.text
    assert "/console/accounts?domain=123.com&amp;state=waiting" in found.text
    assert (of(ending, here), kept(ending)) == (before, files)
    sheet = admin.get(f"{PAGE}/left.csv")
    (row,) = csv.DictReader(io.StringIO(sheet.body.decode("utf-8-sig")))
    assert (row["account"], row["name"], row["left_behind"]) == ("look-never@123.com", "'=<b>李</b>", "never-logged-in")
    remind = submit(admin, "/console/remind/ask", domain="123.com", state="waiting", which="all")
    assert "the configuration lacks" in remind.words
    admin.language = "zh"
    assert "1 个账号会有遗留。" in admin.get(PAGE).words
    assert "从未登录过，所以没有迁移任何邮件 处理办法：" in admin.get(PAGE).words


def test_refused_then_left_behind_with_the_name_typed_and_nothing_sealed_in_any_file(
    ending: Company, admin: Visitor
) -> None:
    ending.old.damaged = frozenset({2})
    address, whole = moved(ending), moved(ending)
    sealed = [of(ending, each).sealed_password for each in (address, whole)]
    assert traces(ending, sealed)
    ending.daemon.stop()  # what an earlier look has found is not known any more
    ending.daemon.start()
    question = asked(admin)
    assert "Make 2 accounts of 123.com final?" in question.words and "look first who would be left" in question.words
    assert "Nobody would leave anything behind, as far as it can be seen now." in question.words
    ended = admin.get(admin.post(f"{PAGE}/do", hidden(question)).headers["Location"])
    ended = over(admin)
    assert "Nobody was made final: 2 accounts would leave something behind." in ended.words, ended.words
    assert "messages in quarantine" in ended.words and "2 accounts: " in ended.words
    assert state(ending, address, whole) == [State.MOVED, State.MOVED]
    reports = kept(ending)
    assert f"/reports/{reports[0]}.csv" in ended.text
    # Asked again it knows of them, and one who is mended is not among them.
    ending.old.damaged = frozenset()
    for fields, said in (
        ({}, "Say that it may be left behind"),
        ({"leave": "yes"}, "That is not the name."),
        ({"leave": "yes", "name": "124.com"}, "That is not the name."),
    ):
        refused = make_final(admin, **fields)
        assert refused.status == 400 and said in refused.words and "2 accounts: messages in quarantine" in refused.words
    ending.old.damaged = frozenset({2})
    make_final(admin, leave="yes", name=" 123.COM ")
    ended = over(admin)
    assert "2 accounts have left something behind, as you have said." in ended.words, ended.words
    account = of(ending, address)
    assert account.state is State.FINAL and account.finalized is not None and account.sealed_password is None
    assert account.reason.startswith("left behind: 1 message in quarantine")
    assert traces(ending, sealed) == []
    report = Reports(ending.daemon.root / "state").of("123.com")[0]
    assert (report.kind, report.forms, kept(ending)) == ("final", (".txt", ".csv", ".json"), [report.name, *reports])
    text = (ending.daemon.root / "state" / "reports" / "123.com" / f"{report.name}.txt").read_text()
    assert f"{address}  final, was moved; 2 messages" in text
    lines = [json.loads(x) for x in ending.daemon.log.splitlines() if '"did": "finish"' in x]
    assert (lines[-1]["subject"], lines[-1]["left_behind"]) == ("123.com", 2)


def test_all_well_beside_the_command_and_then_the_way_back(ending: Company, admin: Visitor) -> None:
    address, other = moved(ending), ending.hire(2)
    known(ending, other)
    ending.old.hold()
    question = asked(admin)
    first = admin.post(f"{PAGE}/do", hidden(question))
    assert first.status == 303
    going = admin.until(lambda answer: "of 2 done" in answer.words, PAGE)
    assert "A last round fetches what came since." in going.words and 'id="stop"' in going.text
    again = admin.post(f"{PAGE}/do", hidden(question))  # a double click
    assert "This is under way already" in admin.get(again.headers["Location"]).words
    beside = finalizing(ending)
    ending.old.release()
    ended = over(admin)
    out, _ = beside.communicate(timeout=60)
    assert "Nothing is left behind." in ended.words, ended.words
    assert "changed meanwhile" not in ended.words
    found = json.loads(out)
    assert found["result"] == "final, and nothing is left behind" and beside.returncode == 0
    assert state(ending, address, other) == [State.FINAL] * 2
    assert [of(ending, each).messages_done for each in (address, other)] == [3, 2]
    logins = ending.old.logins
    assert Visitor(ending).log_in(address, PASSWORD).status == 200
    assert "wrong" in Visitor(ending).log_in(address, "another").words
    assert ending.old.logins == logins
    page = admin.get(f"/console/account/{of(ending, address).id}")
    assert re.search(r"Final since 20\d\d-", page.words) and "Ask the old server again" in page.words

    back = submit(admin, f"{PAGE}/back/ask")
    assert "Ask the old server again for" in back.words and "sealed passwords that were wiped" in back.words
    done = submit(admin, f"{PAGE}/back")
    assert "no longer final." in done.words
    account = of(ending, address)
    assert (account.state, account.finalized, account.sealed_password) == (State.MOVED, None, None)
    Visitor(ending).log_in(address, PASSWORD)
    admin.until(lambda _: ending.old.logins == logins + 1)
    admin.until(lambda _: of(ending, address).sealed_password is not None)
    assert "None of these accounts is final. Nothing was changed." in submit(admin, f"{PAGE}/back").words


def test_an_old_server_that_goes_away_in_between_leaves_nobody_final(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    company = Company(tmp_path_factory.mktemp("gone"), encrypted=False).start()
    try:
        address = moved(company)
        enrol(company, [{"local": "never"}])
        admin = administrator(company)
        question = asked(admin)
        assert "1 account would leave something behind:" in question.words
        company.old.close()
        fields = hidden(question) | {"leave": "yes", "name": "123.com"}
        admin.get(admin.post(f"{PAGE}/do", fields).headers["Location"])
        ended = over(admin)
        assert "Nobody was made final: 2 accounts would leave something behind." in ended.words, ended.words
        assert "1 of them was not among those that you had said may." in ended.words
        assert state(company, address, "never@123.com") == [State.MOVED, State.WAITING]
    finally:
        company.daemon.stop()


def test_it_is_stopped_and_after_a_crash_begun_again(ending: Company, admin: Visitor) -> None:
    address = ending.hire(3)
    known(ending, address)
    ending.old.hold()
    make_final(admin)
    admin.until(lambda answer: "of 1 done" in answer.words, PAGE)
    stopped = submit(admin, f"{PAGE}/stop")
    assert "Stopped by an administrator" in stopped.words
    assert state(ending, address) != [State.FINAL]
    make_final(administrator(ending))
    admin.until(lambda answer: "of 1 done" in answer.words, PAGE)
    ending.daemon.kill()
    ending.old.release()
    ending.daemon.start()
    page = admin.get(PAGE)
    assert 'id="task"' not in page.text and state(ending, address) != [State.FINAL]
    make_final(admin)
    assert "Nothing is left behind." in over(admin).words
    assert (of(ending, address).messages_done, state(ending, address)) == (3, [State.FINAL])


def test_one_account_by_itself(ending: Company, admin: Visitor) -> None:
    address, stays = moved(ending), moved(ending)
    number = of(ending, address).id
    page = f"/console/account/{number}/finish"
    question = asked(admin, page)
    assert f"Make {address} final?" in question.words
    make_final(admin, page)
    ended = over(admin, page)
    assert "1 account was made final." in ended.words
    assert state(ending, address, stays) == [State.FINAL, State.MOVED]
    assert "How it went" in admin.get(f"/console/account/{number}").words
    assert kept(ending)
    back = submit(admin, f"{page}/back", page)
    assert "1 account is no longer final." in back.words and state(ending, address) == [State.MOVED]
    # One that nobody has logged in to: its address has to be typed.
    (never,) = enrol(ending, [{"local": "one-never"}])
    page = f"/console/account/{never.id}/finish"
    assert make_final(admin, page, leave="yes", name="123.com").status == 400
    make_final(admin, page, leave="yes", name=never.name)
    ended = over(admin, page)
    assert "Nobody has a password for 1 final account: set one on its page." in ended.words, ended.words
    page = admin.get(f"/console/account/{ending.make('of-old@123.com', State.FINAL).id}")
    assert "Final since not known" in page.words


def test_more_than_were_seen_are_shown_first(ending: Company, admin: Visitor) -> None:
    enrol(ending, [{"local": "more1"}])
    question = asked(admin)
    enrol(ending, [{"local": "more2"}])
    fields = hidden(question) | {"leave": "yes", "name": "123.com"}
    shown = admin.post(f"{PAGE}/do", fields)
    assert shown.status == 409 and "There are more of them now than you have seen." in shown.words
    assert "2 accounts would leave something behind:" in shown.words
    assert state(ending, "more1@123.com") == [State.WAITING]


@pytest.mark.parametrize("fields", [{"count": "x"}, {"count": ""}, {"count": "9" * 30}, {"csrf": "forged"}])
def test_answers_that_no_page_of_ours_sends(ending: Company, admin: Visitor, fields: dict[str, str]) -> None:
    sent = hidden(asked(admin)) | {"leave": "yes", "name": "123.com"} | fields
    assert admin.post(f"{PAGE}/do", sent).status in {400, 403}


def test_other_domains_gone_accounts_and_strangers(ending: Company, admin: Visitor) -> None:
    token = admin.get(PAGE).csrf
    for path in ("/console/domain/124.com/finish", "/console/account/99999/finish", "/console/account/x/finish"):
        assert admin.get(path).status == 404
        for what in ("look", "ask", "do", "stop", "back/ask", "back"):
            assert admin.post(f"{path}/{what}", {"csrf": token, "count": "0"}).status == 404
    stranger = Visitor(ending)
    assert stranger.ask("GET", PAGE).status == 303
    for what in ("look", "ask", "do", "stop", "back/ask", "back"):
        assert stranger.post(f"{PAGE}/{what}", {"count": "0"}).status == 403
        assert admin.post(f"{PAGE}/{what}", {"csrf": token}, Sec_Fetch_Site="cross-site").status == 403


def test_a_company_without_accounts(tmp_path_factory: pytest.TempPathFactory) -> None:
    company = Company(tmp_path_factory.mktemp("empty"), encrypted=False).start()
    try:
        admin = administrator(company)
        assert "123.com has no accounts here. Nothing was begun." in submit(admin, f"{PAGE}/ask").words
        submit(admin, f"{PAGE}/look")
        assert "no accounts are known here" in over(admin).words
        assert admin.get(f"{PAGE}/left.csv").status == 404
    finally:
        company.close()
