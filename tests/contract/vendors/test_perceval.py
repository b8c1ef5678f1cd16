"""The provider of Quandela's cloud keeps the contract, before the loopback cloud."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec

import pytest

from quanopy.domain.errors import Invalid, Rejected, ResourceMismatch, TaskFailed
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import JobKind, Options, Pub
from quanopy.domain.programs import PERCEVAL
from quanopy.domain.states import ExecutionState, ResourceState
from quanopy.ports.providers import Order, Outcome, RemoteProvider, Work
from quanopy.providers.perceval import create
from quanopy.providers.perceval.results import outcomes_of
from quanopy.providers.secrets import Secret
from quanopy.testing.remote_provider_contract import Bench, ProviderContract, start, wait_all
from quanopy.testing.vendors.bench import Given, VendorBench
from quanopy.testing.vendors.perceval import CHIP, SIMULATOR, PercevalVendor

pytestmark = pytest.mark.skipif(find_spec("perceval") is None, reason="Perceval is not installed")


def hong_ou_mandel(photons: tuple[int, ...] = (1, 1)) -> bytes:
    """Two photons on a beam splitter, as a program."""
    import perceval

    experiment = perceval.Experiment(perceval.BS(), name="hom")
    experiment.with_input(perceval.BasicState(list(photons)))
    experiment.min_detected_photons_filter(2)
    return str(perceval.serialization.serialize(experiment)).encode()


def work(resource: str = "sim-loopback", *, shots: int = 200, memory: bool = False) -> Work:
    return Work(
        task_id=new_id("task"),
        resource=resource,
        kind=JobKind.RUN,
        circuits=[hong_ou_mandel()],
        pubs=[Pub(shots=shots)],
        options=Options(memory=memory),
        native=PERCEVAL,
    )


@pytest.fixture(scope="module")
def vendor() -> Iterator[PercevalVendor]:
    with PercevalVendor() as vendor:
        assert isinstance(vendor, PercevalVendor)
        yield vendor


def provider_of(given: Given, *platforms: str) -> RemoteProvider:
    return create(
        url=given.url,
        token=given.secret,
        platforms=platforms or (SIMULATOR,),
        account=given.account,
        request_timeout_s=given.timeout_s,
    )


@pytest.fixture
def bench(vendor: PercevalVendor) -> Bench:
    # Whatever a cancellation is answered with, nothing of it is read.
    absorbed = {("stop", "malformed"), ("stop", "strange")}
    return VendorBench(vendor, provider_of, work(), absorbed=absorbed)


class TestPerceval(ProviderContract):
    @pytest.fixture
    def bench(self, bench: Bench) -> Bench:
        return bench


@pytest.fixture
def both(
    vendor: PercevalVendor, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RemoteProvider]:
    monkeypatch.setenv("TWO_PLATFORMS_KEY", vendor.secret)
    given = Given(
        url=vendor.url, secret=Secret("env:TWO_PLATFORMS_KEY"), timeout_s=20.0, account="of-two"
    )
    provider = provider_of(given, SIMULATOR, CHIP)
    yield provider
    provider.close()


def ran(provider: RemoteProvider, one: Work) -> Outcome:
    (job,) = start(provider, [Order(key=new_id("exec"), resource=one.resource, works=[one])])
    wait_all(provider, [job])
    (outcome,) = provider.result(job, lambda: [one])
    return outcome


# -- photons ----------------------------------------------------------------------------------
def test_alike_photons_leave_together(both: RemoteProvider) -> None:
    outcome = ran(both, work(shots=1000))
    (pub,) = json.loads(outcome.result or b"")
    apart = pub["outcomes"].get("|1,1>", 0)
    assert apart < 0.1 * pub["shots"]
    assert set(pub["outcomes"]) >= {"|2,0>", "|0,2>"}
    assert pub["documents"][0]["nb_shots_used"] == outcome.usage["shots"]


def test_a_chip_that_loses_photons_gives_fewer_samples_than_shots(both: RemoteProvider) -> None:
    outcome = ran(both, work("qpu-loopback", shots=1000))
    (pub,) = json.loads(outcome.result or b"")
    assert 0 < pub["shots"] < 500
    assert sum(pub["outcomes"].values()) == pub["shots"]
    assert outcome.usage["shots"] == 1000


def test_shots_in_order_are_sampled_as_such(both: RemoteProvider) -> None:
    outcome = ran(both, work(shots=50, memory=True))
    (pub,) = json.loads(outcome.result or b"")
    assert sum(pub["outcomes"].values()) == 50
    assert outcome.started_at is not None
    assert outcome.ended_at is not None


def test_a_program_that_the_platform_cannot_read_fails_with_its_words(
    both: RemoteProvider,
) -> None:
    bad = replace(work(), circuits=[b":PCVL:Experiment:AAAA"])
    (job,) = start(both, [Order(key=new_id("exec"), resource=bad.resource, works=[bad])])
    report = wait_all(both, [job])[job]
    assert report.state is ExecutionState.FAILED
    assert "error:" in report.detail
    (outcome,) = both.result(job, lambda: [bad])
    assert isinstance(outcome.error, TaskFailed)


# -- platforms --------------------------------------------------------------------------------
def test_platforms_are_resources_with_what_they_publish(both: RemoteProvider) -> None:
    simulator, chip = both.resources()
    assert (simulator.name, chip.name) == ("sim-loopback", "qpu-loopback")
    assert simulator.capabilities.simulator
    assert not chip.capabilities.simulator
    assert chip.capabilities.formats == (PERCEVAL,)
    snapshot = both.calibration(chip.name)
    assert snapshot is not None
    found = {metric.name: (metric.value, metric.unit) for metric in snapshot.metrics}
    assert found["Clock"] == (80e6, "Hz")
    assert found["g2"][0] == pytest.approx(0.021)
    assert snapshot.calibrated_at is None


def test_a_cloud_that_is_away_leaves_its_platforms_offline() -> None:
    provider = create(
        url="http://127.0.0.1:9",
        token=Secret("env:NOBODY"),
        platforms=["qpu:away"],
        request_timeout_s=2.0,
    )
    (resource,) = provider.resources()
    assert resource.state is ResourceState.OFFLINE
    assert resource.reason
    provider.close()


def test_a_job_of_one_of_several_platforms_is_not_described(both: RemoteProvider) -> None:
    one = work()
    (job,) = start(both, [Order(key=new_id("exec"), resource=one.resource, works=[one])])
    with pytest.raises(ResourceMismatch, match="which platform"):
        both.describe(job)


def test_what_is_plainly_no_experiment_is_refused_offline(both: RemoteProvider) -> None:
    with pytest.raises(Invalid):
        both.check(replace(work(), circuits=[b"OPENQASM 3;"]))
    with pytest.raises(ResourceMismatch):
        both.check(replace(work(), native=None))
    with pytest.raises(ResourceMismatch):
        both.check(replace(work(), pubs=[Pub(shots=1), Pub(shots=1)]))


# -- results as texts -------------------------------------------------------------------------
def read(value: object) -> dict[str, int]:
    return outcomes_of(value, shots=lambda: 10, seed="seed")


def test_texts_of_perceval_are_read_as_perceval_writes_them() -> None:
    import perceval

    counts = perceval.BSCount({perceval.BasicState([1, 0]): 3, perceval.BasicState([0, 1]): 4})
    samples = perceval.BSSamples([perceval.BasicState([1, 0])] * 2 + [perceval.BasicState([0, 2])])
    weights = perceval.BSDistribution({perceval.BasicState([2, 0]): 1.0})
    for compress in (False, True):
        write = perceval.serialization.serialize
        assert read(write(counts, compress=compress)) == {"|1,0>": 3, "|0,1>": 4}
        assert read(write(samples, compress=compress)) == {"|1,0>": 2, "|0,2>": 1}
        assert read(write(weights, compress=compress)) == {"|2,0>": 10}


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"result_mapping": ["os", "system"]},
        "|1,0>",
        ":PCVL:Experiment:AAAA",
        ":PCVL:zip:not base 64",
        ":PCVL:zip:eJzLSM3JyQcABiwCFQ",
        ":PCVL:BSCount:{|1,0>=x}",
        ":PCVL:BSCount:{|1,0>=-1}",
        ":PCVL:BSCount:|1,0>=1",
        ":PCVL:BSCount:{__import__=1}",
        ":PCVL:BSSamples:|1,0>/7",
        ":PCVL:BSDistribution:{|1,0>=nan}",
    ],
)
def test_anything_else_is_rejected(value: object) -> None:
    with pytest.raises(Rejected):
        read(value)


def test_perceval_s_own_client_reads_what_the_loopback_counted(
    vendor: PercevalVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    import perceval
    from perceval.algorithm import Sampler
    from perceval.runtime.legacy import RemoteJob

    monkeypatch.setattr(RemoteJob, "STATUS_REFRESH_DELAY", 0.0)
    processor = perceval.RemoteProcessor(SIMULATOR, token=vendor.secret, url=vendor.url)
    processor.set_circuit(perceval.BS())
    processor.with_input(perceval.BasicState([1, 1]))
    processor.min_detected_photons_filter(2)
    job = Sampler(processor, max_shots_per_call=50).sample_count.execute_async(50)
    while not job.is_complete:
        time.sleep(0.01)
    assert sum(job.get_results()["results"].values()) == 50


def test_a_module_that_an_answer_names_is_not_imported(
    both: RemoteProvider, vendor: PercevalVendor
) -> None:
    one = work()
    (job,) = start(both, [Order(key=new_id("exec"), resource=one.resource, works=[one])])
    wait_all(both, [job])
    vendor.jobs[job].result["job_context"] = {"result_mapping": ["no_such_module", "run"]}
    (outcome,) = both.result(job, lambda: [one])
    assert outcome.error is None
