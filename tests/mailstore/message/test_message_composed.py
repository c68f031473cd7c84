"""The walker finds every part of well-formed messages where the plan has put it, to the octet."""

from __future__ import annotations

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from mailstore.message.section import locate
from mailstore.message.walker import Part, find, walk
from tests.mailstore.message.composed import Plan, Where, composed, is_clean, plans

TEXT = Plan("text", b"", b"body")


def where(part: Part) -> Where:
    kind = "multipart" if part.parts else "message" if part.message is not None else "text"
    inside = [part.message] if part.message is not None else list(part.parts)
    return Where(kind, part.start, part.body, part.end, [where(each) for each in inside])


@given(plans(), st.sampled_from([b"\r\n", b"\n"]))
@example(Plan("multipart", parts=(TEXT, TEXT), boundary=b"ab", epilogue=b"--a\n"), b"\r\n")
@example(
    Plan("multipart", parts=(Plan("multipart", parts=(TEXT,), boundary=b"ab", closed=False),), boundary=b"a"), b"\n"
)
@example(Plan("multipart", parts=(Plan("text"), Plan("text")), boundary=b"--"), b"\r\n")
@settings(max_examples=400, deadline=None)
def test_every_part_is_where_it_was_put(plan: Plan, eol: bytes) -> None:
    assume(is_clean(plan))
    data, put = composed(plan, eol)
    root = walk(data)
    assert where(root) == put
    check_sections(data, root, put, ())


def check_sections(data: bytes, root: Part, put: Where, path: tuple[int, ...]) -> None:
    """What IMAP names by numbers (RFC 3501 6.4.5) is those octets, for every part."""
    if path:
        assert find(root, path) is not None
        body, mime = locate(root, path, ""), locate(root, path, "MIME")
        assert body is not None and mime is not None
        assert data[body.offset : body.offset + body.length] == data[put.body : put.end]
        if not (put.kind != "multipart" and path == (1,) and root.start == put.start):
            assert data[mime.offset : mime.offset + mime.length] == data[put.start : put.body]
    if put.kind == "multipart":
        for number, each in enumerate(put.inside, 1):
            check_sections(data, root, each, (*path, number))
    elif put.kind == "message":
        inner = put.inside[0]
        at = path or (1,)
        header, text = locate(root, at, "HEADER"), locate(root, at, "TEXT")
        assert header is not None and text is not None
        assert data[header.offset : header.offset + header.length] == data[inner.start : inner.body]
        assert data[text.offset : text.offset + text.length] == data[inner.body : inner.end]
        if inner.kind == "multipart":
            for number, each in enumerate(inner.inside, 1):
                check_sections(data, root, each, (*at, number))
