"""The corpus of `roster_files` and `roster_programs`, each read as `mailferry accounts import` reads it."""

from __future__ import annotations

import pytest

from mailstore.roster import Entry
from proxy.admin.roster import BadList, read
from proxy.admin.spreadsheet.chinese import in_chinese
from proxy.config import Config, parse
from tests.proxy.admin.roster_files import CASES, Case
from tests.proxy.admin.roster_programs import PROGRAMS


def config(*domains: str) -> Config:
    tables = "".join(f'[domain."{name}".legacy]\nhost = "127.0.0.1"\n' for name in domains)
    return parse(f'hostname = "mail.123.com"\n[listen]\nimap = ["tcp:143"]\n{tables}'.encode())


def spelled(entry: Entry) -> str:
    """Its parts, apart by spaces, without those that are empty at the end."""
    parts = (
        entry.name,
        entry.full_name,
        entry.department,
        "" if entry.quota is None else str(entry.quota),
        ",".join(f"{local}@{domain}" for local, domain in entry.aliases),
        entry.legacy_login,
        "" if entry.password is None else str(entry.password),
    )
    return " ".join(parts).rstrip()


@pytest.mark.parametrize("case", [*CASES, *PROGRAMS], ids=lambda case: case.name)
def test_corpus(case: Case) -> None:
    options = dict(case.options)
    settings = config(*options.pop("domains", ("123.com",)))
    if case.wrong:
        with pytest.raises(BadList) as caught:
            read(settings, case.data, **options)
        mistakes = [str(mistake) for mistake in caught.value.mistakes]
        assert len(mistakes) == len(case.wrong), mistakes
        for mistake, expected in zip(mistakes, case.wrong, strict=True):
            assert expected in mistake
        told = [mistake.text for mistake in caught.value.mistakes] + [*caught.value.understood]
        assert [text for text in told if in_chinese(text) is None] == []
        assert [m.place for m in caught.value.mistakes if m.place and in_chinese(m.place) is None] == []
        return
    listing = read(settings, case.data, **options)
    assert [spelled(entry) for entry in listing.entries.values()] == list(case.people)
    assert [text for text in listing.understood if in_chinese(text) is None] == []
    told = "\n".join(listing.understood)
    for text in case.says:
        assert text in told


def test_nothing_that_is_refused_tells_a_password() -> None:
    with pytest.raises(BadList) as caught:
        read(config("123.com"), "邮箱,密码\na@123.com,{SSHA}geheim\n,geheim\n".encode())
    assert "geheim" not in " ".join(map(str, caught.value.mistakes))
