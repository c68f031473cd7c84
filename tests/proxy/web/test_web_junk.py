"""Whatever is typed into whichever form of the console: a clear answer, nothing half done, and no defect in the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import quote, urlsplit

import pytest

from tests.browser.administrators import administrator, enrol
from tests.browser.company import Company
from tests.browser.crawler import Form, crawl, read, shape
from tests.browser.visitor import Answer, Visitor

MARKUP = '"><script>alert(1)</script>'
JUNK = (
    "",
    MARKUP,
    "=cmd|' /C calc'!A0",
    "../../../../etc/passwd",
    "\0\x07\r\nSet-Cookie: a=b\r\n",
    "李\u202e🦊\ud800",
    "-1",
    "9" * 400,
    "x" * 100_000,
)
# Nobody is logged in any more behind it.
LEFT_OUT = ("/console/logout",)
ALLOWED = {200, 303, 400, 403, 404, 409, 413, 415, 422, 429, 503}


@pytest.fixture(scope="module")
def doomed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """A company to which all of it may be done."""
    made = Company(
        tmp_path_factory.mktemp("doomed"),
        encrypted=False,
        notices='sender = "it@123.com"\nrelay = "127.0.0.1:9"',
    )
    made.start()
    named = {"full_name": MARKUP, "department": f"{MARKUP}/=1+1", "reason": MARKUP}
    with_moved = [{"local": f"m{n}", "state": "moved", "refreshed": 1, **named} for n in range(3)]
    enrol(made, [{"local": f"w{n}", **named} for n in range(3)] + with_moved)
    enrol(made, [{"local": "b", "state": "blocked", **named}, {"local": "f", "state": "final", **named}])
    yield made
    made.close()


@pytest.fixture
def visitor(doomed: Company) -> Visitor:
    return administrator(doomed)


@pytest.fixture(scope="module")
def places(doomed: Company) -> list[str]:
    """Of all pages."""
    return [place for place, _, _ in crawl(administrator(doomed), "/console")]


def is_well(answer: Answer, about: object) -> None:
    assert answer.status in ALLOWED, (about, answer.status, answer.body[:500])
    if (answer.headers["Content-Type"] or "").startswith("text/html"):
        assert "<script>alert" not in answer.text, about


def send(visitor: Visitor, form: Form, fields: dict[str, str]) -> Answer:
    """No redirect is followed, but for files."""
    sent = {name: value.encode("utf-8", "surrogatepass").decode("latin-1") for name, value in fields.items()}
    if form.file:
        return visitor.upload(form.page, form.action, sent, "list.csv", b"account\nli@123.com\n")
    return visitor.post(form.action, sent)


def test_every_field_of_every_form(doomed: Company, visitor: Visitor) -> None:
    forms: dict[tuple[str, str], Form] = {}

    def gather(found: Iterable[Form]) -> list[Form]:
        new = []
        for form in found:
            key = shape(form.action), ",".join(sorted(form.fields))
            if form.method == "post" and not form.action.startswith(LEFT_OUT) and key not in forms:
                forms[key] = form
                new.append(form)
        return new

    new = []
    for place, answer, found in crawl(visitor, "/console"):
        is_well(answer, place)
        new += gather(found)
    while new:  # what is asked behind a form, on a page of its own
        form = new.pop()
        for name, value in form.buttons or [("", "")]:
            for pick in ("1", "5"):
                picked = {"pick": pick} if "pick" in form.fields else {}
                answer = send(visitor, form, {**form.fields, name: value, **picked})
                if answer.status == 303:
                    answer = visitor.get(answer.headers["Location"])
                is_well(answer, form)
                new += gather(read(answer, form.action).forms)
    assert len(forms) > 15, sorted(forms)
    for form in forms.values():
        named = {name for name, _ in form.buttons}
        for name in {*form.fields, *named} - {"csrf", ""}:
            for junk in JUNK:
                fields = {**form.fields, **dict(form.buttons[:1]), name: junk}
                is_well(send(visitor, form, fields), (form.action, name, junk[:40]))
    for place, answer, _ in crawl(visitor, "/console"):  # and what has become of it
        is_well(answer, place)
    assert '"unexpected"' not in doomed.daemon.log and "Traceback" not in doomed.daemon.log


@pytest.mark.parametrize("junk", [MARKUP, "\0", "9" * 400, "%zz%ff", "a" * 5_000])
def test_every_query_and_every_part_of_a_path(doomed: Company, visitor: Visitor, places: list[str], junk: str) -> None:
    for place in places:
        path = urlsplit(place).path
        answers = [visitor.ask("GET", f"{path}?{name}={quote(junk)}") for name in ("domain", "state", "sort", "behind")]
        answers.append(visitor.ask("GET", f"{path.rpartition('/')[0]}/{quote(junk, safe='')}"))
        for answer in answers:
            if answer.status != 414:
                is_well(answer, place)
    assert '"unexpected"' not in doomed.daemon.log
