"""What drafts have to wait for, as their jobs demand it of the calibration."""

from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from quanopy.domain.ids import made_at
from quanopy.domain.jobs import Extent, JobKind, JobSpec, Options
from quanopy.domain.sightings import Sighting, Standing
from quanopy.domain.states import TaskState
from quanopy.services.demands import Demands
from quanopy.services.drafting import Draft, demanding
from quanopy.services.recording import Awaiting
from quanopy.storage.store import open_store
from quanopy.testing.catalogue import job
from tests.catalogues import new_catalogue

NOWHERE = Extent(key="k", offset=0, length=0)


class Counting:
    """Counts how often it is asked; what it knows is a day old."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def standing(self, resource: str) -> Standing:
        self.asked[resource] += 1
        yesterday = datetime.now(UTC) - timedelta(days=1)
        seen = Sighting(
            resource=resource,
            digest="sha256:0",
            format="test/1",
            metrics=0,
            calibrated_at=yesterday,
            vendor_id=None,
            seen_from=yesterday,
            seen_until=yesterday,
            raw=NOWHERE,
            normal=NOWHERE,
        )
        return Standing(resource=resource, asked_at=yesterday, sighting=seen, published=True)

    def is_constant(self, resource: str) -> bool:
        return False


def of(resource: str, age_s: float | None) -> Draft:
    """A draft of a job that wants a calibration no older than this."""
    options = Options(max_calibration_age_s=age_s)
    spec = JobSpec(kind=JobKind.SAMPLE, resource=resource, programs=(), options=options)
    return Draft(account="ada", spec=spec, reading=None, parts=[], shots=None, solo=False)


def test_jobs_that_demand_the_same_are_held_against_what_is_known_once(tmp_path: Path) -> None:
    standings = Counting()
    drafts = [*[of("qpu", 60.0)] * 500, of("qpu", None), of("qpu", 1e6), of("other", 60.0)]
    with closing(open_store(new_catalogue(tmp_path / "q.db"))) as store:
        found = demanding(drafts, Demands(store), standings)
    assert isinstance(found, list)
    waits = Awaiting(age_s=60.0, at_most_s=None)
    assert [one.awaiting for one in found] == [*[waits] * 500, None, None, waits]
    assert standings.asked == {"qpu": 2, "other": 1}


def test_who_waits_for_a_turn_waits_for_a_calibration_from_then_on(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    _, (task,) = job()
    early = replace(task, id="task_01890000000070008000000000000000")
    assert made_at(early.id) < now - timedelta(days=365)
    options = Options(max_calibration_age_s=60.0, max_calibration_wait_s=3600.0)
    with closing(open_store(new_catalogue(tmp_path / "q.db"))) as store:
        demands = Demands(store)
        late = demands.verdict(early, options, Counting().standing("qpu"))
        begun = demands.verdict(replace(early, turn_at=now), options, Counting().standing("qpu"))
    assert late is not None
    assert late.state is TaskState.FAILED
    assert begun is not None
    assert (begun.state, begun.ready_at) == (TaskState.QUEUED, now + timedelta(hours=1))
