"""The first notice in the console: who is told what, the question, the sending, files instead, and what came of it."""

from __future__ import annotations

import html
import io
import json
import re
import zipfile
from collections.abc import Mapping
from contextlib import closing
from email import message_from_bytes, policy
from urllib.parse import quote

import pytest
from sqlalchemy import delete, insert

from mailstore.accounts import Account
from mailstore.notices import Notices
from mailstore.schema import accounts
from mailstore.told import MOST
from tests.browser.administrators import administrator, enrol
from tests.browser.company import Company
from tests.browser.visitor import Answer, Visitor
from tests.proxy.admin.relay import Relay

PAGE = "/console/domain/123.com/notice"
DAY = "2999-12-05"
MARKUP = "<b>Mark</b>\r\nBcc: x@example.com"


@pytest.fixture(scope="module")
def admin(telling: Company) -> Visitor:
    return administrator(telling)


def post(admin: Visitor, fields: Mapping[str, str], path: str = "") -> Answer:
    """A form of the page; with a department all that is in it."""
    return admin.submit(PAGE, PAGE + path, {"which": "all", "date": DAY, **fields})


def hidden(answer: Answer) -> dict[str, str]:
    """What the form that sends brings along."""
    form = answer.text.partition(f'action="{PAGE}/send"')[2].partition("</form>")[0]
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form)
    return {name: html.unescape(value) for name, value in found}


def send(admin: Visitor, question: Answer, **other: str) -> Answer:
    result = admin.post(f"{PAGE}/send", hidden(question) | other)
    return admin.get(result.headers["Location"]) if result.status == 303 else result


def over(admin: Visitor) -> Answer:
    return admin.until(lambda answer: "The notice is being sent" not in answer.words, f"{PAGE}/sent")


def reached(relay: Relay, beginning: str) -> list[str]:
    return sorted(one.partition("@")[0] for one in relay.recipients if one.startswith(beginning))


def staff(company: Company, name: str, count: int = 3, **more: object) -> list[Account]:
    return enrol(company, [{"local": f"{name}{n}", "department": name.title(), **more} for n in range(count)])


def test_a_department_is_shown_asked_about_and_told(telling: Company, admin: Visitor, relay: Relay) -> None:
    enrol(telling, [{"local": "dep1", "department": "Dep", "last_login": 5, "full_name": MARKUP}])
    people = enrol(telling, [{"local": "dep2", "department": "Dep/North"}])
    enrol(telling, [{"local": "dep3", "department": "Dep", "state": "final"}, {"local": "dep4", "department": "Depot"}])
    first = admin.get(PAGE)
    assert "Say the day of the move, and the mail is shown here." in first.words and 'id="sent"' in first.text
    shown = post(admin, {"department": "Dep", "time": "20:00"})
    assert "To be sent 2 Had it 0 Not known 0 Refused before 0 Final: left out 1" in shown.words
    assert "The mail, as <b>Mark</b> Bcc: x@example.com <dep1@123.com> gets it" in shown.words
    assert "Saturday" not in shown.words and "Thursday, 5 December 2999, 20:00" in shown.words
    assert "<b>Mark" not in shown.text and "as dep2@123.com →" in shown.words
    question = post(admin, {"department": "Dep", "time": "20:00"}, "/ask")
    assert "Send the notice to 2 users of 123.com?" in question.words
    assert f"Day of the move: {DAY} 20:00. Language: Chinese and English." in question.words
    assert f"Sent through {relay.address}, 100,000 messages a minute: this takes about 1 second." in question.words
    assert reached(relay, "dep") == []
    ended = send(admin, question) and over(admin)
    assert "The notice is sent to all" in ended.words and "Sent 2 Refused 0" in ended.words
    assert reached(relay, "dep") == ["dep1", "dep2"]
    account = admin.get(f"/console/account/{people[0].id}")
    assert " notice dep2@123.com sent " in account.words.partition("What was sent to the user")[2]
    lines = [json.loads(x) for x in telling.daemon.log.splitlines() if '"notify"' in x]
    assert (lines[-1]["count"], lines[-1]["peer"], lines[-1]["filter"]["domain"]) == (2, admin.address, "123.com")
    # Answered once more, and asked once more: nobody has it twice.
    assert "Nobody is left to be sent the notice. Nothing was sent." in send(admin, question).words
    again = post(admin, {"department": "Dep"}, "/ask")
    assert "Nobody is to be sent the notice" in again.words and "2 have had the notice already" in again.words
    assert hidden(again) == {} and reached(relay, "dep") == ["dep1", "dep2"]
    assert "To be sent 2 Had it 2" in post(admin, {"department": "Dep", "since": "again"}).words


