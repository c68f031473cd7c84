"""Forms with files (multipart/form-data, RFC 7578): a file goes to a temporary file, never into memory as a whole."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import IO, Final

from twisted.python.failure import Failure
from werkzeug.exceptions import HTTPException
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from proxy.web.channel import MIB
from proxy.web.visit import Refused, Uploaded, Visit

PARTS: Final = 200
_IN_MEMORY: Final = MIB


class _Places:
    """The temporary files of one form."""

    def __init__(self) -> None:
        self._made: list[IO[bytes]] = []

    def make(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        """As werkzeug calls it."""
        place = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed with the request
        self._made.append(place)
        return place

    def close(self, result: object = None) -> object:
        """They are gone."""
        for place in self._made:
            place.close()
        return None if isinstance(result, Failure) else result


async def read_upload(visit: Visit) -> Mapping[str, IO[bytes]]:
    """The form is in `visit.form` then, and its files in `visit.files`; gives back what is in them by field. They are
    there until the request is answered. Read in a thread. Raises Refused."""
    kind, options = parse_options_header(visit.header("Content-Type"))
    if kind != "multipart/form-data":
        raise Refused(415, "error.malformed")
    places = _Places()
    visit.request.notifyFinish().addBoth(places.close)
    parser = FormDataParser(places.make, max_form_memory_size=MIB, max_form_parts=PARTS, silent=False)
    body = visit.request.content
    length = body.seek(0, 2)
    body.seek(0)
    try:
        _, fields, files = await visit.web.in_thread(parser.parse, body, kind, length, options)
    except (ValueError, HTTPException):
        raise Refused(400, "error.malformed") from None
    visit.form = fields.to_dict()
    visit.lists = fields.to_dict(flat=False)
    visit.files = {name: Uploaded(file.filename or "", file.stream) for name, file in files.items()}
    return {name: file.stream for name, file in files.items()}
