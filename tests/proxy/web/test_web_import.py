"""Importing a list in the console: looked at, said yes to, and everything that could be wrong with it or with who sends
it."""

from __future__ import annotations

import io
import json
import re
import stat
from pathlib import Path

import openpyxl
import pytest
from twisted.internet.task import Clock

from mailstore.accounts import Accounts
from proxy.admin.importing import Manner
from proxy.web.channel import MIB
from proxy.web.console.uploaded import HOUR, MOST, NotKept, Uploads, called
from tests.browser.administrators import administrator, dismiss, enrol
from tests.browser.company import Company
from tests.browser.visitor import Answer, Visitor

PAGE = "/console/import"
MARKUP = '<script>alert("李")</script>'


@pytest.fixture(scope="module")
def admin(company: Company) -> Visitor:
    return administrator(company)


def csv(*rows: str, titles: str = "account,name,department,password") -> bytes:
    return "\r\n".join((titles, *rows)).encode()


def send(admin: Visitor, data: bytes, name: str = "list.csv", **fields: str) -> Answer:
    return admin.upload(PAGE, PAGE, fields, name, data)


def place(answer: Answer) -> str:
    """Where the list that a preview is of is answered to."""
    found = re.search(r'action="(/console/import/[^"]+)"', answer.text)
    assert found is not None, answer.words
    return found[1]


def answer(admin: Visitor, preview: Answer, said: str = "yes") -> Answer:
    mark = re.search(r'name="mark" value="(\w+)"', preview.text)
    assert mark is not None
    fields = {"csrf": preview.csrf, "answer": said, "mark": mark[1]}
    result = admin.post(place(preview), fields)
    return admin.get(result.headers["Location"]) if result.status == 303 else result


def kept(company: Company) -> list[Path]:
    folder = company.daemon.root / "state" / "uploads"
    return sorted(folder.iterdir()) if folder.exists() else []


def test_a_list_is_looked_at_and_taken_over(company: Company, admin: Visitor) -> None:
    preview = send(admin, csv("imp1@123.com,张伟,R&D/Mail,geheim-1", "imp2@123.com,,,"), expect="2")
    assert preview.status == 200
    assert "What the list list.csv would do" in preview.words
    assert "titles in row 1: account, name, department, password" in preview.words
    assert "imp1@123.com 张伟 R&D/Mail given" in preview.words
    assert "geheim" not in preview.text
    (file,) = kept(company)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert company.account("imp1@123.com") is None
    done = answer(admin, preview)
    assert "The list is taken over: 2 added, 0 changed, 0 as they were." in done.words
    assert kept(company) == []
    account = company.account("imp1@123.com")
    assert account is not None and account.full_name == "张伟"
    (line,) = [json.loads(x) for x in company.daemon.log.splitlines() if '"did": "import"' in x and "list.csv" in x]
    assert (line["added"], line["file"], line["peer"]) == (2, "list.csv", admin.address)
    assert line["by"].startswith("admin") and "geheim" not in company.daemon.log


def test_only_what_differs_is_changed_and_a_replay_does_nothing(company: Company, admin: Visitor) -> None:
    enrol(company, [{"local": "diff1", "full_name": "Old"}, {"local": "diff2", "full_name": "Same"}])
    preview = send(admin, csv("diff1@123.com,New,", "diff2@123.com,Same,", titles="account,name,department"))
    assert "diff1@123.com Name: Old → New" in preview.words
    assert "would do In the list 2 New 0 To be changed 1 As they are here 1" in preview.words
    assert "1 changed, 1 as they were" in answer(admin, preview).words
    again = answer(admin, preview)
    assert again.status == 404 and "This list is not here any more" in again.words


def test_accounts_that_changed_after_the_preview(company: Company, admin: Visitor) -> None:
    enrol(company, [{"local": "race", "full_name": "Old"}])
    preview = send(admin, csv("race@123.com,New", titles="account,name"))
    with_other = company.accounts()
    from sqlalchemy import update

    from mailstore.schema import accounts

    with with_other.write() as connection:
        connection.execute(update(accounts).where(accounts.c.local == "race").values(full_name="Other"))
    with_other.close()
    second = answer(admin, preview)
    assert "The accounts have changed since you saw what would happen. Nothing was done" in second.words
    assert "Name: Other → New" in second.words
    third = answer(admin, preview)  # the first page's form once more
    assert "Nothing was done" in third.words
    assert "1 changed" in answer(admin, third).words


