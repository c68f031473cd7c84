"""What the store keeps of messages: computed once, shared by copies, gone with the last of them; and text search."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text

from mailstore import kept, schema
from mailstore.errors import StorageFailed
from mailstore.index import contents, fulltext
from mailstore.index.folders import INBOX_ID
from mailstore.mailhome import MailHome
from mailstore.message.facts import Facts
from mailstore.message.text import fold
from tests.dialogues.fixtures import ATTACHMENT, GB18030
from tests.mailstore.store_rig import append, cur, files_alone, folder_id, open_home, rows
from tests.memory import in_memory

pytestmark = pytest.mark.usefixtures("either")  # wherever mailboxes are kept


def count(home: MailHome, table: str) -> int:
    with home._database.read() as connection:
        return connection.scalar(select(func.count()).select_from(schema.mailbox_metadata.tables[table])) or 0


def letter(text: str, subject: str = "a") -> bytes:
    return f"Subject: {subject}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}".encode()


def matching(home: MailHome, needle: str, *columns: str, folder: int = INBOX_ID) -> set[int]:
    found = home.kept.search(folder, fold(needle), columns or ("header", "body"))
    assert found is not None
    assert not found.unclear
    return set(found.matching)


def indexed(home: MailHome, folder: int = INBOX_ID) -> None:
    uids = [row.uid for row in home.rows(folder, range(1, 1000))]
    while missing := home.kept.unindexed(folder, uids):
        assert home.kept.index(folder, missing, 10) == len(missing)


# Facts


def test_facts_are_computed_once(home: MailHome, monkeypatch: pytest.MonkeyPatch) -> None:
    for data in (ATTACHMENT, GB18030):
        append(home, data)
    first = home.facts(INBOX_ID, [1, 2, 3])
    assert sorted(first) == [1, 2]
    monkeypatch.delattr(kept, "computed")
    again = home.facts(INBOX_ID, [1, 2, 3])
    assert {uid: (f.email_id, f.thread_id, f.envelope, f.structure, f.preview) for uid, f in first.items()} == {
        uid: (f.email_id, f.thread_id, f.envelope, f.structure, f.preview) for uid, f in again.items()
    }
    assert home.facts(INBOX_ID, []) == {}


def test_the_same_bytes_are_kept_once_and_as_long_as_a_message_has_them(home: MailHome) -> None:
    home.create("a")
    append(home, ATTACHMENT)
    append(home, ATTACHMENT)
    facts = home.facts(INBOX_ID, [1, 2])
    assert facts[1].email_id == facts[2].email_id
    home.copy(INBOX_ID, [1], "a")
    target = folder_id(home, "a")
    assert home.rows(target, [1])[0].content_id == home.rows(INBOX_ID, [1])[0].content_id
    assert home.facts(target, [1])[1].email_id == facts[1].email_id
    home.remove([1, 2])
    assert count(home, "contents") == 1
    home.delete("a")
    assert count(home, "contents") == 0


def test_what_cannot_be_read_is_left_out(home: MailHome) -> None:
    append(home, letter("one"))
    append(home, letter("two"))
    next(path for path in cur(home).iterdir() if rows(home)[0].file in path.name).unlink()
    assert sorted(home.facts(INBOX_ID, [1, 2])) == [2]
    assert home.kept.unindexed(INBOX_ID, [1, 2]) == [1, 2]
    assert home.kept.index(INBOX_ID, [1, 2], 10) == 2
    assert home.kept.unindexed(INBOX_ID, [1, 2]) == [1]


def test_a_database_that_takes_nothing_keeps_nobody_from_the_facts(
    home: MailHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise StorageFailed("full")

    append(home, ATTACHMENT)
    monkeypatch.setattr(contents, "keep", refused)
    assert home.facts(INBOX_ID, [1])[1].preview == "See the table."
    monkeypatch.undo()
    assert count(home, "contents") == 0
    assert home.facts(INBOX_ID, [1])[1].preview == "See the table."
    assert count(home, "contents") == 1


def test_facts_of_another_version_are_computed_again(home: MailHome) -> None:
    append(home, ATTACHMENT)
    home.facts(INBOX_ID, [1])
    with home._database.write() as connection:
        connection.execute(schema.contents.update().values(facts=b"older"))
    assert home.facts(INBOX_ID, [1])[1].preview == "See the table."
    with home._database.read() as connection:
        packed = connection.scalar(select(schema.contents.c.facts))
    assert packed is not None
    assert Facts.unpacked("", "", packed) is not None


def test_large_messages_may_be_left_out(home: MailHome) -> None:
    append(home, letter("x" * 5_000))
    assert home.kept.facts(INBOX_ID, [1], largest=4_000) == {}
    assert sorted(home.kept.facts(INBOX_ID, [1], largest=6_000)) == [1]
    assert sorted(home.kept.facts(INBOX_ID, [1], largest=4_000)) == [1]  # kept now


def test_when_a_message_came_into_its_folder(tmp_path: Path) -> None:
    now = 1_700_000_000
    home = open_home(tmp_path, clock=lambda: now)
    append(home, b"one")
    home.create("a")
    now += 100
    home.copy(INBOX_ID, [1], "a")
    assert home.rows(INBOX_ID, [1])[0].save_date == 1_700_000_000
    assert home.rows(folder_id(home, "a"), [1])[0].save_date == 1_700_000_100
    home.close()


def test_a_folder_keeps_its_object_id(home: MailHome) -> None:
    made = home.create("a")
    identity = home.object_id(made)
    home.rename("a", "b")
    assert [home.object_id(folder) for folder in home.folders()] == [home.object_id(home.folders()[0]), identity]
    home.delete("b")
    assert home.object_id(home.create("a")) != identity


# Text search


def test_needles_of_any_length_in_any_script(home: MailHome) -> None:
    append(home, letter("四季会议在星期五。", "=?gb2312?B?u+HS6c2o1qo=?="))
    append(home, letter("The Quick brown fox", "Straße"))
    append(home, GB18030)
    indexed(home)
    assert matching(home, "会议", "body") == {1, 3}
    assert matching(home, "会", "body") == {1, 3}
    assert matching(home, "五。", "body") == {1, 3}
    assert matching(home, "会议在", "body") == {1, 3}
    assert matching(home, "会议通知", "header") == {1}
    assert matching(home, "通知", "body") == set()
    assert matching(home, "STRASSE", "header") == {2}
    assert matching(home, "quick BROWN") == {2}
    assert matching(home, "x", "body") == {2}
    assert matching(home, 'qu"ick') == set()
    assert home.kept.search(INBOX_ID, "", ("body",)) is None
    assert home.kept.search(INBOX_ID, "a\0b", ("body",)) is None
    assert home.kept.search(INBOX_ID, "\ud800", ("body",)) is None


@files_alone
def test_what_is_expunged_is_found_no_more_and_leaves_the_index(home: MailHome) -> None:
    home.create("a")
    append(home, letter("needle one"))
    append(home, letter("needle two"))
    indexed(home)
    home.move(INBOX_ID, [2], "a")
    assert matching(home, "needle") == {1}
    assert matching(home, "needle", folder=folder_id(home, "a")) == {1}
    home.remove([1])
    assert matching(home, "needle") == set()
    append(home, letter("other"))
    indexed(home)
    assert count(home, "texts") == 2
    with home._database.read() as connection:
        documents = connection.exec_driver_sql("SELECT count(*) FROM fulltext_terms WHERE term = 'one'").scalar()
    assert documents == 0


def test_a_text_that_is_kept_in_part_is_never_ruled_out(home: MailHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fulltext, "TEXT_LIMIT", 100)
    append(home, letter("begin " + "x" * 200 + " end"))
    append(home, letter("begin"))
    assert home.kept.index(INBOX_ID, [1, 2], 10) == 2
    begin, end = (home.kept.search(INBOX_ID, needle, ("body",)) for needle in ("begin", "end"))
    assert begin == fulltext.Found(frozenset({1, 2}), frozenset())
    assert end == fulltext.Found(frozenset(), frozenset({1}))


def test_indexing_ends_in_time_and_goes_on(home: MailHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "PORTION", 2)
    for n in range(5):
        append(home, letter(f"text {n}"))
    assert home.kept.index(INBOX_ID, [1, 2, 3, 4, 5, 6], -1) == 2
    assert home.kept.index(INBOX_ID, [3, 4, 5, 6], -1) == 2
    assert home.kept.index(INBOX_ID, [5, 6], -1) == 2
    assert matching(home, "text") == {1, 2, 3, 4, 5}


TEXTS = st.text(st.sampled_from("ab 会议国\n.\"'*é\u0301ß\r"), max_size=12)


@given(st.lists(TEXTS, min_size=1, max_size=5), TEXTS.filter(bool))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_index_finds_what_looking_finds(bodies: list[str], needle: str) -> None:
    with tempfile.TemporaryDirectory(dir=in_memory()) as directory:
        home = open_home(Path(directory))
        for body in bodies:
            append(home, letter(body))
        indexed(home)
        wanted: Callable[[str], bool] = lambda body: fold(needle) in fold(body)  # noqa: E731
        assert matching(home, needle, "body") == {uid for uid, body in enumerate(bodies, 1) if wanted(body)}
        home.close()


@files_alone
@pytest.mark.parametrize(
    ("found", "key", "parameters"),
    [(fulltext._CONTAIN, "rowid", {"query": '"abc"'}), (fulltext._BEGIN, "doc", {"low": "a", "high": "b"})],
)
def test_candidates_are_looked_up_by_their_content(
    home: MailHome, found: str, key: str, parameters: dict[str, str]
) -> None:
    """And not by going through the folder for each: a search of 20,000 messages would take a minute."""
    query = fulltext._CANDIDATES.format(column="body", found=found, key=key)
    with home._database.write() as connection:
        fulltext.make(connection)
        plan = connection.execute(text("EXPLAIN QUERY PLAN " + query), {"a": 1, "f": 1} | parameters).all()
    assert any("messages_content (account_id=? AND content_id=?)" in row.detail for row in plan)
