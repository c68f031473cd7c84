"""The tree that `walk` makes of well-formed and of nasty messages, octet by octet."""

from __future__ import annotations

import mmap
import resource
import tempfile
import time
from collections.abc import Callable
from typing import Any

import pytest

from mailstore.message import walker
from mailstore.message.parameters import OCTET_STREAM, TEXT_PLAIN
from mailstore.message.walker import Part, find, walk

MIXED = b"Content-Type: multipart/mixed; boundary=abc\r\n\r\n"


def tree(data: bytes, part: Part | None = None) -> Any:
    """(type, header, body) of a leaf, (type, header, [parts]) of a multipart, (type, header, {inside}) of a message."""
    part = part if part is not None else walk(data)
    kind = (part.content_type.type + b"/" + part.content_type.subtype).decode()
    header = data[part.start : part.body]
    assert part.header == header
    if part.message is not None:
        return kind, header, {"inside": tree(data, part.message)}
    if part.parts:
        return kind, header, [tree(data, each) for each in part.parts]
    return kind, header, data[part.body : part.end]


def leaf(body: bytes, header: bytes = b"\r\n", kind: str = "text/plain") -> Any:
    return kind, header, body


MESSAGES = {
    "nothing": (b"", leaf(b"", b"")),
    "one line end": (b"\r\n", leaf(b"")),
    "a header alone": (b"A: b\r\n", leaf(b"", b"A: b\r\n")),
    "a header without a line end": (b"A: b", leaf(b"", b"A: b")),
    "no blank line": (b"hello\r\nworld", leaf(b"", b"hello\r\nworld")),
    "a blank line first": (b"\r\nbody\r\n\r\nmore", leaf(b"body\r\n\r\nmore")),
    "a bare LF first": (b"\nbody", leaf(b"body", b"\n")),
    "bare LFs": (b"A: b\n\nbody\r\n\r\n", leaf(b"body\r\n\r\n", b"A: b\n\n")),
    "CRLF, then a bare LF": (b"A: b\r\n\nbody", leaf(b"body", b"A: b\r\n\n")),
    "LF, then CRLF": (b"A: b\n\r\nbody\n\n", leaf(b"body\n\n", b"A: b\n\r\n")),
    "NUL and 8-bit": (b"A: \0\xff\r\n\r\n\0\xfe", leaf(b"\0\xfe", b"A: \0\xff\r\n\r\n")),
    "bare CRs end nothing": (b"A: b\r\rbody", leaf(b"", b"A: b\r\rbody")),
    "two parts": (
        MIXED + b"preamble\r\n--abc\r\n\r\none\r\n--abc\r\nA: b\r\n\r\ntwo\r\n\r\n--abc--\r\nepilogue\r\n",
        ("multipart/mixed", MIXED, [leaf(b"one"), leaf(b"two\r\n", b"A: b\r\n\r\n")]),
    ),
    "a delimiter right behind the header, white space behind delimiters": (
        MIXED + b"--abc \t\r\n\r\none\r\n--abc-- \r\n",
        ("multipart/mixed", MIXED, [leaf(b"one")]),
    ),
    "bare LF delimiters": (
        b"Content-Type: multipart/mixed; boundary=abc\n\n--abc\n\none\n--abc\n\ntwo\r\n--abc--\n",
        (
            "multipart/mixed",
            b"Content-Type: multipart/mixed; boundary=abc\n\n",
            [leaf(b"one", b"\n"), leaf(b"two", b"\n")],
        ),
    ),
    "never closed": (
        MIXED + b"--abc\r\n\r\none\r\n--abc\r\n\r\ntwo\r\n",
        ("multipart/mixed", MIXED, [leaf(b"one"), leaf(b"two\r\n")]),
    ),
    "longer lines are no delimiters": (
        MIXED + b"--abcd\r\n--abc\r\n\r\none\r\n--abcd\r\n--abc-\r\n--ab\r\n --abc\r\n---abc\r\n--abc--",
        ("multipart/mixed", MIXED, [leaf(b"one\r\n--abcd\r\n--abc-\r\n--ab\r\n --abc\r\n---abc")]),
    ),
    "a list's footer behind the closing delimiter": (
        MIXED + b"--abc\r\n\r\none\r\n--abc--____\r\nlist\r\n--abc\r\nno part\r\n",
        ("multipart/mixed", MIXED, [leaf(b"one")]),
    ),
    "a boundary that ends in hyphens": (
        b"Content-Type: multipart/mixed; boundary=abc--\r\n\r\n--abc--\r\n\r\none\r\n--abc----\r\n",
        ("multipart/mixed", b"Content-Type: multipart/mixed; boundary=abc--\r\n\r\n", [leaf(b"one")]),
    ),
    "empty parts": (
        MIXED + b"--abc\r\n--abc\r\n\r\n--abc\r\n\r\n\r\n--abc\r\nA: b\r\n--abc\r\nA: b\r\n\r\n--abc--",
        (
            "multipart/mixed",
            MIXED,
            [leaf(b"", b""), leaf(b"", b""), leaf(b""), leaf(b"", b"A: b"), leaf(b"", b"A: b\r\n")],
        ),
    ),
    "a delimiter is the last thing": (
        MIXED + b"--abc\r\n\r\none\r\n--abc",
        ("multipart/mixed", MIXED, [leaf(b"one"), leaf(b"", b"")]),
    ),
    "no parts": (MIXED + b"text\r\n", leaf(b"text\r\n", MIXED)),
    "closed before it began": (MIXED + b"--abc--\r\n--abc\r\n\r\nx", leaf(b"--abc--\r\n--abc\r\n\r\nx", MIXED)),
    "no boundary": (
        b"Content-Type: multipart/mixed\r\n\r\n--\r\n\r\nx\r\n",
        leaf(b"--\r\n\r\nx\r\n", b"Content-Type: multipart/mixed\r\n\r\n"),
    ),
    "an empty boundary": (
        b'Content-Type: multipart/mixed; boundary=""\r\n\r\n--\r\n\r\nx\r\n',
        leaf(b"--\r\n\r\nx\r\n", b'Content-Type: multipart/mixed; boundary=""\r\n\r\n'),
    ),
    "a boundary too long for any line": (
        b"Content-Type: multipart/mixed; boundary=" + b"a" * 999 + b"\r\n\r\n--" + b"a" * 999 + b"\r\n\r\nx",
        leaf(
            b"--" + b"a" * 999 + b"\r\n\r\nx",
            b"Content-Type: multipart/mixed; boundary=" + b"a" * 999 + b"\r\n\r\n",
        ),
    ),
    "a boundary in sections": (
        b"Content-Type: multipart/mixed; boundary*0=ab;\r\n boundary*1*=%63\r\n\r\n--abc\r\n\r\nx\r\n--abc--",
        (
            "multipart/mixed",
            b"Content-Type: multipart/mixed; boundary*0=ab;\r\n boundary*1*=%63\r\n\r\n",
            [leaf(b"x")],
        ),
    ),
    "malformed type": (
        b"Content-Type: image\r\n\r\nx",
        leaf(b"x", b"Content-Type: image\r\n\r\n"),
    ),
    "the first Content-Type counts": (
        b"Content-Type: image/png\r\nContent-Type: text/html\r\n\r\nx",
        leaf(b"x", b"Content-Type: image/png\r\nContent-Type: text/html\r\n\r\n", "image/png"),
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_message(name: str) -> None:
    data, expected = MESSAGES[name]
    assert tree(data) == expected


NESTED = (
    b"Content-Type: multipart/mixed; boundary=a\r\n\r\n"
    b"--a\r\nContent-Type: multipart/alternative; boundary=ab\r\n\r\n"
    b"--ab\r\n\r\nplain\r\n--ab\r\nContent-Type: text/html\r\n\r\n<p>\r\n--ab--\r\nepilogue\r\n"
    b"--a\r\nContent-Type: message/rfc822\r\n\r\n"
    b"Subject: inside\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nfirst\r\n--b--\r\n"
    b"--a\r\nContent-Type: Image/PNG\r\n\r\npng\r\n--a--\r\n"
)


def test_nested() -> None:
    assert tree(NESTED) == (
        "multipart/mixed",
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n",
        [
            (
                "multipart/alternative",
                b"Content-Type: multipart/alternative; boundary=ab\r\n\r\n",
                [leaf(b"plain"), leaf(b"<p>", b"Content-Type: text/html\r\n\r\n", "text/html")],
            ),
            (
                "message/rfc822",
                b"Content-Type: message/rfc822\r\n\r\n",
                {
                    "inside": (
                        "multipart/mixed",
                        b"Subject: inside\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
                        [leaf(b"first")],
                    )
                },
            ),
            leaf(b"png", b"Content-Type: Image/PNG\r\n\r\n", "image/png"),
        ],
    )


def test_offsets_and_lines() -> None:
    data = MIXED + b"--abc\r\n\r\none\r\ntwo\r\nend\r\n--abc\r\nContent-Type: a/b\r\n\r\nx\r\ny\r\n--abc--\r\n"
    root = walk(data)
    one, two = root.parts
    assert (root.start, root.body, root.end, root.lines, root.boundary) == (0, 47, len(data), 0, b"abc")
    assert (one.start, one.body, one.end, one.lines) == (54, 56, 69, 2)
    assert (two.start, two.body, two.end, two.lines) == (78, 99, 103, 0)
    assert two.boundary is None


def test_lines_of_messages_inside_messages() -> None:
    data = b"Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\n\nA: b\r\n\r\n1\r\n2\r\n3"
    root = walk(data)
    assert root.message is not None
    assert root.message.message is not None
    assert (root.lines, root.message.lines, root.message.message.lines) == (6, 4, 2)


def test_an_unclosed_multipart_ends_with_its_parent() -> None:
    data = (
        MIXED + b"--abc\r\nContent-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\n\r\nx\r\n--abc\r\n\r\ny\r\n--abc--"
    )
    inner, last = walk(data).parts
    assert data[inner.parts[0].body : inner.parts[0].end] == b"x"
    assert inner.end == inner.parts[0].end
    assert data[last.body : last.end] == b"y"


def test_the_innermost_of_two_equal_boundaries_has_the_delimiter() -> None:
    data = (
        MIXED + b"--abc\r\n" + MIXED + b"--abc\r\n\r\nx\r\n--abc--\r\n--abc\r\n\r\ny\r\n--abc--\r\n--abc\r\n\r\nno part"
    )
    assert tree(data) == (
        "multipart/mixed",
        MIXED,
        [("multipart/mixed", MIXED, [leaf(b"x")]), leaf(b"y")],
    )


def test_a_header_cut_off_by_a_delimiter_opens_nothing() -> None:
    data = MIXED + b"--abc\r\nContent-Type: multipart/mixed; boundary=in\r\n--abc\r\n\r\n--in\r\n\r\nx\r\n--abc--"
    first, second = walk(data).parts
    assert (first.content_type.type, first.parts, first.body) == (b"text", (), first.end)
    assert data[second.body : second.end] == b"--in\r\n\r\nx"


def test_a_message_without_content_has_an_empty_one_inside() -> None:
    for body in (b"--abc\r\nContent-Type: message/rfc822", b"--abc\r\nContent-Type: message/rfc822\r\n\r\n"):
        data = MIXED + body + b"\r\n--abc--"
        (part,) = walk(data).parts
        assert part.message is not None
        assert part.message.start == part.message.end == part.end == part.body
        assert part.lines == 0


def test_a_digest_holds_messages() -> None:
    data = (
        b"Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nFrom: a@b\r\n\r\nhi\r\n"
        b"--d\r\nContent-Type: text/plain\r\n\r\nyo\r\n--d\r\nContent-Type: /\r\n\r\nmalformed\r\n--d--"
    )
    message, text, malformed = walk(data).parts
    assert message.message is not None
    assert message.message.header == b"From: a@b\r\n\r\n"
    assert (text.message, text.content_type.type, malformed.content_type.type) == (None, b"text", b"text")


def nested_multiparts(depth: int) -> bytes:
    opening = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (at, at) for at in range(depth)
    )
    return opening + b"\r\ninnermost\r\n" + b"".join(b"--b%d--\r\n" % at for at in range(depth - 1, -1, -1))


@pytest.mark.parametrize("nest", [nested_multiparts, lambda depth: b"Content-Type: message/rfc822\r\n\r\n" * depth])
def test_deep_nesting(nest: Any) -> None:
    data = nest(5_000)
    part = walk(data)
    depth = 0
    while part.parts or part.message is not None:
        part = part.parts[0] if part.parts else part.message  # type: ignore[assignment]
        depth += 1
    assert depth == walker.MAX_DEPTH
    assert part.content_type == OCTET_STREAM


def test_just_as_deep_as_may_be() -> None:
    part = walk(nested_multiparts(100))
    while part.parts:
        part = part.parts[0]
    assert part.content_type == TEXT_PLAIN


def count(part: Part) -> int:
    inside = (*part.parts, part.message) if part.message is not None else part.parts
    return 1 + sum(count(each) for each in inside)


def test_ten_thousand_parts() -> None:
    data = MIXED + b"--abc\r\n\r\nx\r\n" * 12_000 + b"--abc--\r\n"
    root = walk(data)
    assert count(root) == walker.MAX_PARTS
    last = root.parts[-1]
    assert last.end == root.end == len(data)
    assert data[last.body : last.end].startswith(b"x\r\n--abc\r\n")


def test_messages_count_as_parts() -> None:
    data = MIXED + b"--abc\r\nContent-Type: message/rfc822\r\n\r\n\r\nx\r\n" * 6_000 + b"--abc--\r\n"
    root = walk(data)
    assert count(root) <= walker.MAX_PARTS
    assert root.parts[-1].message is None


HOSTILE: dict[str, Callable[[int], bytes]] = {
    "headers that never end": lambda n: MIXED + b"--abc\r\nA: b\r\n" * n,
    "headers that end at the end": lambda n: MIXED + b"--abc\r\nA: b\r\n" * n + b"\n\n",
    "lines like delimiters": lambda n: nested_multiparts(90)[:-900] + b"\r\n--b89\x01" * n,
    "hyphens": lambda n: nested_multiparts(90)[:-900] + b"\n" + b"-" * n * 10,
    "rows of hyphens": lambda n: nested_multiparts(90)[:-900] + (b"\n" + b"-" * 900) * (n // 90),
    "messages inside messages": lambda n: b"Content-Type: message/rfc822\n\n" * 99 + b"\n" * n * 10,
    "blank lines": lambda n: MIXED + b"\n\r\n" * n * 3,
    "spaces in the type": lambda n: b"Content-Type: text/plain" + b" " * n * 10 + b"x",
    "quotes in the type": lambda n: b"Content-Type: text/plain; " + b'"' * n * 10,
    "backslashes in the type": lambda n: b'Content-Type: text/plain; a="' + b'\\"' * n * 5,
    "many parameters": lambda n: b"Content-Type: text/plain" + b"; a*0=b" * n,
    "equals signs in the type": lambda n: b"Content-Type: text/plain; " + b"a=" * n * 5,
    "many Content-Type fields": lambda n: b"Content-Type : x\n" * n,
    "nearly Content-Type": lambda n: b"Content-Type " * n,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_is_linear(name: str) -> None:
    """Eight times the input takes about eight times as long; quadratic would be 64 times."""

    def took(data: bytes) -> float:
        best = 1.0e9
        for _ in range(3):
            began = time.process_time()
            walk(data)
            best = min(best, time.process_time() - began)
        return best

    make = HOSTILE[name]
    small, large = took(make(2_000)), took(make(16_000))
    assert large < 24 * small + 0.01


def test_headers_are_copied_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walker, "HEADER_LIMIT", 100)
    monkeypatch.setattr(walker, "HEADERS_LIMIT", 250)
    field = b"X: " + b"x" * 85 + b"\r\n\r\n"  # 92 octets
    data = MIXED + (b"--abc\r\n" + field) * 4 + b"--abc\r\nX: " + b"y" * 200
    root = walk(data)
    assert [len(part.header) for part in root.parts] == [90, 90, 250 - 47 - 92 * 2, 0, 0]
    assert [part.body - part.start for part in root.parts] == [90, 90, 90, 90, 203]
    assert len(walk(b"X: " + b"y" * 200).header) == 100


def mapped(data: bytes) -> mmap.mmap:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return mmap.mmap(file.fileno(), len(data), access=mmap.ACCESS_READ)


@pytest.mark.parametrize("name", MESSAGES)
def test_a_large_mapping_gives_the_same_tree(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With steps so small that everything straddles one."""
    data = MESSAGES[name][0]
    if not data:
        return  # nothing to map
    monkeypatch.setattr("mailstore.message.octets.MAPPED", 0)
    monkeypatch.setattr("mailstore.message.octets._give_back", lambda data, start, end: None)
    for step in (1, 2, 3, 7, 64):
        monkeypatch.setattr("mailstore.message.octets.STEP", step)
        with mapped(data) as mapping:
            assert walk(mapping) == walk(data)


def test_a_large_mapping_costs_little_memory() -> None:
    part = b"--abc\r\nContent-Type: text/plain\r\n\r\n" + b"x" * 76 + b"\r\n"
    body = b"--abc\r\nContent-Type: message/rfc822\r\n\r\nA: b\r\n\r\n" + (b"y" * 76 + b"\r\n") * 100_000
    with tempfile.TemporaryFile() as file:
        file.write(MIXED + part)
        for _ in range(5):
            file.write(body + b"\r\n")
        file.write(part + b"--abc--\r\n")
        file.flush()
        size = file.tell()
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as mapping:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            root = walk(mapping)
            added = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert size > 35 * 1024 * 1024
    assert [each.lines for each in root.parts] == [0, *[100_002] * 5, 0]
    assert added < 8 * 1024  # kibibytes


def test_a_tree_does_not_keep_a_mapping() -> None:
    mapping = mapped(NESTED + b"x" * 5 * 1024 * 1024)
    root = walk(mapping)
    mapping.close()  # raises BufferError while something points into it
    assert root.parts[0].header.startswith(b"Content-Type")


def test_find_numbers_parts_as_rfc_3501_6_4_5() -> None:
    root = walk(NESTED)
    message = root.parts[1].message
    assert message is not None
    assert find(root, ()) is root
    assert find(root, (1,)) is root.parts[0]
    assert find(root, (1, 2)) is root.parts[0].parts[1]
    assert find(root, (2,)) is root.parts[1]
    assert find(root, (2, 1)) is message.parts[0]
    assert find(root, (3,)) is root.parts[2]
    for path in ((0,), (4,), (-1,), (1, 3), (1, 1, 1), (2, 2), (2, 1, 1), (3, 1)):
        assert find(root, path) is None


def test_find_in_what_is_no_multipart() -> None:
    plain = walk(b"A: b\r\n\r\nx")
    assert find(plain, (1,)) is plain
    assert find(plain, (2,)) is None
    assert find(plain, (1, 1)) is None
    message = walk(b"Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\nx")
    assert find(message, (1,)) is message
    assert find(message, (1, 1)) is message.message
    assert find(message, (1, 1, 1)) is None
    assert find(message, (2,)) is None
