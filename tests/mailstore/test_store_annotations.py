"""Annotations, special uses and limits in the store."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstore.annotations import MOST
from mailstore.errors import NoSuchFolder, OverQuota, SpecialUseRefused, TooManyAnnotations
from mailstore.index.rows import StoreMode
from mailstore.mailhome import MailHome
from mailstore.quota import Limits, Usage
from tests.mailstore.store_rig import append, folder_id, open_home, rows

pytestmark = pytest.mark.usefixtures("either")  # wherever mailboxes are kept


@pytest.fixture
def home(tmp_path: Path) -> Iterator[MailHome]:
    home = open_home(tmp_path)
    yield home
    home.close()


def test_all_or_none(home: MailHome) -> None:
    home.annotations.change("", {"/private/a": b"1", "/private/b": b"\0\xff"})
    assert home.annotations.of("") == {"/private/a": b"1", "/private/b": b"\0\xff"}
    home.annotations.change("", {f"/private/{n}": b"" for n in range(MOST - 2)})
    with pytest.raises(TooManyAnnotations):
        home.annotations.change("", {"/private/a": b"2", "/private/more": b"1"})
    assert home.annotations.of("")["/private/a"] == b"1"
    home.annotations.change("", {"/private/a": None, "/private/more": b"1"})
    assert len(home.annotations.of("")) == MOST
    with pytest.raises(NoSuchFolder):
        home.annotations.of("Nowhere")


def test_they_stay_over_a_restart_and_a_rename_and_go_with_the_folder(tmp_path: Path) -> None:
    home = open_home(tmp_path)
    home.create("Old", ["\\archive"])
    home.annotations.change("Old", {"/shared/comment": b"kept"})
    home.rename("Old", "New")
    home.close()
    home = open_home(tmp_path)
    assert home.annotations.of("New") == {"/shared/comment": b"kept", "/private/specialuse": b"\\Archive"}
    home.delete("New")
    home.create("New")
    assert home.annotations.of("New") == {}
    home.close()


def test_one_folder_for_each_use(home: MailHome) -> None:
    home.create("Out", ["\\SENT", "\\Sent"])
    for uses in (["\\Sent"], ["\\All"], ["\\Trash", "\\Sent"]):
        with pytest.raises(SpecialUseRefused):
            home.create("Other", uses)
    assert [folder.name for folder in home.folders()] == ["INBOX", "Out"]
    home.annotations.change("Out", {"/private/specialuse": None})
    assert home.create("Other", ["\\Sent"]).special_use == ("\\Sent",)
    with pytest.raises(SpecialUseRefused):
        home.annotations.change("Out", {"/private/specialuse": b"\\Sent \xff", "/private/comment": b"lost"})
    assert home.annotations.of("Out") == {}


def test_limits(home: MailHome) -> None:
    append(home, b"x" * 100)
    home.create("Copies")
    assert home.usage() == Usage(100, 1)
    home.limits = Limits(octets=200)
    home.copy(1, [1], "Copies")
    with pytest.raises(OverQuota):
        append(home, b"x")
    with pytest.raises(OverQuota):
        home.copy(1, [1], "Copies")
    assert [len(rows(home)), home.usage()] == [1, Usage(200, 2)]
    assert not list((home.maildir.folder("") / "tmp").iterdir())
    assert len(list((home.maildir.folder("") / "cur").iterdir())) == 1
    home.move(1, [1], "Copies")  # nothing more than before
    home.limits = Limits(messages=2)
    with pytest.raises(OverQuota):
        home.append("INBOX", io.BytesIO(b"x"), (), None)
    assert home.status("Copies").deleted_size == 0
    home.store_flags(folder_id(home, "Copies"), [1], StoreMode.ADD, ["\\Deleted"])
    assert home.status("Copies").deleted_size == 100


ENTRIES = st.sampled_from(["/private/a", "/private/b", "/shared/a/b", "/shared/c"])
CHANGES = st.dictionaries(ENTRIES, st.none() | st.binary(max_size=5), min_size=1)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["", "INBOX", "Sent"]), CHANGES), max_size=8))
def test_as_a_dictionary(tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, dict[str, bytes]]]) -> None:
    home = open_home(tmp_path_factory.mktemp("home"))
    home.create("Sent")
    model: dict[str, dict[str, bytes]] = {"": {}, "INBOX": {}, "Sent": {}}
    for folder, change in changes:
        home.annotations.change(folder, change)
        after = model[folder] | change
        model[folder] = {entry: value for entry, value in after.items() if value is not None}
    assert {folder: home.annotations.of(folder) for folder in model} == model
    home.close()
