"""Verifying in the console: a domain or one account, what that proves, how it goes and is stopped, and the reports."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstore.accounts import State
from tests.browser.administrators import administrator, enrol
from tests.browser.company import PASSWORD, Company
from tests.browser.old_server import letters
from tests.browser.visitor import Answer, Visitor

VERIFY = "/console/domain/123.com/verify"
REPORTS = "/console/domain/123.com/reports"
GOING = "is being compared"


@pytest.fixture
def firm(tmp_path: Path) -> Iterator[Company]:
    """A company of the test's own: a domain is proven once."""
    made = Company(tmp_path, encrypted=False)
    yield made.start()
    made.close()


@pytest.fixture
def admin(firm: Company) -> Visitor:
    return administrator(firm)


def moved(firm: Company, messages: int = 3) -> tuple[str, str]:
    """Somebody whose mail is here: the address, and the page."""
    address = firm.hire(messages)
    user = Visitor(firm)
    user.log_in(address, PASSWORD)
    user.when_here()
    account = firm.account(address)
    assert account is not None and account.state is State.MOVED
    return address, f"/console/account/{account.id}"


def over(admin: Visitor, path: str = VERIFY) -> Answer:
    return admin.until(lambda answer: GOING not in answer.words, path)


def verified(admin: Visitor, path: str = VERIFY, **fields: str) -> Answer:
    admin.submit(path, path, fields)
    return over(admin, path)


def files(answer: Answer) -> list[str]:
    return re.findall(rf'href="({REPORTS}/[^"]+)"', answer.text)


def kept(firm: Company) -> list[str]:
    return sorted(path.name for path in (firm.daemon.root / "state" / "reports").rglob("*") if path.is_file())


def test_one_account_proves_its_domain(firm: Company, admin: Visitor) -> None:
    address, page = moved(firm)
    before = admin.get(VERIFY)
    assert "No: no account's whole move was verified yet." in before.words
    assert f"This one is moved already: {address}" in before.words
    waits = enrol(firm, [{"local": "later", "sealed_password": b"x", "password_state": "untried"}])[0]
    every = {"what": "move", "which": "all", "domain": "123.com", "text": "later"}
    refused = admin.submit("/console/accounts", "/console/accounts/do", every)
    assert "no account of its domain was verified yet" in refused.words
    assert "Compare with the old server" in admin.get(page).words
    assert "Compare with the old server" not in admin.get(f"/console/account/{waits.id}").words
    admin.submit(page, f"{page}/verify", {})
    found = over(admin, f"{page}/verify")
    assert "whole Everything that the old server has is here." in found.words
    assert f"123.com is proven with {address}: its other accounts may be moved." in found.words
    assert "At the old server 3 Of the old mail here 3 Files read 3 Given once more 3" in found.words
    proven = admin.get(VERIFY)
    assert re.search(rf"Yes: 20\S+ \S+, with {address}", proven.words), proven.words
    assert "1 account is moved" in admin.submit("/console/accounts", "/console/accounts/do", every).words
    again = verified(admin, f"{page}/verify", way="full")
    assert "every message as the old server gives it" in again.words and "is proven with" not in again.words
    listed = admin.get(REPORTS)
    assert listed.words.count(f"verification {address} TXT CSV JSON") == 2
    assert len(kept(firm)) == 6 and all(name.startswith("verify-") for name in kept(firm))


def test_a_domain_with_all_that_can_be_wrong(firm: Company, admin: Visitor) -> None:
    good, _ = moved(firm)
    other, other_page = moved(firm)
    short, _ = moved(firm)
    locked, locked_page = moved(firm)
    rejected, _ = moved(firm)
    box = firm.old.mailboxes
    box[other.partition("@")[0]] = PASSWORD, [b"Subject: <b>other</b>\r\n\r\nbytes\r\n", *letters(3)[1:]]
    box[short.partition("@")[0]] = PASSWORD, letters(4)
    box[rejected.partition("@")[0]] = "changed", letters(3)
    enrol(firm, [{"local": "never"}])
    admin.submit(locked_page, locked_page, {"what": "pause"})
    before = firm.old.logins
    found = verified(admin, way="full")
    assert "incomplete Something is missing or damaged" in found.words
    assert "incomplete 2 not compared 3 whole 1" in found.words
    assert firm.old.logins - before == 4  # not for who is paused, nor for who never logged in
    table = found.words.partition("What there is to say")[2]
    places = [table.index(name) for name in (other, short, locked, "never@123.com", rejected, good)]
    assert sorted(places[:2]) + sorted(places[2:5]) + places[5:] == sorted(places)
    assert "fault content differs (message 1, UIDL uid1" in table
    assert "fault missing here (message 4, UIDL uid4" in table and "it arrived since the last move" in table
    assert "it is paused, so the legacy server is not asked" in table
    assert "the legacy server refused the login" in table and "nobody has logged in here yet" in table
    assert f'href="{other_page}"' in found.text and "<b>other" not in found.text
    kinds = found.words.partition("Findings by kind")[2]
    assert "content differs 1 fault compare the two copies by hand" in kinds
    assert f"123.com is proven with {good}" in found.words
    for path in files(found):
        look_at(admin.ask("GET", path), path, {good, other, short, locked, rejected})


