"""From a file to a `Config`, or to everything that is wrong with it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from proxy.config.mistakes import ConfigErrors, Mistake
from proxy.config.model import DEFAULT_STATE, Config, Origin
from proxy.config.places import expanded
from proxy.config.remarks import remarks
from proxy.config.together import contradictions, table
from proxy.config.wording import mistakes

_LARGEST: Final = 1 << 20  # octets; a configuration of hundreds of domains has a tenth of that
_PLACE = re.compile(r"^(.*) \(at line (\d+), column (\d+)\)$", re.DOTALL)


def load(path: Path | str) -> Config:
    """Read and check the file. Raises ConfigErrors, also for a file that cannot be read."""
    path = Path(path)
    return parse(read(path), str(path), path.parent)


def read(path: Path) -> bytes:
    """The file's contents, not checked. Raises ConfigErrors."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        text = error.strerror or type(error).__name__
        raise ConfigErrors(str(path), [Mistake("", f"cannot be read: {text}")]) from error
    if len(data) > _LARGEST:
        raise ConfigErrors(str(path), [Mistake("", "is over 1 MiB: this is no configuration file")])
    return data


def parse(data: bytes, source: str = "configuration", directory: Path = Path("/")) -> Config:
    """Check a file's contents; `directory` is where a relative `ca` is looked for. Raises ConfigErrors."""
    raw = _toml(data, source)
    _expand(raw)
    _place_ca(raw, directory)
    found: list[Mistake] = []
    config = None
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        found = mistakes(error)
    known = {mistake.key for mistake in found}
    found += [mistake for mistake in contradictions(raw) if mistake.key not in known]
    if found or config is None:
        raise ConfigErrors(source, found)
    config._warnings = remarks(config)
    config._origin = Origin(data, source, directory)
    return config


def _toml(data: bytes, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(data.removeprefix(b"\xef\xbb\xbf").decode())
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigErrors(source, [Mistake("", f"line {line}: not UTF-8 text")]) from error
    except RecursionError as error:
        raise ConfigErrors(source, [Mistake("", "nested too deeply to be a configuration")]) from error
    except ValueError as error:  # TOMLDecodeError is one; numbers of thousands of digits are another
        raise ConfigErrors(source, [Mistake("", _syntax(str(error)))]) from error


def _syntax(text: str) -> str:
    """tomllib's words with the place in front."""
    found = _PLACE.match(text)
    if found is None:
        return f"not TOML: {text}"
    reason, line, column = found[1], int(found[2]), int(found[3])
    hint = "; text needs quotes, a truth value is true or false" if reason == "Invalid value" else ""
    return f"line {line}, column {column}: {reason}{hint}"


def _expand(raw: dict[str, Any]) -> None:
    """Write out `{state}` and `{credentials}` at the start of paths."""
    state = raw.get("state", str(DEFAULT_STATE))
    legacies = [table(domain, "legacy") for domain in table(raw, "domain").values() if isinstance(domain, dict)]
    for named, keys in (
        (raw, ("sealing_key",)),
        (table(raw, "tls"), ("certificate", "key")),
        (table(raw, "storage"), ("password_file",)),
        (table(raw, "notices"), ("ca", "password_file", "templates")),
        *((legacy, ("ca",)) for legacy in legacies),
    ):
        for key in keys:
            if isinstance(named, dict) and isinstance(value := named.get(key), str) and isinstance(state, str):
                named[key] = expanded(value, state)


def _place_ca(raw: Mapping[str, Any], directory: Path) -> None:
    """Have a relative `ca` mean a file beside the configuration."""
    for domain in table(raw, "domain").values():
        legacy = table(domain, "legacy") if isinstance(domain, dict) else {}
        if isinstance(legacy, dict) and isinstance(ca := legacy.get("ca"), str) and ca and "\0" not in ca:
            legacy["ca"] = str(directory.absolute() / ca)
    notices = table(raw, "notices")
    if isinstance(notices, dict) and isinstance(ca := notices.get("ca"), str) and ca and "\0" not in ca:
        notices["ca"] = str(directory.absolute() / ca)
