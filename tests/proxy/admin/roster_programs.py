"""Lists as mail systems and spreadsheet programs write them of themselves, with what must come of each."""

from __future__ import annotations

import re

from openpyxl import Workbook

from tests.proxy.admin.roster_files import HEAD, MB, ROWS, SHEET, Case, csv, edited, xlsx


def _only_hidden(book: Workbook) -> None:
    book.create_sheet("空")
    book.worksheets[0].sheet_state = "hidden"


def _row(number: int, *texts: str) -> bytes:
    """`number` 0: none is written."""
    cells = "".join(f'<c t="inlineStr"><is><t>{text}</t></is></c>' for text in texts)
    numbered = f' r="{number}"' if number else ""
    return f"<row{numbered}>{cells}</row>".encode()


def _rows(*rows: bytes) -> bytes:
    """A workbook of these."""
    data = b"<sheetData>%b</sheetData>" % b"".join(rows)
    return edited(xlsx(*ROWS), SHEET, lambda sheet: re.sub(b"<sheetData>.*</sheetData>", lambda _: data, sheet))


def _strict(xml: bytes) -> bytes:
    """ISO/IEC 29500 has other names for its namespaces where it is strict."""
    return xml.replace(
        b"http://schemas.openxmlformats.org/officeDocument/2006", b"http://purl.oclc.org/ooxml/officeDocument"
    ).replace(
        b"http://schemas.openxmlformats.org/spreadsheetml/2006/main", b"http://purl.oclc.org/ooxml/spreadsheetml/main"
    )


STRICT = xlsx(*ROWS)
for _part in ("_rels/.rels", "xl/workbook.xml", "xl/_rels/workbook.xml.rels", SHEET):
    STRICT = edited(STRICT, _part, _strict)

