"""What was there at earlier looks."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.admin.dns.records import Answer, Key
from proxy.admin.dns.remembered import KEPT, Episode, Memory, load, noted, save

KEY = Key("mail.123.com", "address")
OLD, NEW = Answer(frozenset({"203.0.113.7"}), 3600), Answer(frozenset({"203.0.113.9"}), 300)
DEAD = Answer(trouble="does not answer")


def look(memory: Memory, now: int, *answers: Answer) -> dict[Key, tuple[Episode, ...]]:
    return noted(memory, {KEY: answers}, now)


def test_a_change_is_an_end_and_a_beginning() -> None:
    memory = look(look(look({}, 100, OLD), 200, OLD), 300, NEW)
    assert memory[KEY] == (
        Episode(OLD.content, 3600, 100, 200, gone=300),
        Episode(NEW.content, 300, 300, 300),
    )
    assert memory[KEY][0].cached_until == 3900


def test_it_is_not_gone_while_one_server_has_it() -> None:
    memory = look(look({}, 100, OLD, OLD), 200, NEW, OLD)
    assert [episode.gone for episode in memory[KEY]] == [None, None]


def test_what_comes_back_is_there_again() -> None:
    memory = look(look(look({}, 100, OLD), 200, NEW), 300, OLD)
    assert [(episode.first, episode.last, episode.gone) for episode in memory[KEY]] == [
        (100, 300, None),
        (200, 200, 300),
    ]


def test_where_nobody_answers_nothing_is_known_to_be_gone() -> None:
    before = look({}, 100, OLD)
    assert look(before, 200, DEAD) == before
    assert look(before, 200) == before


def test_what_is_long_gone_is_forgotten() -> None:
    memory = look(look({}, 100, OLD), 200, NEW)
    assert len(look(memory, 200 + KEPT, NEW)[KEY]) == 2
    assert len(look(memory, 201 + KEPT, NEW)[KEY]) == 1


def test_a_lowered_ttl_is_a_change() -> None:
    memory = look(look({}, 100, OLD), 200, Answer(OLD.content, 300))
    assert [(episode.ttl, episode.gone) for episode in memory[KEY]] == [(3600, 200), (300, None)]


def test_it_is_kept_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "dns" / "123.com.json"
    memory = look(look({}, 100, OLD), 200, NEW)
    save(file, memory)
    assert load(file) == memory
    assert [path.name for path in file.parent.iterdir()] == ["123.com.json"]
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_nothing_is_made_where_the_state_directory_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        save(tmp_path / "state" / "dns" / "123.com.json", {})
    assert list(tmp_path.iterdir()) == []
    assert load(tmp_path / "state" / "dns" / "123.com.json") == {}


@pytest.mark.parametrize(
    "octets",
    [
        *(b"", b"{", b"[]", b"{}", b'{"version": 2, "records": 5}', b'{"version": 1, "records": [7]}', b"\xff\xfe\0"),
        b'{"version": 1, "records": [{"name": "x", "type": "MX", '
        b'"episodes": [{"content": [], "ttl": "long", "first": 1, "last": 1, "gone": 1}]}]}',
    ],
)
def test_a_file_that_is_none_is_as_good_as_none(tmp_path: Path, octets: bytes) -> None:
    (tmp_path / "x.json").write_bytes(octets)
    assert load(tmp_path / "x.json") == {}


@given(st.lists(st.lists(st.sampled_from([OLD, NEW, DEAD, Answer(ttl=60)]), max_size=3), min_size=1, max_size=12))
def test_what_is_there_now_is_always_known(looks: list[list[Answer]]) -> None:
    memory: dict[Key, tuple[Episode, ...]] = {}
    for now, answers in enumerate(looks):
        memory = look(memory, now, *answers)
        current = {(a.content, a.ttl) for a in answers if not a.trouble}
        if current:
            assert {(e.content, e.ttl) for e in memory[KEY] if e.gone is None} == current
