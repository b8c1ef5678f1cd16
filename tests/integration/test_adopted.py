"""Jobs that were made at a vendor by somebody else: taken over, followed, results kept."""

import json
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from quanopy.domain.adoptions import Adoption
from quanopy.domain.calibration import CalibrationLabel
from quanopy.domain.errors import (
    Conflict,
    ProviderError,
    Rejected,
    ResourceMismatch,
    Transient,
)
from quanopy.domain.jobs import Execution, JobKind
from quanopy.domain.states import ExecutionState, JobState, WayOut
from quanopy.ports.jobs import JobQuery
from quanopy.ports.providers import Foreign, Order, Outcome, Work
from quanopy.ports.wakeups import Topic
from quanopy.services.adopting import Adopting
from quanopy.services.rebuild import rebuild
from quanopy.services.settling import Settlement, settle
from quanopy.storage.store import open_store
from quanopy.testing.fake_local import FakeEmulator
from quanopy.testing.fake_provider import FakeProvider
from quanopy.testing.fake_vendor import TOKEN
from tests.integration.workplace import Workplace
from tests.servers.vendor import FakeVendorServer


class Strict(FakeProvider):
    """Asks often, and waits for answers; notes whether it was told what was sent."""

    told: bool | None = None

    def __init__(
        self,
        vendor: FakeVendorServer,
        *,
        mode: str = "idempotent",
        request_timeout_s: float = 20.0,
    ) -> None:
        super().__init__(
            vendor.url,
            token=TOKEN,
            mode=mode,
            request_timeout_s=request_timeout_s,
            poll_interval_s=0.05,
        )

    def result(self, id: str, works: Callable[[], Sequence[Work]] | None) -> list[Outcome]:
        """Note it."""
        self.told = works is not None
        return super().result(id, works)

    def describe(self, id: str) -> Foreign:
        """As a vendor that knows when."""
        found = super().describe(id)
        return Foreign(
            resource=found.resource,
            kind=JobKind.RUN,
            state=found.state,
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
            shots=7,
            key=found.key,
        )


