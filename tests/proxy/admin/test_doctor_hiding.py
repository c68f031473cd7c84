"""Names and texts as a stranger may see them."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.admin.doctor.hiding import Hiding, key_of
from proxy.legacy.errors import LegacyUnreachable

REMEDY = LegacyUnreachable.usual_remedy
HIDING = Hiding(b"k", {"123.com"}, [Path("/srv/state/mail")])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("the legacy server refused the login: no", "the legacy server refused the login: …"),
        ("refused: bad; the password of bob is hunter2; try it", "refused: …"),
        ("refused: Permission denied; the password of bob is hunter2", "refused: …"),
        (
            f"nobody is there: bob; {LegacyUnreachable.usual_remedy}",
            f"nobody is there: …; {LegacyUnreachable.usual_remedy}",
        ),
        ("the disk refused: No space left on device", "the disk refused: No space left on device"),
        (
            "the disk refused: Input/output error; look at the disk that holds /srv/state/mail/123.com/bob; go on",
            "the disk refused: Input/output error; look at the disk that holds …; go on",
        ),
        ('it begins with "a "quoted" word", or so', 'it begins with "…", or so'),
        ('it begins with "and never ends', 'it begins with "…"'),
        ("2 are in quarantine (number 1: bob's; number 2: more)", "2 are in quarantine (number 1: …"),
        ("nothing of others", "nothing of others"),
    ],
)
def test_of_free_text_what_mailferry_wrote_stays(text: str, told: str) -> None:
    assert HIDING.text(text) == told
    assert Hiding(b"k", names=True).text(text) == text


def test_addresses_in_a_text_are_those_of_the_accounts() -> None:
    told = HIDING.text("bob@123.com is bob@elsewhere.org")
    assert told == f"{HIDING.account('bob@123.com')} is {HIDING.account('bob@elsewhere.org')}"
    assert "bob" not in told and "elsewhere.org" not in told
    assert told.count("@123.com") == 1


def test_a_name_is_the_same_wherever_it_stands_and_with_another_key_another() -> None:
    assert HIDING.account("Bob@123.com") == HIDING.account("bob@123.com")
    assert HIDING.account("bob@123.com") != HIDING.account("bo@123.com")
    assert HIDING.account("bob@123.com") != Hiding(b"another", {"123.com"}).account("bob@123.com")


def test_this_machine_has_no_pseudonym() -> None:
    assert [HIDING.peer(each) for each in ("127.0.0.1", "::1", "unix", "local")] == [
        "127.0.0.1",
        "::1",
        "unix",
        "local",
    ]
    assert "192.0.2" not in HIDING.peer("192.0.2.7")


def test_without_a_sealing_key_pseudonyms_are_of_one_archive(tmp_path: Path) -> None:
    assert key_of(tmp_path / "sealing.key") != key_of(tmp_path / "sealing.key")
    (tmp_path / "sealing.key").write_bytes(b"k" * 32)
    assert key_of(tmp_path / "sealing.key") == key_of(tmp_path / "sealing.key") != b"k" * 32
