"""Claims: what is done under one is tried until it works, or the claim is lost."""

from collections.abc import Collection
from threading import Timer

import pytest

from quanopy.domain.errors import Conflict, Invalid, Unavailable
from quanopy.services.holding import Holding


class Renewals:
    """The part of a store that renews claims."""

    def __init__(self, alive: set[str]) -> None:
        self.alive = alive
        self.away = False

    def renew(self, worker: str, *, ttl_s: float) -> set[str]:
        return self.alive

    def release(self, claim_ids: Collection[str]) -> None:
        if self.away:
            raise Unavailable("away")
        self.alive = self.alive - set(claim_ids)


def holding(*claims: str) -> tuple[Holding, Renewals]:
    renewals = Renewals(set(claims))
    held = Holding(renewals, "worker_1", ttl_s=1.0)
    for claim in claims:
        held.add(claim)
    return held, renewals


def test_a_claim_is_held_until_a_renewal_says_it_is_gone() -> None:
    held, renewals = holding("one", "two")
    renewals.alive = {"two"}
    assert "one" in held
    held.renew()
    assert "one" not in held
    assert "two" in held


def test_a_claim_given_back_is_ended_even_if_the_database_is_away_at_first() -> None:
    held, renewals = holding("one", "two")
    held.give_back("one")
    assert "one" not in held
    renewals.away = True
    with pytest.raises(Unavailable):
        held.renew()
    renewals.away = False
    held.renew()
    assert renewals.alive == {"two"}
    assert "two" in held


def test_a_claim_that_nobody_here_knows_of_is_given_up_at_the_second_renewal() -> None:
    """Its commit was not answered; one that is just being taken is known by then."""
    held, renewals = holding("one")
    renewals.alive = {"one", "ghost", "new"}
    held.renew()
    assert renewals.alive == {"one", "ghost", "new"}
    held.add("new")
    held.renew()
    assert renewals.alive == {"one", "new"}
    held.renew()
    assert "one" in held
    assert "new" in held


def test_it_tries_again_while_the_database_is_away() -> None:
    held, _ = holding("one")
    failures = [Unavailable("away"), Unavailable("away")]

    def act() -> str:
        if failures:
            raise failures.pop()
        return "done"

    assert held.persist("one", act) == "done"


def away() -> None:
    raise Unavailable("away")


def test_it_gives_up_when_the_claim_is_lost() -> None:
    held, renewals = holding("one")
    renewals.alive = set()
    Timer(0.05, held.renew).start()
    with pytest.raises(Conflict):
        held.persist("one", away)


def test_it_gives_up_when_the_worker_has_to_end() -> None:
    held, _ = holding("one")
    Timer(0.05, held.abandon).start()
    with pytest.raises(Conflict):
        held.persist("one", away)
    assert "one" not in held


def test_what_will_never_work_is_raised_at_once() -> None:
    held, _ = holding("one")

    def act() -> None:
        raise Invalid("no")

    with pytest.raises(Invalid):
        held.persist("one", act)


def test_whoever_relies_on_a_claim_is_told_that_it_is_gone() -> None:
    renewals, told = Renewals({"one", "two", "three"}), list[str]()
    held = Holding(renewals, "worker_1", ttl_s=1.0, lost=told.append)
    for claim in sorted(renewals.alive):
        held.add(claim)
    renewals.alive = {"two", "three"}
    held.renew()
    assert told == ["one"]
    held.give_back("two")
    held.abandon()
    assert told == ["one", "two", "three"]
