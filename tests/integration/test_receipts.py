"""Two whole brokers with Aer, on SQLite and on PostgreSQL: what goes from one to the other."""

import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector

import quanopy
from quanopy.client import Client, Job
from quanopy.client.groups import Group
from quanopy.client.receipts import Receipt
from quanopy.domain.accounts import Scope
from quanopy.domain.calibration import Binding
from quanopy.domain.errors import Conflict, InvalidTransition
from quanopy.domain.groups import GroupState
from quanopy.ports.groups import GroupQuery
from quanopy.ports.store import Store
from quanopy.services.orphans import find_orphans
from quanopy.services.rebuild import rebuild
from quanopy.storage.objects import open_objects
from quanopy.storage.store import open_store
from quanopy.wire.service import TokenIn

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(400)]
DEVICE = "aer-fake-manila"
LIMIT_S = 120.0


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Where jobs run."""
    folder: Path = tmp_path_factory.mktemp("origin")
    emulators = {"emulator_processes": 1, "emulator_memory_mb": 1024}
    # What is read late is kept elsewhere.
    with Client.embedded(folder, read_deadline_s=LIMIT_S, **emulators) as client:
        yield client


@pytest.fixture
def other(postgres_dsn: str, tmp_path: Path) -> Iterator[Client]:
    """Where they are told of."""
    with Client.embedded(tmp_path / "other", database=postgres_dsn, worker=False) as client:
        yield client


def members(path: Path) -> dict[str, bytes]:
    """All but the manifest."""
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist() if name != "manifest.json"}


def turned() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    angles = ParameterVector("a", 2)
    circuit.ry(angles[0], 0)
    circuit.cx(0, 1)
    circuit.ry(angles[1], 1)
    return circuit


def jobs_of(client: Client) -> list[Job]:
    """One of each kind."""
    bell = QuantumCircuit(2)
    bell.h(0)
    bell.cx(0, 1)
    bell.measure_all()
    measured = turned()
    measured.measure_all()
    angles = np.linspace(0, 1, 12).reshape(6, 2)
    return [
        client.sample([bell], resource=DEVICE, shots=100, name="bell", tags=["a"]),
        client.sample([(measured, angles)], resource="aer", shots=50, memory=True),
        client.estimate([(turned(), "ZZ", angles[0]), (turned(), "XX", angles[1])]),
        client.sample([(turned().measure_all(inplace=False), angles)], resource=DEVICE, shots=20),
    ]


def test_jobs_read_the_same_at_another_broker(
    origin: Client, other: Client, tmp_path: Path
) -> None:
    for number, job in enumerate(jobs_of(origin)):
        expected = job.result(LIMIT_S)
        file, again = tmp_path / f"{number}.quanopy", tmp_path / f"{number}-again.quanopy"
        with origin.export(job, file) as receipt:
            assert receipt.verify() == []
            assert receipt.jobs[0].result().to_dict() == expected.to_dict()
            assert receipt.jobs[0].circuits() == job.circuits()
        answer = other.import_receipt(file)
        assert (answer.new, answer.known, answer.left_out) == ([job.id], [], [])
        told = other.job(job.id)
        assert told.result(0).to_dict() == expected.to_dict()
        assert told.circuits() == job.circuits()
        assert [one.circuits for one in told.compiled()] == [one.circuits for one in job.compiled()]
        assert told.calibration.label == job.calibration.label
        seen = job.calibration.snapshot
        if seen is not None:
            snapshot = told.calibration.snapshot
            assert snapshot is not None
            assert (snapshot.metrics, snapshot.raw()) == (seen.metrics, seen.raw())
        imported = told.detail().imported
        assert imported is not None
        assert imported.account == job.detail().account
        assert [one.kind for one in told.events()][-1] == "job.imported"
        with other.export(told, again) as receipt:
            assert receipt.verify() == []
            assert receipt.made["told"][0]["jobs"] == [job.id]
        assert members(again) == members(file)
        assert other.import_receipt(file).known == [job.id]
        assert origin.import_receipt(again).known == [job.id]
        with pytest.raises(InvalidTransition, match="imported"):
            told.retry()
    # What was told of a resource is no sign of how it stands here.
    assert {one.name for one in other.resources()} == set()


def test_a_receipt_with_another_result_is_refused(
    origin: Client, other: Client, tmp_path: Path
) -> None:
    job = jobs_of(origin)[0]
    job.result(LIMIT_S)
    file, changed = tmp_path / "job.quanopy", tmp_path / "changed.quanopy"
    origin.export(job, file).close()
    name = f"jobs/{job.id}/result.json"
    with zipfile.ZipFile(file) as before, zipfile.ZipFile(changed, "w") as after:
        for one in before.namelist():
            data = before.read(one)
            after.writestr(
                one, data.replace(b'"shots":100', b'"shots":999') if one == name else data
            )
    with Receipt(changed) as receipt:
        assert [fault.member for fault in receipt.verify()] == [name]
    with pytest.raises(quanopy.errors.Invalid, match="digest"):
        other.import_receipt(changed)
    other.import_receipt(file)
    assert other.job(job.id).result(0)[0].shots == 100


def test_what_is_anothers_is_a_conflict(origin: Client, other: Client, tmp_path: Path) -> None:
    job = jobs_of(origin)[0]
    job.result(LIMIT_S)
    file = tmp_path / "job.quanopy"
    origin.export(job, file).close()
    other.import_receipt(file)
    token = other.create_token(TokenIn(account="eve", scope=Scope.USER, label=""))
    with Client(other.settings.url, token.secret) as eve, pytest.raises(Conflict):
        eve.import_receipt(file)


def segmented(client: Client, name: str) -> Group:
    """A long experiment of four segments."""
    bell = QuantumCircuit(2)
    bell.h(0)
    bell.cx(0, 1)
    bell.measure_all()
    return client.segment([bell], name=name, total_shots=400, shots=100, resource=DEVICE, seed=3)


def test_a_group_is_kept_in_order_with_its_policy_and_what_its_jobs_share_once(
    origin: Client, tmp_path: Path
) -> None:
    group = segmented(origin, "long")
    detail = group.wait(LIMIT_S)
    file = tmp_path / "long.quanopy"
    with origin.export(group, file) as receipt:
        assert receipt.verify() == []
        told = receipt.group
        assert told is not None
        assert (told.id, told.name, told.state) == (group.id, "long", GroupState.DONE)
        assert told.policy.max_in_flight == detail.policy.max_in_flight == 2
        assert told.usage["shots"] == 400
        assert [job.id for job in receipt.jobs] == [job.id for job in group.jobs()]
        ours, theirs = receipt.segments(), group.segments()
        assert ours.merged().pubs == theirs.merged().pubs
        assert [len(one.segments) for one in ours.epochs] == [4]
        assert receipt.results()[0] is not None
        kinds = [event.kind for event in receipt.group_events()]
        assert kinds[-1] == "group.done"
        names = list(members(file))
    for folder, number in (("programs/", 1), ("circuits/", 2), ("calibrations/", 3)):
        assert sum(name.startswith(folder) for name in names) == number, names


def test_a_group_is_told_of_with_its_jobs_in_their_places(
    origin: Client, other: Client, tmp_path: Path
) -> None:
    group = segmented(origin, "far")
    group.wait(LIMIT_S)
    ids = [job.id for job in group.jobs()]
    one, file, again = (tmp_path / name for name in ("one", "all", "again"))
    origin.export(ids[2], one).close()
    origin.export(group, file).close()
    # One of its jobs is there already, by itself.
    assert other.import_receipt(one).new == [ids[2]]
    answer = other.import_receipt(file)
    assert (sorted(answer.new), answer.known) == (sorted({*ids} - {ids[2]}), [ids[2]])
    told = other.find_group("far")
    assert told == group
    assert [job.id for job in told.jobs()] == ids
    assert told.segments().merged().pubs == group.segments().merged().pubs
    ours, theirs = group.detail(), told.detail()
    assert (ours.policy, ours.usage, ours.ended_at) == (
        theirs.policy,
        theirs.usage,
        theirs.ended_at,
    )
    other.export(told, again).close()
    assert members(again) == members(file)
    assert other.import_receipt(again).known == sorted(ids)
    assert origin.import_receipt(again).known == sorted(ids)
    # Its name is taken: neither is the other.
    second = segmented(origin, "second")
    second.wait(LIMIT_S)
    origin.export(second, file).close()
    other.group("second")
    with pytest.raises(Conflict, match="another group"):
        other.import_receipt(file)


def test_a_group_that_was_removed_where_it_ran_is_left_out(origin: Client, tmp_path: Path) -> None:
    group = segmented(origin, "removed")
    group.wait(LIMIT_S)
    ids = [job.id for job in group.jobs()]
    file = tmp_path / "removed.quanopy"
    with origin.export(group, file) as receipt:
        group.remove()
        answer = origin.import_receipt(file)
        assert (answer.new, answer.known) == ([], sorted(ids))
        assert [one.id for one in answer.left_out] == [group.id]
        assert [one for one in origin.groups() if one.id == group.id] == []
        assert len(receipt.results()) == len(ids)


def test_a_group_that_was_told_of_is_restored_from_the_archive(
    origin: Client, other: Client, tmp_path: Path
) -> None:
    group = segmented(origin, "kept")
    group.wait(LIMIT_S)
    file = tmp_path / "kept.quanopy"
    origin.export(group, file).close()
    other.import_receipt(file)
    account = other.find_group("kept").detail().account
    objects = open_objects((tmp_path / "other" / "objects").as_uri())
    with closing(open_store(f"sqlite:///{tmp_path / 'again.db'}")) as store:
        found = rebuild(objects, store)
        assert (found.jobs, found.new, found.held, found.damaged) == (4, 4, 0, ())
        assert rebuild(objects, store).new == 0
        (restored,) = store.list_groups(GroupQuery(account=account, name="kept"))
        assert (restored.id, restored.state) == (group.id, GroupState.DONE)
        jobs = store.group_jobs(group.id, limit=10)
        assert [job.id for job in jobs] == [job.id for job in group.jobs()]
        other.find_group("kept").remove()
    with closing(open_store(f"sqlite:///{tmp_path / 'removed.db'}")) as store:
        assert rebuild(objects, store).new == 4
        assert store.groups([group.id]) == []
        jobs = store.jobs([job.id for job in group.jobs()])
        digests = {one.snapshot or "" for job in jobs for one in _bindings(store, job.id)}
        assert {one.digest for one in store.first_sightings(digests)} == digests


def test_a_receipt_that_several_import_at_once_is_there_once(
    origin: Client, other: Client, tmp_path: Path
) -> None:
    group = segmented(origin, "at once")
    group.wait(LIMIT_S)
    file = tmp_path / "all"
    origin.export(group, file).close()
    ids = sorted(job.id for job in group.jobs())
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: other.import_receipt(file), range(4)))
    assert all(sorted([*answer.new, *answer.known]) == ids for answer in answers)
    assert sorted(job_id for answer in answers for job_id in answer.new) == ids
    assert sorted(job.id for job in other.find_group("at once").jobs()) == ids
    events = [event.kind for event in other.job(ids[0]).events()]
    assert events.count("job.imported") == 1


def test_jobs_that_were_there_alone_are_restored_in_their_group(
    origin: Client, tmp_path: Path
) -> None:
    group = segmented(origin, "parted")
    group.wait(LIMIT_S)
    ids = [job.id for job in group.jobs()]
    one, whole = tmp_path / "one.quanopy", tmp_path / "whole.quanopy"
    folder = tmp_path / "other"
    with Client.embedded(folder, worker=False) as other:
        for job_id in ids:
            origin.export(job_id, one).close()
            assert other.import_receipt(one).new == [job_id]
        origin.export(group, whole).close()
        assert other.import_receipt(whole).known == sorted(ids)
        assert [job.id for job in other.find_group("parted").jobs()] == ids
    objects = open_objects((folder / "objects").as_uri())
    packs = {info.key for info in objects.list("pending")}
    with closing(open_store(f"sqlite:///{folder / 'quanopy.db'}")) as store:
        assert list(find_orphans(objects, store, older_than=timedelta(0))) == []
    with closing(open_store(f"sqlite:///{tmp_path / 'again.db'}")) as store:
        assert rebuild(objects, store).damaged == ()
        restored = [job.id for job in store.group_jobs(group.id, limit=10)]
        assert restored == ids
        assert store.groups([group.id])[0].state is GroupState.DONE
    with Client.embedded(folder, worker=False) as other:
        assert other.import_receipt(whole).known == sorted(ids)
        assert {info.key for info in objects.list("pending")} == packs
        # Removed, and taken in again since.
        other.find_group("parted").remove()
        other.import_receipt(whole)
    with closing(open_store(f"sqlite:///{tmp_path / 'since.db'}")) as store:
        rebuild(objects, store)
        assert [job.id for job in store.group_jobs(group.id, limit=10)] == ids


def _bindings(store: Store, job_id: str) -> list[Binding]:
    return [execution.calibration for execution in store.executions(job_id)]
