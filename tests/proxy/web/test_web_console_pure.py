"""The console's parts that need no server: filters, attempts, curves, and a stream that is taken slowly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, maybeDeferred

from mailstore.accounts import State
from mailstore.overview import Sort, Wanted
from mailstore.roster import FIELDS
from mailstore.samples import Sample
from proxy.admin.advice import Action
from proxy.admin.dns.asked import FIELDS as FIELDS_OF_DNS
from proxy.admin.dns.asked import Wrong
from proxy.admin.helping import Help, Hindrance
from proxy.admin.noticing.texts import Kind
from proxy.admin.passwords import NotSet
from proxy.web.console.attempts import OF_A_NAME, OF_AN_ADDRESS, SPAN, Attempts
from proxy.web.console.curve import HEIGHT, ROWS, WIDTH, curve
from proxy.web.console.dns import LOOKS
from proxy.web.console.filters import STATES, Listing, listing_of
from proxy.web.console.reminders import LANGUAGES as SPOKEN
from proxy.web.console.reminders import SINCE
from proxy.web.console.runbook import rendered, runbook
from proxy.web.console.seeing import SPANS
from proxy.web.console.showing import STEPS
from proxy.web.streaming import stream
from proxy.web.words import WORDS
from proxy.wire.door import Because, Refusal
from tests.proxy.admin.test_admin_remedies import account

# Words

MADE = {
    *(f"console.state.{state}" for state in STATES),
    *(f"console.sort.{sort.value}" for sort in Sort),
    *(f"console.span.{span}" for span in SPANS),
    *(f"console.help.{what.value}{more}" for what in Help for more in ("", ".what")),
    *(f"console.{kind}.{what.value}" for what in Help for kind in ("confirm", "did", "did_many", "did_many_but")),
    *(f"console.confirm_domain.{what.value}" for what in (Help.PAUSE, Help.RESUME)),
    *(f"console.why.{why.value}" for why in Hindrance),
    *(f"console.password.{why.value}" for why in NotSet),
    *(f"console.password.{which}{more}" for which in ("old", "new") for more in ("", ".what")),
    *(f"console.import.field.{name}" for name in FIELDS),
    *(f"console.import.{option}" for option in ("charset", "sheet", "domain")),
    *(f"console.remind.since.{since}" for since in SINCE),
    *(f"console.remind.language.{language}" for language in SPOKEN),
    *(f"console.remind.outcome.{outcome}" for outcome in ("refused", "unknown")),
    *(f"console.told.kind.{kind}" for kind in get_args(Kind)),
    *(f"console.refused.{why.value}" for why in (*Because, *Refusal)),
    *(f"console.step.{step}" for step in STEPS if step),
    *(f"console.dns.{field}{more}" for field in FIELDS_OF_DNS for more in ("", ".hint")),
    *(f"console.dns.state.{state}" for state in LOOKS),
    *(f"console.dns.wrong.{why}" for why in get_args(Wrong)),
}


def test_whatever_is_put_together_of_a_beginning_and_a_name_has_words() -> None:
    assert set(WORDS["en"]) >= MADE
    assert Action.RETRY


# Filters


def test_a_query_and_back() -> None:
    query = {"domain": "123.com", "department": "R&D/邮件", "state": "blocked", "text": "李", "sort": "size"}
    listing = listing_of(query)
    wanted = Wanted("123.com", department="R&D/邮件", state=State.BLOCKED, text="李")
    assert listing == Listing(wanted, Sort.SIZE)
    assert listing.fields() == query


@pytest.mark.parametrize("state", STATES)
def test_states(state: str) -> None:
    assert listing_of({"state": state}).state == state


def test_those_without_a_department() -> None:
    listing = listing_of({"department": "/"})
    assert (listing.wanted.department, listing.department) == ("", "/")
    assert listing_of({"department": ""}).wanted.department is None


@given(
    st.dictionaries(st.sampled_from(["domain", "department", "state", "text", "sort", "behind", "before"]), st.text())
)
def test_whatever_a_query_is_a_list_is_meant(query: dict[str, str]) -> None:
    listing = listing_of(query)
    again = listing_of(listing.fields())
    assert (again.wanted, again.sort) == (listing.wanted, listing.sort)


@pytest.mark.parametrize("sort", list(Sort))
def test_a_place_travels_by_way_of_the_browser(sort: Sort) -> None:
    from urllib.parse import parse_qs

    listing = Listing(Wanted("123.com"), sort)
    for there in (listing.after(account(local="李", department="x/y")), listing.ahead_of(account(last_login=7))):
        fields = {name: values[0] for name, values in parse_qs(there.query()[1:]).items()}
        assert listing_of(fields) == there
        assert there.first() == listing


# Attempts


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_address_that_failed_often_is_refused_for_a_while() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    delays = []
    for number in range(OF_AN_ADDRESS):
        assert not attempts.refused("li", "192.0.2.1")
        delays.append(attempts.delay("192.0.2.1"))
        attempts.failed(f"name{number}", "192.0.2.1")
    assert delays == [0, 0, 0, 0.5, 1, 2, 4, 8, 8, 8]
    assert attempts.refused("li", "192.0.2.1")
    assert not attempts.refused("li", "192.0.2.2")
    clock.now += SPAN + 1
    assert not attempts.refused("li", "192.0.2.1")


def test_a_name_that_is_guessed_at_from_everywhere_is_refused_but_not_to_whom_it_belongs() -> None:
    attempts = Attempts(Clock())
    attempts.failed("li", "192.0.2.99")
    attempts.succeeded("li", "192.0.2.99")
    for number in range(OF_A_NAME):
        attempts.failed("li", f"198.51.100.{number}")
    assert attempts.refused("li", "192.0.2.1")
    assert not attempts.refused("li", "192.0.2.99")
    assert not attempts.refused("anna", "192.0.2.1")


def test_a_network_of_ipv6_is_one_visitor() -> None:
    attempts = Attempts(Clock())
    for number in range(OF_AN_ADDRESS):
        attempts.failed(f"name{number}", f"2001:db8:1:2::{number}")
    assert attempts.refused("li", "2001:db8:1:2:ffff::1")
    assert not attempts.refused("li", "2001:db8:1:3::1")
    assert not attempts.refused("li", "") and attempts.delay("") == 0


def test_who_gets_in_has_not_failed() -> None:
    attempts = Attempts(Clock())
    for _ in range(100):
        attempts.failed("li", "192.0.2.1")
        attempts.succeeded("li", "192.0.2.1")
    assert not attempts.refused("li", "192.0.2.1")
    assert attempts.delay("192.0.2.1") == 0


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.web.console.attempts._MOST", 10)
    attempts = Attempts(Clock())
    for number in range(100):
        attempts.failed(f"n{number}", f"a{number}")
        attempts.succeeded(f"m{number}", f"b{number}")
    assert len(attempts._failures) == len(attempts._proven) == 10


# Curves


def at(taken: int, octets: int) -> Sample:
    return Sample(taken, 0, 0, 0, 0, 0, 0, octets)


def test_a_curve_from_the_lower_left_to_the_upper_right() -> None:
    found = curve([at(0, 0), at(10, 5), at(20, 20)], lambda sample: sample.bytes)
    assert found is not None
    assert found.line == f"M4.0 {HEIGHT - 4}.0 L{WIDTH / 2} 103.0 L{WIDTH - 4}.0 4.0"
    assert (found.low, found.high) == (0, 20)
    assert [sample.bytes for sample in found.rows] == [20, 5, 0]


def test_nothing_to_draw() -> None:
    assert curve([], lambda sample: sample.bytes) is None
    assert curve([at(5, 1)], lambda sample: sample.bytes) is None
    assert curve([at(5, 1), at(5, 2)], lambda sample: sample.bytes) is None


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**15)), min_size=2, max_size=300))
def test_any_curve_is_in_its_frame(points: list[tuple[int, int]]) -> None:
    found = curve([at(*point) for point in sorted(dict(points).items())], lambda sample: sample.bytes)
    if found is None:
        return
    places = [tuple(map(float, place.split())) for place in found.line[1:].split(" L")]
    assert all(0 <= across <= WIDTH and 0 <= down <= HEIGHT for across, down in places)
    assert len(found.rows) <= ROWS


# Streams


class Request:
    """As Twisted's, with a visitor who reads when told to."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.producer: Any = None
        self.aborted = False
        self.transport = self

    def registerProducer(self, producer: Any, _streaming: bool) -> None:
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def abortConnection(self) -> None:
        self.aborted = True


