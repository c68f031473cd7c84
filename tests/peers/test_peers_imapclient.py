"""IMAPClient, a library that programs are written with: what it has a method for is used once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from imapclient import FLAGGED, SEEN, IMAPClient
from imapclient.exceptions import CapabilityError, IMAPClientError, LoginError

from tests.dialogues.fixtures import MAILBOXES, letter
from tests.legacy.dovecot import Dovecot
from tests.peers.daemon import Daemon
from tests.peers.mailboxes import looking

pytestmark = pytest.mark.peers
PATIENCE = 20


@pytest.fixture
def client(daemon: Daemon, letters_user: str) -> Iterator[IMAPClient]:
    with looking(daemon.ports["imap"], letters_user) as client:
        yield client


def waited_for(client: IMAPClient, *words: bytes) -> list[tuple[object, ...]]:
    """What an idling client is told, until all of the words were in it."""
    said: list[tuple[object, ...]] = []
    missing = set(words)
    while missing:
        news = client.idle_check(timeout=PATIENCE)
        assert news, (said, missing)
        said.extend(news)
        missing -= {each for news in said for each in news if isinstance(each, bytes)}
    return said


# Logging in


@pytest.mark.parametrize("way", ["imaps", "starttls"])
def test_encrypted_and_by_sasl(daemon: Daemon, letters_user: str, way: str) -> None:
    tls = way == "imaps"
    port = daemon.ports["imaps" if tls else "imap"]
    with IMAPClient("localhost", port, ssl=tls, ssl_context=daemon.trust() if tls else None, timeout=60) as client:
        if not tls:
            client.starttls(daemon.trust())
        client.plain_login(f"{letters_user}@123.com", "pass")
        assert client.select_folder("INBOX")[b"EXISTS"] == 8


def test_a_wrong_password(daemon: Daemon, letters_user: str) -> None:
    with IMAPClient("127.0.0.1", daemon.ports["imap"], ssl=False, timeout=60) as client:
        with pytest.raises(LoginError, match="AUTHENTICATIONFAILED"):
            client.login(letters_user, "guess")


def test_who_is_who(client: IMAPClient) -> None:
    assert client.id_({"name": "a script", "version": "1"})[0] == (b"name", b"mailferry")
    assert client.namespace().personal == (("", "/"),)
    assert client.enable("CONDSTORE", "X-NONSENSE") == [b"CONDSTORE"]


# Folders


def test_folders_by_their_use(client: IMAPClient) -> None:
    found = {name: flags for flags, _, name in client.list_folders()}
    assert set(found) == {"INBOX", "Sent", "Drafts", "Trash", "Junk", "Archive"}
    assert b"\\Junk" in found["Junk"]
    assert [client.find_special_folder(use) for use in (b"\\Sent", b"\\Drafts", b"\\Trash")] == [
        "Sent",
        "Drafts",
        "Trash",
    ]


def test_folders_made_renamed_and_subscribed(client: IMAPClient) -> None:
    client.create_folder("项目/二〇二四 & co")
    client.subscribe_folder("项目/二〇二四 & co")
    client.rename_folder("项目", "Projekte")
    assert client.folder_exists("Projekte/二〇二四 & co")
    assert not client.folder_exists("项目")
    assert "项目/二〇二四 & co" in [
        name for _, _, name in client.list_sub_folders()
    ]  # RFC 3501 6.3.9: until taken back
    client.unsubscribe_folder("项目/二〇二四 & co")
    client.delete_folder("Projekte/二〇二四 & co")
    assert not client.folder_exists("Projekte/二〇二四 & co")
    status = client.folder_status("INBOX", ["MESSAGES", "UNSEEN", "SIZE", "HIGHESTMODSEQ", "DELETED"])
    assert status[b"MESSAGES"] == 8
    assert status[b"SIZE"] == sum(len(letter(number)) for number in range(1, 9))


# Messages


def test_fetch_in_every_form(client: IMAPClient) -> None:
    client.select_folder("INBOX", readonly=True)
    items = ["ENVELOPE", "BODYSTRUCTURE", "INTERNALDATE", "RFC822.SIZE", "BODY.PEEK[1]", "BODY[]<0.8>"]
    (message,) = client.fetch([3], items).values()
    assert message[b"ENVELOPE"].subject == b"letter 3"
    assert message[b"ENVELOPE"].from_[0].mailbox == b"sender3"
    assert message[b"BODYSTRUCTURE"][:2] == (b"text", b"plain")
    assert message[b"BODY[1]"] == b"body 3\r\n"
    assert message[b"BODY[]<0>"] == letter(3)[:8]
    assert client.fetch([99], ["FLAGS"]) == {}


def test_condstore(daemon: Daemon, letters_user: str, client: IMAPClient) -> None:
    known = client.select_folder("INBOX")[b"HIGHESTMODSEQ"]
    with looking(daemon.ports["imap"], letters_user) as other:
        other.select_folder("INBOX")
        other.add_flags([2, 7], [FLAGGED])
    changed = client.fetch(range(1, 9), ["FLAGS"], [f"CHANGEDSINCE {known}"])
    assert set(changed) == {2, 7}
    assert all(message[b"MODSEQ"][0] > known for message in changed.values())
    assert client.search(["MODSEQ", str(known + 1)]) == [2, 7]


def test_flags_moves_and_expunges(client: IMAPClient) -> None:
    client.select_folder("INBOX")
    assert {SEEN, b"$Work"} <= set(client.set_flags([1], [SEEN, b"$Work"])[1])
    assert {SEEN, b"$Work"} <= set(client.get_flags([1])[1])
    assert b"$Work" not in client.remove_flags([1], [b"$Work"])[1]
    client.move([2, 3], "Archive")
    client.copy([4], "Trash")
    client.delete_messages([4, 5])
    client.uid_expunge([4])
    assert client.search() == [1, 5, 6, 7, 8]
    assert client.search(["DELETED"]) == [5]
    client.unselect_folder()
    assert client.folder_status("INBOX", ["MESSAGES"]) == {b"MESSAGES": 5}
    client.select_folder("INBOX")
    client.close_folder()
    assert client.folder_status("INBOX", ["MESSAGES"]) == {b"MESSAGES": 4}
    assert client.folder_status("Archive", ["MESSAGES"]) == {b"MESSAGES": 2}
    assert client.folder_status("Trash", ["MESSAGES"]) == {b"MESSAGES": 1}
    with pytest.raises(IMAPClientError, match="NONEXISTENT"):
        client.select_folder("Nowhere")


def test_append_one_and_many(client: IMAPClient) -> None:
    date = datetime(2020, 2, 29, 12, 0, tzinfo=UTC)
    answer = client.append("Drafts", letter(9), [b"\\Draft"], date)
    assert b"APPENDUID" in answer
    client.multiappend("Drafts", [letter(10), {"msg": letter(11), "flags": [SEEN], "date": date}])
    client.normalise_times = False
    client.select_folder("Drafts")
    found = client.fetch([1, 2, 3], ["FLAGS", "INTERNALDATE", "BODY.PEEK[]"])
    assert [message[b"BODY[]"] for message in found.values()] == [letter(9), letter(10), letter(11)]
    assert found[1][b"INTERNALDATE"] == found[3][b"INTERNALDATE"] == date
    assert SEEN in found[3][b"FLAGS"]


# Searching


@pytest.fixture
def conversation(daemon: Daemon, letters_user: str) -> Iterator[IMAPClient]:
    """Selected: seven messages that answer each other."""
    with looking(daemon.ports["imap"], letters_user) as client:
        client.create_folder("Conversation")
        for sample in MAILBOXES["conversation"].inbox:
            client.append("Conversation", sample.octets)
        client.append("Conversation", MAILBOXES["three"].inbox[1].octets)
        client.select_folder("Conversation")
        yield client


@pytest.mark.parametrize("charset", ["UTF-8", "GB18030", "Big5"])
def test_search_with_a_charset(conversation: IMAPClient, charset: str) -> None:
    assert conversation.search(["TEXT", "四"], charset) == [7, 8]


def test_search_in_any_case(conversation: IMAPClient) -> None:
    assert conversation.search(["FROM", "ÄNNE"], "UTF-8") == conversation.search(["FROM", "änne"], "UTF-8") == [3]


def test_search_by_everything_else(conversation: IMAPClient) -> None:
    assert conversation.search(["OR", ["SUBJECT", "agenda"], ["NOT", ["SMALLER", 250]]])
    assert conversation.search(["SENTSINCE", datetime(2023, 11, 7, tzinfo=UTC).date()]) == [5, 6, 8]
    assert conversation.search(["HEADER", "Message-ID", "<two@123.com>"]) == [2, 8]
    assert conversation.search("UNSEEN 1:2") == [1, 2]


def test_sort_and_thread(conversation: IMAPClient) -> None:
    assert conversation.sort("DATE", ["UID", "1:7"]) == [7, 4, 3, 1, 2, 6, 5]
    assert conversation.sort(["REVERSE SIZE"])[0] == 8
    assert conversation.thread("REFERENCES", "UID 1:7") == ((7,), ((4,), (5,)), (1, (3,), (2, 6)))
    assert len(conversation.thread("ORDEREDSUBJECT")) > 1
    with pytest.raises(CapabilityError):
        conversation.thread("REFS")


# Being told


def test_told_while_idling(daemon: Daemon, letters_user: str, client: IMAPClient) -> None:
    client.select_folder("INBOX")
    client.idle()
    with looking(daemon.ports["imap"], letters_user) as other:
        other.select_folder("INBOX")
        other.append("INBOX", letter(9))
        assert (9, b"EXISTS") in waited_for(client, b"EXISTS")
        other.add_flags([4], [FLAGGED])
        assert any(each[0] == 4 for each in waited_for(client, b"FETCH"))
        other.move([2], "Trash")
        assert (2, b"EXPUNGE") in waited_for(client, b"EXPUNGE")
        other.delete_messages([3])
        other.expunge([3])
        assert (2, b"EXPUNGE") in waited_for(client, b"EXPUNGE")
    text, _ = client.idle_done()
    assert text == b"Idle completed."
    client.idle()  # renewed, as clients do within 29 minutes
    client.idle_done()
    assert client.search() == [1, 4, 5, 6, 7, 8, 9]


def test_told_of_what_other_programs_do(daemon: Daemon, letters_user: str, client: IMAPClient) -> None:
    """A delivery into the Maildir, and its removal."""
    client.select_folder("INBOX")
    client.idle()
    maildir = daemon.maildir(letters_user)
    (maildir / "tmp" / "1.a.host").write_bytes(letter(9))
    (maildir / "tmp" / "1.a.host").rename(maildir / "new" / "1.a.host")
    assert (9, b"EXISTS") in waited_for(client, b"EXISTS")
    (delivered,) = [*maildir.glob("new/1.a.host*"), *maildir.glob("cur/1.a.host*")]
    delivered.unlink()
    assert (9, b"EXPUNGE") in waited_for(client, b"EXPUNGE")
    client.idle_done()


# Quota


def test_quota(legacy: Dovecot, make_daemon: Callable[..., Daemon], letters_user: str) -> None:
    quota = '[domain."123.com"]\nquota = "1M"\nquota_messages = 10'
    daemon = make_daemon(f'port = {legacy.pop3}\ntls = "none"\n{quota}')
    with looking(daemon.ports["imap"], letters_user) as client:
        roots, found = client.get_quota_root("INBOX")
        assert roots.quota_roots == [""]
        limits = {each.resource: (each.usage, each.limit) for each in found}
        assert limits == {"STORAGE": (2, 1024), "MESSAGE": (8, 10)}
        assert {each.resource for each in client.get_quota("INBOX")} == {"STORAGE", "MESSAGE"}
        client.append("Sent", letter(9))
        client.append("Sent", letter(10))
        with pytest.raises(IMAPClientError, match="OVERQUOTA"):
            client.append("Sent", letter(11))
        client.select_folder("INBOX")
        client.delete_messages([1])
        client.expunge()
        client.append("Sent", letter(11))
    assert daemon.stop() == 0
