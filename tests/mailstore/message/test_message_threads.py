"""Base subjects and threads (RFC 5256): tables, and what holds for whatever mail there is."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstore.message.collation import collation_key
from mailstore.message.subject import base_subject
from mailstore.message.threads import Thread, Threaded, by_references, message_ids, ordered_subject


@pytest.mark.parametrize(
    ("subject", "base", "reply"),
    [
        ("", "", False),
        ("Figures", "Figures", False),
        ("  Figures \t here  ", "Figures here", False),
        ("Re: Figures", "Figures", True),
        ("RE:Figures", "Figures", True),
        ("re : Fw: FWD: Figures", "Figures", True),
        ("Figures (fwd)", "Figures", True),
        ("Figures (FWD)  (fwd)", "Figures", True),
        ("(fwd)", "", True),
        ("[list] Figures", "Figures", False),
        ("[list] Re: [list] [more] Figures", "Figures", True),
        ("Re[2]: Figures", "Figures", True),
        ("Re [2] : Figures", "Figures", True),
        ("[list]", "[list]", False),
        ("[one] [two]", "[two]", False),
        ("Re: [list]", "[list]", True),
        ("[Fwd: Figures]", "Figures", True),
        ("[Fwd: Re: [list] Figures (fwd)]", "Figures", True),
        ("[fwd: [fwd: [fwd: deep]]]", "deep", True),
        ("[fwd: figures] and more", "and more", False),
        ("[fwd:]", "", True),
        ("[a] [fwd: [b] c]", "c", True),
        ("Reply: no mark", "Reply: no mark", False),
        ("Re", "Re", False),
        ("Re:", "", True),
        ("[unclosed Re: x", "[unclosed Re: x", False),
        ("回复: 四季会议", "回复: 四季会议", False),
        ("Re: 四季会议", "四季会议", True),
    ],
)
def test_base_subjects(subject: str, base: str, reply: bool) -> None:
    found = base_subject(subject)
    assert (found.text, found.reply) == (base, reply)


pieces = st.lists(st.sampled_from(["Re:", "fwd:", "[a]", "[", "]", "(fwd)", "[fwd:", " ", "\t", "x", "re", "[2]", ":"]))


@given(pieces.map("".join))
def test_a_base_subject_is_its_own_base(subject: str) -> None:
    found = base_subject(subject)
    assert found.text == found.text.strip(" ")
    again = base_subject(found.text)
    assert again.text == found.text
    assert not again.reply


@pytest.mark.parametrize("piece", ["[a]", "[fwd:", "Re: ", "(fwd)", "[", "]", "re [", "Re[2]:"])
def test_long_subjects_take_linear_time(piece: str) -> None:
    started = time.process_time()
    base_subject(piece * 100_000)
    base_subject("[fwd:" * 50_000 + "]" * 50_000)
    assert time.process_time() - started < 3


def test_collation_disregards_case_and_keeps_the_order_of_titles() -> None:
    assert collation_key("straße") == collation_key("STRAßE")
    assert collation_key("äpfel") == collation_key("ÄPFEL")
    assert sorted(["b", "_", "A"], key=collation_key) == ["A", "b", "_"]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"<a@b>", (b"a@b",)),
        (b' <"a"@b>\r\n\t<c@d>', (b"a@b", b"c@d")),
        (b'<"a\\"<>b"@c>', (b'a"<>b@c',)),
        (b"a@b", ()),
        (b"<ab>", ()),
        (b"<a@b <c@d>", (b"c@d",)),
        (b"Your message of <when@ever> and (<else@where>)", (b"when@ever", b"else@where")),
    ],
)
def test_message_ids(value: bytes, found: tuple[bytes, ...]) -> None:
    assert message_ids(value) == found


@pytest.mark.parametrize("piece", [b"<", b'<"', b'<"\\"', b'<""', b"<a", b'"<'])
def test_message_ids_of_anything_take_linear_time(piece: bytes) -> None:
    started = time.process_time()
    message_ids(piece * 200_000)
    assert time.process_time() - started < 5


# --- Threads ---


def said(number: int, ident: str = "", refers: str = "", subject: str = "", sent: int | None = None) -> Threaded:
    base = base_subject(subject)
    return Threaded(
        number,
        number if sent is None else sent,
        collation_key(base.text),
        base.reply,
        ident.encode() or None,
        tuple(refers.encode().split()),
    )


def shape(threads: list[Thread]) -> str:
    return " ".join(
        "("
        + (str(each.message.number) if each.message else "-")
        + (" " + shape(each.children) if each.children else "")
        + ")"
        for each in threads
    )


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([], ""),
        ([said(1, "a"), said(2, "b", "a"), said(3, "c", "a b")], "(1 (2 (3)))"),
        ([said(3, "c", "a b"), said(2, "b", "a"), said(1, "a")], "(1 (2 (3)))"),
        ([said(2, "b", "gone"), said(3, "c", "gone")], "(- (2) (3))"),
        ([said(2, "b", "gone")], "(2)"),
        ([said(1, "a"), said(2, "b", "a gone"), said(3, "c", "a gone")], "(1 (2) (3))"),
        ([said(1, "a", "b"), said(2, "b", "a")], "(2 (1))"),  # a loop: who comes first decides
        ([said(1, "a", "a")], "(1)"),
        ([said(1, "a"), said(2, "a"), said(3, "c", "a")], "(1 (3)) (2)"),  # two of one ID
        ([said(1, "a"), said(2, "b"), said(3, "c", "b"), said(4, "d", "a c")], "(1) (2 (3 (4)))"),
        ([said(1, "a", sent=9), said(2, "b", sent=5)], "(2) (1)"),
        # by subject: an answer without references; two originals; two answers whose original is not here
        ([said(1, "a", subject="x"), said(2, "b", subject="Re: x")], "(1 (2))"),
        ([said(1, "b", subject="Re: x"), said(2, "a", subject="X")], "(2 (1))"),
        ([said(1, "a", subject="x"), said(2, "b", subject="x")], "(- (1) (2))"),
        (
            [said(1, "a", subject="Re: x"), said(2, "b", subject="re: x"), said(3, "c", subject="x (fwd)")],
            "(- (1) (2) (3))",
        ),
        ([said(1, "a"), said(2, "b")], "(1) (2)"),  # no subject is no bond
        ([said(1, "a", "g", "x"), said(2, "b", "g", "y"), said(3, "c", "", "Re: x")], "(- (1) (2) (3))"),
        (
            [said(1, "a", "g", "x"), said(2, "b", "g", "y"), said(3, "c", "h", "x"), said(4, "d", "h", "z")],
            "(- (1) (2) (3) (4))",
        ),
    ],
)
def test_threads_by_references(messages: list[Threaded], expected: str) -> None:
    assert shape(by_references(messages)) == expected


def test_ordered_subject() -> None:
    messages = [said(1, subject="b", sent=3), said(2, subject="a", sent=9), said(3, subject="Re: B", sent=1)]
    assert shape(ordered_subject([*messages, said(4, subject="re: b", sent=2)])) == "(3 (4) (1)) (2)"


def numbers(threads: list[Thread]) -> list[int]:
    found, todo = [], list(threads)
    while todo:
        at = todo.pop()
        if at.message is not None:
            found.append(at.message.number)
        todo.extend(at.children)
    return found


names = st.sampled_from("abcdefg")
mail = st.lists(
    st.tuples(
        names, st.lists(names, max_size=4).map(" ".join), st.sampled_from(["", "x", "Re: x", "y"]), st.integers(0, 5)
    )
).map(lambda rows: [said(number, *row) for number, row in enumerate(rows, 1)])


@given(mail)
def test_every_message_is_in_one_place(messages: list[Threaded]) -> None:
    for threads in (by_references(messages), ordered_subject(messages)):
        assert sorted(numbers(threads)) == [message.number for message in messages]
        assert all(thread.message is not None or len(thread.children) > 1 for thread in threads)
        todo = list(threads)
        while todo:
            at = todo.pop()
            assert all(child.message is not None for child in at.children)
            moments = [(child.message.sent, child.message.number) for child in at.children if child.message]
            assert moments == sorted(moments) or at.message is not None or at in threads
            todo.extend(at.children)


@pytest.mark.parametrize("order", ["ascending", "descending", "shuffled", "quarrelling"])
def test_a_conversation_as_deep_as_the_mailbox(order: str) -> None:
    count = 8_000 if order == "quarrelling" else 20_000
    messages = [said(n, f"m{n}", f"m{n - 1}" if n > 1 else "", "Re: x") for n in range(1, count + 1)]
    if order == "descending":
        messages.reverse()
    elif order == "shuffled":
        random.Random(1).shuffle(messages)
    elif order == "quarrelling":  # every message is said to answer one, and then says otherwise
        messages += [said(count + n, f"q{n}", f"m{count} q{n} r{n} m{n}") for n in range(1, count + 1)]
        messages += [said(2 * count + n, f"r{n}", f"m{count - 1}") for n in range(1, count + 1)]
    started = time.process_time()
    threads = by_references(messages)
    assert time.process_time() - started < 10
    assert len(numbers(threads)) == len(messages)
    if order != "quarrelling":
        assert len(threads) == 1