def test_whose_mail_is_shown(telling: Company, admin: Visitor) -> None:
    staff(telling, "look")
    fields = {"department": "Look", "language": "en"}
    shown = post(admin, fields | {"user": "look1"})
    assert "as look1@123.com gets it" in shown.words and "Dear look1@123.com" in shown.words
    assert 'name="look" value="look0@123.com"' in shown.text and 'name="look" value="look2@123.com"' in shown.text
    last = post(admin, fields | {"user": "look1", "look": "look2@123.com"})
    assert "as look2@123.com gets it" in last.words and "look3" not in last.words and "←" in last.words
    for name in ("nobody", "a@456.com", "@", "<script>"):
        wrong = post(admin, fields | {"user": name})
        assert wrong.status == 400 and f"{name} is no account of this domain." in wrong.words
    stays = post(admin, fields | {"names": "same"})
    assert "Nothing that you would have to set." in stays.words
    assert "Nothing that you would have to set." not in post(admin, fields | {"names": "new"}).words


def test_those_that_are_ticked_or_that_a_filter_finds(telling: Company, admin: Visitor, relay: Relay) -> None:
    people = staff(telling, "tick")
    chosen = {"what": "notice", "which": "picked", "pick": str(people[1].id)}
    page = admin.submit("/console/accounts", "/console/accounts/ask", chosen)
    assert "The 1 account that was ticked. All of 123.com" in page.words
    assert f'name="pick" value="{people[1].id}"' in page.text and "To be sent 1" in page.words
    filtered = {"what": "notice", "which": "all", "domain": "123.com", "text": "tick", "state": "waiting"}
    page = admin.submit("/console/accounts", "/console/accounts/ask", filtered)
    assert "Only those that the list's filter finds: “ tick ” waiting for a first login" in page.words
    assert "To be sent 3" in page.words
    question = admin.submit(PAGE, f"{PAGE}/ask", chosen | {"date": DAY})
    assert "Send the notice to 1 user of 123.com?" in question.words
    send(admin, question)
    over(admin)
    assert reached(relay, "tick") == ["tick1"]
    nobody = admin.submit("/console/accounts", "/console/accounts/ask", {"what": "notice", "which": "picked"})
    assert "No account was ticked" in nobody.words


def test_of_more_than_are_looked_at_it_is_told_how_many_there_are_at_least(telling: Company, admin: Visitor) -> None:
    usual = {"domain": "123.com", "state": "blocked", "created": 1}
    plenty = [{**usual, "local": f"plenty{n}"} for n in range(MOST + 1)]
    with closing(telling.accounts()) as database:
        with database.write() as connection:
            connection.execute(insert(accounts), plenty)
        filtered = {"what": "notice", "which": "all", "domain": "123.com", "text": "plenty", "state": "blocked"}
        page = admin.submit("/console/accounts", "/console/accounts/ask", filtered)
        with database.write() as connection:
            connection.execute(delete(accounts).where(accounts.c.local.startswith("plenty")))
    assert f"To be sent {MOST:,} or more Had it 0 or more" in page.words


def test_accounts_of_a_domain_that_is_not_served(telling: Company, admin: Visitor) -> None:
    (other,) = enrol(telling, [{"local": "gone", "domain": "old.example"}])
    (ours,) = enrol(telling, [{"local": "ours"}])
    for pick in ({"pick": str(other.id)}, {"which": "all", "domain": "old.example"}):
        page = admin.submit("/console/accounts", "/console/accounts/ask", {"what": "notice", **pick})
        assert "A notice is for the users of one domain" in page.words
    assert "pick" in hidden(admin.submit(PAGE, f"{PAGE}/ask", {"pick": str(ours.id), "date": DAY}))
    question = admin.submit(PAGE, f"{PAGE}/ask", {"pick": str(other.id), "date": DAY})
    assert "Nobody is to be sent the notice" in question.words and hidden(question) == {}
    for path in ("", "/sent"):
        assert admin.ask("GET", f"/console/domain/old.example/notice{path}").status == 404
    for path in ("", "/ask", "/send", "/stop", "/files"):
        fields = {"csrf": admin.get(PAGE).csrf, "which": "all", "date": DAY}
        assert admin.post(f"/console/domain/old.example/notice{path}", fields).status == 404


def test_more_than_were_seen_are_shown_first(telling: Company, admin: Visitor, relay: Relay) -> None:
    staff(telling, "more", 1)
    question = post(admin, {"department": "More"}, "/ask")
    enrol(telling, [{"local": "more9", "department": "More"}])
    shown = send(admin, question)
    assert shown.status == 409 and "There are more of them now than you have seen." in shown.words
    assert "Send the notice to 2 users" in shown.words and reached(relay, "more") == []


