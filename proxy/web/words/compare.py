"""What the console says of the account list then and now: the old server's, held against what is here."""

from __future__ import annotations

from typing import Final

EN: Final[dict[str, str]] = {
    "console.compare": "Compare the account list",
    "console.compare.title": "The account list of {domain}, then and now",
    "console.compare.what": "The list of accounts as the old server has it now, as CSV or XLSX like the one that was "
    "imported: who is in it and not here, and who is here and not in it. Nothing is changed by it.",
    "console.compare.do": "Compare",
    "console.compare.nobody": "The list has no account of {domain}. Nothing was compared.",
    "console.compare.result": "{name}, and what is here",
    "console.compare.same": "The list and what is here are the same.",
    "console.compare.new": "In the list, and not here",
    "console.compare.new.what": "They came to the old server after the import. Import the list to take them over.",
    "console.compare.gone": "Here, and not in the list any more",
    "console.compare.gone.what": "An earlier list had them.",
    "console.compare.login": "Here by a login, and in no list",
    "console.compare.differ": "In both, and different",
    "console.compare.differ.how": "Here → in the list",
    "console.compare.both": "In both",
    "console.compare.another": "Compare another list",
}

ZH: Final[dict[str, str]] = {
    "console.compare": "核对账号名单",
    "console.compare.title": "{domain} 的账号名单：当时与现在",
    "console.compare.what": "旧服务器现在的账号名单，CSV 或 XLSX 格式，与导入时的一样：找出名单中有而这里没有的，以及这里有而名单中没有的账号。不更改任何内容。",
    "console.compare.do": "核对",
    "console.compare.nobody": "名单中没有 {domain} 的账号。没有进行核对。",
    "console.compare.result": "{name} 与这里的账号",
    "console.compare.same": "名单与这里的账号完全一致。",
    "console.compare.new": "名单中有而这里没有",
    "console.compare.new.what": "它们是导入之后在旧服务器上新建的。导入这份名单即可加入。",
    "console.compare.gone": "这里有而名单中已经没有",
    "console.compare.gone.what": "它们曾在以前的名单中。",
    "console.compare.login": "因登录而建立、不在任何名单中",
    "console.compare.differ": "两边都有但不一致",
    "console.compare.differ.how": "这里 → 名单中",
    "console.compare.both": "两边都有",
    "console.compare.another": "核对另一份名单",
}
