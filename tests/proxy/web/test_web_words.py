"""All that the web says: the same in every language, and all that templates and pages ask for."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from string import Formatter
from typing import get_args

import pytest

from proxy.admin.offered import Security, Service
from proxy.admin.verify.account import Step
from proxy.admin.verify.kinds import Kind, Weight
from proxy.admin.verify.outcome import Verdict
from proxy.web.pages import HERE, Pages, duration
from proxy.web.portal.standing import Stage
from proxy.web.words import LANGUAGES, WORDS, say
from proxy.wire.door import Because

# Keys that are made of a beginning and a name.
_REASONS = (*(because.name.lower() for because in Because), "wrong", "in_use", "blocked")
_STAGES = [stage for stage in get_args(Stage) if stage != "here"]
MADE = {
    *(f"portal.no.{why}{more}" for why in _REASONS for more in ("", ".do")),
    *(f"portal.{stage}{more}" for stage in _STAGES for more in ("", ".do")),
    *(f"portal.service.{service}" for service in get_args(Service)),
    *(f"portal.security.{security}" for security in get_args(Security)),
}


def values(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_every_key_is_in_every_language() -> None:
    assert set(WORDS["en"]) == set(WORDS["zh"])


@pytest.mark.parametrize("key", sorted(WORDS["en"]))
def test_a_text_takes_the_same_values_in_every_language(key: str) -> None:
    taken = {frozenset(values(form)) - {"count"} for words in WORDS.values() for form in words[key].split("|")}
    assert len(taken) == 1
    assert all(words[key].strip() == words[key] != "" for words in WORDS.values())


def test_no_key_is_in_two_subjects() -> None:
    files = [path for path in (HERE / "words").glob("*.py") if path.name != "__init__.py"]
    keys = [
        key.value
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "EN"
        if isinstance(node.value, ast.Dict)
        for key in node.value.keys
        if isinstance(key, ast.Constant)
    ]
    assert sorted(keys) == sorted(WORDS["en"])


def written() -> set[str]:
    """All that stands in quotes in templates and in code, words aside."""
    files = [p for p in HERE.rglob("*.*") if p.suffix in {".py", ".html", ".xml"} and p.parent.name != "words"]
    return {key for path in files for key in re.findall(r"""["']([a-z_]+(?:\.[a-z_]+)*)["']""", path.read_text())}


def test_every_key_that_is_asked_for_is_there() -> None:
    dotted = {key for key in written() if key.startswith(("portal.", "error.")) and key != "error.html"}
    assert len(dotted) > 50
    assert dotted | MADE <= set(WORDS["en"])


def test_every_key_is_asked_for() -> None:
    errors = {f"{key}.do" for key in WORDS["en"] if key.startswith("error.")}  # beside each of them
    assert {key for key in WORDS["en"] if not key.startswith("console.")} <= written() | MADE | errors


def test_templates_are_all_compiled() -> None:
    environment = Pages()._environment
    names = [path.relative_to(HERE / "templates").as_posix() for path in Path(HERE / "templates").rglob("*.*")]
    assert len(names) > 8
    for name in names:
        environment.get_template(name)


def test_numbers() -> None:
    assert say("en", "portal.here.all", count=1) == "Your one message is here"
    assert say("en", "portal.here.all", count=12345) == "All 12,345 messages are here"
    assert say("zh", "portal.here.all", count=12345) == "全部 12,345 封邮件都在这里了"
    assert [duration("en", n) for n in (0.2, 1, 61, 91, 5400, 5401, 86_400 * 3)] == [
        "1 second",
        "1 second",
        "61 seconds",
        "2 minutes",
        "90 minutes",
        "2 hours",
        "3 days",
    ]
    assert set(LANGUAGES) == {"en", "zh"}


def test_all_that_verify_can_find_has_words() -> None:
    kinds = {
        f"console.verify.kind.{kind.value}{more}" for kind in Kind for more in ("", ".do") if kind.remedy or not more
    }
    verdicts = {f"console.verify.verdict.{verdict.name.lower()}{more}" for verdict in Verdict for more in ("", ".what")}
    weights = {f"console.verify.weight.{weight.name.lower()}" for weight in Weight}
    steps = {f"console.verify.step.{step.name.lower()}" for step in Step}
    assert kinds | verdicts | weights | steps <= set(WORDS["en"])
