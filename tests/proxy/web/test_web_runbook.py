"""The runbook, in English (README.md) and Chinese (conf/README.zh.md): the same steps, commands, output and tables, so
that whoever changes one is told of the other."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest

from proxy.web.console.runbook import rendered, runbook
from proxy.web.words import Language, say

ROOT = Path(__file__).parents[3]
FILES: dict[Language, Path] = {"en": ROOT / "README.md", "zh": ROOT / "conf" / "README.zh.md"}
TITLES: dict[Language, str] = {"en": "Moving a domain, step by step", "zh": "迁移一个域：分步操作"}
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def section(language: Language, title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", FILES[language].read_text(encoding="utf-8"), re.M | re.S)
    assert found, title
    return found[1]


def parts(language: Language) -> list[str]:
    """What comes before the steps, the eight steps, and the user's one, each with its heading."""
    text = section(language, TITLES[language])
    starts = [0, *(heading.start() for heading in re.finditer(r"^### ", text, re.M)), len(text)]
    return [text[begin:end] for begin, end in pairwise(starts)]


def prose(part: str) -> str:
    return FENCED.sub("", part)


def code(part: str) -> set[str]:
    """Commands, options, keys and names within sentences; they may go over the end of a line."""
    return {" ".join(words.split()) for words in re.findall(r"`([^`]+)`", prose(part))}


@pytest.mark.parametrize("language", FILES)
def test_there_are_eight_steps_and_the_user_s_one(language: Language) -> None:
    numbers = [re.match(r"### (\d\. )?", part) for part in parts(language)[1:]]
    assert [number and number[1] for number in numbers] == [*(f"{number}. " for number in range(1, 9)), None]


@pytest.mark.parametrize("step", range(10))
def test_a_step_is_the_same_in_both_languages(step: int) -> None:
    english, chinese = parts("en")[step], parts("zh")[step]
    assert FENCED.findall(chinese) == FENCED.findall(english), "commands and output are the same, octet by octet"
    assert code(english) - code(chinese) == set(), "what the English one names is in the Chinese one"
    assert [row.count("|") - row.count("`|`") for row in re.findall(r"^\|.*", chinese, re.M)] == [
        row.count("|") - row.count("`|`") for row in re.findall(r"^\|.*", english, re.M)
    ], "tables have the same rows"
    assert re.findall(r"^- ", prose(chinese), re.M) == re.findall(r"^- ", prose(english), re.M)


def commands(language: Language) -> list[str]:
    """The first column of the table of commands."""
    text = section(language, {"en": "Commands", "zh": "命令一览"}[language])
    return [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `")]


def test_the_commands_are_the_same() -> None:
    assert commands("zh") == commands("en")


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("PostgreSQL", "PostgreSQL"),
        ("Several nodes", "多个节点"),
        ("HAProxy", "HAProxy"),
        ("The file system below the mail", "邮件所在的文件系统"),
        ("Dovecot", "Dovecot"),
    ],
)
def test_what_is_to_be_typed_is_the_same(english: str, chinese: str) -> None:
    """These parts are shorter in Chinese, in their words."""
    assert FENCED.findall(section("zh", chinese)) == FENCED.findall(section("en", english))


def test_it_is_installed_in_the_same_way() -> None:
    assert FENCED.findall(section("zh", "安装")) == FENCED.findall(section("en", "Install"))


@pytest.mark.parametrize("language", FILES)
def test_every_fence_is_closed(language: Language) -> None:
    fences = re.findall(r"^```.*$", FILES[language].read_text(encoding="utf-8"), re.M)
    assert set(fences[1::2]) == {"```"}


@pytest.mark.parametrize("language", FILES)
def test_what_users_see_is_quoted_as_the_portal_says_it(language: Language) -> None:
    said = [
        say(language, "portal.checking"),
        say(language, "portal.moving"),
        say(language, "portal.halted"),
        say(language, "portal.here.all", count=1204),
        say(language, "portal.here.some", count=1204, done=1203),
    ]
    assert re.findall(r"^\| \*([^*]+)\*", parts(language)[-1], re.M) == said


@pytest.mark.parametrize("language", FILES)
def test_every_link_leads_somewhere(language: Language) -> None:
    anchors = {file: set(_anchors(file)) for file in FILES.values()}
    for target in re.findall(r"\]\(([^)]+)\)", FENCED.sub("", FILES[language].read_text(encoding="utf-8"))):
        path, _, anchor = target.partition("#")
        if path.startswith("https:"):
            continue
        file = (FILES[language].parent / path).resolve() if path else FILES[language]
        assert file.exists(), target
        assert not anchor or anchor in anchors[file], target


def _anchors(file: Path) -> list[str]:
    titles = re.findall(r"^#+ (.*)", FENCED.sub("", file.read_text(encoding="utf-8")), re.M)
    return [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]


@pytest.mark.parametrize("language", FILES)
def test_links_on_the_page_lead_to_its_headings(language: Language) -> None:
    html = runbook(language)
    assert html is not None
    targets = {unquote(target) for target in re.findall(r'href="([^"]*)"', html)}
    headings = {f"#{anchor}" for anchor in re.findall(r'<h2 id="([^"]*)"', html)}
    assert len(headings) == 9 and targets <= headings and len(targets) == 9
    assert "**" not in re.sub(r"<(pre|code)>.*?</\1>", "", html, flags=re.S), "every emphasis was understood"


def test_a_link_to_what_is_not_shown_is_its_words_alone() -> None:
    html = str(
        rendered("### 1. A `b`!\n\n[here](#1-a-b), [there](#there), [a file](conf/notices), [x](javascript:a)\n")
    )
    assert '<h3 id="1-a-b">' in html and '<a href="#1-a-b">here</a>, there, a file, ' in html
    assert html.count("<a ") == 1
