"""Charset labels as mail carries them, and Python's codecs for them.

A label is chosen by whoever sent the mail. So only codecs of the list below are ever looked up: no codec
that is slow on long input (idna, punycode), that is no text encoding (zip, hex), or that would make
Python's codec registry remember every name a sender can think of.

Nothing here raises: a label that is not known means that the octets are guessed.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from encodings.aliases import aliases as _python_aliases
from functools import lru_cache
from typing import Final

FALLBACK: Final = ("utf-8", "gb18030", "latin-1")  # for octets whose charset is not declared, or unknown

# Superset for subset, where senders label with the smaller one and use the larger (as browsers read them).
_SUPERSETS: Final = {
    "ascii": None,  # 8-bit octets in "us-ascii" are undeclared ones
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "cp950": "big5hkscs",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "iso2022_jp": "iso2022_jp_ext",
    "iso2022_jp_1": "iso2022_jp_ext",
    "latin_1": "cp1252",
    "iso8859_1": "cp1252",
    "iso8859_9": "cp1254",
    "iso8859_11": "cp874",
    "tis_620": "cp874",
}

# Labels seen in mail that Python does not know by that name.
_LABELS: Final = {
    "x_gbk": "gb18030",
    "x_gb2312": "gb18030",
    "gb_2312_80": "gb18030",
    "gb_2312": "gb18030",
    "gb18030_2022": "gb18030",
    "cn_gb": "gb18030",
    "chinesesimp": "gb18030",
    "x_cp936": "gb18030",
    "windows_936": "gb18030",
    "hz_gb_2312": "hz",
    "cn_big5": "big5hkscs",
    "x_x_big5": "big5hkscs",
    "windows_950": "big5hkscs",
    "x_euc_tw": "big5hkscs",
    "ks_c_5601_1987": "cp949",
    "ks_c_5601_1989": "cp949",
    "ks_c_5601": "cp949",
    "ksc_5601": "cp949",
    "korean": "cp949",
    "windows_949": "cp949",
    "x_windows_949": "cp949",
    "x_euc_kr": "cp949",
    "x_sjis": "cp932",
    "x_ms_cp932": "cp932",
    "windows_31j": "cp932",
    "ms_kanji": "cp932",
    "x_euc_jp": "euc_jp",
    "x_euc": "euc_jp",
    "iso_2022_jp_ms": "iso2022_jp_ext",
    "cp50220": "iso2022_jp_ext",
    "cp50221": "iso2022_jp_ext",
    "iso_8859_8_i": "iso8859_8",
    "iso_8859_8_e": "iso8859_8",
    "iso_8859_6_i": "iso8859_6",
    "iso_8859_6_e": "iso8859_6",
    "logical": "iso8859_8",
    "visual": "iso8859_8",
    "windows_874": "cp874",
    "cp_874": "cp874",
    "x_windows_874": "cp874",
    "koi": "koi8_r",
    "koi8": "koi8_r",
    "koi8_ru": "koi8_u",
    "cp_866": "cp866",
    "x_mac_cyrillic": "mac_cyrillic",
    "x_mac_roman": "mac_roman",
    "unicode_1_1_utf_7": "utf_7",
    "x_unicode_2_0_utf_7": "utf_7",
    "unicode_1_1_utf_8": "utf_8",
    "x_unicode_2_0_utf_8": "utf_8",
    "unicode_2_0_utf_8": "utf_8",
    "x_utf_8": "utf_8",
    "utf8mb4": "utf_8",
    "x_cp1250": "cp1250",
    "x_cp1251": "cp1251",
    "x_cp1252": "cp1252",
    "ansi_x3_110_1983": "cp1252",
    "x_ansi": "cp1252",
    "default": None,
    "default_charset": None,
    "unknown_8bit": None,
    "x_unknown": None,
    "binary": None,
}

_NOT_TEXT: Final = frozenset(
    {"base64_codec", "bz2_codec", "hex_codec", "mbcs", "quopri_codec", "rot_13", "uu_codec", "zlib_codec"}
)
_WITHOUT_ALIAS: Final = frozenset(
    [
        "cp720",
        "cp737",
        "cp856",
        "cp874",
        "cp875",
        "cp1006",
        "koi8_r",
        "koi8_t",
        "koi8_u",
        "utf_8_sig",
        "tis_620",
        "mac_farsi",
    ]
)
_CODECS: Final = (frozenset(_python_aliases.values()) | _WITHOUT_ALIAS) - _NOT_TEXT
_LONGEST: Final = 64

_BYTE_ORDER_MARKS: Final = {
    "utf_16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
    "utf_32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
}


def codec(label: bytes) -> str | None:
    """The name of Python's codec for a charset label; None when unknown or when it declares nothing."""
    return _codec(label) if len(label) <= _LONGEST else None


@lru_cache(maxsize=512)
def _codec(label: bytes) -> str | None:
    name = label.decode("ascii", "replace").strip(" \t\"'").lower()
    for separator in "-. :":
        name = name.replace(separator, "_")
    if name in _LABELS:
        return _LABELS[name]
    name = _python_aliases.get(name, name)
    if name in _SUPERSETS:
        return _SUPERSETS[name]
    return name if name in _CODECS else None


def decode(octets: bytes, label: bytes, fallback: Sequence[str] = FALLBACK) -> str:
    """Text of octets in the charset of that label. What the charset cannot have becomes U+FFFD."""
    name = codec(label)
    if name is None:
        return guess(octets, fallback)
    return octets.decode(with_byte_order(name, octets), "replace")


def with_byte_order(name: str, beginning: bytes) -> str:
    """The codec for a text that begins so: UTF-16 and UTF-32 without a mark are big-endian (RFC 2781 4.3)."""
    marks = _BYTE_ORDER_MARKS.get(name)
    return name if marks is None or beginning.startswith(marks) else f"{name}_be"


def guess(octets: bytes, fallback: Sequence[str] = FALLBACK) -> str:
    """Text of octets that declare no charset: by the first of `fallback` that takes them all."""
    if octets.isascii():
        return octets.decode("ascii")
    for name in fallback:
        try:
            return octets.decode(name)
        except UnicodeDecodeError:
            continue
    return octets.decode("latin-1")


def guessed_codec(octets: bytes, fallback: Sequence[str] = FALLBACK) -> str:
    """The codec that `guess` would use for a text that begins with `octets` and may be cut anywhere."""
    for name in fallback:
        try:
            codecs.getincrementaldecoder(name)().decode(octets)
        except UnicodeDecodeError:
            continue
        return name
    return "latin-1"
