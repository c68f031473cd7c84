"""Where accounts' Maildirs are, whatever their names."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.places import LONGEST, component
from tests.proxy.config.examples import DESIGN, accepted, changed, refused

CONFIG = accepted(DESIGN)


@pytest.mark.parametrize(
    ("local", "place"),
    [
        ("li.na", "li.na"),
        ("Li.Na", "li.na"),
        ("li+shop", "li+shop"),
        ("..", "%2E."),
        (".hidden", "%2Ehidden"),
        ("a/b", "a%2Fb"),
        ("a\0b", "a%00b"),
        ("a%2Fb", "a%252fb"),
        ("a@b", "a%40b"),
        ("a:2,S", "a%3A2,s"),
        ("李娜", "李娜"),
        ("a\u202eb", "a%E2%80%AEb"),
    ],
)
def test_names_as_parts_of_a_path(local: str, place: str) -> None:
    assert CONFIG.maildir_for(local, "123.com") == Path(f"/var/lib/mailferry/mail/123.com/{place}/Maildir")


def test_an_empty_name_has_no_place() -> None:
    with pytest.raises(ValueError, match="empty"):
        CONFIG.maildir_for("", "123.com")


@given(st.text(min_size=1, max_size=300))
def test_every_name_is_one_part_that_a_file_system_takes(name: str) -> None:
    part = component(name)
    assert "/" not in part and "\0" not in part and not part.startswith(".")
    assert len(part.encode()) <= LONGEST
    if "%~" not in part:
        assert unquote(part, errors="surrogatepass") == name.lower()


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_different_names_are_different_places(one: str, other: str) -> None:
    assert (component(one) == component(other)) == (one.lower() == other.lower())


def test_long_names_are_cut_and_still_differ() -> None:
    one, other = component("/" * 90), component("/" * 91)
    assert one != other
    assert re.fullmatch("(%2F)+%~[0-9a-f]{40}", one)


@pytest.mark.parametrize(
    ("template", "root"),
    [
        ("{state}/mail/{domain}/{local}/Maildir", "/var/lib/mailferry/mail"),
        ("/srv/mail/{local}@{domain}", "/srv/mail"),
        ("/srv/mail/m-{domain}/{local}", "/srv/mail"),
        ("{state}/{local}", "/var/lib/mailferry"),
    ],
)
def test_the_directory_above_all_maildirs(template: str, root: str) -> None:
    config = accepted(changed(('"{state}/mail/{domain}/{local}/Maildir"', f'"{template}"')))
    assert config.maildir_root == Path(root)
    assert config.maildir_for("x", "123.com").is_relative_to(root)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{state}/mail/{domain}", "one Maildir for everybody"),
        ("mail/{domain}/{local}", "is not absolute"),
        ("/a/../{local}", 'and ".." nowhere'),
        ("/a/{state}/{local}", "may only be at the start"),
        ("/a/{user}", "is not known here"),
        ("/a/{domain}-{local}", "two accounts could share a place"),
        ("/a/{local", "brace without its pair"),
    ],
)
def test_templates_that_would_not_do(template: str, said: str) -> None:
    found = refused(changed(('"{state}/mail/{domain}/{local}/Maildir"', f'"{template}"')))
    assert said in found["storage.maildir"]


def test_domains_may_not_share_maildirs() -> None:
    text = changed(('"{state}/mail/{domain}/{local}/Maildir"', '"{state}/mail/{local}"'))
    assert accepted(text).maildir_for("x", "123.com") == Path("/var/lib/mailferry/mail/x")
    found = refused(text + '[domain."456.com".legacy]\nhost = "x"\n')
    assert "accounts of 2 domains the same place" in found["storage.maildir"]


def test_what_stands_for_a_directory_at_the_start_of_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    text = changed(
        ('certificate = "/etc/mailferry/fullchain.pem"', 'certificate = "{credentials}/fullchain.pem"'),
        ('key = "/etc/mailferry/privkey.pem"', 'key = "{state}/privkey.pem"'),
        ('state = "/var/lib/mailferry"', 'state = "/srv/state"\nsealing_key = "{credentials}/sealing.key"'),
        ("verify = true", 'ca = "{credentials}/ca.pem"'),
    )
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/other.service")
    config = accepted(text)
    assert config.tls.certificate == Path("/run/credentials/other.service/fullchain.pem")
    assert config.tls.key == Path("/srv/state/privkey.pem")
    assert config.key_file == Path("/run/credentials/other.service/sealing.key")
    assert config.domains["123.com"].legacy.ca == Path("/run/credentials/other.service/ca.pem")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    assert accepted(text).key_file == Path("/run/credentials/mailferry.service/sealing.key")
    assert CONFIG.key_file == Path("/var/lib/mailferry/sealing.key")


@pytest.mark.parametrize("path", ["{credential}/x", "{state}x", "{}", "sealing.key", "/etc/{state}/key\0"])
def test_a_key_file_that_is_nowhere(path: str) -> None:
    written = path.replace("\0", "\\u0000")
    mistakes = refused(f'sealing_key = "{written}"\n{DESIGN}')
    assert list(mistakes) == ["sealing_key"]
    if path.startswith("{"):
        assert 'start with "/", "{state}/" or "{credentials}/"' in mistakes["sealing_key"]
