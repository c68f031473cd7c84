"""The administrator's templates, and what they say to one user.

Text templates of Jinja2, one for each kind and language: `notice.zh.txt`. The first line is `Subject: …`, then an empty
one, then the text. A field that is not known is a mistake, not an empty place. Values are text, and never read as
templates.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import proxy
from mailstore.accounts import Account
from proxy.admin.noticing.facts import Facts, Language, plain

if TYPE_CHECKING:
    from jinja2 import Template

Kind = Literal["notice", "reminder"]

_BLANK_LINES: Final = re.compile(r"\n{3,}")
_LONGEST_SUBJECT: Final = 200  # characters


class BadTemplate(Exception):
    """A template cannot be used. The text has its file and line."""


@dataclass(frozen=True, slots=True)
class Text:
    """What one user is told, in one language. Lines end with a line feed."""

    language: Language
    subject: str
    body: str


def shipped() -> Path:
    """Where the templates are that mailferry brings: in a checkout conf/notices, otherwise beside this module."""
    checkout = Path(proxy.__file__).parents[1] / "conf" / "notices"
    return checkout if checkout.is_dir() else Path(__file__).parent / "templates"


class Texts:
    """The templates of one kind, in the languages that are wanted."""

    def __init__(self, kind: Kind, languages: Sequence[Language], own: Path | None) -> None:
        """`own`: the administrator's directory, which goes before what mailferry brings. Raises BadTemplate."""
        from jinja2 import ChoiceLoader, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - a tenth of a second
        from jinja2.sandbox import SandboxedEnvironment  # noqa: PLC0415

        if own is not None and not own.is_dir():
            raise BadTemplate(f"{own}: there is no such directory; it is notices.templates of the configuration")
        self._places = [place for place in (own, shipped()) if place is not None]
        self._environment = SandboxedEnvironment(
            loader=ChoiceLoader([FileSystemLoader(place) for place in self._places]),
            undefined=StrictUndefined,
            autoescape=False,  # plain text, for mail
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._templates = {language: self._load(f"{kind}.{language}.txt") for language in languages}

    @property
    def files(self) -> list[str]:
        """Where the templates are, by language."""
        return [template.filename or "" for template in self._templates.values()]

    def _load(self, name: str) -> Template:
        from jinja2 import TemplateNotFound, TemplateSyntaxError  # noqa: PLC0415

        place = next((place / name for place in self._places if (place / name).exists()), self._places[-1] / name)
        try:
            return self._environment.get_template(name)
        except TemplateSyntaxError as error:
            raise BadTemplate(f"{error.filename or place}, line {error.lineno}: {error.message}") from None
        except TemplateNotFound as error:
            what = "there is no such file" if error.name == name else f"needs {error.name}, which is not there"
            raise BadTemplate(f"{place}: {what}") from None
        except UnicodeDecodeError:
            raise BadTemplate(f"{place}: is not UTF-8 text") from None
        except OSError as error:
            raise BadTemplate(f"{place}: {error.strerror}") from None

    def render(self, facts: Facts, account: Account) -> list[Text]:
        """What this user is told, in each language. Raises BadTemplate."""
        return [
            _text(language, template, self._fill(template, facts.fields(account, language)))
            for language, template in self._templates.items()
        ]

    def _fill(self, template: Template, fields: dict[str, Any]) -> str:
        from jinja2 import TemplateError, TemplateSyntaxError, UndefinedError  # noqa: PLC0415

        try:
            return template.render(fields)
        except UndefinedError as error:
            known = ", ".join(sorted(fields))
            raise BadTemplate(f"{_place(template, error)}: {error.message}; there are {known}") from None
        except TemplateSyntaxError as error:  # of a template that this one includes
            raise BadTemplate(f"{error.filename or template.filename}, line {error.lineno}: {error.message}") from None
        except (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise BadTemplate(f"{_place(template, error)}: {error}") from None


def _place(template: Template, error: BaseException) -> str:
    """The template's file, and the line at which it went wrong: Jinja2 puts those of templates into tracebacks."""
    files = {template.filename, "<template>"}
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
    return f"{template.filename}, line {frames[-1].lineno}" if frames else f"{template.filename}"


def _text(language: Language, template: Template, rendered: str) -> Text:
    head, _, body = rendered.lstrip("\ufeff").replace("\r\n", "\n").partition("\n")
    label, colon, subject = head.partition(":")
    subject = " ".join(subject.split())
    if label.strip().lower() != "subject" or not colon or not subject:
        raise BadTemplate(f"{template.filename}, line 1: must be the subject, such as: Subject: Your mail moves")
    if len(subject) > _LONGEST_SUBJECT or plain(subject) != subject:
        raise BadTemplate(f"{template.filename}, line 1: the subject is over {_LONGEST_SUBJECT} characters, or no text")
    body = _BLANK_LINES.sub("\n\n", body).strip("\n")
    if not body.strip():
        raise BadTemplate(f"{template.filename}: there is no text below the subject")
    return Text(language, subject, body + "\n")
