"""What an opened mailbox costs: SELECT, FETCH, SEARCH and memory, on one session over a connection in memory.

    python -m tests.bench.mailbox [--listed 100000] [--searched 20000]

Seconds are the best of three; a daemon adds the hop to a thread and the socket. Figures to hold are printed beside.
"""

from __future__ import annotations

import argparse
import gc
import random
import time
import tracemalloc

from twisted.internet.task import Clock

from mailstore.entries import Listed
from mailstore.index import folders, mailbox
from mailstore.index.rows import SEEN, shared_flags
from mailstore.landing import Landing
from mailstore.mailbox_database import MailboxEngine
from mailstore.maildir import info
from mailstore.mailhome import MailHome
from proxy.imap.server import ImapFactory
from proxy.imap.view import View
from proxy.wire.door import Terms
from tests.bench import corpus
from tests.bench.ground import ground
from tests.dialogues.gate import Announced, ScriptedGate
from tests.dialogues.memory import MemoryChannel

BATCH = 500
HANZI = "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行学法所民得经十三之进着等部度家电力里如水化高自二理起小物现实加量都两体制机当使点从业本去把性好应开它合还因由其些然前外天政四日那社义事平形相全表间样与关各重新线内数正心反你明看原又么利比或但质气第向道命此变条只没结解问意建月公无系军很情者最立代想已通并提直题党程展五果料象员革位入常文总次品式活设及管特件长求老头基资边流路级少图山统接知较将组见计别她手角期根论运农指几九区强放决西被干做必战先回则任取据处队南给色光门即保治北造百规热领七海口东导器压志世金增争济阶油思术极交受联什认六共权收证改清己美再采转更单风切打白教速花带安场身车例真务具万每目至达走积示议声报斗完类八离华名确才科张信马节话米整空元况今集温传土许步群广石记需段研界拉林律叫且究观越织装影算低持音众书布复容儿须际商非验连断深难近矿千周委素技备半办青省列习响约支般史感劳便团往酸历市克何除消构府称太准精值号率族维划选标写存候毛亲快效斯院查江型眼王按格养易置派层片始却专状育厂京识适属圆包火住调满县局照参红细引听该铁价严"  # noqa: E501


NEEDLES = ("TEXT nowhere", "TEXT 7f3a", "BODY e", "SUBJECT 1234", "SUBJECT letter", "FROM from7@", "TEXT example")


