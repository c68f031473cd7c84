"""`mailstore.administrators`: who may use the console, and whose sessions end."""

from __future__ import annotations

import pytest

from mailstore.administrators import Administrators
from mailstore.database import AccountsDatabase
from mailstore.web_sessions import WebSessions
from tests.postgres.accounts import BOTH

DATABASES = BOTH


def test_one_after_the_other(database: AccountsDatabase) -> None:
    administrators = Administrators(database, clock=lambda: 1_700_000_000)
    assert not administrators.any()
    assert administrators.add("li", "hash")
    assert not administrators.add("li", "another")
    assert administrators.add("anna", "hash")
    assert administrators.any()
    assert [one.name for one in administrators.list()] == ["anna", "li"]
    administrators.logged_in("li")
    found = administrators.find("li")
    assert found is not None
    assert (found.password_hash, found.created, found.last_login) == ("hash", 1_700_000_000, 1_700_000_000)
    assert "hash" not in repr(found).replace("password_hash", "")
    assert administrators.find("nobody") is None
    assert not administrators.remove("nobody")
    assert not administrators.set_password("nobody", "hash")


@pytest.mark.parametrize("how", ["remove", "password"])
def test_sessions_end_with_the_administrator_and_with_the_password(database: AccountsDatabase, how: str) -> None:
    administrators = Administrators(database)
    sessions = WebSessions(database)
    for name in ("li", "anna"):
        administrators.add(name, "hash")
    token, _ = sessions.begin("console", "li")
    others, _ = sessions.begin("console", "anna")
    user, _ = sessions.begin("portal", "li")  # an account that happens to have this number for a name
    assert administrators.remove("li") if how == "remove" else administrators.set_password("li", "new")
    assert sessions.find("console", token) is None
    assert sessions.find("console", others) is not None
    assert sessions.find("portal", user) is not None
