"""From facts to a mail: the parts that need neither relay nor database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import getaddresses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.admin.noticing.facts import When, facts, plain, portal_address, when
from proxy.admin.noticing.fields import address, mailbox
from proxy.admin.noticing.message import body, compose
from proxy.admin.noticing.relay import _dot_stuffed, split
from proxy.admin.noticing.texts import Text, Texts, shipped
from tests.proxy.admin.test_finishing_behind import MOVED
from tests.proxy.config.examples import DESIGN, accepted, changed

CONFIG = accepted(changed(('accounts = "open"', 'contact = "IT"')) + '[notices]\nsender = "IT, help <it@123.com>"\n')
NOW = datetime(2030, 12, 5, tzinfo=UTC)


def test_days_in_both_languages() -> None:
    assert when("2026-12-05").spelled("zh") == "2026年12月5日（星期六）"
    assert when("2026-12-05 20:00").spelled("zh") == "2026年12月5日（星期六）20:00"
    assert when("2026-12-06T08:05").spelled("en") == "Sunday, 6 December 2026, 08:05"
    for text in ("5.12.2026", "2026-13-01", "tomorrow", "", "2026-12-05 25:00"):
        with pytest.raises(ValueError, match="is no day"):
            when(text)


@given(st.dates())
def test_every_day_can_be_spelled(day: date) -> None:
    for language in ("zh", "en"):
        spelled = When(day).spelled(language)  # type: ignore[arg-type]
        assert str(day.year) in spelled
        assert str(day.day) in spelled


def test_where_the_portal_is() -> None:
    assert portal_address(CONFIG) == "https://mail.123.com/"
    with_port = accepted(changed(('web = ["tcp:443"]', 'web = ["unix:/run/x", "tcp:8443:interface=10.0.0.1"]')))
    assert portal_address(with_port) == "https://mail.123.com:8443/"
    assert portal_address(accepted(changed(('web = ["tcp:443"]\n', "")))) == ""
    plain = DESIGN.replace('certificate = "/etc/mailferry/fullchain.pem"\nkey = "/etc/mailferry/privkey.pem"\n', "")
    plain = plain.replace('pop3s = ["tcp:995"]\n', "").replace('imaps = ["tcp:993"]\n', "").replace("tcp:443", "tcp:80")
    assert portal_address(accepted(plain)) == "http://mail.123.com/"


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(names, names)
def test_any_name_makes_a_mail_to_one_user_and_nothing_else(full_name: str, department: str) -> None:
    account = replace(MOVED, full_name=full_name, department=department)
    said = facts(CONFIG, CONFIG.domains["123.com"], When(date(2030, 12, 5)), same_names=None)
    texts = Texts("notice", ("zh", "en"), None).render(said, account)
    addressed = compose(CONFIG, account, texts, NOW)
    octets = addressed.octets()
    assert octets.isascii()
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    found = message_from_bytes(octets, policy=policy.default)
    assert isinstance(found, EmailMessage)
    assert [address.addr_spec for address in found["To"].addresses] == ["li@123.com"]
    assert found["From"].addresses[0].display_name == "IT, help"
    assert found["Bcc"] is None
    assert sorted(found.keys()) == sorted(set(found.keys()))
    assert "li@123.com" in found.get_content()
    assert addressed.recipient == "li@123.com"


# What a name may be made of that a header would take for something else.
awkward = st.lists(
    st.sampled_from([*'ab ,;:"\\()<>@.[]=?_äé李王א', "=?utf-8?q?x?=", "👨\u200d👩", "\u202e"]), max_size=300
)


@given(awkward.map("".join))
def test_an_awkward_name_of_any_length_is_one_display_name(full_name: str) -> None:
    account = replace(MOVED, full_name=full_name)
    octets = compose(CONFIG, account, [Text("en", "x", "y\n")], NOW).octets()
    head = octets.partition(b"\r\n\r\n")[0]
    assert max(map(len, head.split(b"\r\n"))) <= 78
    value = message_from_bytes(octets)["To"].replace("\r\n", "")
    ((name, address),) = getaddresses([value])
    assert address == "li@123.com"
    assert " ".join(str(make_header(decode_header(name))).split()) == plain(full_name)[:200].strip()


def test_names_as_they_are_written() -> None:
    for name, value in (
        ("", "li@123.com"),
        ("Li Wei", "Li Wei <li@123.com>"),
        ('O\'Neil, J. "Jim"', '"O\'Neil, J. \\"Jim\\"" <li@123.com>'),
        ("李伟", "=?utf-8?B?5p2O5Lyf?= <li@123.com>"),
        ("=?x", "=?utf-8?B?PT94?= <li@123.com>"),
    ):
        assert mailbox(name, "li@123.com") == value
    assert mailbox("李伟, Bob", "li@123.com", raw=True) == '"李伟, Bob" <li@123.com>'
    assert address("a..b", "123.com") == '"a..b"@123.com'
    assert address("用户", "123.com") == "用户@123.com"


def test_joiners_stay_in_a_name_and_what_turns_the_writing_does_not() -> None:
    assert plain("👨\u200d👩 علی\u200cرضا \u202eevil\u2066 \x07\u3000x") == "👨\u200d👩 علی\u200cرضا evil x"


@given(st.lists(st.sampled_from([b"", b".", b"..", b".a", b"a"])))
def test_dots_are_stuffed_so_that_the_end_is_the_end(lines: list[bytes]) -> None:
    stuffed = _dot_stuffed(b"\r\n".join(lines))
    assert stuffed.endswith(b"\r\n.\r\n")
    got = stuffed.removesuffix(b".\r\n").split(b"\r\n")
    assert b"." not in got
    assert b"\r\n".join(line.removeprefix(b".") for line in got).rstrip(b"\r\n") == b"\r\n".join(lines).rstrip(b"\r\n")


def test_the_first_language_says_that_there_is_another() -> None:
    zh, en = Text("zh", "甲", "中文\n"), Text("en", "a", "English\n")
    assert body([en]) == "English\n"
    assert body([zh, en]).startswith("(The same in English below.)\n\n中文\n\n---")


def test_what_is_shipped_is_there_and_in_both_languages() -> None:
    assert sorted(path.name for path in shipped().iterdir()) == [
        f"{kind}.{language}.txt" for kind in ("notice", "reminder") for language in ("en", "zh")
    ]


def test_an_address_of_a_relay() -> None:
    assert split("[::1]:25") == ("::1", 25)
    assert split("smtp.123.com:587") == ("smtp.123.com", 587)
