"""Workbooks that are damaged in every way are refused in words, or read."""

from __future__ import annotations

import io
import random
import zipfile
from datetime import date

import pytest

from proxy.admin.roster import BadList, read
from tests.proxy.admin.roster_files import ROWS, xlsx
from tests.proxy.admin.test_roster_files import config

PIECES = (
    b'r="1"',
    b'r="A99999999"',
    b't="s"',
    b't="b"',
    b't="d"',
    b't="e"',
    b"<v>1e999</v>",
    b"<v></v>",
    b's="9999"',
    b'<f t="shared" si="0"/>',
    b'ref="A1:XFD1048576"',
    b'hidden="1"',
    b'<mergeCell ref="A:A"/>',
    b"<x>",
    b"",
)


def parts(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(content: dict[str, bytes]) -> bytes:
    octets = io.BytesIO()
    with zipfile.ZipFile(octets, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return octets.getvalue()


def damaged(data: bytes, chance: random.Random) -> bytes:
    octets = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(octets) + 1)
        if chance.random() < 0.5:
            del octets[at : at + chance.randint(1, 40)]
        else:
            octets[at : at + chance.choice((0, 5, 12))] = chance.choice(PIECES)
    return bytes(octets)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_anywhere(seed: int) -> None:
    chance = random.Random(seed)
    whole = parts(xlsx(*ROWS, (1.5, date(2024, 1, 1), "=A1")))
    settings = config("123.com")
    refused = 0
    for _ in range(100):
        name = chance.choice(list(whole))
        content = {**whole, name: damaged(whole[name], chance)}
        try:
            read(settings, packed(content))
        except BadList as error:
            assert all(str(mistake) for mistake in error.mistakes)
            refused += 1
    assert refused


@pytest.mark.parametrize(
    "name", ["xl/workbook.xml", "[Content_Types].xml", "xl/worksheets/sheet1.xml", "xl/_rels/workbook.xml.rels"]
)
def test_a_part_that_is_missing(name: str) -> None:
    content = parts(xlsx(*ROWS))
    del content[name]
    with pytest.raises(BadList):
        read(config("123.com"), packed(content))
