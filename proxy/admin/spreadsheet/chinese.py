"""What is said of lists, in Chinese: for the console. The command line speaks English.

A sentence is known by its English form; what stands in it of the administrator's own (titles, values, names of sheets)
is taken over as it is. The corpus of the tests sees to it that no sentence is missing; for one that is none is given
back, and the English one is shown.
"""

from __future__ import annotations

import re
from typing import Final

_SAVE: Final = "请用 Excel、WPS 或 LibreOffice 打开，另存为 .xlsx 或 CSV UTF-8"
_TEXT: Final = "请把该列设为“文本”格式"
_ONE: Final = "请去掉其中一个"

# English, as a pattern, and Chinese with the groups' places. `@1` is group 1 translated as well.
_SENTENCES: Final = (
    # The whole file
    (r"is empty", "文件是空的"),
    (r"cannot be read: (.*)", "文件读不出来：{1}"),
    (r"is over (\d+) MiB: .*", "文件超过 {1} MiB：请分成几部分导入"),
    (r"has more than ([\d,]+) rows: .*", "超过 {1} 行：请分成几部分导入"),
    (r'"(.*)" is no charset.*', "没有名为“{1}”的字符编码：请填写 gb18030、big5、utf-8 或 utf-16"),
    (
        r"begins as (\S+) and is broken further on( \(.*\))?: .*",
        "开头是 {1}，后面有损坏@2：请重新另存为 CSV UTF-8 或 XLSX",
    ),
    (
        r"is neither UTF-8 nor GB18030 nor Big5( \(.*\))?: .*",
        "既不是 UTF-8，也不是 GB18030 或 Big5@1：请另存为 CSV UTF-8 或 XLSX，或者填写“字符编码”",
    ),
    (r"is not (\S+?)( \(.*\))?: give another --charset, or none", "不是 {1}@2：请改填“字符编码”，或者留空"),
    (
        r"its charset cannot be told for sure: is it (.*)\? Say .*",
        "字符编码无法确定，是 {1} 吗？请填写“字符编码”，例如 gb18030 或 big5，或者另存为 CSV UTF-8 或 XLSX",
    ),
    (
        r"is no text: it has zero (?:octets|characters) in it; .*",
        "不是文本文件，里面有零字节：请另存为 XLSX 或 CSV UTF-8",
    ),
    (r"is protected with a password: .*", "文件有密码保护：请打开后去掉密码保存，再导入"),
    (r"is an old Excel file \(\.xls\): .*", f"这是旧版 Excel 文件（.xls）：{_SAVE}"),
    (r"is a web page, which some programs call \.xls: .*", f"这是网页，有些程序把它叫作 .xls：{_SAVE}"),
    (r"is an XML file: .*", f"这是 XML 文件：{_SAVE}"),
    (r"is a PDF: .*", "这是 PDF：请提供 .xlsx 或 CSV UTF-8 格式的名单"),
    (r"is an OpenDocument file \(\.ods\): .*", f"这是 OpenDocument 文件（.ods）：{_SAVE}"),
    (r"is a binary workbook \(\.xlsb\): .*", f"这是二进制工作簿（.xlsb）：{_SAVE}"),
    (r"is a ZIP file with a password: .*", "这是有密码的 ZIP 文件：请先解压"),
    (r"is a ZIP file and no workbook: .*", "这是 ZIP 文件，不是工作簿：请先解压，再导入其中的文件"),
    (r"is a damaged workbook( \(.*\))?: .*", "工作簿已损坏@1：请用 Excel 或 WPS 打开，重新保存后再导入"),
    (
        r"would unpack to (\d+) MiB in (\d+) parts, .*",
        "解压后有 {1} MiB、{2} 个部分，账号名单不会这么大：请只把名单复制到新的工作簿，或另存为 CSV UTF-8",
    ),
    (
        r"has a document type in (.*?), as no .*",
        "{1} 中有文档类型声明，表格软件不会这样写，因此没有打开：请把名单复制到新的工作簿",
    ),
    (r"has too many merged cells: .*", "合并单元格太多：请取消合并后重新保存"),
    (r"is a text file, which has no sheets: .*", "这是文本文件，没有工作表：请把“工作表”留空"),
    (r'has no sheet "(.*)"; there are (.*)', "没有工作表“{1}”，有的是 {2}"),
    (
        r"is a workbook of the kind Strict Open XML: .*",
        "这是“严格 Open XML”工作簿：请另存为普通的“Excel 工作簿（.xlsx）”",
    ),
    (
        r"has no visible sheet with anything in it; hidden are (.*): --sheet .*",
        "可见的工作表都是空的；隐藏的有 {1}：需要读取时请填写“工作表”",
    ),
    (r"has no sheet with anything in it", "所有工作表都是空的"),
    (r"several sheets have accounts: (.*); say .*", "有几张工作表含有账号：@1。请在“工作表”中填写要导入的那一张"),
    (
        r"no column of accounts was found \((.*)\): give .*",
        "没有找到账号列（@1）：请在前几行中给各列写上标题，例如 邮箱、姓名、部门",
    ),
    (r"no column of accounts was found in (.*)", "没有找到账号列：@1"),
    (r"there is no account in it: .*", "里面没有账号：工作表对吗？标题下面有内容吗？"),
    (r"the sheets (.*) and (.*) have different columns: .*", "工作表 {1} 和 {2} 的列不同：请统一各列，或者分开导入"),
    (r"(.*): (\".*\") are both taken for the ([a-z ]+): keep one of them", "@1：{2} 都被当作@3：请只保留一列"),
    (
        r"(row \d+): a quoted cell that begins there .*",
        "@1：从这里开始的带引号的单元格没有正确结束：请把其中的引号写成两个，或另存为 CSV UTF-8 或 XLSX",
    ),
    (
        r"(row \d+): a cell that begins there has more than ([\d,]+) characters: .*",
        "@1：从这里开始的单元格超过 {2} 个字符：是不是少了一个引号？",
    ),
    # One account
    (r"the alias (\".*|.* cannot be an address: .*)", "别名@1"),
    (r"(\".*\") is no account: write its address, such as (.*)", "{1} 不是账号：请写完整地址，例如 {2}"),
    (r"(\".*\") was a number, which Excel has shortened: .*", f"{{1}} 原是数字，被 Excel 缩写了：{_TEXT}"),
    (
        r"(\".*\") may have been taken for a date: .*",
        f"{{1}} 可能被当成了日期：请写完整地址，或者{_TEXT[1:]}后重新填写",
    ),
    (r"(\".*\") may have been the number (\d+): .*", "{1} 可能是数字 {2}：请去掉小数点，或者写完整地址"),
    (r"(\".*\") has no domain: .*", "{1} 没有域名：请写完整地址，或者选择“域”"),
    (r"(\".*?\"): \"(.*)\" is not served here, did you mean \"(.*)\"\?", "{1}：本服务器没有“{2}”这个域，是不是“{3}”？"),
    (r"(\".*?\"): \"(.*)\" is not served here; served here: (.*)", "{1}：本服务器没有“{2}”这个域，有的是 {3}"),
    (r"(\".*\") cannot be an address: (.*)", "{1} 不能作为地址：@2"),
    (r"nothing is before the @", "@ 前面没有内容"),
    (r"more than 64 characters are before the @", "@ 前面超过 64 个字符"),
    (r"there is a space in it; .*", "里面有空格；多个别名请写在别名列"),
    (r"there is a control character in it", "里面有控制字符"),
    (r'there is "(.*)" in it', "里面有“{1}”"),
    (r"the account is missing: .*", "没有账号：请填写，或删除这一行"),
    (r"(\S+) stands beside the domain (\S+): which of them is right\?", "{1} 旁边的域是 {2}：哪一个对？"),
    (r"the alias (\S+) stands in (.*) already: .*", f"别名 {{1}} 在@2已经有了：{_ONE}"),
    (r"the alias (\S+) is the account of (.*): take .*", f"别名 {{1}} 是@2的账号：{_ONE}"),
    (
        r'the legacy login "(.*)" is that of (\S+) in (.*), by the domain\'s form: .*',
        "旧服务器登录名“{1}”按该域的登录名格式已属于@3的 {2}：旧服务器上的一个邮箱在这里只对应一个账号",
    ),
    (
        r'the legacy login "(.*)" stands in (.*) already: .*',
        "旧服务器登录名“{1}”在@2已经有了：旧服务器上的一个邮箱在这里只对应一个账号",
    ),
    (r"(\S+) stands in (.*) already: .*", f"{{1}} 在@2已经有了：{_ONE}"),
    (r"(\".*\") is no size: .*", "{1} 不是容量：请写 500M、2G、以兆为单位的数字，或 0（不限）"),
    (
        r"(\".*\") would be more than a terabyte, .*, such as (.*)",
        "{1} 如果以兆为单位就超过 1 TB：请写上单位，例如 {2}",
    ),
    (r"(\".*\") is more than any mailbox: .*", "{1} 超过任何邮箱的容量：请写 500M、2G，或 0（不限）"),
    (r"(\".*\") is less than an octet", "{1} 不到一个字节"),
    (r"has more than (\d+) levels, or one of more than (\d+) characters", "部门超过 {1} 级，或某一级超过 {2} 个字符"),
    (r"(\".*\") has more than (\d+) characters", "{1} 超过 {2} 个字符"),
    (r"(\".*\") is no login: .*", "{1} 不能作为登录名：超过 200 个字符"),
    (r"the password has a line end in it", "密码里有换行"),
    (r"the password is too long", "密码太长"),
    (r"the password is only masked, not told: .*", "密码只显示为星号，没有真正写出：请把单元格留空，或去掉这一列"),
    (r"this is a password's hash, .*", "这是密码的散列值，不能用来登录：请把单元格留空，或去掉这一列"),
    (
        r"the ([a-z ]+?)( \".*\")? is a formula whose result is not stored: .*",
        "@1{2}是公式，没有保存结果：请用 Excel 打开并保存，再导入",
    ),
    (r"the ([a-z ]+?)( \".*\")? is a date: .*", f"@1{{2}}是日期：{_TEXT}后重新填写"),
    (
        r"the ([a-z ]+?)( \".*\")? is a number of more than 15 digits, .*",
        f"@1{{2}}是超过 15 位的数字，Excel 只保留 15 位：{_TEXT}",
    ),
    (r"the ([a-z ]+?)( \".*\")? was a number, which .*", f"@1{{2}}原是数字，被 Excel 缩写了：{_TEXT}"),
    (r"the ([a-z ]+?)( \".*\")? was wider than its column: .*", "@1{2}比列宽，没有显示出来：请加宽该列后重新保存"),
    (r"the ([a-z ]+?)( \".*\")? is an error of the spreadsheet", "@1{2}是表格中的错误值"),
    # Names that are somebody else's here
    (
        r'(?:the alias )?(\S+) is called "(.*)" at the legacy server, as (\S+) is here: .*',
        f"{{1}} 在旧服务器上的名字“{{2}}”已属于这里的 {{3}}：{_ONE}",
    ),
    (r"(?:the alias )?(\S+) is an account here: .*", f"{{1}} 在这里已是一个账号：{_ONE}"),
    (r"(?:the alias )?(\S+) is an alias of (\S+) here: .*", f"{{1}} 在这里已是 {{2}} 的别名：{_ONE}"),
    # What was understood
    (r"CSV in (.*), cells apart by (.*)", "CSV，编码 {1}，分隔符：@2"),
    (r"spaces behind the (.*) are none of the cells', .*", "@1后面的空格不算单元格内容，因为空格后面是引号"),
    (r"commas", "逗号"),
    (r"semicolons", "分号"),
    (r"tabs", "制表符"),
    (r"bars", "竖线"),
    (r"full-width commas", "全角逗号"),
    (r'XLSX, sheet "(.*)"', "XLSX，工作表“{1}”"),
    (r"(\d+) sheets", "{1} 张工作表"),
    (r"titles in (.*?row \d+): (.*)", "标题在@1：{2}"),
    (r"passed over, because above the titles: (.*)", "已跳过（在标题之上）：@1"),
    (r"passed over, because it is a sum: (.*)", "已跳过（合计行）：@1"),
    (r"passed over, because it has the titles again: (.*)", "已跳过（重复的标题）：@1"),
    (
        r"ignored, because (.*) has the accounts: (.*); if that .*",
        "已忽略 {2}，因为账号在 {1} 列；如果那是旧服务器上的登录名，请把标题改为“原登录名”",
    ),
    (r"ignored, because not known here: (.*)", "已忽略（不认识的列）：{1}"),
    (
        r"no titles: column (\d+) has addresses, .*?; the others are ignored",
        "没有标题：第 {1} 列是地址，作为账号；其他列已忽略",
    ),
    (r"no titles: column (\d+) has addresses, .*", "没有标题：第 {1} 列是地址，作为账号"),
    (r"not read, because hidden: the sheets (.*); --sheet .*", "未读取（已隐藏）的工作表：{1}；需要时请填写“工作表”"),
    (r"not read, because no column of accounts was found: (.*)", "未读取（没有账号列）：@1"),
    (r"(\d+) rows? (?:is|are) hidden in the sheet, and read like the others", "有 {1} 行是隐藏的，照样读取"),
    # Places
    (r'sheet "(.*)", rows (\d+) to (\d+)', "工作表“{1}”第 {2} 至 {3} 行"),
    (r'sheet "(.*)", row (\d+)', "工作表“{1}”第 {2} 行"),
    (r"rows (\d+) to (\d+)", "第 {1} 至 {2} 行"),
    (r"row (\d+)", "第 {1} 行"),
    (r"the sheet \"(.*?)\", (the sheet .*)", "工作表“{1}”、@2"),
    (r"the sheet \"(.*)\"", "工作表“{1}”"),
    (r" \(line (\d+), octet 0x(\w+)\)", "（第 {1} 行，字节 0x{2}）"),
    (r" \((.*)\)", "（{1}）"),
)

