"""Work on claims that are still to be committed."""

from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import Any, cast

import pytest

from quanopy.domain.calibration import UNBOUND
from quanopy.domain.errors import TaskFailed, Unavailable
from quanopy.domain.jobs import JobKind, Options, Pub, Task
from quanopy.ports.claims import Claim
from quanopy.ports.executions import Ending
from quanopy.ports.providers import Outcome, Work
from quanopy.services.dispatch import Commit, LocalDispatch
from quanopy.services.ending import Ends, Kept, ending_of
from quanopy.services.hints import JobHints
from quanopy.services.holding import Holding
from quanopy.services.preparing import Ready
from quanopy.testing.catalogue import job
from quanopy.testing.fake_local import FakeEmulator


class Counting:
    """Prepares nothing, and counts how often it is asked to."""

    asked = 0

    def prepare(self, *_: object) -> list[object]:
        self.asked += 1
        return []


def test_work_whose_commit_failed_before_it_began_is_not_begun() -> None:
    emulator, preparing = FakeEmulator(), Counting()
    dispatch = LocalDispatch(
        emulator,
        preparing=cast(Any, preparing),
        endings=cast(Any, None),
        holding=Holding(cast(Any, None), "worker_1", ttl_s=1.0),
        hints=JobHints(),
        calibrations=cast(Any, None),
    )
    commit = Commit()
    commit.tell(False)
    claim = Claim(id="claim_1", resource="noop", tasks=job()[1])
    dispatch.run(claim, emulator.resources()[0], commit)
    assert (preparing.asked, dict(emulator.ran)) == (0, {})


class Works:
    """Prepares a work for each task."""

    def prepare(self, tasks: Sequence[Task], *_: object) -> list[Ready]:
        return [
            Ready(
                work=Work(
                    task_id=task.id,
                    resource="noop",
                    kind=JobKind.SAMPLE,
                    circuits=[b""],
                    pubs=[Pub(shots=1)],
                    options=Options(),
                )
            )
            for task in tasks
        ]


class Uncalibrated:
    """No emulator here has a calibration."""

    def of_emulator(self, *_: object) -> object:
        return UNBOUND


class Recording:
    """Keeps ends, and says what was written down."""

    def __init__(self, kept: Callable[[], object] = lambda: None) -> None:
        self.written: list[tuple[str, Sequence[Ending]]] = []
        self.ended: list[str] = []
        self._kept = kept

    def keep(self, ends: Ends) -> Kept:
        self._kept()
        return Kept(ends=ends, endings=[ending_of(*end, {}) for end in ends])

    def write(self, claim_id: str, kept: Kept, *, frees: bool) -> None:
        self.written.append((claim_id, kept.endings))

    def end(self, claim_id: str, ends: Ends, *, frees: bool) -> None:
        self.ended.append(claim_id)


def begun(
    emulator: FakeEmulator, endings: Recording, *, stored: bool = True
) -> tuple[Claim, Commit, Callable[[], None], Holding]:
    """A claim whose work has begun, and what waits until that is over."""
    holding = Holding(cast(Any, None), "worker_1", ttl_s=1.0)
    dispatch = LocalDispatch(
        emulator,
        preparing=cast(Any, Works()),
        endings=cast(Any, endings),
        holding=holding,
        hints=JobHints(),
        calibrations=cast(Any, Uncalibrated()),
    )
    claim = Claim(id="claim_1", resource="noop", tasks=job()[1])
    commit = Commit()
    if stored:
        commit.store()
    resource = emulator.resources()[0]
    thread = Thread(target=dispatch.run, args=(claim, resource, commit))
    thread.start()
    return claim, commit, lambda: thread.join(30), holding


def test_an_end_that_is_committed_with_its_claim_is_not_written_again() -> None:
    endings = Recording()
    claim, commit, over, _ = begun(FakeEmulator(), endings)
    taken = commit.take(30)
    assert taken is not None
    assert [end.task_id for one in taken for end in one.tasks] == [claim.tasks[0].id]
    commit.tell(True)
    over()
    assert (commit.whole, endings.written, endings.ended) == (True, [], [])


def test_an_end_is_kept_only_once_its_beginning_is() -> None:
    kept = Event()
    _, commit, over, _ = begun(FakeEmulator(), Recording(kept.set), stored=False)
    assert commit.take(0.2) is None
    assert not kept.is_set()
    commit.store()
    assert commit.take(30) is not None
    assert kept.is_set()
    commit.tell(True)
    over()


def test_an_end_whose_beginning_cannot_be_kept_is_not_kept() -> None:
    kept = Event()
    _, commit, over, _ = begun(FakeEmulator(), Recording(kept.set), stored=False)
    assert commit.take(0.2) is None
    commit.tell(False)
    over()
    assert not kept.is_set()


def test_an_end_that_comes_too_late_is_written_as_it_was_kept() -> None:
    emulator, endings = FakeEmulator(), Recording()
    emulator.gate.clear()
    claim, commit, over, holding = begun(emulator, endings)
    assert commit.take(0) is None
    holding.add(claim.id)
    commit.tell(True)
    emulator.gate.set()
    over()
    assert ([one for one, _ in endings.written], endings.ended) == ([claim.id], [])
    assert not commit.whole


def test_an_end_that_was_taken_and_not_committed_comes_to_nothing() -> None:
    endings = Recording()
    _, commit, over, _ = begun(FakeEmulator(), endings)
    assert commit.take(30) is not None
    commit.tell(False)
    over()
    assert (commit.whole, endings.written, endings.ended) == (False, [], [])


def away() -> None:
    raise Unavailable("the object store is away")


def broken() -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("kept", [away, broken])
def test_an_end_that_cannot_be_kept_before_the_commit_is_kept_after_it(
    kept: Callable[[], object],
) -> None:
    endings = Recording(kept)
    claim, commit, over, holding = begun(FakeEmulator(), endings)
    assert commit.take(30) is None
    holding.add(claim.id)
    commit.tell(True)
    over()
    assert (endings.written, endings.ended) == ([], [claim.id])


def test_what_failed_is_not_committed_as_an_end() -> None:
    endings = Recording()
    emulator = FakeEmulator(decide=lambda work: Outcome(error=TaskFailed("no")))
    claim, commit, over, holding = begun(emulator, endings)
    assert commit.take(30) is None
    holding.add(claim.id)
    commit.tell(True)
    over()
    assert endings.ended == [claim.id]
