"""Forms with files: what is read of them, and what is refused."""

from __future__ import annotations

import io
from collections.abc import Mapping
from types import SimpleNamespace
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, maybeDeferred

from proxy.web.uploads import PARTS, read_upload
from proxy.web.visit import Refused

KIND = "multipart/form-data; boundary=edge"


def part(name: str, data: bytes, file: str = "") -> bytes:
    called = f'; filename="{file}"' if file else ""
    return f'--edge\r\nContent-Disposition: form-data; name="{name}"{called}\r\n\r\n'.encode() + data + b"\r\n"


def read(body: bytes, kind: str = KIND) -> tuple[Any, Mapping[str, IO[bytes]]]:
    """The visit and its files, which are there until `visit.finished` fires."""
    finished: Deferred[None] = Deferred()
    visit: Any = SimpleNamespace(
        header=lambda _name: kind,
        request=SimpleNamespace(content=io.BytesIO(body), notifyFinish=lambda: finished),
        finished=finished,
        web=SimpleNamespace(in_thread=maybeDeferred),
        form={},
    )
    results: list[Any] = []
    Deferred.fromCoroutine(read_upload(visit)).addBoth(results.append)
    (result,) = results
    if not isinstance(result, Mapping):
        finished.callback(None)
        result.raiseException()
    return visit, result


def test_fields_and_files() -> None:
    large = bytes(range(256)) * 8_192
    body = part("csrf", b"token") + part("file", large, "../人员.xlsx") + part("pick", b"a") + part("pick", b"b")
    visit, files = read(body + b"--edge--\r\n")
    assert (visit.form["csrf"], visit.lists["pick"]) == ("token", ["a", "b"])
    assert files["file"].read() == large
    assert files["file"]._rolled  # type: ignore[attr-defined] # it is on disk
    visit.finished.callback(None)
    assert files["file"].closed


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"csrf=token", "application/x-www-form-urlencoded", 415),
        (b"csrf=token", "", 415),
        (part("a", b"b"), "multipart/form-data", 400),
        (b"no parts at all", KIND, 400),
        (part("a", b"b"), KIND, 400),
        (part("a", b"b") * (PARTS + 1) + b"--edge--\r\n", KIND, 400),
        (part("a", b"x" * 1_100_000) + b"--edge--\r\n", KIND, 400),
    ],
)
def test_what_is_refused(body: bytes, kind: str, status: int) -> None:
    with pytest.raises(Refused) as refused:
        read(body, kind)
    assert refused.value.status in {status, 413}


@given(st.binary(max_size=300), st.booleans())
def test_anything_is_read_or_refused(data: bytes, framed: bool) -> None:
    try:
        read(part("a", data) + b"--edge--\r\n" if framed else data)
    except Refused as refused:
        assert refused.status == 400
