"""Whole files: what is accepted, and that everything wrong in one is told at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config import ConfigErrors, load, parse
from tests.proxy.config.examples import DESIGN, SMALLEST, accepted, changed, refused

ROOT = Path(__file__).parents[3]


def test_the_designs_example() -> None:
    config = accepted(DESIGN)
    assert config.hostname == "mail.123.com"
    assert config.state == Path("/var/lib/mailferry")
    assert config.listen.pop3s == ("tcp:995",)
    assert config.tls.certificate == Path("/etc/mailferry/fullchain.pem")
    assert config.migration.hold_limit == 1200
    assert config.migration.refresh == 300
    legacy = config.domains["123.com"].legacy
    assert (legacy.host, legacy.port, legacy.tls, legacy.verify, legacy.ca) == (
        "pop.old.123.com",
        110,
        "starttls",
        True,
        None,
    )
    assert config.warnings == ()


def test_every_default_is_the_designs() -> None:
    ours, full = accepted(SMALLEST), accepted(DESIGN)
    assert ours.state == full.state
    assert ours.storage == full.storage
    assert ours.migration == full.migration
    assert ours.tls.plaintext_login == full.tls.plaintext_login
    assert ours.domains["123.com"].accounts == "open"
    assert ours.domains["123.com"].legacy.model_dump(exclude={"host"}) == full.domains["123.com"].legacy.model_dump(
        exclude={"host"}
    )


def test_the_file_in_conf_is_valid_and_has_every_default() -> None:
    shipped = load(ROOT / "conf" / "mailferry.toml")
    assert shipped == accepted(DESIGN)


def test_every_key_of_the_model_is_explained_in_conf() -> None:
    text = (ROOT / "conf" / "mailferry.toml").read_text()
    from proxy.config import Config, Domain, LegacyServer, Listen, Lmtp, Migration, Storage, Tls

    keys = [
        key for table in (Listen, Lmtp, Tls, Storage, Migration, Domain, LegacyServer) for key in table.model_fields
    ]
    keys += [key for key in Config.model_fields if key in {"hostname", "state"}]
    lines = [line.lstrip("# ") for line in text.splitlines()]
    missing = [key for key in keys if not any(line.startswith(f"{key} = ") for line in lines) and key != "legacy"]
    assert missing == []


def test_all_mistakes_at_once_each_with_its_key_and_remedy() -> None:
    found = refused("""\