def test_it_is_watched_stopped_and_sent_to_the_others(telling: Company, admin: Visitor, relay: Relay) -> None:
    staff(telling, "stop")
    relay.go.clear()
    relay.held.clear()
    relay.say("stop1@123.com", "hold")
    question = post(admin, {"department": "Stop"}, "/ask")
    going = send(admin, question)
    assert "The notice is being sent" in going.words and 'id="stop"' in going.text
    assert relay.held.wait(30)
    other = administrator(telling)
    busy = post(other, {"department": "Stop"}, "/ask")
    assert "The users of 123.com are being sent their notice" in busy.words and hidden(busy) == {}
    assert "No reminders were sent" in (reminders := other.get("/console/remind")).words
    assert "The users of 123.com are being sent their notice" in reminders.words
    other.submit("/console/remind", "/console/remind/stop", {})  # is another's
    assert "Nothing was begun" in send(admin, question).words
    stopped = admin.submit(f"{PAGE}/sent", f"{PAGE}/stop", {})
    assert "The sending ends behind the message that is under way." in stopped.words
    relay.go.set()
    ended = over(admin)
    assert "The sending has ended early" in ended.words and "Not sent 2" in ended.words
    assert reached(relay, "stop") == ["stop0"]
    send(admin, post(admin, {"department": "Stop"}, "/ask"))
    over(admin)
    assert reached(relay, "stop") == ["stop0", "stop1", "stop2"]


def test_a_restart_goes_on(telling: Company, admin: Visitor, relay: Relay) -> None:
    staff(telling, "back")
    relay.go.clear()
    relay.held.clear()
    relay.say("back1@123.com", "hold")
    send(admin, post(admin, {"department": "Back", "names": "same"}, "/ask"))
    assert relay.held.wait(30)
    telling.daemon.kill()
    relay.go.set()
    telling.daemon.start()
    assert "Gone on with after the daemon was started again." in over(admin).words
    assert reached(relay, "back") == ["back0", "back2"]
    mails = [one.message.get_content() for one in relay.taken if one.recipient.startswith("back")]
    assert all("Nothing that you would have to set" in mail for mail in mails)
    unknown = admin.get(f"{PAGE}/sent?what=unknown")
    assert "back1@123.com begun; whether it was sent is not known" in unknown.words


def test_how_it_went_is_known_behind_a_restart_page_by_page(telling: Company, admin: Visitor, relay: Relay) -> None:
    people = staff(telling, "went", 60)
    with closing(telling.accounts()) as database:
        notices = Notices(database)
        for number, account in enumerate(people):
            row = notices.begin(account.id, "reminder", account.name, notices.mark())
            assert row is not None
            if number % 2:
                notices.refused(row, f"550 <i>no</i> {number}")
            elif number:
                notices.sent(row)
    page = admin.get(f"{PAGE}/sent?kind=reminder")
    assert "Refused (30) Not known (1) Had it (29)" in page.words and "29 of " in page.words
    assert "550 <i>no</i> 1 " in page.words and "<i>no" not in page.text
    had = admin.get(f"{PAGE}/sent?kind=reminder&what=sent")
    assert had.text.count('id="account-') == 29 and 'rel="next"' not in had.text
    with closing(telling.accounts()) as database:
        notices = Notices(database)
        for account in people:
            row = notices.begin(account.id, "reminder", account.name, 10**9)
            assert row is not None
            notices.sent(row)
    had = admin.get(f"{PAGE}/sent?kind=reminder&what=sent")
    assert had.text.count('id="account-') == 50
    following = re.search(r'id="next" href="([^"]+)"', had.text)
    assert following is not None
    rest = admin.get(html.unescape(following[1]))
    assert rest.text.count('id="account-') == 10 and 'id="first"' in rest.text
    for query in ("kind=x&what=y", "what=none", f"behind={quote(MARKUP)}", "behind=" + "x" * 5_000):
        assert admin.ask("GET", f"{PAGE}/sent?{query}").status == 200


