"""Which charset a list is in is never found out wrongly: many small lists of common names, with titles and without."""

from __future__ import annotations

import random

import pytest

from proxy.admin.spreadsheet import Unreadable
from proxy.admin.spreadsheet.charsets import decode

SIMPLIFIED = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田",
    "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂建国华志淑珍玉红梅文辉力永健世广义兴良海山仁波宁贵福生龙元全胜学祥",
    ("研发部", "销售部", "行政部", "财务部", "人力资源部", "信息中心", "总经办"),
    "邮箱,姓名,部门\n",
)
TRADITIONAL = (
    "陳林黃張李王吳劉蔡楊許鄭謝郭洪曾邱廖賴周徐蘇葉莊呂江何蕭羅高潘簡朱鍾彭游詹胡施沈余趙盧梁顏柯翁魏孫戴范方宋鄧杜傅侯曹",
    "淑芬美玲麗華雅婷怡君志明家豪俊傑建宏宗翰冠宇承恩品妤詠晴子涵宥廷翔柏彥雯佳穎欣婉鈺心詩靜惠秀英春嬌金龍文雄進財國榮",
    ("業務部", "總務處", "研發部", "人事室", "財務部", "資訊中心", "管理部"),
    "信箱,姓名,部門\n",
)
KINDS = [("gb18030", SIMPLIFIED), ("gb18030", TRADITIONAL), ("cp950", TRADITIONAL), ("utf-8", SIMPLIFIED)]


def lists(names: tuple[str, str, tuple[str, ...], str], rows: int, count: int) -> list[str]:
    surnames, given, departments, _ = names
    chance = random.Random(f"{rows}")

    def row(number: int) -> str:
        name = chance.choice(surnames) + "".join(chance.choices(given, k=2))
        return f"u{number}@123.com,{name},{chance.choice(departments)}\n"

    return ["".join(map(row, range(rows))) for _ in range(count)]


@pytest.mark.parametrize(("charset", "names"), KINDS)
@pytest.mark.parametrize("rows", [1, 20])
def test_with_titles_always_right(charset: str, names: tuple[str, str, tuple[str, ...], str], rows: int) -> None:
    for text in lists(names, rows, 100):
        titled = names[3] + text
        assert decode(titled.encode(charset)).text == titled


@pytest.mark.parametrize(("charset", "names"), KINDS)
def test_without_titles_right_or_refused(charset: str, names: tuple[str, str, tuple[str, ...], str]) -> None:
    refused = 0
    for text in lists(names, 10, 200):
        try:
            assert decode(text.encode(charset)).text == text
        except Unreadable:
            refused += 1
    assert refused <= 10


@pytest.mark.parametrize("charset", ["cp1252", "latin-1", "cp1250"])
def test_western_code_pages_are_refused(charset: str) -> None:
    names = ["Müller", "Jürgen", "Zoë", "Göran", "Élodie", "Schröder"]
    chance = random.Random(charset)
    for _ in range(100):
        text = "".join(f"u{n}@123.com,{chance.choice(names)} {chance.choice(names)}\n" for n in range(5))
        with pytest.raises(Unreadable, match=r"cannot be told|neither"):
            decode(text.encode(charset))


def test_a_word_that_is_valid_in_utf_8_by_chance() -> None:
    data = "u@123.com,模\n".encode("gb18030")
    assert data.decode("utf-8") != "u@123.com,模\n"
    with pytest.raises(Unreadable, match="cannot be told"):
        decode(data)
    with pytest.raises(Unreadable, match="cannot be told"):
        decode(data.replace(b",", b";"))
    for text in ("u@123.com,Müller\n", "u@123.com,Łukasz Šulc\n"):
        assert decode(text.encode()).text == text