def made_elsewhere(vendor: FakeVendorServer) -> str:
    """The vendor's id of a job that nobody here has sent."""
    works = [{"task": "t", "kind": "sample", "pubs": [{"program": 0, "shots": 7}]}]
    order = {"key": f"somebody {datetime.now(UTC)}", "resource": "fake", "works": works}
    request = urllib.request.Request(
        f"{vendor.url}/start",
        data=json.dumps({"orders": [order]}).encode(),
        headers={"Authorization": f"Bearer {TOKEN}"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return str(json.load(answer)["answers"][0]["id"])


def ask(place: Workplace, id: str, **fields: object) -> Adoption:
    """Ask for it as an operator does; what stands."""
    values = {"account": "ada", "name": "old", "tags": ("a",), **fields}
    asked = Adoption(
        provider="fake",
        provider_job_id=id,
        actor="olga",
        asked_at=datetime.now(UTC),
        **values,  # type: ignore[arg-type]
    )
    found = place.store.ask_adoption(asked)
    place.wakeups.notify(Topic.CANCEL)
    return found


def answered(place: Workplace, id: str) -> Adoption:
    """What became of it."""
    found = place.wait_for(
        lambda: place.store.adoption("fake", id),
        lambda found: found is not None and not found.open,
    )
    assert found is not None
    return found


def test_a_job_made_elsewhere_is_followed_and_its_result_kept(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    vendor.script(run_s=3600.0)
    own = Strict(vendor)
    place.worker(own)
    vendors = made_elsewhere(vendor)
    assert ask(place, vendors).open
    job_id = answered(place, vendors).job_id
    assert job_id is not None
    (job,) = place.store.jobs([job_id])
    assert (job.account, job.name, job.tags, job.kind, job.shots) == (
        "ada",
        "old",
        ("a",),
        JobKind.RUN,
        7,
    )
    assert job.state is JobState.RUNNING
    vendor.script()
    assert {one.state for one in place.wait([job_id])} == {JobState.COMPLETED}
    (result,) = place.result(job_id)
    assert json.loads(result)[0]["shots"] == 7
    assert own.told is False
    (execution,) = place.store.executions(job_id)
    assert execution.adopted
    assert execution.provider_job_id == vendors
    assert execution.fingerprint == own.fingerprint()
    assert execution.calibration.label is CalibrationLabel.UNKNOWN
    assert "job.adopted" in place.history(job_id)


def test_adopting_twice_gives_the_same_job(place: Workplace, vendor: FakeVendorServer) -> None:
    place.worker(Strict(vendor))
    vendors = made_elsewhere(vendor)
    ask(place, vendors)
    first = answered(place, vendors).job_id
    again = ask(place, vendors, account="bob", name="other")
    assert (again.job_id, again.account) == (first, "ada")


def test_what_was_sent_from_here_is_refused_with_the_name_of_its_job(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    place.worker(Strict(vendor))
    (job_id,) = place.submit(1, "fake")
    place.wait([job_id])
    (execution,) = place.store.executions(job_id)
    with pytest.raises(Conflict, match=job_id):
        ask(place, execution.provider_job_id or "")


def test_what_the_vendor_does_not_know_is_refused_and_may_be_asked_again(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    place.worker(Strict(vendor))
    ask(place, "nowhere")
    refused = answered(place, "nowhere")
    assert refused.problem is not None
    assert refused.problem.type == "NotFound"
    assert "Check the id" in (refused.problem.hint or "")
    assert ask(place, "nowhere").open


def test_a_vendor_that_is_busy_is_asked_again(place: Workplace, vendor: FakeVendorServer) -> None:
    place.worker(Strict(vendor))
    vendors = made_elsewhere(vendor)
    vendor.script(next={"poll": ["busy", "busy"]})
    ask(place, vendors)
    assert answered(place, vendors).job_id is not None


class Forgetful(Strict):
    """Cannot tell of some jobs, whenever it is asked."""

    def describe(self, id: str) -> Foreign:
        """Only of those that it remembers."""
        if id.startswith("lost-"):
            raise Transient("ask again")
        return super().describe(id)


def test_those_that_the_vendor_never_tells_of_keep_no_other_waiting(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    place.worker(Forgetful(vendor))
    for number in range(8):
        ask(place, f"lost-{number}")
    vendors = made_elsewhere(vendor)
    ask(place, vendors)
    assert answered(place, vendors).job_id is not None


def test_however_many_the_vendor_does_not_tell_of_all_have_their_turn(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    for number in range(230):
        ask(place, f"lost-{number}")
    vendors = made_elsewhere(vendor)
    ask(place, vendors)
    forgetful = Forgetful(vendor)
    place.store.register("worker_1", forgetful.resources(), ttl_s=60.0)
    adopting = Adopting(forgetful, store=place.store, objects=place.objects, wakeups=place.wakeups)
    for _ in range(231 // 5 + 1):
        adopting.look()
    assert answered(place, vendors).job_id is not None


class Zoneless(Strict):
    """Tells of jobs what cannot be kept."""

    def describe(self, id: str) -> Foreign:
        """As a vendor that names no zone."""
        return replace(super().describe(id), created_at=datetime(2026, 1, 1))  # noqa: DTZ001


def test_what_is_told_of_one_and_cannot_be_kept_stops_nothing_else(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    place.worker(Zoneless(vendor))
    vendors = made_elsewhere(vendor)
    ask(place, vendors)
    refused = answered(place, vendors)
    assert refused.problem is not None
    assert "the provider broke" in refused.problem.message
    (job_id,) = place.submit(1, "fake")
    assert {one.state for one in place.wait([job_id])} == {JobState.COMPLETED}


class BeforeTime(Strict):
    """Says that jobs were made at the edge of the calendar."""

    def describe(self, id: str) -> Foreign:
        """In UTC, the year before the first."""
        return replace(
            super().describe(id), created_at=datetime.fromisoformat("0001-01-01T00:00:00+23:59")
        )


def test_one_made_before_time_began_is_followed_like_any(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    place.worker(BeforeTime(vendor))
    vendors = made_elsewhere(vendor)
    ask(place, vendors)
    job_id = answered(place, vendors).job_id or ""
    assert {one.state for one in place.wait([job_id])} == {JobState.COMPLETED}


def test_a_job_of_which_no_program_is_known_cannot_run_again(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    vendor.script(fail=True)
    place.worker(Strict(vendor))
    vendors = made_elsewhere(vendor)
    ask(place, vendors)
    job_id = answered(place, vendors).job_id or ""
    assert [job.state for job in place.wait([job_id])] == [JobState.FAILED]
    place.store.retry([job_id], actor="ada")
    place.wakeups.notify(Topic.WORK)
    (job,) = place.wait([job_id])
    assert job.problem is not None
    assert job.problem.type == ResourceMismatch.__name__
    assert "adopted" in job.problem.message


@pytest.mark.parametrize("ended", [True, False])
def test_a_rebuild_knows_it_and_finds_it_at_the_vendor(
    place: Workplace, vendor: FakeVendorServer, tmp_path: Path, ended: bool
) -> None:
    vendor.script(run_s=0.0 if ended else 3600.0)
    place.worker(Strict(vendor))
    vendors = made_elsewhere(vendor)
    ask(place, vendors)
    job_id = answered(place, vendors).job_id or ""
    if ended:
        place.wait([job_id])
    store = open_store(f"sqlite:///{tmp_path / 'rebuilt.db'}")
    try:
        rebuild(place.objects, store)
        (execution,) = store.executions(job_id)
        assert (execution.provider_job_id, execution.adopted) == (vendors, True)
        wanted = ExecutionState.COMPLETED if ended else ExecutionState.STRANDED
        assert execution.state is wanted
        asked = Adoption(
            provider="fake",
            provider_job_id=vendors,
            account="ada",
            name=None,
            tags=(),
            actor="olga",
            asked_at=datetime.now(UTC),
        )
        assert store.ask_adoption(asked).job_id == job_id
    finally:
        store.close()


class Refusing(Strict):
    """Refuses for good what it is sent again under a key: what was lost is stranded."""

    refuses = False

    def start(self, orders: Sequence[Order]) -> list[str | ProviderError]:
        """Only the first time."""
        if self.refuses:
            return [Rejected("that key was used before")] * len(orders)
        self.refuses = True
        return super().start(orders)


def stranded(place: Workplace, vendor: FakeVendorServer) -> tuple[str, Execution]:
    """A job whose execution was accepted and is stranded, for its reply was lost."""
    vendor.script(idempotent=False, next={"start": ["lost"]})
    (job_id,) = place.submit(1, "fake")
    (found,) = place.wait_for(
        lambda: place.store.executions(job_id),
        lambda found: [e.state for e in found] == [ExecutionState.STRANDED],
    )
    return job_id, found


def test_what_was_lost_is_found_by_its_adoption_and_is_no_second_job(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    place.worker(Refusing(vendor))
    job_id, lost = stranded(place, vendor)
    (vendors,) = Strict(vendor).find([lost.id]).values()
    ask(place, vendors)
    refused = answered(place, vendors)
    assert refused.job_id is None
    assert refused.problem is not None
    assert refused.problem.type == "Conflict"
    assert job_id in refused.problem.message
    assert {one.state for one in place.wait([job_id])} == {JobState.COMPLETED}
    (execution,) = place.store.executions(job_id)
    assert (execution.id, execution.provider_job_id) == (lost.id, vendors)
    assert len(place.store.list_jobs(JobQuery(account="ada", limit=9))) == 1


def test_what_somebody_else_sent_is_adopted_beside_what_was_lost(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    place.worker(Refusing(vendor))
    job_id, _ = stranded(place, vendor)
    vendors = made_elsewhere(vendor)
    ask(place, vendors)
    adopted = answered(place, vendors).job_id
    assert adopted not in (None, job_id)


class Silent(Strict):
    """Does not tell with which key a job was sent, and when only if it is told to."""

    made_at: datetime | None = None

    def describe(self, id: str) -> Foreign:
        """As little as a vendor may."""
        return replace(super().describe(id), created_at=self.made_at)


def test_where_nobody_can_tell_whether_it_is_ours_an_operator_has_to(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    silent = Silent(vendor, mode="neither", request_timeout_s=0.3)
    place.worker(silent)
    job_id, lost = stranded(place, vendor)
    vendors = made_elsewhere(vendor)
    ask(place, vendors)
    refused = answered(place, vendors)
    assert refused.problem is not None
    assert refused.problem.type == "Conflict"
    assert lost.id in refused.problem.message
    # One that was there long before is not what was lost.
    silent.made_at = datetime(2026, 1, 1, tzinfo=UTC)
    ask(place, vendors)
    assert answered(place, vendors).job_id not in (None, job_id)
    # Nor is any, once somebody has said what became of that.
    silent.made_at = None
    other = made_elsewhere(vendor)
    settle(
        place.store,
        place.objects,
        lost.id,
        Settlement(way=WayOut.GIVE_UP, reason="it is not there"),
        actor="olga",
    )
    ask(place, other)
    assert answered(place, other).job_id is not None


def test_workers_say_which_of_their_resources_may_have_jobs_to_adopt(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    place.worker(Strict(vendor), FakeEmulator())
    found = place.wait_for(place.store.resources, lambda found: len(found) == 2)
    able = {one.resource.provider: one.resource.capabilities.adopts for one in found}
    assert able == {"fake": True, "noop": False}
