"""What a vendor said last is kept while it is silent."""

from threading import Event, Thread

from quanopy.domain.errors import QuanopyError, Unavailable
from quanopy.providers.kept import Kept


class Vendor:
    """Counts how often it is asked; silent where told."""

    def __init__(self) -> None:
        self.asked = 0
        self.silent = False

    def ask(self) -> int:
        self.asked += 1
        if self.silent:
            raise Unavailable("silent")
        return self.asked


def raised(action: object) -> QuanopyError | None:
    assert callable(action)
    try:
        action()
    except QuanopyError as error:
        return error
    return None


def test_it_is_asked_once_while_fresh() -> None:
    vendor = Vendor()
    kept = Kept(vendor.ask, fresh_s=60.0)
    assert kept.latest is None
    assert [kept.said().answer, kept.known(), kept.latest] == [1, 1, 1]
    assert kept.now() == 2
    assert kept.known() == 2


def test_a_silent_vendor_leaves_the_last_answer_and_says_why() -> None:
    vendor = Vendor()
    kept = Kept(vendor.ask, fresh_s=0.0, silent_s=0.0)
    assert kept.said().answer == 1
    vendor.silent = True
    said = kept.said()
    assert said.answer == 1
    assert isinstance(said.problem, Unavailable)
    assert kept.known() == 1
    assert isinstance(raised(kept.now), Unavailable)
    vendor.silent = False
    assert kept.said().problem is None


def test_one_that_never_answered_has_nothing() -> None:
    vendor = Vendor()
    vendor.silent = True
    kept = Kept(vendor.ask, silent_s=60.0)
    assert kept.said().answer is None
    assert isinstance(raised(kept.known), Unavailable)
    assert vendor.asked == 1


def test_a_vendor_that_is_slow_to_answer_keeps_only_one_waiting() -> None:
    asked, answers, slow = Event(), Event(), False

    def ask() -> int:
        if slow:
            asked.set()
            answers.wait()
        return 2 if slow else 1

    kept = Kept(ask, fresh_s=0.0)
    assert kept.known() == 1
    slow = True
    one = Thread(target=kept.said)
    one.start()
    try:
        assert asked.wait(10)
        assert [kept.known(), kept.said().answer] == [1, 1]
    finally:
        answers.set()
        one.join()
    assert kept.known() == 2