def begun(request: Request, pieces: Iterator[str]) -> Deferred[None]:
    return Deferred.fromCoroutine(stream(request, maybeDeferred, pieces))


def test_pieces_are_made_as_there_is_room() -> None:
    request, made = Request(), []

    def pieces() -> Iterator[str]:
        for number in range(4):
            made.append(number)
            if number == 1:
                request.producer.pauseProducing()
            yield str(number)

    sending = begun(request, pieces())
    assert (request.written, made) == ([b"0"], [0, 1])
    request.producer.resumeProducing()
    assert sending.called
    assert (b"".join(request.written), request.producer) == (b"0123", None)


def test_a_visitor_who_leaves_gets_no_more() -> None:
    request = Request()

    def pieces() -> Iterator[str]:
        yield "0"
        request.producer.stopProducing()
        yield "1"
        raise AssertionError

    assert begun(request, pieces()).called
    assert request.written == [b"0"]


def test_what_goes_wrong_in_the_middle_is_no_file_that_looks_whole() -> None:
    request = Request()

    def pieces() -> Iterator[str]:
        yield "0"
        raise ZeroDivisionError

    failures: list[Any] = []
    begun(request, pieces()).addErrback(failures.append)
    assert len(failures) == 1 and request.aborted


# The runbook


def test_the_runbook_is_the_part_about_moving_a_domain() -> None:
    step = "### 1. <b>Open</b>\n\n|a|b|\n|-|-:|\n|1|2|\n\n"
    text = f"# x\n\n## What it is\n\nA\n\n## Moving a domain, step by step\n\n{step}## End\n\nZ\n"
    html = str(rendered(text))
    assert ">1. &lt;b&gt;Open&lt;/b&gt;</h2>" in html and "<td>1</td>" in html
    assert not any(word in html for word in ("What it is", "End", "style="))
    assert ">内容</h2>" in str(rendered("# 手册\n\n## 内容\n\n文字\n"))
    assert "步骤" in str(rendered("## 一步一步迁移一个域\n\n步骤\n\n## 以后\n\n别的\n"))


def test_the_runbook_of_this_version() -> None:
    text = runbook("en")
    assert text is not None
    assert "Watch and help" in text and "For whoever wants to read the code" not in text
