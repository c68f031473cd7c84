"""Mailboxes are carried to other directories by `mailferry storage rehash`, while a daemon serves their users."""

from __future__ import annotations

from tests.bench import spread


def test_users_find_their_mail_while_all_of_it_is_carried() -> None:
    carried, _, logins = spread.measure(60, kills=0)
    assert "mailboxes carried" in carried
    assert logins.startswith("logins meanwhile: ")