def look_at(file: Answer, path: str, names: set[str]) -> None:
    form = path.rpartition(".")[2]
    assert file.status == 200 and file.headers["Cache-Control"] == "no-store"
    assert file.headers["X-Content-Type-Options"] == "nosniff"
    assert file.headers["Content-Disposition"] == f'attachment; filename="123.com-{path.rpartition("/")[2]}"'
    kind = {"txt": "text/plain; charset=utf-8", "csv": "text/csv; charset=utf-8", "json": "application/json"}[form]
    assert file.headers["Content-Type"] == kind
    if form == "json":
        found = json.loads(file.text)
        assert (found["verdict"], len(found["accounts"])) == ("incomplete", 6)
        assert [one["account"] for one in found["accounts"]] == sorted(one["account"] for one in found["accounts"])
    elif form == "csv":
        rows = list(csv.DictReader(io.StringIO(file.text.removeprefix("\ufeff"))))
        assert {row["account"] for row in rows} == names | {"never@123.com"}
    else:
        assert "VERDICT          incomplete: of 6 accounts, 2 incomplete and 3 not compared" in file.text


def test_it_is_watched_and_stopped_and_begun_once(firm: Company, admin: Visitor) -> None:
    address, page = moved(firm, 90)
    firm.old.hold()
    admin.submit(VERIFY, VERIFY, {"way": "full"})
    going = admin.until(lambda answer: "comparing with the old server (0 of 90 messages)" in answer.words, VERIFY)
    assert f"123.com {GOING}" in going.words and "0 of 1 done" in going.words and "Begun 20" in going.words
    assert f"{address}: comparing" in going.words and 'id="verify"' not in going.text
    again = admin.submit(VERIFY, VERIFY, {"way": "full"})
    assert "This is under way already: wait for its end. Nothing was begun." in again.words
    stopped = administrator(firm).submit(VERIFY, f"{VERIFY}/stop", {})
    assert "It was stopped." in stopped.words and "Stopped by an administrator" in stopped.words
    assert GOING not in stopped.words and 'id="verify"' in stopped.text
    assert "Stopped" not in admin.submit(VERIFY, f"{VERIFY}/stop", {}).words.partition("Stopped by")[2]
    firm.old.release()
    assert kept(firm) == [] and "No report has been kept yet." in admin.get(REPORTS).words
    assert "whole Everything" in verified(admin, f"{page}/verify").words
    assert "unexpected" not in firm.daemon.log


def test_the_daemon_is_stopped_in_the_midst_of_it(firm: Company, admin: Visitor) -> None:
    moved(firm)
    firm.old.hold()
    admin.submit(VERIFY, VERIFY, {"way": "full"})
    admin.until(lambda answer: "comparing with the old server (" in answer.words, VERIFY)
    firm.daemon.stop()
    firm.old.release()
    assert kept(firm) == [] and "unexpected" not in firm.daemon.log
    firm.daemon.start()
    page = admin.get(VERIFY)
    assert GOING not in page.words and "No: no account's whole move" in page.words
    last = verified(admin).words
    assert "whole Everything" in last, last


def test_no_server_and_no_password(firm: Company, admin: Visitor) -> None:
    _, page = moved(firm)
    firm.old.close()
    found = verified(admin, f"{page}/verify")
    assert "not compared What is here is as it should be" in found.words
    assert "refuses connections" in found.words and "is proven" not in found.words
    local = verified(admin, way="local")
    assert "whole Everything" in local.words and "The old server was not asked." in local.words
    assert "No: no account's whole move" in local.words


def test_what_no_form_of_ours_sends(firm: Company, admin: Visitor) -> None:
    none = verified(admin)
    assert "123.com has no accounts yet" in none.words
    (account,) = enrol(firm, [{"local": "odd", "domain": "124.com"}])
    for count in ("0", "-1", "x", "10001", "", "٣"):
        wrong = admin.post(VERIFY, {"csrf": none.csrf, "count": count})
        assert wrong.status == 400 and "A number from 1 to 10,000. Nothing was begun." in wrong.words, count
    for path, status in (
        ("/console/domain/124.com/verify", 404),
        ("/console/domain/124.com/reports", 404),
        ("/console/domain/124.com/reports/final-20261126T183000Z.txt", 404),
        (f"/console/account/{account.id}/verify", 404),
        ("/console/account/99999/verify", 404),
        (f"{REPORTS}/..%2f..%2fserve.lock", 404),
        (f"{REPORTS}/..%2f124.com%2ffinal-20261126T183000Z.txt", 404),
        (f"{REPORTS}/final-20261126T183000Z.txt", 404),
        (f"{REPORTS}/.verify-20261126T183000Z.txt", 404),
    ):
        assert admin.ask("GET", path).status == status, path
    assert admin.post(VERIFY, {"csrf": none.csrf, "way": "all"}).status == 400
    assert admin.post("/console/domain/124.com/verify", {"csrf": none.csrf}).status == 404
    stranger = Visitor(firm)
    for path in (VERIFY, REPORTS, f"{REPORTS}/verify-20261126T183000Z.txt"):
        assert stranger.ask("GET", path).status == 303
    for path in (VERIFY, f"{VERIFY}/stop", f"/console/account/{account.id}/verify"):
        assert stranger.post(path, {}).status == 403
        assert admin.post(path, {"csrf": none.csrf}, Sec_Fetch_Site="cross-site").status == 403
