"""Reports that are kept in the state directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.admin.filing import NotFiled
from proxy.admin.reports import KEPT, Reports

AT = 1_795_717_800.0  # 2026-11-26 18:30:00 UTC


def test_a_report_has_one_name_in_all_its_forms(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    made = reports.keep("123.com", "final", AT, {".txt": ["a line\n", "and one more\n"], ".json": ["{}"]})
    assert (made.name, made.kind, made.made, made.forms) == (
        "final-20261126T183000Z",
        "final",
        int(AT),
        (".txt", ".json"),
    )
    assert reports.of("123.com") == [made]
    path = reports.path("123.com", f"{made.name}.txt")
    assert path is not None
    assert path.read_text() == "a line\nand one more\n"
    assert path.parent.stat().st_mode & 0o077 == 0
    assert reports.of("124.com") == []


def test_two_of_the_same_second(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    names = [reports.keep("123.com", "final", AT, {".txt": [str(n)]}).name for n in range(3)]
    assert names == [f"final-20261126T183000Z{more}" for more in ("", "-2", "-3")]
    assert len(reports.of("123.com")) == 3


def test_those_of_accounts_are_told_apart_and_do_not_push_out_the_domains(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    whole = reports.keep("123.com", "verify", AT - 5000, {".txt": [""]})
    for number in range(KEPT + 5):
        reports.keep("123.com", "verify", AT + number, {".txt": [""]}, account=17)
    kept = reports.of("123.com")
    assert (kept[-1], whole.account, len(kept)) == (whole, None, KEPT + 1)
    assert (kept[0].name, kept[0].account) == (f"verify-17-20261126T1830{KEPT + 4}Z", 17)
    assert reports.path("123.com", f"{kept[0].name}.txt") is not None


def test_a_report_that_fails_in_one_form_is_kept_in_none(tmp_path: Path) -> None:
    def broken() -> Iterator[str]:
        yield "a"
        raise OSError("the disk is full")

    reports = Reports(tmp_path)
    with pytest.raises(OSError, match="the disk is full"):
        reports.keep("123.com", "verify", AT, {".txt": ["a"], ".csv": broken()})
    assert list((tmp_path / "reports" / "123.com").iterdir()) == []


def test_the_final_ones_stay(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    final = reports.keep("123.com", "final", AT - 5000, {".txt": [""]})
    for number in range(KEPT + 5):
        reports.keep("123.com", "verify", AT + number, {".txt": [""], ".csv": [""]})
    kept = reports.of("123.com")
    assert len(kept) == KEPT + 1
    assert kept[-1] == final
    assert [report.made for report in kept[:2]] == [int(AT) + KEPT + 4, int(AT) + KEPT + 3]
    assert len(list((tmp_path / "reports" / "123.com").iterdir())) == KEPT * 2 + 1


@pytest.mark.parametrize(
    "file",
    [
        "final-20261126T183000Z",
        "final-20261126T183000Z.txt/",
        "final-20261126T183000Z.exe",
        "../123.com/final-20261126T183000Z.txt",
        "accounts.db",
        "final-20261126T183001Z.txt",
        "final-20261126T183000Z.txt\n",
        "",
        ".txt",
    ],
)
def test_no_other_file_is_given_away(tmp_path: Path, file: str) -> None:
    reports = Reports(tmp_path)
    reports.keep("123.com", "final", AT, {".txt": [""]})
    assert reports.path("123.com", file) is None


def test_what_others_put_there_is_no_report(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    made = reports.keep("123.com", "final", AT, {".txt": [""]})
    (tmp_path / "reports" / "123.com" / "notes.txt").touch()
    (tmp_path / "reports" / "123.com" / "final-20269999T183000Z.txt").touch()
    assert reports.of("123.com") == [made]


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "reports").touch()
    with pytest.raises((NotFiled, OSError)):
        Reports(tmp_path).keep("123.com", "final", AT, {".txt": [""]})
