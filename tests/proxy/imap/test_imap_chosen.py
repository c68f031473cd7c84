"""Extended LIST on names alone, held against a plain reading of RFC 5258 3."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailstore.index.rows import Folder
from proxy.imap.chosen import chosen
from proxy.imap.grammar.folder_names import matches
from proxy.imap.grammar.list_options import ListExtended, Returned, Selection

NAMES = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map("/".join)
USES = st.sampled_from([(), (), ("\\Sent",), ("\\Drafts", "\\Junk")])
PATTERNS = st.sampled_from(["", "*", "%", "a", "a/%", "%/%", "*b", "a*"])
SELECTIONS = st.sets(st.sampled_from(Selection)).filter(
    lambda found: Selection.RECURSIVEMATCH not in found or bool(found & {Selection.SUBSCRIBED, Selection.SPECIAL_USE})
)


@given(
    st.dictionaries(NAMES, USES),
    st.sets(NAMES),
    SELECTIONS,
    st.lists(PATTERNS, min_size=1, max_size=3),
    st.sets(st.sampled_from(Returned)),
)
def test_as_the_rfc_has_it(
    folders: dict[str, tuple[str, ...]],
    subscribed: set[str],
    selection: set[Selection],
    patterns: list[str],
    returned: set[Returned],
) -> None:
    asked = ListExtended(frozenset(selection), "", tuple(patterns), frozenset(returned))
    values = [Folder(number, name, 1, uses) for number, (name, uses) in enumerate(folders.items(), 1)]
    lines = chosen(values, subscribed, asked)

    def meets(name: str) -> bool:
        if Selection.SUBSCRIBED in selection and name not in subscribed:
            return False
        if Selection.SPECIAL_USE in selection and not folders.get(name):
            return False
        return name in subscribed or name in folders or any(each.startswith(name + "/") for each in folders)

    universe = {"/".join(name.split("/")[: n + 1]) for name in {*folders, *subscribed} for n in range(3)}
    expected = {}
    for name in universe:
        below = [each for each in universe if each.startswith(name + "/") and meets(each)]
        recursive = Selection.RECURSIVEMATCH in selection and bool(below)
        listed = meets(name) if Selection.SUBSCRIBED in selection else meets(name) and _there(name, folders)
        if (listed or recursive) and any(pattern and matches(pattern, name) for pattern in patterns):
            expected[name] = recursive
    assert {line.name: bool(line.childinfo) for line in lines} == expected
    for line in lines:
        assert line.selectable == (line.name in folders)
        assert (b"\\NonExistent" in line.attributes) != line.selectable
        told = bool(Returned.SUBSCRIBED in returned or Selection.SUBSCRIBED in selection)
        assert (b"\\Subscribed" in line.attributes) == (told and line.name in subscribed)
        children = any(each.startswith(line.name + "/") for each in folders)
        if Returned.CHILDREN in returned:
            assert (b"\\HasChildren" if children else b"\\HasNoChildren") in line.attributes


def _there(name: str, folders: dict[str, tuple[str, ...]]) -> bool:
    return any(each == name or each.startswith(name + "/") for each in folders)
