"""Whatever a client sends, in whatever state: replies or a goodbye, never an internal error, nothing left behind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.proxy.imap.imap_rig import Rig

WORDS = (
    b"FETCH STORE SEARCH SORT THREAD REPLACE COMPRESS DEFLATE CATENATE URL TEXT COPY UID "
    b"EXPUNGE CLOSE SELECT EXAMINE LIST LSUB STATUS APPEND IDLE DONE NOOP CHECK CREATE "
    b"DELETE RENAME SUBSCRIBE LOGIN AUTHENTICATE PLAIN STARTTLS CAPABILITY ID ENABLE NAMESPACE UNSELECT 1 1:* * 0 "
    b"4294967296 INBOX Other NIL () (FLAGS) FLAGS +FLAGS (\\Seen) $Work BODY[] ALL RFC822 OR NOT SUBJECT KEYWORD "
    b'BEFORE 14-Nov-2023 {3} {3+} {0} {99999999} {-1} abc (MESSAGES) = AGEAYg== &AC8- CHARSET UTF-8 "" "unclosed (((( '
    b"\0 \xff\xfe MOVE $ RETURN (SAVE) (PARTIAL 1:2 -1:-2 (CHANGEDSINCE (UNCHANGEDSINCE (QRESYNC (1 MODSEQ VANISHED "
    b"UNAUTHENTICATE CONDSTORE QRESYNC UIDONLY NOTIFY SET NONE (SELECTED (PERSONAL (MessageNew MessageExpunge) "
    b"FlagChange) AnnotationChange (SUBTREE"
).split(b" ")
CHOICES = {
    b"<set>": b"1 1:* * 2,4:3 99 4294967295:1 0 $".split(),
    b"<modifier>": b"(CHANGEDSINCE,1) (PARTIAL,-1:-2) (CHANGEDSINCE,1,VANISHED) (PARTIAL,1:1,CHANGEDSINCE,3)".split(),
    b"<return>": b"() (MIN,MAX) (SAVE) (SAVE,MIN) (COUNT,ALL) (PARTIAL,-1:-9,SAVE)".split(),
    b"<param>": b"(CONDSTORE) (QRESYNC,(1700100000,1)) (QRESYNC,(1,1,1:9,(1,1)))".split(),
    b"<items>": b"MODSEQ (UID,FLAGS,MODSEQ) "
    b"FLAGS ALL FULL BODY[] BODY.PEEK[1] BODY[2.HEADER]<1.5> BODYSTRUCTURE RFC822 BODY[2.2.MIME] "
    b"BODY[TEXT]<5.0> (UID,ENVELOPE) (FLAGS,RFC822.SIZE,INTERNALDATE) BODY[9.9.9] BODY[HEADER.FIELDS,(TO)] "
    b"BINARY[1] BINARY.PEEK[2.1]<1.5> BINARY.SIZE[2]".split(),
    b"<flags>": b"(\\Seen) \\Deleted ($Work,\\Flagged) () (\\Recent)".split(),
    b"<folder>": b'INBOX inbox Other Other/Deep "" "a,b" &AC8- {3+}'.split(),
    b"<boxes>": b"SELECTED SELECTED-DELAYED INBOXES PERSONAL SUBSCRIBED SUBTREE,Other MAILBOXES,(INBOX,Other)".split(),
    b"<events>": b"(MessageNew,MessageExpunge) (MessageNew,MessageExpunge,FlagChange) NONE (MailboxName) () "
    b"(MessageNew,(UID,BODY[]),MessageExpunge) (MailboxName,SubscriptionChange,ServerMetadataChange) (Other)".split(),
    b"<key>": b"ALL UNSEEN 1:* UID,1:* NOT,SEEN OR,SEEN,BODY,x (FROM,carol) LARGER,5 MODSEQ,2 $ "
    b"SENTON,1-Jan-2020".split(),
}
COMMANDS = (
    b"FETCH <set> <items>;UID FETCH <set> <items>;STORE <set> +FLAGS <flags>;UID STORE <set> FLAGS.SILENT <flags>;"
    b"SEARCH <key> <key>;UID SEARCH <key>;COPY <set> <folder>;EXPUNGE;UID EXPUNGE <set>;CREATE <folder>;"
    b"SORT (DATE) UTF-8 <key>;UID SORT (REVERSE DISPLAYFROM SUBJECT) UTF-8 <key>;THREAD REFERENCES UTF-8 <key>;"
    b"UID THREAD ORDEREDSUBJECT UTF-8 <key>;REPLACE 1 <folder> {5+};"
    b"APPEND <folder> CATENATE (URL /x TEXT {5+};"
    b"DELETE <folder>;RENAME <folder> <folder>;LIST <folder> *;LSUB <folder> %;SUBSCRIBE <folder>;SELECT <folder>;"
    b"STATUS <folder> (MESSAGES);APPEND <folder> <flags> {5+};IDLE;DONE;CLOSE;UNSELECT;CHECK;NOOP;"
    b"MOVE <set> <folder>;UID MOVE <set> <folder>;FETCH <set> <items> <modifier>;UID FETCH <set> <items> <modifier>;"
    b"STORE <set> (UNCHANGEDSINCE 3) -FLAGS <flags>;SEARCH RETURN <return> <key>;UID SEARCH RETURN <return> <key>;"
    b"NOTIFY SET (<boxes> <events>);NOTIFY SET STATUS (<boxes> <events>) (<boxes> <events>);NOTIFY NONE;"
    b"SELECT <folder> <param>;ENABLE QRESYNC;ENABLE UIDONLY;UNAUTHENTICATE;STATUS <folder> (HIGHESTMODSEQ SIZE)"
).split(b";")


@st.composite
def commands(draw: st.DrawFn) -> bytes:
    """A command that is nearly always right."""
    text = draw(st.sampled_from(COMMANDS))
    for place, values in CHOICES.items():
        while place in text:
            text = text.replace(place, draw(st.sampled_from(values)).replace(b",", b" "), 1)
    return b"a " + text


noise = st.lists(st.sampled_from(WORDS), max_size=7).map(lambda words: b"x.1 " + b" ".join(words))
pieces = st.lists(st.one_of(commands(), commands(), noise, st.binary(max_size=12)), max_size=8)
START = {
    "stranger": b"",
    "logged in": b"in LOGIN user@123.com pass\r\n",
    "selected": b"in LOGIN user@123.com pass\r\nse SELECT INBOX\r\n",
    "resyncing": b"in LOGIN user@123.com pass\r\nen ENABLE QRESYNC\r\nse SELECT INBOX\r\n",
    "by uid only": b"in LOGIN user@123.com pass\r\nen ENABLE UIDONLY\r\nse SELECT INBOX\r\n",
    "notified": b"in LOGIN user@123.com pass\r\nno NOTIFY SET (SELECTED (MessageNew (BODY[] FLAGS) MessageExpunge "
    b"FlagChange)) (PERSONAL (MessageNew MessageExpunge MailboxName SubscriptionChange))\r\nse SELECT INBOX\r\n",
    "read only": b"in LOGIN user@123.com pass\r\nse EXAMINE INBOX\r\n",
}
WITNESS = (
    b"in LOGIN user@123.com pass\r\nno NOTIFY SET STATUS (SELECTED (MessageNew (ENVELOPE) MessageExpunge FlagChange)) "
    b"(PERSONAL (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange MailboxMetadataChange))\r\n"
    b"se SELECT INBOX\r\n"
)
RESPONSE = re.compile(rb"(\* |\+ |[^\s()%\"\\*+{]+ (OK|NO|BAD) )", re.DOTALL)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    path: Path = tmp_path_factory.mktemp("fuzz")
    rig = Rig(path, "nested")
    yield rig
    rig.close()


@pytest.mark.parametrize("state", START)
@given(sent=pieces, ending=st.sampled_from([b"\r\n", b"\n", b"\r", b""]))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_input_is_answered(rig: Rig, state: str, sent: list[bytes], ending: bytes) -> None:
    channel, witness = rig.connect(), rig.connect()
    witness.send(WITNESS)  # is told of all that the other one does
    channel.send(START[state])
    for piece in sent:
        channel.send(piece + b"\r\n")
    channel.send(ending)
    said = channel.leftover()
    channel.hang_up()
    witness.settle()
    assert witness.leftover().startswith(b"in OK ")
    witness.hang_up()
    assert b" NO [SERVERBUG]" not in said
    assert not [entry for entry in rig.log.lines if entry[0] == "error"]
    assert all(home.closed for home in rig.gate.homes)
    assert not rig.clock.getDelayedCalls()
    assert not said or RESPONSE.match(said)
