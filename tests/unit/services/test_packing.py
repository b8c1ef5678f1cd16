"""What goes into packs comes out of them again, by extents and by ordinary tools."""

import json
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from quanopy.codecs.records import EndRecord
from quanopy.domain.errors import NotFound
from quanopy.domain.jobs import Extent
from quanopy.ports.objects import Objects
from quanopy.services.packing import pack_endings, pack_submissions
from quanopy.services.recording import Ended
from quanopy.services.unpacking import load_circuits, load_jobs, load_programs
from quanopy.storage.objects import open_objects
from tests.unit.services.archives import (
    NOW,
    accepted,
    completed,
    execution,
    failed,
    later,
    submit,
    task_of,
)


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return open_objects((tmp_path / "objects").as_uri())


def test_jobs_come_back_as_they_were_accepted(objects: Objects) -> None:
    job = accepted(parts=3, key="mine")
    record = load_jobs(objects, submit(objects, accepted("other"), job).jobs)[1]
    assert job.reading is not None
    assert (record.id, record.account, record.resource) == (job.id, "ada", "aer")
    assert record.options == job.spec.options
    assert record.pubs == job.reading.pubs
    assert record.evaluations == (1, 1, 1)
    assert record.tasks == job.tasks
    assert (record.name, record.tags, record.priority) == ("one", ("tagged",), 3)
    assert (record.idempotency_key, record.request_digest) == ("mine", "sha256:digest")
    assert record.created_at == NOW
    assert record.programs[0].footprint == job.reading.footprints[0]


def test_programs_and_circuits_are_found_by_their_extents(objects: Objects) -> None:
    jobs = [accepted("a"), accepted("b"), accepted("a")]
    extents = submit(objects, *jobs).jobs
    records = load_jobs(objects, extents)
    assert load_programs(objects, extents, records) == [job.spec.programs for job in jobs]
    circuits = [job.reading.circuits for job in jobs if job.reading]
    assert load_circuits(objects, extents, records) == circuits


def test_what_is_shared_is_kept_once() -> None:
    packed = pack_submissions([accepted("same") for _ in range(10)], NOW)
    with tarfile.open(fileobj=BytesIO(packed.data)) as archive:
        names = [name.partition("/")[0] for name in archive.getnames()]
    assert names == ["programs", "circuits", "jobs.jsonl"]


def test_an_unread_job_has_programs_but_no_circuits(objects: Objects) -> None:
    job = accepted(read=False)
    extents = submit(objects, job).jobs
    records = load_jobs(objects, extents)
    assert load_circuits(objects, extents, records) == [None]
    assert load_programs(objects, extents, records) == [job.spec.programs]


def test_a_missing_pack_is_not_found(objects: Objects) -> None:
    with pytest.raises(NotFound):
        load_jobs(objects, [Extent(key="pending/none.tar", offset=0, length=10)])


def test_a_result_extent_is_exactly_its_array() -> None:
    first, second, third = (task_of(accepted()) for _ in range(3))
    arrays = {first.id: b'[{"counts":{"00":1}}]', third.id: '[{"text":"é"}]'.encode()}
    ends = [completed(first, arrays[first.id]), failed(second), completed(third, arrays[third.id])]
    by = execution(first, second, third)
    _, data, extents = pack_endings([Ended(tasks=ends, ended_at=later(2), execution=by)], NOW)
    found = {
        name: data[extent.offset : extent.offset + extent.length]
        for name, extent in extents.items()
    }
    record = EndRecord.model_validate_json(found.pop(by.id))
    assert record.execution_id == by.id
    assert found == arrays


def test_every_line_of_a_completed_pack_is_json() -> None:
    task, other = task_of(accepted()), task_of(accepted())
    ends = [
        Ended(tasks=[completed(task)], ended_at=later(2), execution=execution(task)),
        Ended(tasks=[failed(other)], ended_at=later(3)),
    ]
    _, data, _ = pack_endings(ends, NOW)
    with tarfile.open(fileobj=BytesIO(data)) as archive:
        lines = {
            name: [json.loads(line) for line in member]
            for name in archive.getnames()
            if (member := archive.extractfile(name))
        }
    assert lines["results.jsonl"] == [{"task": task.id, "pubs": [{"counts": {"00": 100}}]}]
    assert [end["tasks"][0]["state"] for end in lines["endings.jsonl"]] == ["completed", "failed"]
    assert "execution_id" not in lines["endings.jsonl"][1]


def test_a_result_with_a_line_break_is_refused() -> None:
    ended = Ended(tasks=[completed(task_of(accepted()), b"[\n]")], ended_at=NOW)
    with pytest.raises(ValueError, match="line break"):
        pack_endings([ended], NOW)


def test_the_tar_command_opens_a_pack(tmp_path: Path) -> None:
    job = accepted()
    path = tmp_path / "pack.tar"
    path.write_bytes(pack_submissions([job], NOW).data)
    subprocess.run(["tar", "xf", path, "-C", tmp_path], check=True, timeout=60)
    (program,) = (tmp_path / "programs").iterdir()
    assert program.read_bytes() == job.spec.programs[0].data
    assert json.loads((tmp_path / "jobs.jsonl").read_text())["id"] == job.id


def test_equal_content_has_an_equal_name() -> None:
    job = accepted()
    one, other = pack_submissions([job], NOW), pack_submissions([job], NOW)
    assert one == other
    assert one.key.startswith("pending/2026/03/04/")