# Columns, as they are called in sentences and where a list's titles are told.
_COLUMNS: Final = {
    "account": "账号",
    "name": "姓名",
    "surname": "姓",
    "given name": "名",
    "department": "部门",
    "quota": "配额",
    "alias": "别名",
    "password": "密码",
    "legacy login": "旧服务器登录名",
    "domain": "域",
}
_COLUMN = re.compile(r"(?<== )(" + "|".join(sorted(_COLUMNS, key=len, reverse=True)) + r")(?=,|$| in )")
_UNIT = re.compile(r" in (\w?B)(?=,|$)")
_PATTERNS: Final = [(re.compile(pattern, re.DOTALL), form) for pattern, form in _SENTENCES]
_PLACE = re.compile(r"\{(\d)\}|@(\d)")


def in_chinese(text: str) -> str | None:
    """What a mistake, a remark or a place says; None where there is no translation."""
    if text in _COLUMNS:
        return _COLUMNS[text]
    for pattern, form in _PATTERNS:
        found = pattern.fullmatch(text)
        if found is not None:
            return _filled(form, found)
    return None


def _filled(form: str, found: re.Match[str]) -> str:
    titles = form.startswith("标题")

    def part(place: re.Match[str]) -> str:
        text = found[int(place[1] or place[2])] or ""
        if place[2]:
            return in_chinese(text) or text
        return _UNIT.sub(r"（\1）", _COLUMN.sub(lambda name: _COLUMNS[name[1]], text)) if titles else text

    return _PLACE.sub(part, form)