def test_files_instead(telling: Company, admin: Visitor, relay: Relay) -> None:
    enrol(telling, [{"local": "file1", "department": "File", "full_name": "李伟, Bob"}])
    enrol(telling, [{"local": "o'brien$x", "department": "File"}])
    fields = {"csrf": admin.get(PAGE).csrf, "which": "all", "date": DAY, "department": "File"}
    answer = admin.post(f"{PAGE}/files", fields)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/zip")
    name = re.fullmatch(r'attachment; filename="notices-123\.com-[\d-]+\.zip"', answer.headers["Content-Disposition"])
    assert name
    with zipfile.ZipFile(io.BytesIO(answer.body)) as found:
        assert found.namelist() == ["NOT-SENT.txt", "file1@123.com.eml", "o'brien%24x@123.com.eml"]
        assert "does not count them as sent" in found.read("NOT-SENT.txt").decode()
        mail = message_from_bytes(found.read("file1@123.com.eml"), policy=policy.default)
    assert mail["To"].addresses[0].display_name == "李伟, Bob" and "您好" in mail.get_content()
    assert "To be sent 2 Had it 0" in post(admin, {"department": "File"}).words and reached(relay, "file") == []
    assert "write notices" in telling.daemon.log
    none = admin.post(f"{PAGE}/files", fields | {"department": "No such"})
    assert none.status == 409 and "Nobody is left to be sent the notice." in html.unescape(none.words)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"date": ""}, "Say on which day the mail moves."),
        ({"date": "2020-01-01"}, "This day is over."),
        ({"date": "tomorrow"}, "This is no day"),
        ({"time": "25:00"}, "This is no day"),
        ({"date": "", "time": "20:00"}, "This is no day"),
    ],
)
def test_days(admin: Visitor, relay: Relay, telling: Company, fields: dict[str, str], said: str) -> None:
    enrol(telling, [{"local": "day" + "-".join(fields.values()).replace(":", "."), "department": "Day"}])
    for path in ("", "/ask", "/files"):
        answer = post(admin, {"department": "Day"} | fields, path)
        assert answer.status == 400 and said in answer.words and hidden(answer) == {}, path
    good = post(admin, {"department": "Day"}, "/ask")
    refused = send(admin, good, **fields)
    assert refused.status == 400 and said in refused.words and reached(relay, "day") == []


@pytest.mark.parametrize(
    "fields", [{"language": "fr"}, {"since": "0"}, {"names": "x"}, {"pick": "x"}, {"time": "2" * 50}]
)
@pytest.mark.parametrize("path", ["", "/ask", "/files"])
def test_fields_that_no_page_of_ours_sends(admin: Visitor, fields: dict[str, str], path: str) -> None:
    assert post(admin, fields, path).status == 400


@pytest.mark.parametrize("other", [{"mark": "99999999"}, {"mark": "-1"}, {"count": "x"}, {"csrf": "forged"}])
def test_answers_that_no_page_of_ours_sends(
    telling: Company, admin: Visitor, relay: Relay, other: dict[str, str]
) -> None:
    name = "bad" + "".join(other) + "".join(other.values())
    enrol(telling, [{"local": name, "department": name}])
    question = post(admin, {"department": name}, "/ask")
    assert send(admin, question, **other).status in {400, 403}
    assert reached(relay, name) == []


def test_strangers_and_foreign_pages(telling: Company, admin: Visitor) -> None:
    stranger = Visitor(telling)
    for path in ("", "/sent"):
        assert stranger.ask("GET", PAGE + path).status == 303
    for path in ("", "/ask", "/send", "/stop", "/files"):
        assert stranger.post(PAGE + path, {"which": "all"}).status == 403
        fields = {"csrf": admin.get(PAGE).csrf, "which": "all", "date": DAY}
        assert admin.post(PAGE + path, fields, Sec_Fetch_Site="cross-site").status == 403
    assert admin.ask("POST", "/console/domain/none.example/notice", b"").status == 415


def test_in_chinese(telling: Company) -> None:
    admin = administrator(telling, language="zh")
    enrol(telling, [{"local": "zh1", "department": "Zh"}])
    shown = post(admin, {"department": "Zh"})
    assert "通知 123.com 的用户" in shown.words and "将要发送 1 已收到 0" in shown.words
    assert "向 123.com 的 1 位用户发送通知？" in post(admin, {"department": "Zh"}, "/ask").words


def test_a_configuration_that_lacks_something_is_told(company: Company) -> None:
    admin = administrator(company)
    enrol(company, [{"local": "untold2"}])
    page = admin.get(PAGE)
    assert "The notice cannot be sent: the configuration lacks [notices] sender ." in page.words
    assert '[notices] sender = "IT help desk <it@123.com>"' in page.words and 'id="ask"' not in page.text
    for path in ("/ask", "/files", "/send"):
        fields = {"csrf": page.csrf, "which": "all", "date": DAY, "mark": "0", "count": "1"}
        answer = admin.post(PAGE + path, fields)
        assert answer.status == 409 and "the configuration lacks" in answer.words, path
