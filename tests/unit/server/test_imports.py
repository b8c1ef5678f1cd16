"""Receipts taken into another broker: what was told reads the same, and is never taken for seen."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from quanopy.codecs.receipt_files import ReceiptFile
from quanopy.codecs.receipts import MEDIA_TYPE, ReceiptWriter
from quanopy.domain.states import TaskState
from quanopy.services.rebuild import rebuild
from quanopy.services.verify import verify
from tests.unit.server.service import Service, running
from tests.unit.server.test_receipts import receipt_of, submitted


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Another broker."""
    with running(tmp_path_factory.mktemp("other")) as service:
        yield service


def taken(client: httpx.Client, data: bytes) -> httpx.Response:
    """What a broker answers to a receipt."""
    return client.post("/v1/receipts", content=data, headers={"Content-Type": MEDIA_TYPE})


def finished(service: Service, state: TaskState = TaskState.COMPLETED, **more: object) -> bytes:
    """The receipt of a job that has ended."""
    client = service.client()
    job_id = submitted(client, **more)
    service.complete(state=state)
    return receipt_of(client, job_id)


def members(data: bytes) -> dict[str, bytes]:
    """All but the manifest."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist() if name != "manifest.json"}


def id_of(data: bytes) -> str:
    """The one job of a receipt."""
    with ReceiptFile(io.BytesIO(data)) as file:
        return str(file.manifest["jobs"][0])


Change = Callable[[dict[str, Any]], object]


def forged(data: bytes, change: Change) -> bytes:
    """The receipt with another ``job.json``, and digests that fit it."""
    writer = ReceiptWriter()
    with ReceiptFile(io.BytesIO(data)) as file:
        about = {name: file.manifest[name] for name in ("made", "jobs", "unfinished")}
    for name, content in members(data).items():
        if name.endswith("/job.json"):
            document = json.loads(content)
            change(document)
            content = json.dumps(document).encode()
        writer.add(name, content)
    first = writer.take()
    return first + writer.close(about)


# -- the way there and back --------------------------------------------------------------------
@pytest.mark.parametrize("shots", [100, 1500])
@pytest.mark.parametrize("state", [TaskState.COMPLETED, TaskState.FAILED])
def test_what_is_imported_reads_as_at_its_origin(
    service: Service, other: Service, state: TaskState, shots: int
) -> None:
    data = finished(service, state, options={"shots": shots}, tags=["a"], name="bell")
    job_id = id_of(data)
    ada, bob = service.client(), other.client("bob")
    answer = taken(bob, data)
    assert answer.status_code == 201, answer.text
    assert answer.json()["new"] == [job_id]
    for path in ("result?partial=true", "programs", "compiled"):
        ours, theirs = (one.get(f"/v1/jobs/{job_id}/{path}") for one in (ada, bob))
        assert (ours.status_code, ours.json()) == (theirs.status_code, theirs.json())
    ours, theirs = (one.get(f"/v1/jobs/{job_id}").json() for one in (ada, bob))
    for name in ("kind", "resource", "state", "name", "tags", "created_at", "ended_at", "problem"):
        assert ours[name] == theirs[name], name
    assert theirs["account"] == "bob"
    assert theirs["imported"]["account"] == "ada"
    assert ours["executions"] == theirs["executions"]
    history = bob.get(f"/v1/jobs/{job_id}/events").json()["events"]
    assert history[-1]["kind"] == "job.imported"
    assert all("told" in event["data"] for event in history[:-1])
    seen = ada.get(f"/v1/jobs/{job_id}/events").json()["events"]
    assert [(one["at"], one["kind"]) for one in seen] == [
        (one["at"], one["kind"]) for one in history[:-1]
    ]
    assert members(receipt_of(bob, job_id)) == members(data)


def events_of(answer: httpx.Response) -> list[tuple[str, Any]]:
    """What an event stream said, by kind."""
    blocks = [block.splitlines() for block in answer.text.split("\n\n") if block]
    named = [dict(line.split(": ", 1) for line in lines) for lines in blocks]
    return [(one["event"], json.loads(one["data"])) for one in named if "event" in one]


def test_it_is_told_how_far_an_import_is_while_it_goes_on(
    service: Service, other: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quanopy.server.underway.EVERY_S", 0.001)
    data = finished(service)
    headers = {"Content-Type": MEDIA_TYPE, "Accept": "text/event-stream"}
    bob = other.client("bob")
    answer = bob.post("/v1/receipts", content=data, headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    *before, (kind, done) = events_of(answer)
    assert (kind, done["new"]) == ("done", [id_of(data)])
    steps = [far["step"] for kind, far in before]
    assert steps
    assert steps == sorted(steps, key=["check", "read", "keep"].index)
    assert {kind for kind, _ in before} <= {"progress"}
    eve = other.client("eve").post("/v1/receipts", content=data, headers=headers)
    ((kind, problem),) = [one for one in events_of(eve) if one[0] != "progress"]
    assert (kind, problem["status"]) == ("problem", 409)
    assert "another's" in problem["detail"]


def test_importing_again_changes_nothing(service: Service, other: Service) -> None:
    data, bob = finished(service), other.client("bob")
    job_id = id_of(data)
    assert taken(bob, data).status_code == 201
    before = bob.get(f"/v1/jobs/{job_id}/events").json()
    answer = taken(bob, data)
    assert (answer.status_code, answer.json()["known"]) == (200, [job_id])
    assert bob.get(f"/v1/jobs/{job_id}/events").json() == before
    # A receipt made of what was imported is the same again, here and at the origin.
    again = receipt_of(bob, job_id)
    assert taken(bob, again).json()["known"] == [job_id]
    assert taken(service.client(), again).json()["known"] == [job_id]


def test_the_archive_restores_what_was_imported(service: Service, tmp_path: Path) -> None:
    data = finished(service, options={"shots": 1500})
    job_id = id_of(data)
    for name in ("lost", "empty"):
        (tmp_path / name).mkdir()
    with running(tmp_path / "lost") as lost:
        bob = lost.client("bob")
        assert taken(bob, data).status_code == 201
        assert verify(lost.objects).damaged == ()
        kept = members(receipt_of(bob, job_id))
        shown = bob.get(f"/v1/jobs/{job_id}").json()
        objects = lost.objects
        with running(tmp_path / "empty") as empty:
            found = rebuild(objects, empty.store)
            assert (found.jobs, found.new, found.finished) == (1, 1, 1)
            assert rebuild(objects, empty.store).new == 0
            job = empty.job(job_id)
            assert job.imported is not None
            assert job.imported.account == "ada"
            # The archive of one with the catalogue of the other.
            for info in objects.list("pending"):
                empty.objects.put({info.key: objects.get([info.key])[0]})
            bob = empty.client("bob")
            assert members(receipt_of(bob, job_id)) == kept
            assert bob.get(f"/v1/jobs/{job_id}").json() == shown


# -- what is refused ---------------------------------------------------------------------------
def test_a_job_that_is_anothers_or_another_is_a_conflict(service: Service, other: Service) -> None:
    data = finished(service)
    assert taken(other.client("bob"), data).status_code == 201
    assert taken(other.client("eve"), data).status_code == 409
    better = forged(data, lambda job: job.update(name="better"))
    answer = taken(other.client("bob"), better)
    assert answer.status_code == 409
    assert "not what the receipt says" in answer.json()["detail"]


def test_an_execution_of_somebody_else_is_not_shown(service: Service, other: Service) -> None:
    data, secret = finished(service), finished(other)
    with ReceiptFile(io.BytesIO(secret)) as file:
        theirs = file.document(f"jobs/{id_of(secret)}/job.json")["executions"][0]["id"]

    def steal(job: dict[str, Any]) -> None:
        job["executions"][0]["id"] = theirs
        for part in job["parts"]:
            part["execution_id"] = theirs

    answer = taken(other.client("eve"), forged(data, steal))
    assert answer.status_code == 409, answer.text
    assert other.client("eve").get(f"/v1/jobs/{id_of(data)}").status_code == 404


def test_a_job_that_was_not_final_is_not_taken(service: Service, other: Service) -> None:
    client = service.client()
    data = receipt_of(client, submitted(client))
    answer = taken(other.client("bob"), data)
    assert answer.status_code == 422
    assert "final" in answer.json()["detail"]
    service.complete()


def test_what_was_imported_is_not_run(service: Service, other: Service) -> None:
    data, bob = finished(service, TaskState.FAILED), other.client("bob")
    assert taken(bob, data).status_code == 201
    answer = bob.post(f"/v1/jobs/{id_of(data)}/retry")
    assert answer.status_code == 409
    assert "imported" in answer.json()["detail"]


def _part(**changes: object) -> Change:
    return lambda job: job["parts"][0].update(changes)


def _execution(**changes: object) -> Change:
    return lambda job: job["executions"][0].update(changes)


def _deep(job: dict[str, Any]) -> None:
    nested: list[Any] = []
    for _ in range(300):
        nested = [nested]
    job["pubs"][0]["parameters"] = nested


@pytest.mark.parametrize(
    "change",
    [
        lambda job: job.update(name="a\0b"),
        lambda job: job.update(name="\ud800"),
        lambda job: job.update(name="x" * 1000),
        lambda job: job.update(tags=["a", "a"]),
        lambda job: job.update(priority=10**9),
        lambda job: job.update(state="cancelled"),
        lambda job: job.update(parts=[]),
        lambda job: job.update(evaluations=[]),
        lambda job: job["programs"][0].pop("footprint"),
        lambda job: job["programs"][0].update(circuits=None),
        lambda job: job.update(created_at="2026-01-31"),
        _deep,
        _part(id="task_1"),
        _part(id="job_" + "0" * 32),
        _part(state="queued"),
        _part(slice={"first": 0, "count": 9}),
        _part(slice={"first": -1, "count": 1}),
        _part(attempt=2**40),
        _execution(id="exec_1"),
        _execution(state="running"),
        _execution(provider="p\n"),
        _execution(usage={"seconds": None}),
        _execution(calibration={"label": "sure"}),
    ],
)
def test_a_job_that_can_be_none_is_refused(
    service: Service, other: Service, change: Change
) -> None:
    data = finished(service)
    answer = taken(other.client("bob"), forged(data, change))
    assert answer.status_code == 422, answer.text
    assert other.client("bob").get(f"/v1/jobs/{id_of(data)}").status_code == 404


@pytest.mark.parametrize(
    "pubs",
    [
        {},
        [1],
        [{}],
        [{"shape": [-1], "counts": []}],
        [{"shape": [], "shots": 1, "registers": [], "counts": [{"0x1": 1}]}],
        [{"shape": [], "shots": 1, "registers": [{"name": "c", "bits": 1}], "counts": [{"1": 1}]}],
        [{"shape": [], "evs": ["1"], "stds": [0.0]}],
        [{"shape": [10**9, 10**9], "evs": [], "stds": []}],
    ],
)
def test_a_result_that_can_be_none_is_refused(
    service: Service, other: Service, pubs: object
) -> None:
    data = finished(service)
    writer = ReceiptWriter()
    with ReceiptFile(io.BytesIO(data)) as file:
        about = {name: file.manifest[name] for name in ("made", "jobs", "unfinished")}
    for name, content in members(data).items():
        if name.endswith("parts.jsonl"):
            lines = [json.loads(line) | {"pubs": pubs} for line in content.splitlines()]
            content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        writer.add(name, content)
    first = writer.take()
    answer = taken(other.client("bob"), first + writer.close(about))
    assert answer.status_code == 422, answer.text


def test_circuits_that_cannot_be_read_are_refused(service: Service, other: Service) -> None:
    data = finished(service)
    other.reader.bad = b"QPY of OPENQASM 3.0; a Bell pair"
    try:
        answer = taken(other.client("bob"), data)
    finally:
        other.reader.bad = b"bad"
    assert answer.status_code == 422
    assert answer.json()["where"].startswith("circuits/")


def test_files_that_are_no_receipts_are_refused(service: Service, other: Service) -> None:
    bob = other.client("bob")
    assert taken(bob, b"PK\x03\x04 no zip").status_code == 422
    assert taken(bob, b"").status_code == 422
    assert bob.post("/v1/receipts", json={}).status_code == 415
    data = finished(service)
    assert taken(bob, data[:-50]).status_code == 422
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("manifest.json", b" " * 10_000_000)
    assert taken(bob, bomb.getvalue()).status_code == 413
