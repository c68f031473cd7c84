"""Places that are taken and left."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from proxy.migration.places import Places

MANY = 1_000  # more than Python calls within one another


class PlacesTest(SynchronousTestCase):
    def test_so_many_and_no_more_in_the_order_in_which_they_came(self) -> None:
        places, came = Places(2), list[int]()
        for number in range(5):
            places.take().addCallback(lambda _, number=number: came.append(number))
        self.assertEqual(came, [0, 1])
        places.leave()
        self.assertEqual(came, [0, 1, 2])
        for _ in range(4):
            places.leave()
        self.assertEqual(came, [0, 1, 2, 3, 4])
        self.assertTrue(places.unused)

    def test_those_who_leave_at_once_are_as_many_as_they_want(self) -> None:
        places, came = Places(), list[int]()

        async def brief(number: int) -> None:
            await places.take()
            came.append(number)
            places.leave()

        self.successResultOf(places.take())
        all_of_them = [Deferred.fromCoroutine(brief(number)) for number in range(MANY)]
        places.leave()
        self.assertEqual(came, list(range(MANY)))
        for each in all_of_them:
            self.successResultOf(each)
        self.assertTrue(places.unused)

    def test_who_no_longer_waits_has_no_place(self) -> None:
        places = Places()
        self.successResultOf(places.take())
        second, third = places.take(), places.take()
        second.cancel()
        self.failureResultOf(second, CancelledError)
        places.leave()
        self.successResultOf(third)
        self.assertFalse(places.unused)
        places.leave()
        self.assertTrue(places.unused)

    def test_who_comes_while_others_are_called_is_behind_them(self) -> None:
        places, came = Places(), list[str]()
        self.successResultOf(places.take())

        def first(_: None) -> None:
            came.append("first")
            places.leave()
            places.take().addCallback(lambda _: came.append("late"))

        places.take().addCallback(first)
        places.take().addCallback(lambda _: (came.append("second"), places.leave()))
        places.leave()
        self.assertEqual(came, ["first", "second", "late"])