def message(random_: random.Random, n: int) -> bytes:
    """Every third in Chinese, GB18030 in base64, the others from the corpus."""
    if n % 3:
        return corpus.message(random_, n, random_.randint(2_000, 8_000)).replace(b"\n", b"\r\n")
    text = "".join("。" if at % 17 == 16 else random_.choice(HANZI) for at in range(600))
    return (
        f"From: Li <li{n % 37}@example.org>\r\nTo: user@123.com\r\nSubject: letter {n}\r\nMessage-ID: <{n}@zh>\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=gb18030\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    ).encode() + text.encode("gb18030")


def fill(home: MailHome, count: int) -> int:
    """Real messages in INBOX; their octets."""
    random_, octets = random.Random(1), 0
    landing = Landing(home.maildir, home.token, seen="headers", clock=time.time)
    for start in range(0, count, BATCH):
        batch = [message(random_, n) for n in range(start, min(start + BATCH, count))]
        listed = [Listed(start + at, f"u{start + at}", len(each)) for at, each in enumerate(batch, 1)]
        written = landing.write(list(zip(home.ledger.record_listing(listed, (), hold_uids=True), batch, strict=True)))
        landing.settle(written)
        home.ledger.enter([each.landed for each in written])
        octets += sum(map(len, batch))
    landing.close()
    return octets


def list_only(home: MailHome, count: int) -> None:
    """A folder "many" whose messages have names and no bytes."""
    made = home.create("many")
    with home._database.write() as connection:
        folder = folders.by_id(connection, home.account_id, made.id)
        assert folder is not None
        kinds = [shared_flags(()), shared_flags((SEEN,)), shared_flags((SEEN, "$Forwarded"))]
        new = (
            mailbox.NewMessage(kinds[n % 3], 5_000, 1_600_000_000 + n, f"{n}.x.y,S=5000,W=5000") for n in range(count)
        )
        mailbox.add(connection, home.account_id, folder, new)
        cur = home.maildir.folder(folder.directory) / "cur"
        for n in range(count):
            (cur / f"{n}.x.y,S=5000,W=5000{info(kinds[n % 3])}").touch()
        folders.save(connection, home.account_id, folder)


class Client:
    def __init__(self, home: MailHome) -> None:
        clock = Clock()
        factory = ImapFactory(ScriptedGate(home, clock, Announced()), Terms(hostname="bench"), _Quiet(), clock)
        self._channel = MemoryChannel(factory.buildProtocol(None), clock)
        self.ask(b"LOGIN user@123.com pass")

    def ask(self, command: bytes) -> tuple[float, bytes]:
        """Seconds, and all that was said."""
        self._channel.transport.out.clear()
        begun = time.perf_counter()
        self._channel.send(b"a " + command + b"\r\n")
        for _ in range(1_000_000):
            if b"\r\na " in self._channel.transport.out[-2_000:] or self._channel.transport.out.startswith(b"a "):
                break
            self._channel.settle()  # a long command lets others have their turn
        seconds = time.perf_counter() - begun
        said = self._channel.leftover()
        assert b"\r\na OK" in b"\r\n" + said[-2_000:], said[-2_000:]
        return seconds, said

    def best(self, command: bytes) -> float:
        return min(self.ask(command)[0] for _ in range(3))


class _Quiet:
    def info(self, event: str, **fields: object) -> None: ...

    def warning(self, event: str, **fields: object) -> None: ...

    def error(self, event: str, **fields: object) -> None:
        raise AssertionError((event, fields))


def show(what: str, value: float, unit: str = "s", limit: str = "") -> None:
    print(f"{what:58} {value:10.3f} {unit:8} {limit}", flush=True)


def found(said: bytes) -> int:
    """How many numbers a SEARCH response has."""
    return len(said.partition(b"\r\n")[0].split()) - 2


def kept_octets(home: MailHome) -> dict[str, int]:
    with home._database.read() as connection:
        ask = connection.exec_driver_sql
        return {
            "facts": ask("SELECT sum(length(facts)) FROM contents").scalar() or 0,
            "texts": ask("SELECT sum(length(header) + length(body)) FROM texts").scalar() or 0,
            "trigrams": ask("SELECT sum(length(block)) FROM fulltext_data").scalar() or 0,
        }


def measure(home: MailHome, listed: int, searched: int) -> None:
    octets = fill(home, searched)
    list_only(home, listed)
    client = Client(home)
    show(f"SELECT of {listed}", client.best(b"SELECT many"), limit="< 0.3")
    show(f"FETCH 1:* (FLAGS UID) of {listed}", client.best(b"FETCH 1:* (FLAGS UID)"), limit="< 1")
    gc.collect()
    tracemalloc.start()
    view = View(home.select("many", writable=False), writable=False)
    gc.collect()
    show("memory of a selected mailbox, a message", tracemalloc.get_traced_memory()[0] / listed, "octets", "< 150")
    tracemalloc.stop()
    del view
    client.ask(b"SELECT INBOX")
    some = min(5_000, searched)
    show(f"FETCH 1:{some} (ENVELOPE), first time", client.ask(b"FETCH 1:%d (ENVELOPE)" % some)[0])
    show(f"FETCH 1:{some} (ENVELOPE), kept", client.best(b"FETCH 1:%d (ENVELOPE)" % some), limit="< 0.5")
    show(f"FETCH 1:{some} (BODYSTRUCTURE), kept", client.best(b"FETCH 1:%d (BODYSTRUCTURE)" % some))
    wanted = b"BODY.PEEK[HEADER.FIELDS (FROM TO CC SUBJECT DATE MESSAGE-ID REFERENCES CONTENT-TYPE)]"
    show(f"FETCH 1:{some} ({wanted[:24].decode()}…), kept", client.best(b"FETCH 1:%d (%b)" % (some, wanted)))
    show(f"SEARCH TEXT in {searched}, first time (fills the index)", client.ask(b'SEARCH TEXT "nowhere"')[0])
    for needle in NEEDLES:
        seconds, said = client.ask(f"SEARCH {needle}".encode())
        show(f"SEARCH {needle}: {found(said)} found", seconds, limit="< 1")
    for chinese in ("会议", "的", "国家", "大学生"):
        octets_ = chinese.encode()
        seconds, said = client.ask(b"SEARCH CHARSET UTF-8 BODY {%d+}\r\n%b" % (len(octets_), octets_))
        show(f"SEARCH BODY {chinese}: {found(said)} found", seconds, limit="< 1")
    for kind, size in kept_octets(home).items():
        show(f"{kind} kept, a message of {octets // searched} octets", size / searched, "octets")
    begun = time.perf_counter()
    moved = home.move(1, range(1, min(1000, searched) + 1), "many")
    show(f"{len(moved.targets)} messages moved", time.perf_counter() - begun)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--listed", type=int, default=100_000)
    options.add_argument("--searched", type=int, default=20_000)
    chosen = options.parse_args()
    with ground() as place:
        home = MailHome(MailboxEngine(), 1, place.fresh("home") / "Maildir")
        measure(home, chosen.listed, chosen.searched)
        home.close()


if __name__ == "__main__":
    main()
