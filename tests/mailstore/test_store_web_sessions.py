"""Who is logged in to the web: tokens, limits, and their ends."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from mailstore.database import AccountsDatabase
from mailstore.schema import web_sessions
from mailstore.web_sessions import HOUR, IDLE, MOST, OLDEST, WebSessions
from tests.postgres.accounts import BOTH

DATABASES = BOTH


@pytest.fixture
def now() -> list[float]:
    return [1_800_000_000.0]


@pytest.fixture
def sessions(database: AccountsDatabase, now: list[float]) -> WebSessions:
    return WebSessions(database, lambda: now[0])


def rows(database: AccountsDatabase) -> int:
    with database.read() as connection:
        return len(connection.execute(select(web_sessions.c.token)).all())


def test_a_token_is_its_session_and_is_not_in_the_database(database: AccountsDatabase, sessions: WebSessions) -> None:
    token, session = sessions.begin("portal", "7")
    assert sessions.find("portal", token) == session
    assert sessions.find("portal", token[:-1] + "_") is None
    assert sessions.find("portal", "") is None
    with database.read() as connection:
        row = connection.execute(select(web_sessions)).one()
    assert token.encode() not in row.token
    assert token not in repr(session) and session.csrf not in repr(session)


def test_a_session_of_one_place_is_none_of_the_other(sessions: WebSessions) -> None:
    token, _ = sessions.begin("portal", "admin")
    assert sessions.find("console", token) is None


def test_no_two_have_the_same_tokens(sessions: WebSessions) -> None:
    made = [sessions.begin("portal", str(number)) for number in range(10)]
    assert len({token for token, _ in made} | {session.csrf for _, session in made}) == 20


@pytest.mark.parametrize("place", ["portal", "console"])
def test_a_session_ends_unused(sessions: WebSessions, now: list[float], place: str) -> None:
    token, _ = sessions.begin(place, "1")  # type: ignore[arg-type]
    now[0] += IDLE[place]  # type: ignore[index]
    assert sessions.find(place, token) is not None  # type: ignore[arg-type]
    now[0] += 1
    assert sessions.find(place, token) is None  # type: ignore[arg-type]


def test_a_session_ends_however_much_it_is_used(sessions: WebSessions, now: list[float]) -> None:
    token, session = sessions.begin("console", "admin")
    for _ in range(OLDEST["console"] // (HOUR // 2)):
        now[0] += HOUR // 2
        found = sessions.find("console", token)
        assert found is not None and sessions.stale(found)
        sessions.touch(found)
    now[0] += 1
    assert sessions.find("console", token) is None
    assert session.created == 1_800_000_000


def test_use_is_written_down_now_and_then(sessions: WebSessions, now: list[float]) -> None:
    token, session = sessions.begin("portal", "1")
    now[0] += 59
    assert not sessions.stale(session)
    now[0] += 1
    assert sessions.stale(session)
    sessions.touch(session)
    found = sessions.find("portal", token)
    assert found is not None and found.used == 1_800_000_060 and not sessions.stale(found)


def test_logging_out_ends_one(sessions: WebSessions) -> None:
    (one, session), (other, _) = sessions.begin("portal", "1"), sessions.begin("portal", "1")
    sessions.end(session)
    assert sessions.find("portal", one) is None
    assert sessions.find("portal", other) is not None


def test_all_of_somebody_end(sessions: WebSessions) -> None:
    made = [sessions.begin("console", name) for name in ("li", "li", "wang")]
    assert sessions.end_all("console", "li") == 2
    assert [sessions.find("console", token) is not None for token, _ in made] == [False, False, True]


def test_all_others_of_somebody_end(sessions: WebSessions) -> None:
    made = [sessions.begin("portal", "1") for _ in range(3)]
    assert sessions.end_all("portal", "1", made[1][1]) == 2
    assert [sessions.find("portal", token) is not None for token, _ in made] == [False, True, False]


def test_those_that_have_ended_are_swept_out(
    database: AccountsDatabase, sessions: WebSessions, now: list[float]
) -> None:
    for number in range(5):
        sessions.begin("portal", str(number))
    now[0] += IDLE["portal"] + 1
    sessions.begin("portal", "9")
    assert rows(database) == 1


def test_nobody_has_too_many(database: AccountsDatabase, sessions: WebSessions, now: list[float]) -> None:
    tokens = []
    for _ in range(MOST + 3):
        now[0] += 1
        tokens.append(sessions.begin("portal", "1")[0])
    assert rows(database) == MOST
    assert [sessions.find("portal", token) is None for token in tokens] == [True] * 3 + [False] * MOST
