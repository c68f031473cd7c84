"""What a file is that is no plain text, and whether a workbook's ZIP file may be opened.

A workbook comes from anybody who can send the administrator a mail. Before a parser sees it: it may not unpack to more
than is sensible, and no part of it may declare a document type, which is where XML's entities come from; none of Excel,
WPS, LibreOffice or openpyxl ever writes one. Every part is looked at, since a workbook may call its parts as it likes.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from typing import Final
from xml.parsers import expat

from proxy.admin.spreadsheet.table import Unreadable

_UNPACKED_MOST: Final = 512 * 1024 * 1024  # octets, all parts together; half a million rows have a fifth of it
_TEXTS_MOST: Final = 128 * 1024 * 1024  # octets of the shared texts, which are held in memory
_PARTS_MOST: Final = 2_000
_PROLOGUE_MOST: Final = 65_536  # octets before a part's first element

_SAVE: Final = "open it in Excel, WPS or LibreOffice and save it as .xlsx, or as CSV UTF-8"
# What `zipfile` and expat raise over what is none of theirs; LookupError is for charsets that nobody has.
_DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OSError,
    ValueError,
    LookupError,
)
_MARKUP = re.compile(rb"<(?:!|[a-z][a-z0-9]*[\s/>])")
_STRICT: Final = b"http://purl.oclc.org/ooxml/spreadsheetml"  # ISO/IEC 29500-1; the others have 29500-4's
_COMPOUND: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # [MS-CFB] 2.2


def is_workbook(data: bytes) -> bool:
    """Is it an XLSX file's ZIP? Raises Unreadable for what is neither that nor text."""
    head = data[:4096].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower()
    if data.startswith(_COMPOUND):
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise Unreadable("is protected with a password: open it, save it without one, and import that")
        raise Unreadable(f"is an old Excel file (.xls): {_SAVE}")
    if head.startswith(b"mime-version:") or (_MARKUP.match(head) and not head.startswith(b"<?xml")):
        raise Unreadable(f"is a web page, which some programs call .xls: {_SAVE}")
    if head.startswith(b"<?xml"):
        raise Unreadable(f"is an XML file: {_SAVE}")
    if head.startswith(b"%pdf"):
        raise Unreadable("is a PDF: have the list as .xlsx or as CSV UTF-8")
    return data.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def checked(data: bytes) -> zipfile.ZipFile:
    """The ZIP file, safe to be parsed. Raises Unreadable."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        _measure(archive)
        for part in archive.infolist():
            _look_for_entities(archive, part)
        strict = any(_is_strict(archive, part) for part in archive.infolist())
    except _DAMAGE as error:
        if "password" in str(error) or "encrypted" in str(error):
            raise Unreadable("is a ZIP file with a password: unpack it first") from None
        raise Unreadable("is a damaged workbook: open it, save it again, and import that") from None
    if strict:
        raise Unreadable("is a workbook of the kind Strict Open XML: save it as an ordinary Excel workbook (.xlsx)")
    return archive


def _is_strict(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> bool:
    if not part.filename.lower().endswith("workbook.xml"):
        return False
    with archive.open(part) as file:
        return _STRICT in file.read(_PROLOGUE_MOST)


def _measure(archive: zipfile.ZipFile) -> None:
    """A part never gives more than the directory says: `zipfile` stops there."""
    parts = archive.infolist()
    names = {part.filename for part in parts}
    if "xl/workbook.xml" not in names and not any(name.endswith("workbook.xml") for name in names):
        if "content.xml" in names:
            raise Unreadable(f"is an OpenDocument file (.ods): {_SAVE}")
        if any(name.endswith("workbook.bin") for name in names):
            raise Unreadable(f"is a binary workbook (.xlsb): {_SAVE}")
        raise Unreadable("is a ZIP file and no workbook: unpack it first, and import what is in it")
    texts = sum(part.file_size for part in parts if part.filename.lower().endswith("sharedstrings.xml"))
    unpacked = sum(part.file_size for part in parts)
    if len(parts) > _PARTS_MOST or unpacked > _UNPACKED_MOST or texts > _TEXTS_MOST:
        raise Unreadable(
            f"would unpack to {unpacked // 1024**2} MiB in {len(parts)} parts, which no list of accounts does: "
            "copy the list alone into a new workbook, or save it as CSV UTF-8"
        )


class _Begun(Exception):
    """The first element: what comes now cannot be a document type."""


def _is_xml(octets: bytes) -> bool:
    """Pictures and macros are not. In UTF-16 there is a zero octet beside the bracket."""
    return octets.removeprefix(b"\xef\xbb\xbf").lstrip(b"\xff\xfe\0 \t\r\n").startswith(b"<")


def _look_for_entities(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> None:
    parser = expat.ParserCreate()
    declared = False

    def doctype(*_about: object) -> None:
        nonlocal declared
        declared = True
        raise _Begun

    def element(*_about: object) -> None:
        raise _Begun

    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = element
    with archive.open(part) as file:
        octets = file.read(4096)
        if not _is_xml(octets):
            return
        try:
            for _ in range(_PROLOGUE_MOST // 4096):
                parser.Parse(octets, not octets)
                octets = file.read(4096)
        except _Begun:
            pass
        except expat.ExpatError:
            raise Unreadable(f"is a damaged workbook ({part.filename}): open it, save it again, import that") from None
        else:
            declared = True  # or something that long which no program writes
    if declared:
        raise Unreadable(
            f"has a document type in {part.filename}, as no spreadsheet program writes it: it is not opened. "
            "Copy the list into a new workbook"
        )
