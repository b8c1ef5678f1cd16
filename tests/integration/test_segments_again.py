"""An experiment that is begun again: the same segments, however its script was killed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from quanopy.client import Client, drafts
from quanopy.client.groups import Group
from quanopy.domain.errors import Conflict, Invalid, NotFound, ResourceMismatch
from quanopy.domain.groups import GroupState

BELL = """OPENQASM 3.0; include "stdgates.inc";
qubit[2] q; bit[2] c; h q[0]; cx q[0], q[1]; c = measure q;"""
UNMEASURED = BELL.replace("c = measure q;", "")
PATIENCE_S = 60.0
_CALLED = iter(range(1000))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("broker")
    with Client.embedded(folder, emulator_processes=1, read_deadline_s=PATIENCE_S) as client:
        yield client


def rotated(angle: float = 0.3, *, measured: bool = True) -> QuantumCircuit:
    """A circuit as another process would make it: with a name, metadata and parameters anew."""
    called = f"run {next(_CALLED)}"
    circuit = QuantumCircuit(2, 2, name=called, metadata={"made": called})
    theta = Parameter("theta")
    circuit.rx(theta, 0)
    circuit.cx(0, 1)
    if measured:
        circuit.measure([0, 1], [0, 1])
    return circuit.assign_parameters({theta: angle}) if measured else circuit


def begin(client: Client, name: str, program: object = None, **given: object) -> Group:
    asked: dict[str, object] = {"total_shots": 250, "shots": 100, "seed": 7} | given
    return client.segment(program or rotated(), name=name, **asked)  # type: ignore[arg-type]


def ids(group: Group) -> list[str]:
    return [job.id for job in group.jobs()]


def test_a_circuit_made_anew_is_the_same_program(client: Client) -> None:
    first = begin(client, "anew")
    jobs = ids(first)
    again = begin(client, "anew")
    assert (again, ids(again)) == (first, jobs)
    again.add(BELL, shots=10)
    assert ids(begin(client, "anew"))[:3] == jobs
    assert [job.id for job in again.segment(
        drafts.programs(rotated(), seed=7), total_shots=250, shots=100
    )] == jobs  # fmt: skip


def test_what_is_refused_leaves_no_group_behind(client: Client) -> None:
    for wrong in ({"program": UNMEASURED}, {"resource": "no-such-thing"}):
        with pytest.raises((Invalid, NotFound)):
            begin(client, "refused", **wrong)
        assert "refused" not in [one.name for one in client.group_listing()]
    assert len(ids(begin(client, "refused", gap="1s"))) == 3
    with pytest.raises(Conflict):
        begin(client, "refused", UNMEASURED, gap="1s")
    made = client.group("made before", order="sequential", max_in_flight=2)
    with pytest.raises(Invalid, match="measures nothing"):
        begin(client, "made before", UNMEASURED)
    assert made.detail().size == 0


def test_free_parameters_are_the_same_by_their_names(client: Client) -> None:
    def estimate(angle: float = 0.5) -> drafts.Draft:
        return drafts.estimate((rotated(measured=False), ["ZZ", "XX"], [angle]), precision=0.1)

    first = client.segment(estimate(), name="estimates", count=3)
    again = client.segment(estimate(), name="estimates", count=3)
    assert (again, len(ids(again))) == (first, 3)
    with pytest.raises(Conflict, match="parameter values or observables"):
        client.segment(estimate(0.6), name="estimates", count=3)
    with pytest.raises(Conflict, match="count is 3, not 4"):
        client.segment(estimate(), name="estimates", count=4)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"program": rotated(0.4)}, "it is another program"),
        ({"program": BELL}, "it is another program"),
        ({"total_shots": 300}, "total_shots is 250, not 300"),
        ({"shots": 50}, "shots is 100, not 50"),
        ({"seed": 8}, "seed is 7, not 8"),
        ({"optimization_level": 0}, "optimization_level is none, not 0"),
        ({"max_in_flight": 3}, "max_in_flight is 2, not 3"),
        ({"gap": "10m"}, "gap is none, not 600 s"),
        ({"stop_when": {"precision": 0.1}}, r"stop.precision is none, not 0\.1"),
        (
            {"stop_when": {"calibration": {"cx.error": 0.1}}},
            r"stop.calibration is none, not cx.error at most 0\.1",
        ),
    ],
    ids=lambda one: one if isinstance(one, str) else next(iter(one)),
)
def test_another_program_or_plan_is_refused_and_said(
    client: Client, changed: dict[str, object], said: str
) -> None:
    group = begin(client, "differing")
    with pytest.raises(Conflict, match=said):
        begin(client, "differing", **changed)
    assert len(ids(group)) == 3


def test_another_resource_is_attached_to_knowingly_as_the_group_s(client: Client) -> None:
    group = begin(client, "elsewhere", resource="aer")
    with pytest.raises(ResourceMismatch, match="of aer, not of aer-fake-fez"):
        begin(client, "elsewhere", resource="aer-fake-fez")
    knowingly = begin(client, "elsewhere", resource="aer-fake-fez", override=True)
    assert (knowingly, len(ids(knowingly))) == (group, 3)
    knowingly.wait(PATIENCE_S)
    assert "named here is aer-fake-fez; it is of aer" in knowingly.segments().notes
    knowingly.add(BELL, shots=10)
    assert {job.resource for job in knowingly.listing()} == {"aer"}


def test_a_group_without_its_segments_is_completed(client: Client) -> None:
    """As it stands where a script was killed between the two."""
    made = client.group("half", order="sequential", max_in_flight=2).run()
    assert begin(client, "half") == made
    assert made.wait(PATIENCE_S).progress.shots == 250
    waiting = client.group("open", order="sequential", max_in_flight=2)
    assert begin(client, "open") == waiting
    assert waiting.wait(PATIENCE_S).state is GroupState.DONE


def test_scripts_at_once_give_one_set_of_segments(client: Client) -> None:
    with ThreadPoolExecutor(6) as scripts:
        groups = list(scripts.map(lambda _: begin(client, "at once"), range(6)))
    assert len({group.id for group in groups}) == 1
    assert len(ids(groups[0])) == 3
    programs = [rotated(), rotated(0.9)]
    with ThreadPoolExecutor(2) as scripts:
        found = [scripts.submit(begin, client, "different", program) for program in programs]
        refused = [one.exception() for one in found]
    assert sorted(isinstance(one, Conflict) for one in refused) == [False, True]
    assert len(ids(client.find_group("different"))) == 3


def test_it_may_be_said_as_a_count(client: Client) -> None:
    """The same jobs are the same segments, whichever way they are asked for."""
    group = begin(client, "counted", total_shots=300)
    again = begin(client, "counted", total_shots=None, count=3)
    assert again == group
