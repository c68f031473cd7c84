"""Legacy servers whose messages have no UIDLs, or none that are good for anything: told apart all the same."""

from __future__ import annotations

from proxy.migration.comparing import HEADERS
from tests.proxy.migration.later_rig import LaterTestCase, letter
from tests.proxy.migration.scripted import Old

COUNT = 9  # letters 1 to 9 are all of one size


def note(number: int) -> bytes:
    """A message without a Message-ID, of the same size as any other: what a watched machine sends."""
    return b"Subject: disk\r\n\r\n%03d is full\r\n" % number


class NamelessTestCase(LaterTestCase):
    top = True

    def setUp(self) -> None:
        super().setUp()
        self.old.top = self.top

    def arrive(self, *data: bytes) -> None:
        self.old.box += [Old(self.name(), each) for each in data]

    def name(self) -> str:
        return ""

    def settle(self, *data: bytes) -> None:
        """An account whose old mailbox is here."""
        self.arrive(*data)
        self.look()
        self.assertEqual(self.stored(), list(data))
        self.keep()

    def assert_here(self, *data: bytes) -> None:
        """Just these are here, and what was here before is untouched."""
        self.look()
        self.assertEqual(self.stored(), list(data))
        self.assert_untouched(more=len(data) - len(self.before))


LETTERS = tuple(letter(n) for n in range(1, COUNT + 1))
NOTES = tuple(note(n) for n in range(1, COUNT + 1))


class WithTop(NamelessTestCase):
    """Headers tell, where they have a Message-ID."""

    kind = staticmethod(letter)
    mailbox = LETTERS

    def setUp(self) -> None:
        super().setUp()
        self.settle(*self.mailbox)

    def test_nothing_new(self) -> None:
        self.assert_here(*self.mailbox)
        self.assertLessEqual(len(self.fetched()), 1)

    def test_what_is_new_comes_behind(self) -> None:
        self.arrive(self.kind(50), self.kind(51))
        self.assert_here(*self.mailbox, self.kind(50), self.kind(51))
        self.assertLessEqual(len(self.fetched()), 3)

    def test_the_first_is_deleted_there_and_one_comes(self) -> None:
        """The same sizes in the same number: nothing in the listing says that anything happened."""
        del self.old.box[0]
        self.arrive(self.kind(50))
        self.assert_here(*self.mailbox, self.kind(50))

    def test_the_last_is_deleted_there_and_one_comes(self) -> None:
        del self.old.box[-1]
        self.arrive(self.kind(50))
        self.assert_here(*self.mailbox, self.kind(50))

    def test_some_are_deleted_there_and_more_come(self) -> None:
        del self.old.box[2:5]
        self.arrive(*(self.kind(n) for n in range(50, 57)))
        self.assert_here(*self.mailbox, *(self.kind(n) for n in range(50, 57)))

    def test_all_are_deleted_there_and_as_many_come(self) -> None:
        self.old.box.clear()
        self.arrive(*(self.kind(n) for n in range(50, 50 + COUNT)))
        self.assert_here(*self.mailbox, *(self.kind(n) for n in range(50, 50 + COUNT)))

    def test_they_are_sorted_the_other_way_round(self) -> None:
        self.old.box.reverse()
        self.assert_here(*self.mailbox)
        self.old.box.reverse()
        self.assert_here(*self.mailbox)

    def test_one_is_put_in_front(self) -> None:
        self.old.box.insert(0, Old(self.name(), self.kind(50)))
        self.assert_here(*self.mailbox, self.kind(50))

    def test_they_go_and_come_back(self) -> None:
        kept = list(self.old.box)
        del self.old.box[3:]
        self.assert_here(*self.mailbox)
        self.old.box = kept
        self.assert_here(*self.mailbox)

    def test_what_the_user_deleted_stays_deleted(self) -> None:
        self.mail.remove(self.uids()[2:4])
        self.before = self.before[:2] + self.before[4:]
        del self.old.box[0]
        self.arrive(self.kind(50))
        self.assert_here(*self.mailbox[:2], *self.mailbox[4:], self.kind(50))
        self.old.box.reverse()
        self.assert_here(*self.mailbox[:2], *self.mailbox[4:], self.kind(50))

    def test_a_server_that_does_not_say_sizes(self) -> None:
        for old in self.old.box:
            old.octets = 0
        self.assert_here(*self.mailbox)
        del self.old.box[0]
        self.old.box.append(Old(self.name(), self.kind(50), octets=0))
        self.assert_here(*self.mailbox, self.kind(50))


