"""Reminding users in the console: the question, the answer, how it goes, and what an account's page says of it."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta

import pytest

from tests.browser.administrators import administrator, enrol
from tests.browser.company import Company
from tests.browser.visitor import Answer, Visitor
from tests.proxy.admin.relay import Relay

MARKUP = "<b>Mark</b>\r\nBcc: x@example.com"
LIST = "/console/accounts"


@pytest.fixture(scope="module")
def admin(telling: Company) -> Visitor:
    return administrator(telling)


def ask(admin: Visitor, fields: dict[str, str], path: str = "/console/remind/ask") -> Answer:
    return admin.submit(LIST, path, fields)


def hidden(answer: Answer) -> dict[str, str]:
    """What the form that sends brings along."""
    form = answer.text.partition('action="/console/remind/send"')[2].partition("</form>")[0]
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))


def send(admin: Visitor, question: Answer, **other: str) -> Answer:
    result = admin.post("/console/remind/send", hidden(question) | other)
    return admin.get(result.headers["Location"]) if result.status == 303 else result


def over(admin: Visitor) -> Answer:
    return admin.until(lambda answer: "Reminders are being sent" not in answer.words, "/console/remind")


def reached(relay: Relay, beginning: str) -> list[str]:
    return sorted(one.partition("@")[0] for one in relay.recipients if one.startswith(beginning))


def test_a_filter_is_asked_about_and_reminded_in_the_background(telling: Company, admin: Visitor, relay: Relay) -> None:
    people = enrol(
        telling,
        [
            {"local": "rem1", "full_name": MARKUP, "department": "Rem"},
            {"local": "rem2", "department": "Rem"},
            {"local": "rem3", "department": "Rem", "last_login": 5, "state": "moved"},
        ],
    )
    day = (date.today() + timedelta(days=30)).isoformat()
    chosen = {"what": "remind", "which": "all", "domain": "123.com", "department": "Rem", "date": day}
    question = ask(admin, chosen, "/console/accounts/ask")
    assert "Remind 2 users?" in question.words
    assert "1 is left out: logged in already, or final." in question.words
    assert "The mail, as &lt;b&gt;Mark&lt;/b&gt; Bcc: x@example.com &lt;rem1@123.com&gt; gets it" in question.text
    assert "From IT help desk <it@123.com>" in question.words and day[:4] in question.words
    assert "请登录一次新邮件系统" in question.words and "<b>Mark" not in question.text
    assert reached(relay, "rem") == []
    send(admin, question)
    ended = over(admin)
    assert "All reminders are sent" in ended.words and "Sent 2 Refused 0" in ended.words
    assert reached(relay, "rem") == ["rem1", "rem2"]
    (mail,) = [one.message for one in relay.taken if one.recipient == "rem1@123.com"]
    assert mail["Bcc"] is None and day[:4] in mail.get_content()
    account = admin.get(f"/console/account/{people[0].id}")
    told = account.words.partition("What was sent to the user")[2]
    assert told.startswith(" When What To How") and " reminder rem1@123.com sent " in told, told
    lines = [json.loads(x) for x in telling.daemon.log.splitlines() if '"remind"' in x]
    assert (lines[-1]["count"], lines[-1]["peer"]) == (2, admin.address) and lines[-1]["by"].startswith("admin")
    # Answered once more, and asked once more: nobody has it twice.
    assert "Nobody is left to be reminded. Nothing was sent." in send(admin, question).words
    again = ask(admin, chosen)
    assert "Nobody is to be reminded" in again.words and "2 have had a reminder already" in again.words
    assert hidden(again) == {}
    assert reached(relay, "rem") == ["rem1", "rem2"]


def test_a_replayed_answer_doubles_nothing_even_where_again_was_chosen(
    telling: Company, admin: Visitor, relay: Relay
) -> None:
    (account,) = enrol(telling, [{"local": "twice"}])
    for _ in range(2):
        question = ask(admin, {"pick": str(account.id), "since": "again"})
        assert "Remind 1 user?" in question.words
        send(admin, question)
        over(admin)
        send(admin, question)
        assert "Sent 0" in over(admin).words
    assert reached(relay, "twice") == ["twice", "twice"]


def test_more_than_were_seen_are_shown_first(telling: Company, admin: Visitor, relay: Relay) -> None:
    enrol(telling, [{"local": "more1", "department": "More"}])
    question = ask(admin, {"which": "all", "domain": "123.com", "department": "More"})
    enrol(telling, [{"local": "more2", "department": "More"}])
    shown = send(admin, question)
    assert shown.status == 409
    assert "There are more of them now than you have seen." in shown.words and "Remind 2 users?" in shown.words
    assert reached(relay, "more") == []


def test_one_account_in_chinese(telling: Company, admin: Visitor, relay: Relay) -> None:
    (account,) = enrol(telling, [{"local": "one", "full_name": "李伟"}])
    admin.language = "zh"
    try:
        assert "发邮件提醒" in admin.get(f"/console/account/{account.id}").words
        question = ask(admin, {"pick": str(account.id), "language": "zh"})
        assert "提醒 1 位用户？" in question.words and "李伟 <one@123.com> 将收到的邮件" in question.words
        send(admin, question)
        admin.until(lambda answer: "正在发送提醒" not in answer.words, "/console/remind")
        assert "提醒已全部发送" in admin.get("/console/remind").words
    finally:
        admin.language = "en"
    (mail,) = [one.message for one in relay.taken if one.recipient == "one@123.com"]
    assert mail["Content-Language"] == "zh"


def test_it_is_watched_and_stopped(telling: Company, admin: Visitor, relay: Relay) -> None:
    enrol(telling, [{"local": f"stop{n}", "department": "Stop"} for n in range(3)])
    relay.go.clear()
    relay.held.clear()
    relay.say("stop1@123.com", "hold")
    question = ask(admin, {"which": "all", "domain": "123.com", "department": "Stop"})
    going = send(admin, question)
    assert "Reminders are being sent" in going.words
    assert relay.held.wait(30)
    other = administrator(telling)
    busy = ask(other, {"which": "all", "domain": "123.com", "department": "Stop"})
    assert "Other reminders are being sent: wait for their end." in busy.words and hidden(busy) == {}
    assert "Nothing was begun" in send(admin, question).words
    stopped = admin.submit("/console/remind", "/console/remind/stop", {})
    assert "The sending ends behind the message that is under way." in stopped.words
    relay.go.set()
    ended = over(admin)
    assert "The sending has ended early" in ended.words and "An administrator has stopped it." in ended.words
    assert "Not sent 2" in ended.words
    assert reached(relay, "stop") == ["stop0"]


def test_a_restart_goes_on(telling: Company, admin: Visitor, relay: Relay) -> None:
    enrol(telling, [{"local": f"back{n}", "department": "Back"} for n in range(3)])
    relay.go.clear()
    relay.held.clear()
    relay.say("back1@123.com", "hold")
    send(admin, ask(admin, {"which": "all", "domain": "123.com", "department": "Back"}))
    assert relay.held.wait(30)
    telling.daemon.kill()
    relay.go.set()
    telling.daemon.start()
    ended = over(admin)
    assert "Gone on with after the daemon was started again." in ended.words
    # Of the one that was under way when the process was killed nobody knows.
    assert reached(relay, "back") == ["back0", "back2"]
    page = ask(admin, {"which": "all", "domain": "123.com", "department": "Back"})
    assert "Of 1 it is not known whether they had it; they get none: back1@123.com" in page.words


def test_refusals_are_shown_as_they_were_said(telling: Company, admin: Visitor, relay: Relay) -> None:
    (account,) = enrol(telling, [{"local": "refused"}])
    relay.say("refused@123.com", "550 <script>alert(1)</script>")
    send(admin, ask(admin, {"pick": str(account.id)}))
    ended = over(admin)
    assert "refused@123.com refused 550 <script>alert(1)</script>" in ended.words and "<script>alert" not in ended.text
    page = admin.get(f"/console/account/{account.id}")
    assert "refused: 550 <script>alert" in page.words and "<script>alert" not in page.text


@pytest.mark.parametrize(
    ("day", "said"),
    [
        ("2020-01-01", "This day is over."),
        ("tomorrow", "This is no day"),
        ("2026-13-40", "This is no day"),
    ],
)
def test_days(telling: Company, admin: Visitor, relay: Relay, day: str, said: str) -> None:
    (account,) = enrol(telling, [{"local": f"day-{day}"}])
    question = ask(admin, {"pick": str(account.id), "date": day})
    assert question.status == 400 and said in question.words and hidden(question) == {}
    good = ask(admin, {"pick": str(account.id)})
    refused = send(admin, good, date=day)
    assert refused.status == 400 and said in refused.words and reached(relay, account.local) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"pick": "1", "language": "fr"},
        {"pick": "1", "since": "0"},
        {"pick": "x"},
        {"pick": "1", "date": "2" * 50},
    ],
)
def test_fields_that_no_page_of_ours_sends(admin: Visitor, fields: dict[str, str]) -> None:
    assert ask(admin, fields).status == 400


@pytest.mark.parametrize(
    "other", [{"mark": "99999999"}, {"mark": "-1"}, {"count": "x"}, {"csrf": "forged"}, {"csrf": ""}]
)
def test_answers_that_no_page_of_ours_sends(
    telling: Company, admin: Visitor, relay: Relay, other: dict[str, str]
) -> None:
    (account,) = enrol(telling, [{"local": "bad" + "-".join(other | dict.fromkeys(other.values()))}])
    question = ask(admin, {"pick": str(account.id)})
    assert send(admin, question, **other).status in {400, 403}
    assert reached(relay, account.local) == []


def test_nobody_is_chosen(admin: Visitor) -> None:
    assert "No account was ticked" in ask(admin, {"what": "remind"}, "/console/accounts/ask").words
    assert admin.post("/console/remind/send", {"csrf": admin.get(LIST).csrf, "mark": "0", "count": "1"}).status == 400


def test_strangers_and_foreign_pages(telling: Company, admin: Visitor) -> None:
    stranger = Visitor(telling)
    assert stranger.ask("GET", "/console/remind").status == 303
    for path in ("ask", "send", "stop"):
        assert stranger.post(f"/console/remind/{path}", {"which": "all"}).status == 403
        token = admin.get(LIST).csrf
        fields = {"csrf": token, "which": "all"}
        assert admin.post(f"/console/remind/{path}", fields, Sec_Fetch_Site="cross-site").status == 403


def test_a_configuration_that_lacks_something_is_told(company: Company) -> None:
    admin = administrator(company)
    (account,) = enrol(company, [{"local": "untold"}])
    page = admin.get(f"/console/account/{account.id}")
    assert "Reminders cannot be sent: the configuration lacks [notices] sender ." in page.words
    assert 'id="remind"' not in page.text
    question = ask(admin, {"pick": str(account.id)})
    assert "the configuration lacks [notices] sender" in question.words and 'id="send"' not in question.text
    fields = {"csrf": question.csrf, "pick": str(account.id), "mark": "0", "count": "1"}
    assert admin.post("/console/remind/send", fields).status == 409
    assert "No reminders were sent since the daemon was started." in admin.get("/console/remind").words
