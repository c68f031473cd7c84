"""LIST and LSUB on names alone."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from proxy.imap.listing import listed, subscribed

NAMES = ["INBOX", "Archive", "Archive/2023", "Archive/2023/May", "Sent", "INBOX/Old", "Lone/Child"]


def shown(pattern: str) -> dict[str, tuple[bytes, ...]]:
    return {line.name: line.attributes for line in listed(NAMES, pattern)}


def test_levels_and_attributes() -> None:
    assert shown("%") == {
        "INBOX": (b"\\HasChildren",),
        "Archive": (b"\\HasChildren",),
        "Lone": (b"\\Noselect", b"\\HasChildren"),
        "Sent": (b"\\HasNoChildren",),
    }
    assert next(iter(shown("*"))) == "INBOX"
    assert set(shown("Archive/%")) == {"Archive/2023"}
    assert set(shown("%/%")) == {"INBOX/Old", "Archive/2023", "Lone/Child"}
    assert set(shown("*/May")) == {"Archive/2023/May"}


def test_inbox_in_any_case() -> None:
    assert set(shown("inbox")) == {"INBOX"}
    assert set(shown("inBox/%")) == {"INBOX/Old"}
    assert not shown("archive")


def test_subscriptions_show_levels_only_for_a_final_percent() -> None:
    names = ["Archive/2023/May", "Gone"]
    assert [(line.name, line.attributes) for line in subscribed(names, NAMES, "%")] == [
        ("Archive", (b"\\Noselect",)),
        ("Gone", (b"\\Noselect",)),
    ]
    assert [line.name for line in subscribed(names, NAMES, "*")] == ["Archive/2023/May", "Gone"]
    assert [line.name for line in subscribed(names, NAMES, "Archive/%")] == ["Archive/2023"]


@given(st.text("ab/%*", max_size=12))
def test_any_pattern_is_answered(pattern: str) -> None:
    names = [line.name for line in listed(["INBOX", "a", "a/b", "ab/b/a"], pattern)]
    assert len(names) == len(set(names))


def test_no_pattern_is_slow() -> None:
    start = time.process_time()
    listed(["a" * 200 + "/" + "b" * 50], "*a%" * 300 + "c")
    assert time.process_time() - start < 1
