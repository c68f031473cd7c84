"""Lists of accounts in the ways that people and programs write them, each made here, with what must come of it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from openpyxl import Workbook

MB = 1024**2


@dataclass(frozen=True)
class Case:
    """A file. `people`: the lines of `spelled` that come out; `says`: what the administrator is told; `wrong`: what
    the mistakes say, in order, if it is refused."""

    name: str
    data: bytes
    people: Sequence[str] = ()
    says: Sequence[str] = ()
    wrong: Sequence[str] = ()
    options: dict[str, Any] = field(default_factory=dict)


PLAIN = "账号,姓名,部门,配额\r\nzhang@123.com,张伟,研发部/前端,500M\r\nli@123.com,李娜,销售部,2G\r\n"
PLAIN_PEOPLE = (f"zhang@123.com 张伟 研发部/前端 {500 * MB}", f"li@123.com 李娜 销售部 {2048 * MB}")
TRADITIONAL = "帳號,姓名,部門,配額\r\nchen@123.com,陳淑芬,業務部>北區,1GB\r\nlin@123.com,林志偉,總務處,無限制\r\n"
TRADITIONAL_PEOPLE = (f"chen@123.com 陳淑芬 業務部/北區 {1024 * MB}", "lin@123.com 林志偉 總務處 0")


def csv(text: str, charset: str = "utf-8") -> bytes:
    return text.encode(charset)


def xlsx(*rows: Sequence[Any], fill: Callable[[Workbook], object] = lambda _book: None) -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "员工"
    for row in rows:
        sheet.append(row)
    fill(book)
    octets = io.BytesIO()
    book.save(octets)
    return octets.getvalue()


def edited(data: bytes, part: str, change: Callable[[bytes], bytes], extra: dict[str, bytes] | None = None) -> bytes:
    """A workbook with one part of it changed."""
    octets = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(octets, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, change(content) if name == part else content)
        for name, content in (extra or {}).items():
            new.writestr(name, content)
    return octets.getvalue()


SHEET = "xl/worksheets/sheet1.xml"
HEAD = ("邮箱", "姓名", "部门")
ROWS = (HEAD, ("zhang@123.com", "张伟", "研发部"), ("li@123.com", "李娜", "销售部"))
PEOPLE = ("zhang@123.com 张伟 研发部", "li@123.com 李娜 销售部")


def _several(book: Workbook) -> None:
    sheet = book.create_sheet("分公司")
    for row in (HEAD, ("wang@123.com", "王芳", "分公司")):
        sheet.append(row)
    _notes(book)


def _notes(book: Workbook) -> None:
    book.create_sheet("说明").append(("填写说明", "请勿修改"))


def _merged(book: Workbook) -> None:
    sheet = book.active
    assert sheet is not None
    sheet.merge_cells("C2:C3")


def _hidden(book: Workbook) -> None:
    sheet = book.active
    assert sheet is not None
    sheet.row_dimensions[3].hidden = True
    book.create_sheet("旧").sheet_state = "hidden"


def _zeros(book: Workbook) -> None:
    sheet = book.active
    assert sheet is not None
    sheet["A2"].number_format = "00000"


def _bomb() -> bytes:
    octets = io.BytesIO()
    with zipfile.ZipFile(octets, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        archive.writestr("xl/worksheets/sheet1.xml", "<worksheet/>")
        archive.infolist()[1].file_size = 520 * MB
    return octets.getvalue()


ENTITIES = b'<?xml version="1.0"?><!DOCTYPE sst [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'

CASES = (
    # Charsets
    Case("utf-8", csv(PLAIN), PLAIN_PEOPLE, ("CSV in UTF-8, cells apart by commas",)),
    Case("utf-8 with a mark", csv(PLAIN, "utf-8-sig"), PLAIN_PEOPLE),
    Case("utf-16 le with a mark", b"\xff\xfe" + csv(PLAIN, "utf-16-le"), PLAIN_PEOPLE, ("CSV in UTF-16",)),
    Case("utf-16 be with a mark", b"\xfe\xff" + csv(PLAIN, "utf-16-be"), PLAIN_PEOPLE),
    Case("utf-16 le without", csv(PLAIN, "utf-16-le"), PLAIN_PEOPLE),
    Case("utf-16 be without", csv(PLAIN, "utf-16-be"), PLAIN_PEOPLE),
    Case("excel's unicode text", b"\xff\xfe" + csv(PLAIN.replace(",", "\t"), "utf-16-le"), PLAIN_PEOPLE),
    Case("gb18030", csv(PLAIN, "gb18030"), PLAIN_PEOPLE, ("CSV in GB18030",)),
    Case("gb18030 with rare characters", csv("邮箱,姓名\nz@123.com,㛃䶮\n", "gb18030"), ("z@123.com 㛃䶮",)),
    Case(
        "gbk without titles", csv("z@123.com,张伟,研发部\nli@123.com,李娜,销售部\n", "gbk"), ("z@123.com", "li@123.com")
    ),
    Case("big5", csv(TRADITIONAL, "big5"), TRADITIONAL_PEOPLE, ("CSV in Big5",)),
    Case("big5 with a backslash within", csv("信箱,姓名\nx@123.com,許功蓋\n", "cp950"), ("x@123.com 許功蓋",)),
    Case("traditional in gb18030", csv(TRADITIONAL, "gb18030"), TRADITIONAL_PEOPLE, ("CSV in GB18030",)),
    Case("big5 as told", csv(TRADITIONAL, "big5"), TRADITIONAL_PEOPLE, options={"charset": "big5"}),
    Case(
        "a western code page is not guessed",
        csv("email,name\nm@123.com,Jürgen Müßig\n", "cp1252"),
        wrong=("its charset cannot be told for sure",),
    ),
    Case(
        "a western code page as told",
        csv("email,name\nm@123.com,Jürgen Müßig\n", "cp1252"),
        ("m@123.com Jürgen Müßig",),
        options={"charset": "windows-1252"},
    ),
    Case(
        "not the charset that was told",
        csv(PLAIN, "gbk"),
        wrong=("is not utf-8 (line 1",),
        options={"charset": "utf-8"},
    ),
    Case("no such charset", csv(PLAIN), wrong=('"klingon" is no charset',), options={"charset": "klingon"}),
    Case("broken in the middle", b"\xef\xbb\xbf" + csv(PLAIN) + b"\xff\n", wrong=("broken further on (line 4",)),
    Case("neither", b"\xff\xff,a\n", wrong=("is neither UTF-8 nor GB18030 nor Big5 (line 1",)),
    # Kinds of CSV
    Case("semicolons", csv(PLAIN.replace(",", ";")), PLAIN_PEOPLE, ("cells apart by semicolons",)),
    Case("tabs, ends of lines of an old Mac", csv(PLAIN.replace(",", "\t").replace("\r\n", "\r")), PLAIN_PEOPLE),
    Case("full-width commas", csv(PLAIN.replace(",", "，")), PLAIN_PEOPLE),
    Case("sep=", csv("sep=|\r\n" + PLAIN.replace(",", "|")), PLAIN_PEOPLE, ("cells apart by bars",)),
    Case(
        "sep= of what is in the cells as well",
        csv("sep=;\nemail;name\na@123.com;Zhang, Wei\n"),
        ("a@123.com Zhang, Wei",),
    ),
    Case(
        "quoted ends of lines, and rows as Excel counts them",
        csv('email,name,quota\n"a@123.com","Zhang\nWei",1G\nb@123.com,"Li ""Na""",oops\n'),
        wrong=('row 3: "oops" is no size',),
    ),
    Case(
        "a quotation that does not end",
        csv('email,name\na@123.com,"Zhang\nb@123.com,Li\n'),
        wrong=("row 2: a quoted cell",),
    ),
    Case(
        "titles above, empty rows, a sum below",
        csv(
            "员工通讯录,,\n,,\n制表：人事部,,\n邮箱（如x@123.com）,姓名,部门\n\n"
            "a@123.com,甲,一部\n , \u3000,\nb@123.com,乙,二部\n合计：2人,,\n"
        ),
        ("a@123.com 甲 一部", "b@123.com 乙 二部"),
        ("titles in row 4", "rows 1 to 3", "it is a sum: row 9"),
    ),
    Case(
        "what input methods leave behind",
        csv("邮 箱 ＊,姓　名\n Ｚhang＠１２３．com\u200b,张\xa0伟\n\ufeffli@123.com ;,\u200b李娜\n"),
        ("zhang@123.com 张 伟", "li@123.com 李娜"),
    ),
    Case(
        "tricks on a terminal, and characters of private use",
        csv("邮箱,姓名,部门,\x1b]0;x\x07备注\na@123.com,\x1b[31m张\ue863,\x1b[2J研发\n"),
        ("a@123.com [31m张\ue863 [2J研发",),
        ("ignored, because not known here: ]0;x备注",),
    ),
    Case(
        "names before addresses",
        csv('email\n"""Zhang, Wei"" <zhang@123.com>"\nmailto:li@123.com\n'),
        ("zhang@123.com", "li@123.com"),
    ),
    Case(
        "no titles",
        csv("1,Zhang,zhang@123.com\n2,Li,li@123.com\n"),
        ("zhang@123.com", "li@123.com"),
        ("no titles: column 3",),
    ),
    Case("one column of addresses", csv("zhang@123.com\nli@123.com\n"), ("zhang@123.com", "li@123.com")),
    Case(
        "an account that is called as a title is", csv("user@123.com\nmail@123.com\n"), ("user@123.com", "mail@123.com")
    ),
    Case("no accounts at all", csv("工号,手机\n1,138\n"), wrong=("no column of accounts was found",)),
    Case("only titles", csv("邮箱,姓名\n"), wrong=("there is no account in it",)),
    Case("empty", b"\xef\xbb\xbf\r\n", wrong=("is empty",)),
    # Columns
    Case("local parts", csv("用户名,姓名\nzhang,张伟\nLI,李娜\n"), ("zhang@123.com 张伟", "li@123.com 李娜")),
    Case(
        "local parts and domains",
        csv("account,domain\nzhang,123.com\nli,@456.com\n"),
        ("zhang@123.com", "li@456.com"),
        options={"domains": ("123.com", "456.com")},
    ),
    Case(
        "local parts of several domains",
        csv("account,name\nzhang,Zhang\n"),
        wrong=('"zhang" has no domain: write the whole address, or say --domain',),
        options={"domains": ("123.com", "456.com")},
    ),
    Case(
        "local parts of a domain as told",
        csv("account,name\nzhang,Zhang\n"),
        ("zhang@456.com Zhang",),
        options={"domains": ("123.com", "456.com"), "domain": "456.com"},
    ),
    Case(
        "account and address",
        csv("用户名,邮箱,姓名\n10012,zhang@123.com,张伟\n"),
        ("zhang@123.com 张伟",),
        ("ignored, because 邮箱 has the accounts: 用户名; if that is what they are called at the old server",),
    ),
    Case(
        "a private address beside the account",
        csv("帐号,电子邮件\nzhang@123.com,zw@qq.com\n"),
        ("zhang@123.com",),
        ("ignored, because 帐号 has the accounts: 电子邮件",),
    ),
    Case(
        "surname and given name",
        csv("Email,Last Name,First Name,姓\nzhang@123.com,Zhang,Wei,\n"),
        ("zhang@123.com Wei Zhang",),
    ),
    Case("surname and given name in Chinese", csv("邮箱,姓,名\nzhang@123.com,张,伟\n"), ("zhang@123.com 张伟",)),
    Case(
        "departments of all kinds",
        csv(
            "邮箱,部门\na@123.com,总部/研发/前端\nb@123.com,总部\\研发\nc@123.com,总部 > 研发\n"
            "d@123.com,总部-研发 - 前端\ne@123.com,E-commerce\nf@123.com,/总部/\n"
        ),
        (
            "a@123.com  总部/研发/前端",
            "b@123.com  总部/研发",
            "c@123.com  总部/研发",
            "d@123.com  总部/研发/前端",
            "e@123.com  E-commerce",
            "f@123.com  总部",
        ),
    ),
    Case(
        "departments in columns",
        csv("三级部门,邮箱,一级部门,二级部门\n前端,a@123.com,总部,研发\n,b@123.com,总部,\n"),
        ("a@123.com  总部/研发/前端", "b@123.com  总部"),
    ),
    Case(
        "quotas of all kinds",
        csv(
            "邮箱,容量(GB)\na@123.com,2\nb@123.com,500M\nc@123.com,2 gb\nd@123.com,0\ne@123.com,不限\nf@123.com,\n"
            'g@123.com,"1,024 MB"\nh@123.com,1.5\n'
        ),
        (
            f"a@123.com   {2048 * MB}",
            f"b@123.com   {500 * MB}",
            f"c@123.com   {2048 * MB}",
            "d@123.com   0",
            "e@123.com   0",
            "f@123.com",
            f"g@123.com   {1024 * MB}",
            f"h@123.com   {1536 * MB}",
        ),
        ("容量(GB) = quota in GB",),
    ),
    Case(
        "aliases",
        csv("邮箱,别名\na@123.com,boss；a.a@123.com、a@123.com\nb@123.com,SMTP:info@123.com smtp:help@123.com\n"),
        ("a@123.com    boss@123.com,a.a@123.com", "b@123.com    info@123.com,help@123.com"),
    ),
    Case(
        "legacy logins", csv("邮箱,原登录名\na@123.com,w.zhang\nb@123.com,\n"), ("a@123.com     w.zhang", "b@123.com")
    ),
    Case(
        "a legacy login twice",
        csv("邮箱,原登录名\na@123.com,w.zhang\nb@123.com,W.Zhang\n"),
        wrong=('row 3: the legacy login "W.Zhang" stands in row 2 already: one mailbox there is one account here',),
    ),
    Case(
        "passwords, as they stand",
        csv('邮箱,密码\na@123.com," with spaces "\nb@123.com,=1+1\nc@123.com,\n'),
        ("a@123.com      b' with spaces '", "b@123.com      b'=1+1'", "c@123.com"),
    ),
    Case(
        "passwords that are none",
        csv("邮箱,密码\na@123.com,******\nb@123.com,{SSHA}abcdef\nc@123.com,$1$abc$def\n"),
        wrong=(
            "row 2: the password is only masked",
            "row 3: this is a password's hash",
            "row 4: this is a password's hash",
        ),
    ),
    Case("two passwords", csv("邮箱,密码,初始密码\na@123.com,1,2\n"), wrong=('row 1: "密码" and "初始密码" are both',)),
    Case(
        "what export has made harmless",
        csv("account,name\n'-a@123.com,'=cmd\nb@123.com,''+x\n"),
        ("-a@123.com =cmd", "b@123.com '+x"),
    ),
    # Mistakes
    Case(
        "everything wrong at once",
        csv(
            "邮箱,姓名,别名,配额\na@123.com,甲,x,1G\nA@123.COM,乙,,1G\nb@124.com,丙,,1G\nc c@123.com,丁,,1G\n,戊,,1G\n"
            "d@123.com,己,x,1X\ne@123.com,庚,a@123.com;f@qq.com,1G\n"
        ),
        wrong=(
            "row 3: a@123.com stands in row 2 already: take one of them out",
            'row 4: "b@124.com": "124.com" is not served here, did you mean "123.com"?',
            'row 5: "c c@123.com" cannot be an address: there is a space in it',
            "row 6: the account is missing: write it, or take the row out",
            'row 7: "1X" is no size: write 500M, 2G',
            "row 7: the alias x@123.com stands in row 2 already",
            'row 8: the alias "f@qq.com": "qq.com" is not served here',
            "row 8: the alias a@123.com is the account of row 2",
        ),
    ),
    Case(
        "titles on every page",
        csv("邮箱,姓名\na@123.com,甲\n邮箱,姓名\nb@123.com,乙\n"),
        ("a@123.com 甲", "b@123.com 乙"),
        ("it has the titles again: row 3",),
    ),
    Case("a name in the place of an account", csv("账号,备注\n张伟,1\nli,2\n"), wrong=('row 2: "张伟" is no account',)),
    Case(
        "a number that Excel has shortened", csv("账号\n1.38E+10\n"), wrong=("was a number, which Excel has shortened",)
    ),
    # Workbooks
    Case("xlsx", xlsx(*ROWS), PEOPLE, ('XLSX, sheet "员工"',)),
    Case(
        "xlsx: numbers",
        xlsx(("账号", "密码", "配额"), (10012.0, 123456, 500), (13800138000, 1.5, None)),
        (f"10012@123.com   {500 * MB}   b'123456'", "13800138000@123.com      b'1.5'"),
    ),
    Case("xlsx: numbers with zeros before them", xlsx(("账号",), (42,), fill=_zeros), ("00042@123.com",)),
    Case(
        "xlsx: numbers too long, and dates",
        xlsx(("账号", "姓名"), (1234567890123456789, "甲"), (date(2024, 1, 2), "乙")),
        wrong=("is a number of more than 15 digits", 'row 3: the account "2024-01-02 00:00:00" is a date'),
    ),
    Case(
        "xlsx: formulas without a result",
        xlsx(HEAD, ('=B2&"@123.com"', "zhang", ""), ("li@123.com", "李娜", "=1+1")),
        wrong=("row 2: the account is a formula whose result is not stored", "row 3: the department is a formula"),
    ),
    Case(
        "xlsx: formulas with their results",
        edited(
            xlsx(HEAD, ("zhang@123.com", "张伟", "研发部")),
            SHEET,
            lambda sheet: sheet.replace(
                b"</sheetData>",
                b'<row r="3"><c r="A3" t="str"><f>B3&amp;"@123.com"</f><v>li@123.com</v></c></row></sheetData>',
            ),
        ),
        ("zhang@123.com 张伟 研发部", "li@123.com"),
    ),
    Case(
        "xlsx: an error", xlsx(HEAD, ("#N/A", "张伟", "")), wrong=('the account "#N/A" is an error of the spreadsheet',)
    ),
    Case(
        "xlsx: merged cells",
        xlsx(HEAD, ("a@123.com", "甲", "一部"), ("b@123.com", "乙"), fill=_merged),
        ("a@123.com 甲 一部", "b@123.com 乙 一部"),
    ),
    Case(
        "xlsx: a hidden row and a hidden sheet",
        xlsx(*ROWS, fill=_hidden),
        PEOPLE,
        ("1 row is hidden", "not read, because hidden"),
    ),
    Case(
        "xlsx: several sheets",
        xlsx(*ROWS, fill=_several),
        wrong=('several sheets have accounts: the sheet "员工", the sheet "分公司"',),
    ),
    Case(
        "xlsx: one of several",
        xlsx(*ROWS, fill=_several),
        ("wang@123.com 王芳 分公司",),
        options={"sheets": ("分公司",)},
    ),
    Case(
        "xlsx: two of several",
        xlsx(*ROWS, fill=_several),
        (*PEOPLE, "wang@123.com 王芳 分公司"),
        options={"sheets": ("员工", "分公司")},
    ),
    Case(
        "xlsx: a sheet without accounts beside the list",
        xlsx(*ROWS, fill=_notes),
        PEOPLE,
        ('titles in sheet "员工", row 1', 'not read, because no column of accounts was found: the sheet "说明"'),
    ),
    Case(
        "xlsx: a sheet without accounts, as told",
        xlsx(*ROWS, fill=_notes),
        wrong=('no column of accounts was found in the sheet "说明"',),
        options={"sheets": ("员工", "说明")},
    ),
    Case("xlsx: no such sheet", xlsx(*ROWS), wrong=('has no sheet "x"; there are "员工"',), options={"sheets": ("x",)}),
    Case(
        "xlsx: a sheet that says that it is smaller",
        edited(xlsx(*ROWS), SHEET, lambda sheet: sheet.replace(b'ref="A1:C3"', b'ref="A1"')),
        PEOPLE,
    ),
    Case(
        "xlsx: a row far below",
        edited(
            xlsx(*ROWS),
            SHEET,
            lambda sheet: sheet.replace(
                b"</sheetData>", b'<row r="99999999999"><c r="A1"><v>1</v></c></row></sheetData>'
            ),
        ),
        wrong=("is a damaged workbook",),
    ),
    # What is refused unread
    Case("xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), wrong=("is an old Excel file (.xls)",)),
    Case(
        "xlsx with a password",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512) + "EncryptedPackage".encode("utf-16-le"),
        wrong=("is protected with a password",),
    ),
    Case("a page that is called .xls", b"<html><table><tr><td>a@123.com</td></tr></table>", wrong=("is a web page",)),
    Case("xml", b'<?xml version="1.0"?><Workbook/>', wrong=("is an XML file",)),
    Case("a zip bomb", _bomb(), wrong=("would unpack to 520 MiB",)),
    Case(
        "entities",
        edited(xlsx(*ROWS), "xl/workbook.xml", lambda book: ENTITIES + book),
        wrong=("has a document type in xl/workbook.xml",),
    ),
    Case(
        "entities in a part of another name",
        edited(xlsx(*ROWS), "", bytes, {"xl/picture.png": ENTITIES.decode().encode("utf-16") + b"<\0a\0/\0>\0"}),
        wrong=("has a document type in xl/picture.png",),
    ),
    Case("a damaged workbook", xlsx(*ROWS)[:-200], wrong=("is a damaged workbook",)),
    Case("a damaged sheet", edited(xlsx(*ROWS), SHEET, lambda sheet: sheet[:400]), wrong=("is a damaged workbook",)),
)