hostnam = "mail.123.com"
state = "var/lib/mailferry"
[listen]
pop3 = "tcp:110"
imap = ["tcp:99999", 143]
imaps = ["tcp:993"]
lmpt = 4
[tls]
key = "/etc/mailferry/privkey.pem"
plaintext_login = "lopback"
[migration]
hold_limit = 20
[domain."123.com".legacy]
host = "pop.old.123.com"
tls = "startls"
port = 0
verify = "true"
[domain."123.COM".legacy]
port = 110
""")
    assert found == {
        "hostname": 'is missing: add hostname = "mail.123.com"',
        "hostnam": 'unknown key, did you mean "hostname"?',
        "state": '"var/lib/mailferry" is not absolute: start with "/", the working directory of a daemon is not yours',
        "listen.pop3": 'must be a list: write ["tcp:110"]',
        "listen.imap[0]": '"tcp:99999": the port must be a number from 1 to 65535, not "99999"',
        "listen.imap[1]": "must be text in quotes, not 143",
        "listen.lmpt": 'unknown key, did you mean "lmtp"?',
        "tls.certificate": "is missing: a private key needs its certificate",
        "tls.plaintext_login": '"lopback" is none of never, loopback, always, did you mean "loopback"?',
        "migration.hold_limit": ('a number needs its unit, in quotes: write "20s" for seconds or "20m" for minutes'),
        'domain."123.com".legacy.tls': '"startls" is none of none, starttls, implicit, did you mean "starttls"?',
        'domain."123.com".legacy.port': "must be at least 1, not 0",
        'domain."123.com".legacy.verify': 'must be true or false, without quotes, not "true"',
        'domain."123.COM"': 'is the same domain as "123.com": keep one of them',
        'domain."123.COM".legacy.host': (
            'is missing: add the old server\'s name or address, such as host = "pop.old.123.com"'
        ),
    }


def test_each_line_of_the_error_names_the_file() -> None:
    with pytest.raises(ConfigErrors) as caught:
        parse(b"[listen]\n", "/etc/mailferry/mailferry.toml")
    lines = str(caught.value).splitlines()
    assert len(lines) == len(caught.value.mistakes) >= 3
    assert all(line.startswith("/etc/mailferry/mailferry.toml: ") for line in lines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"a = \n", "line 1, column 5: Invalid value; text needs quotes, a truth value is true or false"),
        (b"[listen\n", "line 1, column 8: Expected ']' at the end of a table declaration"),
        (b'a = 1\nb = "\xff"\n', "line 2: not UTF-8 text"),
        (b"a = 1\na = 2\n", "line 2, column 6: Cannot overwrite a value"),
        (b'a = "', "not TOML: Unterminated string (at end of document)"),
    ],
)
def test_toml_errors_say_where(text: bytes, said: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        parse(text, "f.toml")
    assert str(caught.value) == f"f.toml: {said}"


@pytest.mark.parametrize("text", [b"a = " + b"[" * 100_000, b"a = " + b"9" * 10_000])
def test_toml_that_means_harm_is_one_mistake(text: bytes) -> None:
    with pytest.raises(ConfigErrors) as caught:
        parse(text, "f.toml")
    assert len(caught.value.mistakes) == 1


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert parse(b"\xef\xbb\xbf" + DESIGN.encode()) == accepted(DESIGN)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match=r"nothing\.toml: cannot be read: No such file or directory"):
        load(tmp_path / "nothing.toml")
    with pytest.raises(ConfigErrors, match="cannot be read: Is a directory"):
        load(tmp_path)
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * (1 << 21))
    with pytest.raises(ConfigErrors, match="over 1 MiB"):
        load(large)


def test_a_relative_ca_is_beside_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mailferry.toml"
    file.write_text(changed(("verify = true", 'ca = "ca.pem"')))
    assert load(file).domains["123.com"].legacy.ca == tmp_path / "ca.pem"


def test_a_config_is_frozen() -> None:
    config = accepted(DESIGN)
    with pytest.raises(ValueError, match="frozen"):
        config.hostname = "other"
    with pytest.raises(TypeError):
        config.domains["x"] = config.domains["123.com"]  # type: ignore[index]


_scalars = st.none() | st.booleans() | st.integers(-5, 70_000) | st.text(max_size=12) | st.floats()
_keys = st.sampled_from(["hostname", "state", "listen", "tls", "storage", "migration", "domain", "legacy", "imap"])
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys | st.text(max_size=5), inner),
    max_leaves=8,
)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    return "0" if value is None else str(value)


@given(st.dictionaries(_keys | st.text(max_size=5), _values, max_size=6))
def test_whatever_is_in_the_file_it_is_mistakes_or_a_config(raw: dict[str, object]) -> None:
    text = "\n".join(f"{_toml(key)} = {_toml(value)}" for key, value in raw.items() if "\ud800" not in key)
    try:
        parse(text.encode("utf-8", "surrogatepass"))
    except ConfigErrors as error:
        assert error.mistakes
        assert all("\n" not in str(mistake) for mistake in error.mistakes)


def test_a_mistake_is_one_line_whatever_it_quotes() -> None:
    with pytest.raises(ConfigErrors) as caught:
        parse(b'hostname = "a\\nb"\n[migration]\nhold_limit = "1\\u001bm"\n')
    said = {mistake.key: mistake.text for mistake in caught.value.mistakes}
    assert said["hostname"] == '"a�b" cannot be a domain name'
    assert said["migration.hold_limit"].startswith('"1�m" is no duration')


def test_the_package_loads_no_twisted() -> None:
    code = "import sys, proxy.config; sys.exit('twisted' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