PROGRAMS = (
    # Sizes
    Case(
        "quotas in octets, as the title says",
        csv("邮箱,配额（字节）\na@123.com,524288000\nb@123.com,2G\nc@123.com,\n"),
        (f"a@123.com   {500 * MB}", f"b@123.com   {2048 * MB}", "c@123.com"),
        ("配额（字节） = quota in B",),
    ),
    Case(
        "quotas in octets, in English", csv("mail,quota_in_bytes\na@123.com,524288000\n"), (f"a@123.com   {500 * MB}",)
    ),
    Case("quotas in octets, in short", csv("邮箱,容量(B)\na@123.com,524288000\n"), (f"a@123.com   {500 * MB}",)),
    Case(
        "quotas in octets that nobody says",
        csv("mail,quota\na@123.com,524288000\nb@123.com,1073741824\nc@123.com,1048575\nd@123.com,4096\n"),
        wrong=(
            'row 2: "524288000" would be more than a terabyte, in megabytes: write its unit, such as 524288000B',
            'row 3: "1073741824" would be more than a terabyte',
        ),
    ),
    Case(
        "Exchange's sizes",
        csv(
            'mail,quota\na@123.com,"2 GB (2,147,483,648 bytes)"\n'
            'b@123.com,"500 MB (524,288,000 字节)"\nc@123.com,Unlimited\n'
        ),
        (f"a@123.com   {2048 * MB}", f"b@123.com   {500 * MB}", "c@123.com   0"),
    ),
    # Titles
    Case(
        "Coremail's titles",
        csv("用户ID,域名,真实姓名,用户别名,邮箱容量(MB)\nzhang,123.com,张伟,boss,500\n", "gb18030"),
        (f"zhang@123.com 张伟  {500 * MB} boss@123.com",),
    ),
    Case(
        "aliases in columns",
        csv("邮箱,别名1,别名2,alias 3\na@123.com,b,,c\n"),
        ("a@123.com    b@123.com,c@123.com",),
        ("别名1 = alias, 别名2 = alias",),
    ),
    Case(
        "MDaemon's titles",
        csv('"MailBox","Domain","FullName","MailDir","Password"\n"zhang","123.com","Zhang Wei","C:\\x\\","pw"\n'),
        ("zhang@123.com Zhang Wei     b'pw'",),
    ),
    Case(
        "Exchange's titles",
        csv("#TYPE Mailbox\nDisplayName,PrimarySmtpAddress,Database\nZhang Wei,zhang@123.com,DB1\n"),
        ("zhang@123.com Zhang Wei",),
        ("titles in row 2", "ignored, because not known here: Database"),
    ),
    # CSV
    Case(
        "spaces before quotation marks",
        csv('email, name, department\na@123.com, "Zhang, Wei", "A ""1"""\nb@123.com, Li, B\n'),
        ('a@123.com Zhang, Wei A "1"', "b@123.com Li B"),
        ("spaces behind the commas are none of the cells'",),
    ),
    Case("a space before a password", csv("email,password\na@123.com, geheim\n"), ("a@123.com      b' geheim'",)),
    Case(
        "text as Excel has it in formulas",
        csv('邮箱,姓名,原登录名,密码\n="zhang",="张""伟","=""00123""","=""geheim"""\n'),
        ("zhang@123.com 张\"伟    00123 b'geheim'",),
    ),
    Case(
        "numbers that Excel has shortened, wherever",
        csv('账号,原登录名,密码\na,1.38E+10,x\nb,x,1.23457E+11\n"1,38E+10",y,z\n'),
        wrong=(
            'row 2: the legacy login "1.38E+10" was a number, which Excel has shortened',
            "row 3: the password was a number, which Excel has shortened",
            'row 4: the account "1,38E+10" was a number, which Excel has shortened',
        ),
    ),
    Case(
        "errors, and columns that were too narrow",
        csv("账号,部门\n#N/A,x\na,#REF!\n########,y\n"),
        wrong=(
            'row 2: the account "#N/A" is an error of the spreadsheet',
            'row 3: the department "#REF!" is an error of the spreadsheet',
            'row 4: the account "########" was wider than its column: make the column wider, and save the file again',
        ),
    ),
    Case(
        "accounts that Excel has taken for dates",
        csv("账号\n1-Mar\nSep-03\n3月1日\n2024-1-2\n2024/01/02\n1-mar@123.com\nmarch-1\n10-12\n"),
        wrong=tuple(
            f'row {row}: "{text}" may have been taken for a date: write the whole address, or give'
            for row, text in enumerate(("1-Mar", "Sep-03", "3月1日", "2024-1-2", "2024/01/02"), 2)
        ),
    ),
    Case("an account that is called like a date", csv("账号\n1-mar@123.com\n"), ("1-mar@123.com",)),
    Case(
        "numbers with a decimal point that nobody wrote",
        csv("账号\n10012.0\n"),
        wrong=('row 2: "10012.0" may have been the number 10012: write it without the point, or the whole address',),
    ),
    Case("the end of a file, of old", csv("邮箱,姓名\r\na@123.com,甲\r\n\x1a"), ("a@123.com 甲",)),
    Case(
        "a cell that is endless",
        csv(f"邮箱,姓名\na@123.com,{'x' * 200_000}\n"),
        wrong=("row 2: a cell that begins there has more than 131,072 characters: is a quotation mark missing?",),
    ),
    Case(
        "apostrophes that say that it is text",
        csv("账号,姓名,别名,配额,原登录名\n'00123,'t Hart,'boss;b2,'500,'0456\n'li@123.com,,,,\n"),
        (f"00123@123.com 't Hart  {500 * MB} boss@123.com,b2@123.com 0456", "li@123.com"),
    ),
    Case(
        "a legacy login that is another's by the domain's form",
        csv("邮箱,原登录名\na@123.com,\nb@123.com,A\nc@123.com,d\nd@123.com,c\n"),
        wrong=('row 3: the legacy login "A" is that of a@123.com in row 2, by the domain\'s form: one mailbox there',),
    ),
    # Workbooks
    Case(
        "xlsx: ends of lines as Excel has them",
        xlsx(("邮箱_x000D_", "姓名"), ("a@123.com_x000D_\n", "张_x000D_\n伟_x005F_x000D_")),
        ("a@123.com 张 伟_x000D_",),
    ),
    Case(
        "xlsx: strict",
        STRICT,
        wrong=("is a workbook of the kind Strict Open XML: save it as an ordinary Excel workbook",),
    ),
    Case(
        "xlsx: the list is hidden",
        xlsx(HEAD, ("a@123.com", "甲", "一部"), fill=_only_hidden),
        wrong=('has no visible sheet with anything in it; hidden are "员工": --sheet names one to be read',),
    ),
    Case(
        "xlsx: a row twice, of which programs show one",
        _rows(_row(1, "邮箱"), _row(2, "a@123.com"), _row(2, "b@123.com")),
        wrong=("is a damaged workbook",),
    ),
    Case(
        "xlsx: rows out of their order",
        _rows(_row(1, "邮箱"), _row(3, "a@123.com"), _row(2, "b@123.com")),
        wrong=("is a damaged workbook",),
    ),
    Case(
        "xlsx: rows without numbers",
        _rows(_row(0, "邮箱"), _row(0, "a@123.com"), _row(0, "b@123.com")),
        ("a@123.com", "b@123.com"),
    ),
    Case(
        "xlsx: an empty row for each that there can be",
        _rows(_row(1, "邮箱"), _row(2, "a@123.com"), b"".join(b'<row r="%d"/>' % n for n in range(3, 1_048_577))),
        ("a@123.com",),
    ),
    Case(
        "xlsx: something in the last row",
        _rows(_row(1, "邮箱"), _row(2, "a@123.com"), _row(1_048_576, "b@123.com")),
        ("a@123.com", "b@123.com"),
    ),
    # What is no list
    Case("a page in UTF-16", b"\xff\xfe" + csv("<html><td>a@123.com", "utf-16-le"), wrong=("is a web page",)),
    Case("a page with a remark before it", csv("<!-- x -->\n<table><td>a@123.com"), wrong=("is a web page",)),
    Case("a part of a page", csv('<div class="x"><table><td>a@123.com'), wrong=("is a web page",)),
    Case("a page with its pictures", csv("MIME-Version: 1.0\nX-Document-Type: Workbook\n"), wrong=("is a web page",)),
    Case("an address in brackets", csv("<a@123.com>\n<b@123.com>\n"), ("a@123.com", "b@123.com")),
)