def test_a_name_that_is_taken_after_the_preview(company: Company, admin: Visitor) -> None:
    preview = send(admin, csv("clash1@123.com,clash2", titles="account,alias"))
    database = company.accounts()
    Accounts(database).add("clash2", "123.com")
    database.close()
    refused = answer(admin, preview)
    assert refused.status == 400
    assert "the alias clash2@123.com is an account here" in refused.words
    assert company.account("clash1@123.com") is None and kept(company) == []


def test_a_list_that_is_given_up(company: Company, admin: Visitor) -> None:
    preview = send(admin, csv("never@123.com,,,"))
    assert "list.csv was deleted. Nothing was changed." in answer(admin, preview, "no").words
    assert company.account("never@123.com") is None and kept(company) == []
    assert answer(admin, preview).status == 404


def test_a_workbook_and_its_sheet(company: Company, admin: Visitor) -> None:
    book = openpyxl.Workbook()
    for title in ("One", "Two"):
        sheet = book.create_sheet(title)
        sheet.append(["邮箱", "姓名"])
        sheet.append([f"book-{title.lower()}@123.com", "王芳"])
    octets = io.BytesIO()
    book.save(octets)
    refused = send(admin, octets.getvalue(), "人员.xlsx")
    assert refused.status == 400 and "several sheets have accounts" in refused.words
    assert "“Sheet”" in refused.words and "--sheet" not in refused.words
    preview = send(admin, octets.getvalue(), "人员.xlsx", sheet="Two")
    assert "book-two@123.com" in preview.words and "book-one" not in preview.words
    answer(admin, preview, "no")