class WithoutTop(WithTop):
    """One message is compared, and if it is another one all are."""

    top = False


class Notes(WithTop):
    """Without Message-IDs TOP says nothing."""

    kind = staticmethod(note)
    mailbox = NOTES


class NotesWithoutTop(Notes):
    top = False


class OneName(WithTop):
    """The same UIDL for every message."""

    def name(self) -> str:
        return "same"


class OneNameWithoutTop(OneName):
    top = False


class Numbers(WithTop):
    """A message's number for its UIDL."""

    def look(self) -> object:  # type: ignore[override]
        self.rename("")
        return super().look()


class NumbersWithoutTop(Numbers):
    top = False


class Some(NamelessTestCase):
    """Some have names, and some have none."""

    def test_empty_names_between_good_ones(self) -> None:
        self.settle(letter(1))
        self.old.box = [Old("a", letter(2)), Old("", letter(1)), Old("b", letter(3)), Old("", letter(4))]
        self.assert_here(letter(1), letter(2), letter(3), letter(4))
        self.fetched()
        del self.old.box[0]
        self.old.box.insert(0, Old("", letter(5)))
        self.assert_here(letter(1), letter(2), letter(3), letter(4), letter(5))
        self.assertEqual(self.fetched(), [""])

    def test_a_server_that_learns_uidl(self) -> None:
        self.settle(*LETTERS)
        for number, old in enumerate(self.old.box):
            old.uidl = f"x{number}"
        self.assert_here(*LETTERS)
        self.fetched()
        self.assert_here(*LETTERS)
        self.assertEqual(self.fetched(), [])

    def test_a_server_that_forgets_it(self) -> None:
        self.old.box = [Old(f"x{n}", data) for n, data in enumerate(LETTERS)]
        self.look()
        for old in self.old.box:
            old.uidl = ""
        self.assert_here(*LETTERS)
        self.assert_here(*LETTERS)
        self.assertEqual(self.uidls()[0], "x0")

    def test_a_message_that_broke_the_connection_when_compared_is_not_asked_for_again(self) -> None:
        self.old.top = False
        self.old.box = [Old("", letter(n)) for n in range(1, 4)]
        self.look()
        self.old.breaks = {"": 1}
        self.assert_here(*(letter(n) for n in range(1, 4)))
        self.assertEqual(self.old.openings, 1)
        self.assertEqual({entry.attempts for entry in self.mail.ledger.entries() if entry.uidl == ""}, {0})


class Larger(NamelessTestCase):
    """Not every header of a mailbox is asked for as long as mail is only added."""

    def setUp(self) -> None:
        super().setUp()
        self.settle(*(letter(n) for n in range(100, 200)))

    def test_a_few_headers_and_the_last_message(self) -> None:
        self.arrive(letter(200))
        self.look()
        self.assert_untouched(more=1)
        self.assertEqual((self.old.headers, len(self.fetched())), (HEADERS, 2))

    def test_what_goes_is_noticed(self) -> None:
        del self.old.box[60]
        self.arrive(letter(200), letter(201))
        self.look()
        self.assert_untouched(more=2)
        self.assertEqual((self.old.headers, len(self.fetched())), (HEADERS + 101, 2))

    def test_and_where_one_came_in_its_place(self) -> None:
        """Such a server does not put mail where it belongs by its date. The last message says nothing of it."""
        self.old.box[10:60] = [*self.old.box[11:60], Old("", letter(201))]
        self.look()
        self.assert_untouched(more=1)
        self.assertEqual(self.stored()[-1], letter(201))
