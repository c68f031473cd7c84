"""What verify decides without looking at anything: order, which message is which, samples, columns, tables."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from mailstore.audit import Audited
from mailstore.entries import Entry, Listed, Outcome
from mailstore.message.rewritten import Essence, essence
from proxy.admin.verify.columns import fold, printable, width
from proxy.admin.verify.exported import accounts_table, as_json, harmless, messages_table
from proxy.admin.verify.kinds import Finding, Kind
from proxy.admin.verify.matching import by_content, match
from proxy.admin.verify.order import out_of_order
from proxy.admin.verify.outcome import AccountOutcome, Circumstances, Verdict, Verification, verification
from proxy.admin.verify.sample import How, to_fetch
from proxy.admin.verify.text import NOTES, report


def row(number: int, uidl: str, octets: int = 100, outcome: Outcome = Outcome.STORED) -> Audited:
    entry = Entry(number, number, uidl, octets, outcome, number, 0, 0)
    return Audited(entry, b"digest of %d" % number, "", None)


def listed(*names: str, octets: int = 100) -> list[Listed]:
    return [Listed(number, name, octets) for number, name in enumerate(names, 1)]


@given(st.lists(st.integers(0, 30), max_size=12))
@settings(max_examples=200)
def test_as_few_as_can_be_are_out_of_order(numbers: list[int]) -> None:
    wrong = out_of_order(numbers)
    rest = [number for place, number in enumerate(numbers) if place not in wrong]
    assert all(a < b for a, b in pairwise(rest))
    longest: list[int] = []  # of a run that ends at each place
    for place, number in enumerate(numbers):
        longest.append(1 + max((longest[at] for at in range(place) if numbers[at] < number), default=0))
    assert len(rest) == max(longest, default=0)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3), st.booleans()), max_size=12))
@settings(max_examples=300)
def test_whatever_names_and_sizes_messages_have_each_is_matched_once(box: list[tuple[str, int, bool]]) -> None:
    """A mailbox was carried over, and then some of it was deleted at the legacy server."""
    names = ["" if name == "c" else name for name, _, _ in box]
    rows = [row(n, name, octets) for n, (name, (_, octets, _)) in enumerate(zip(names, box, strict=True), 1)]
    left = [n for n, (_, _, kept) in enumerate(box) if kept]
    listing = [Listed(at, names[n], box[n][1]) for at, n in enumerate(left, 1)]
    digests = {at: b"digest of %d" % (n + 1) for at, n in enumerate(left, 1)}
    matching = match(listing, rows)
    for found in (matching, by_content(matching, digests, lambda row: row.sha256)):
        assert max(Counter(pair.row.entry.id for pair in found.pairs).values(), default=1) == 1
        assert sorted([p.listed.position for p in found.pairs] + [m.position for m in found.unknown]) == sorted(digests)
        assert len(found.pairs) + len(found.unlisted) == len(rows)
    # with the bytes there is no doubt: each is what it was
    assert [(pair.listed.position, pair.row.entry.id) for pair in found.pairs] == [
        (at, n + 1) for at, n in enumerate(left, 1)
    ]
    assert not found.unknown


def test_a_name_that_is_alone_is_known_whatever_its_octets() -> None:
    found = match(listed("a", "b", octets=5), [row(1, "a"), row(2, "b"), row(3, "c")])
    assert [pair.row.entry.uidl for pair in found.pairs] == ["a", "b"]
    assert [left.entry.uidl for left in found.unlisted] == ["c"]


def test_a_sample_has_the_largest_and_what_changed_its_size() -> None:
    rows = [row(n, f"n{n}") for n in range(1, 101)]
    listing = [Listed(n, f"n{n}", 9_000 if n == 50 else 101 if n == 61 else 100) for n in range(1, 101)]
    rows[49] = row(50, "n50", 9_000)
    pairs, unknown = to_fetch(How("sample", 8, 1), "a", match(listing, rows))
    numbers = [pair.listed.position for pair in pairs]
    assert {1, 2, 50, 61, 99, 100} <= set(numbers)
    assert (len(numbers), unknown) == (9, [])


def test_status_fields_are_no_part_of_the_essence() -> None:
    plain = b"Subject: a\r\n b\r\n\r\nStatus: in the body\r\n"
    noted = b"Status: RO\r\nSubject: a\r\n b\r\nX-UID: 5\r\n \t6\r\n\r\nStatus: in the body\r\n"
    assert essence(plain) == essence(noted) != essence(plain.replace(b"in the", b"of the"))
    for size in (1, 7, 1000):
        taken = Essence()
        for at in range(0, len(noted), size):
            taken.feed(noted[at : at + size])
        assert taken.digest() == essence(plain)
    assert essence(b"") == Essence().digest()
    large = b"X: " + b"y" * 600_000 + b"\r\n\r\n"
    taken = Essence()
    for at in range(0, len(large), 1000):
        taken.feed(large[at : at + 1000])
    assert taken.digest() == essence(large)
    assert essence(large) != essence(b"Status: R\r\n" + large)  # too long a header to be understood: as it is


# Forms


def found(*findings: Finding, accounts: int = 1) -> Verification:
    outcomes = []
    for number in range(accounts):
        outcome = AccountOutcome(f"用户{number}@123.com", "123.com", "moved", listed=3)
        for finding in findings:
            outcome.found(finding)
        outcomes.append(outcome)
    said = Circumstances("1.0", "mail", ["123.com"], [("123.com", "old")], 0.0, 1.5, How("sample", 20, 7))
    return verification(said, outcomes)


def test_no_line_of_a_report_is_longer_than_a_page_is_wide() -> None:
    finding = Finding(Kind.MISSING, "话" * 300 + " x" * 80, 1_000_000, "u" * 255, 10**12)
    lines = list(report(found(finding, Finding(Kind.FILE_ALTERED, "\x1b[2J\u202e", 1, "\x00\n", 3))))
    assert max(map(width, lines)) <= 100
    assert all(line.isprintable() for line in lines)
    assert "\\x1b[2J" in "\n".join(lines)


def test_many_notes_of_a_kind_are_summed_up_and_every_fault_is_told() -> None:
    notes = [Finding(Kind.OCTETS_DIFFER, "n", n, f"n{n}", 5) for n in range(1, 1001)]
    faults = [Finding(Kind.MISSING, "f", n, f"n{n}", 5) for n in range(1, 301)]
    lines = list(report(found(*notes, *faults)))
    assert sum(line.startswith("    note  octets differ (") for line in lines) == NOTES
    assert sum(line.startswith("    FAULT missing here (") for line in lines) == 300
    assert any(line.startswith("    note  and 900 more: octets differ") for line in lines)


def test_the_worst_verdict_is_that_of_all() -> None:
    whole, noted, missing = (
        AccountOutcome("a", "d", "moved"),
        AccountOutcome("b", "d", "moved"),
        AccountOutcome("c", "d", ""),
    )
    noted.found(Finding(Kind.OCTETS_DIFFER, ""))
    missing.found(Finding(Kind.MISSING, ""))
    away = AccountOutcome("e", "d", "moved", not_compared="no")
    said = found().circumstances
    some = ([], [whole], [whole, noted], [noted, away], [away, missing])
    verdicts = [verification(said, one).totals.verdict for one in some]
    assert verdicts == ["whole", "whole", "whole with notes", "not compared", "incomplete"]
    assert verification(said, [whole, noted]).totals.shortcoming == ""
    assert verification(said, [away, missing, whole]).totals.shortcoming == (
        "of 3 accounts, 1 incomplete and 1 not compared with the legacy server"
    )
    assert away.verdict is Verdict.NOT_COMPARED


def test_no_cell_is_a_formula() -> None:
    for cell in ("=1+1", "+1", "-1", "@sum(a1)", "\t=1", "\r=1", "\n=1"):
        assert harmless(cell) == f"'{cell}"
    assert [harmless(cell) for cell in ("a=1", "", -5, None)] == ["a=1", "", -5, None]
    made = found(Finding(Kind.MISSING, "-what", 1, "@x", -1, None, "=Old"))
    rows = list(messages_table(made))
    assert rows[1][1:9] == ["'=Old", 1, "'@x", -1, None, "missing", "fault", "'-what"]
    heading, first = accounts_table(made)
    assert dict(zip(heading, first, strict=True))["missing"] == 1


def test_json_tells_all_of_a_finding() -> None:
    told = json.loads("".join(as_json(found(Finding(Kind.QUARANTINED, "why", 4, "u4", 100), accounts=2))))
    (finding,) = told["accounts"][0]["findings"]
    assert finding == {
        "folder": "INBOX",
        "position": 4,
        "uidl": "u4",
        "octets": 100,
        "uid": None,
        "kind": "quarantined",
        "weight": "fault",
        "what": "why",
        "remedy": Kind.QUARANTINED.remedy,
    }
    assert told["how"] == {"legacy": True, "content": "sample", "sample": 20, "seed": 7}


@given(st.text(max_size=80), st.integers(0, 5), st.integers(0, 12))
@settings(max_examples=200)
def test_folding_loses_no_letter(text: str, first: int, hanging: int) -> None:
    lines = list(fold(text, first=first, hanging=hanging, columns=20))
    assert all(width(line) <= 20 for line in lines)
    assert "".join("".join(lines).split()) == "".join(printable(text).split())