@pytest.mark.parametrize(
    ("data", "fields", "english", "chinese"),
    [
        (b"", {}, "is empty", "文件是空的"),
        (b"%PDF-1.7\n", {}, "is a PDF", "这是 PDF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, {}, "is an old Excel file (.xls)", "这是旧版 Excel 文件"),
        (b"PK\x03\x04" + b"x" * 200, {}, "is a damaged workbook", "工作簿已损坏"),
        (b"\x89PNG\0\0\0\r" * 50, {}, "is no text", "不是文本文件"),
        (b"a,b\n1,2\n", {}, "no column of accounts was found", "没有找到账号列"),
        (csv("a@124.com,,,"), {}, "row 2", "第 2 行"),
        (csv("a@123.com,,,"), {"expect": "7"}, "The list has 1 accounts, not 7", "名单中有 1 个账号，而不是 7 个"),
        (csv("a@123.com,,,"), {"expect": "lots"}, "is no number", "账号总数不是数字"),
        (csv("a@123.com,,,"), {"charset": "klingon"}, '"klingon" is no charset', "没有名为“klingon”的字符编码"),
        (b"account\n" + b"x" * (33 * MIB), {}, "is over 32 MiB", "文件超过 32 MiB"),
    ],
    ids=["empty", "pdf", "xls", "damaged", "binary", "no accounts", "domain", "count", "no count", "charset", "large"],
)
def test_what_is_wrong_is_said_in_the_visitors_language(
    company: Company, admin: Visitor, data: bytes, fields: dict[str, str], english: str, chinese: str
) -> None:
    refused = send(admin, data, **fields)
    assert refused.status == 400
    assert english in refused.words and "Traceback" not in refused.text
    if len(data) < MIB:
        admin.language = "zh"
        try:
            assert chinese in send(admin, data, **fields).words
        finally:
            admin.language = "en"
    assert kept(company) == []


def test_all_mistakes_with_their_rows(admin: Visitor) -> None:
    refused = send(admin, csv(*(f"m{n}@nowhere.org,,," for n in range(250)), "x@123.com,,,{SSHA}geheim"))
    assert "251 things are wrong with the list. Nothing was changed." in refused.words
    assert "row 2" in refused.words and "and 51 more" in refused.words
    assert "geheim" not in refused.text


def test_no_file(admin: Visitor) -> None:
    refused = send(admin, b"", "")
    assert refused.status == 400 and "No file was chosen." in refused.words


def test_markup_in_cells_and_tricks_in_the_files_name(company: Company, admin: Visitor) -> None:
    name = f"../../../../tmp/{MARKUP}/..\\evil{MARKUP}.csv"
    preview = send(admin, csv(f'markup@123.com,"{MARKUP.replace(chr(34), chr(34) * 2)}",{MARKUP[:8]},'), name)
    assert preview.status == 200
    assert "<script>alert" not in preview.text and "&lt;script&gt;" in preview.text
    assert [re.fullmatch(r"[0-9a-f]{32}", path.name) is not None for path in kept(company)] == [True]
    assert "tmp" not in preview.words.partition("would do")[0]
    told = answer(admin, preview, "no")
    assert "<script>alert" not in told.text
    refused = send(admin, csv(f"{MARKUP}@123.com,,,"))
    assert refused.status == 400 and "<script>alert" not in refused.text


@pytest.mark.parametrize("token", ["..%2f..%2faccounts.db", "x", "%00", "a" * 3_000, "../../accounts.db"])
def test_tokens_that_are_none(admin: Visitor, token: str) -> None:
    assert admin.get(f"{PAGE}/{token}").status == 404
    assert admin.post(f"{PAGE}/{token}", {"csrf": admin.get(PAGE).csrf, "answer": "yes"}).status == 404


# Who sends it


def test_another_administrators_list(company: Company, admin: Visitor) -> None:
    preview = send(admin, csv("theirs@123.com,,,"))
    other = administrator(company)
    assert other.get(place(preview)).status == 404
    token = other.get(PAGE).csrf
    for said in ("yes", "no"):
        assert other.post(place(preview), {"csrf": token, "answer": said}).status == 404
    assert len(kept(company)) == 1 and company.account("theirs@123.com") is None
    answer(admin, preview, "no")


def test_it_is_gone_with_the_session(company: Company) -> None:
    leaver = administrator(company)
    preview = send(leaver, csv("leaver@123.com,,,"))
    assert len(kept(company)) == 1
    leaver.submit(PAGE, "/console/logout", {})
    assert kept(company) == []
    assert 'action="/console/login"' in leaver.get(place(preview)).text


def test_a_removed_administrators_list_is_not_taken(company: Company, admin: Visitor) -> None:
    gone = administrator(company)
    preview = send(gone, csv("removed@123.com,,,"))
    name = re.search(r"\((admin\d+)\)", preview.words)
    assert name is not None
    dismiss(company, name[1])
    assert answer(gone, preview).status in {200, 403}
    assert company.account("removed@123.com") is None


@pytest.mark.parametrize("csrf", ["", "forged"])
def test_a_forged_form(company: Company, admin: Visitor, csrf: str) -> None:
    assert send(admin, csv("forged@123.com,,,"), csrf=csrf).status == 403
    preview = send(admin, csv("forged@123.com,,,"))
    assert admin.post(place(preview), {"csrf": csrf, "answer": "yes"}).status == 403
    assert company.account("forged@123.com") is None
    answer(admin, preview, "no")


def test_a_form_of_somebody_elses_page(admin: Visitor) -> None:
    refused = admin.upload(PAGE, PAGE, {}, "list.csv", csv("foreign@123.com,,,"), Sec_Fetch_Site="cross-site")
    assert refused.status == 403


def test_a_stranger_is_asked_to_log_in_and_nothing_of_theirs_is_read(company: Company, admin: Visitor) -> None:
    stranger = Visitor(company, port=admin.port)
    assert stranger.ask("GET", PAGE).headers["Location"].startswith("/console/login")
    assert stranger.ask("GET", "/console/list.csv").status == 303
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    assert stranger.ask("POST", PAGE, b"--x--", kind).status == 403
    connection = stranger.connect()  # a large one is refused by its headers
    try:
        connection.putrequest("POST", PAGE)
        for header, value in {**kind, "Content-Length": str(10 * MIB)}.items():
            connection.putheader(header, value)
        connection.endheaders()
        assert connection.getresponse().status == 413
    finally:
        connection.close()


def test_more_than_64_mib_is_refused_before_it_is_read(admin: Visitor) -> None:
    connection = admin.connect()
    try:
        connection.putrequest("POST", PAGE)
        cookies = "; ".join(f"{k}={v}" for k, v in admin.cookies.items())
        headers = {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": str(64 * MIB + 1)}
        for header, value in {**headers, "Cookie": cookies, "X-Forwarded-For": admin.address}.items():
            connection.putheader(header, value)
        connection.endheaders()
        refused = connection.getresponse()
        assert refused.status == 413 and b"larger than this page takes" in refused.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("fields", "status"), [({"domain": "nowhere.com"}, 400), ({"sheet": "x" * 500}, 400), ({"charset": "\0" * 9}, 400)]
)
def test_fields_that_no_page_of_ours_sends(admin: Visitor, fields: dict[str, str], status: int) -> None:
    assert send(admin, csv("a@123.com,,,"), **fields).status == status


# The way back


def test_what_is_downloaded_can_be_imported(company: Company, admin: Visitor) -> None:
    enrol(company, [{"local": "back1", "department": "Back", "full_name": "=1+1"}, {"local": "back2"}])
    answer_ = admin.get("/console/list.csv?domain=123.com&department=Back")
    assert answer_.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert re.fullmatch(r'attachment; filename="list-[\d-]+\.csv"', answer_.headers["Content-Disposition"])
    assert answer_.text == ("\ufeffaccount,name,department,quota,alias,legacy login\r\nback1@123.com,'=1+1,Back,,,\r\n")
    preview = send(admin, answer_.body)
    assert "there is nothing to change" in preview.words
    assert "0 added, 0 changed, 1 as they were" in answer(admin, preview).words


# What keeps them


def test_lists_are_kept_for_an_hour_a_few_of_each_session(tmp_path: Path) -> None:
    clock = Clock()
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "of a daemon that was killed").touch()
    uploads = Uploads(tmp_path / "uploads", clock)
    assert not (tmp_path / "uploads").exists()
    seen: object = None
    kept_ = []
    for n in range(MOST + 2):
        path = uploads.write(io.BytesIO(b"x"))
        kept_.append(uploads.keep(path, f"{n}", b"session", Manner(), seen))  # type: ignore[arg-type]
        clock.advance(1)
    assert len(list((tmp_path / "uploads").iterdir())) == MOST
    assert uploads.find(kept_[0].token, b"session") is None
    assert uploads.find(kept_[-1].token, b"session") is kept_[-1]
    assert uploads.find(kept_[-1].token, b"another") is None
    clock.advance(HOUR - 1)
    assert uploads.find(kept_[-1].token, b"session") is None or clock.seconds() < kept_[-1].until
    clock.advance(2)
    assert list((tmp_path / "uploads").iterdir()) == []


def test_a_disk_that_takes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotKept):
        Uploads(tmp_path / "file" / "uploads", Clock()).write(io.BytesIO(b"x"))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("C:\\Users\\a\\list.csv", "list.csv"),
        ("../../etc/passwd", "passwd"),
        ("a\x1b[31m\n.csv", "a�[31m�.csv"),
        ("x" * 500, "x" * 79 + "…"),
        ("..", ".."),
        (None, ""),
    ],
)
def test_what_a_file_is_called(name: str | None, shown: str) -> None:
    assert called(name) == shown


def test_what_the_filter_finds_is_what_is_exported(company: Company, admin: Visitor) -> None:
    enrol(
        company,
        [
            {"local": "out1", "department": "Export", "reason": "1 message is in quarantine"},
            {"local": "out2", "department": "Export"},
            {"local": "out3", "department": "Export", "paused": 1},
        ],
    )
    for filtered, expected in (("", 3), ("&state=attention", 1), ("&state=paused", 1), ("&text=out2", 1)):
        lines = admin.get(f"/console/list.csv?domain=123.com&department=Export{filtered}").text.splitlines()
        assert len(lines) == 1 + expected, filtered
