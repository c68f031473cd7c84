"""fingerprint, tls_minimum and ciphers: what is understood, what is refused and in which words."""

from __future__ import annotations

import pytest

from tests.proxy.config.examples import accepted, changed, refused

LEGACY = 'domain."123.com".legacy'
DIGITS = "0123456789abcdef" * 4
PIN = "sha256:" + ":".join(DIGITS[at : at + 2].upper() for at in range(0, 64, 2))


def legacy(*lines: str) -> str:
    """The example with more lines for the legacy server."""
    return changed(("verify = true", "\n".join(lines)))


def test_without_them_nothing_is_lowered() -> None:
    server = accepted(changed()).domains["123.com"].legacy
    assert (server.tls_minimum, server.ciphers, server.fingerprint) == ("1.2", None, ())


@pytest.mark.parametrize(
    "written",
    [
        PIN,
        f"sha256:{DIGITS}",
        f"SHA256:{DIGITS.upper()}",
        "SHA-256:" + PIN.removeprefix("sha256:").lower(),
        f" {PIN} ",
    ],
)
def test_a_fingerprint_however_it_was_copied(written: str) -> None:
    assert accepted(legacy(f'fingerprint = "{written}"')).domains["123.com"].legacy.fingerprint == (PIN,)


def test_several_fingerprints() -> None:
    other = PIN.replace("01", "99")
    found = accepted(legacy(f'fingerprint = ["{PIN}", "{other}"]')).domains["123.com"].legacy
    assert found.fingerprint == (PIN, other)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (DIGITS, "does not say what it is"),
        (f"sha1:{DIGITS[:40]}", "does not say what it is"),
        (f"sha256:{DIGITS[:40]}", "is 20 octets long, as of SHA-1, not 32"),
        (f"sha256:{DIGITS[:32]}", "is 16 octets long, as of MD5, not 32"),
        (f"sha256:{DIGITS[:62]}", "is 31 octets long, not 32"),
        (f"sha256:{DIGITS[:63]}g", "no hexadecimal digit"),
        ("", "does not say what it is"),
    ],
)
def test_what_is_no_fingerprint(written: str, words: str) -> None:
    (text,) = refused(legacy(f'fingerprint = "{written}"')).values()
    assert words in text


def test_the_place_of_a_wrong_one_among_several() -> None:
    assert list(refused(legacy(f'fingerprint = ["{PIN}", "x"]'))) == [f"{LEGACY}.fingerprint[1]"]


@pytest.mark.parametrize(
    "ciphers", ["DEFAULT@SECLEVEL=0", "ALL:!aNULL:@SECLEVEL=0", "AES128-SHA", "HIGH:!aNULL", "DEFAULT:@SECLEVEL=1"]
)
def test_cipher_strings(ciphers: str) -> None:
    found = accepted(legacy(f'ciphers = "{ciphers}"'))
    assert found.domains["123.com"].legacy.ciphers == ciphers
    assert found.warnings == ()


@pytest.mark.parametrize(
    "ciphers", ["RC4-SHA", "no such thing", "", "!ALL", "@SECLEVEL=0", "TLS_AES_128_GCM_SHA256", "é"]
)
def test_cipher_strings_that_leave_nothing(ciphers: str) -> None:
    (text,) = refused(legacy(f'ciphers = "{ciphers}"')).values()
    assert "ALL:!aNULL:@SECLEVEL=0" in text or "ASCII" in text


def test_suites_that_openssl_passes_over_in_silence_are_told_of() -> None:
    (warning,) = accepted(legacy('ciphers = "AES128-SHA:RC4-SHA:NONSENSE:!aNULL:@SECLEVEL=0"')).warnings
    assert warning.key == f"{LEGACY}.ciphers"
    assert "RC4-SHA, NONSENSE" in warning.text


@pytest.mark.parametrize("minimum", ["1.0", "1.1", "1.2", "1.3"])
def test_versions(minimum: str) -> None:
    assert accepted(legacy(f'tls_minimum = "{minimum}"')).domains["123.com"].legacy.tls_minimum == minimum


def test_versions_that_are_none() -> None:
    assert '"1.4" is none of 1.0, 1.1, 1.2, 1.3' in refused(legacy('tls_minimum = "1.4"'))[f"{LEGACY}.tls_minimum"]
    assert f"{LEGACY}.tls_minimum" in refused(legacy("tls_minimum = 1.0"))


@pytest.mark.parametrize(
    ("lines", "key"),
    [
        (["verify = false", f'fingerprint = "{PIN}"'], "fingerprint"),
        (['ca = "/x"', f'fingerprint = "{PIN}"'], "ca"),
        (['tls_minimum = "1.0"', 'ciphers = "DEFAULT@SECLEVEL=1"'], "ciphers"),
        (['tls_minimum = "1.3"', 'ciphers = "AES128-SHA"'], "ciphers"),
    ],
)
def test_what_contradicts_itself(lines: list[str], key: str) -> None:
    assert list(refused(legacy(*lines))) == [f"{LEGACY}.{key}"]


@pytest.mark.parametrize("line", [f'fingerprint = "{PIN}"', 'tls_minimum = "1.0"', 'ciphers = "AES128-SHA"'])
def test_without_tls_they_are_of_no_use(line: str) -> None:
    text = changed(('tls = "starttls"', f'tls = "none"\n{line}'))
    assert list(refused(text)) == [f"{LEGACY}.{line.split(' ', maxsplit=1)[0]}"]


def test_another_domain_is_as_it_was() -> None:
    text = legacy('tls_minimum = "1.0"', 'ciphers = "ALL:!aNULL"', f'fingerprint = "{PIN}"')
    text += '\n[domain."456.com".legacy]\nhost = "pop.old.456.com"\n'
    other = accepted(text).domains["456.com"].legacy
    assert (other.tls_minimum, other.ciphers, other.fingerprint) == ("1.2", None, ())
