"""Receipts: made by the server, read and checked from the file alone."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import numpy as np
import pytest

import quanopy
from quanopy.client.receipts import Receipt
from quanopy.codecs.receipt_checks import faults
from quanopy.codecs.receipt_files import ReceiptFile
from quanopy.codecs.receipts import ReceiptWriter
from quanopy.domain.errors import Invalid, NotFound, NotReady, TaskFailed, Unsupported
from quanopy.domain.states import JobState, TaskState
from tests.unit.docs.blocks import DOCS, script
from tests.unit.server.service import BELL, JOB, Service

ALONE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in OTHERS:
            raise ImportError(name)

OTHERS = {*sys.argv[2:], "qiskit", "httpx", "pydantic", "urllib3", "typer", "sqlalchemy",
          "fastapi", "braket", "bloqade", "perceval", "pulser", "pasqal_cloud", "iqm", "qrmi",
          "qiskit_aer", "qiskit_ibm_runtime"}
sys.meta_path.insert(0, Refuse())
import quanopy

with quanopy.load(sys.argv[1]) as receipt:
    assert receipt.verify() == []
    (job,) = receipt.jobs
    assert job.programs()[0].data == b"OPENQASM 3.0; a Bell pair"
    print(job.result()[0].counts, job.events()[-1].kind, job.calibration.label)
"""


def submitted(client: httpx.Client, **more: object) -> str:
    """The id of a new job."""
    return str(client.post("/v1/jobs", json={**JOB, **more}).json()["id"])


def receipt_of(client: httpx.Client, job_id: str) -> bytes:
    """A job's receipt."""
    answer = client.get(f"/v1/jobs/{job_id}/receipt")
    assert answer.status_code == 200, answer.text
    return answer.content


def opened(data: bytes) -> Receipt:
    """A receipt of these bytes."""
    return Receipt(io.BytesIO(data))


@pytest.fixture
def kept(service: Service) -> bytes:
    """The receipt of a completed job."""
    client = service.client()
    job_id = submitted(client, name="bell", tags=["a"], options={"shots": 100, "seed": 3})
    service.complete()
    return receipt_of(client, job_id)


def rewritten(data: bytes, change: dict[str, bytes | None], *, append: bool = False) -> bytes:
    """The same zip with other members (``None``: without)."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(made, "w") as after:
        for info in before.infolist():
            content = change.get(info.filename, before.read(info))
            if content is not None:
                after.writestr(info.filename, content)
        for name in change.keys() - set(before.namelist()) if append else ():
            after.writestr(name, change[name] or b"")
    return made.getvalue()


def member(data: bytes, ending: str) -> str:
    """The name of the first member that ends so."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return next(name for name in file.namelist() if name.endswith(ending))


def problems(data: bytes) -> list[tuple[str, str]]:
    """What is wrong with it."""
    with ReceiptFile(io.BytesIO(data)) as file:
        return [(fault.member, fault.problem) for fault in faults(file)]


# -- what it has -------------------------------------------------------------------------------
def test_a_receipt_has_all_that_belongs_to_the_job(service: Service, kept: bytes) -> None:
    with opened(kept) as receipt:
        (job,) = receipt.jobs
        known = service.job(job.id)
        record = job.record
        assert (record.name, record.tags, record.account) == ("bell", ("a",), "ada")
        assert (record.options.seed, record.created_at) == (3, known.created_at)
        assert (record.started_at, record.ended_at) == (known.started_at, known.ended_at)
        (execution,) = record.executions
        assert execution == record.executions[0]
        assert execution.provider == "aer"
        assert [part.execution_id for part in record.parts] == [execution.id]
        assert job.programs()[0].data == BELL["text"].encode()
        assert job.result()[0].counts == {"00": 49, "11": 51}
        arrays = np.load(io.BytesIO(job.npz()), allow_pickle=False)
        assert arrays["pubs/0/numbers"].tolist() == [49, 51]
        kinds = [event.kind for event in job.events()]
        assert kinds[0] == "job.queued"
        assert kinds[-1] == "job.completed"
        assert receipt.made["account"] == "ada"
        assert receipt.made["versions"]["quanopy"] == quanopy.__version__
        assert receipt.unfinished == []
        assert receipt.verify() == []


def test_the_same_job_gives_the_same_bytes_but_for_who_made_it_when(
    service: Service, kept: bytes
) -> None:
    client = service.client()
    with opened(kept) as receipt:
        content, job_id = receipt.content, receipt.jobs[0].id
    again = receipt_of(client, job_id)
    with opened(again) as receipt:
        assert receipt.content == content
    with zipfile.ZipFile(io.BytesIO(kept)) as one, zipfile.ZipFile(io.BytesIO(again)) as other:
        assert one.namelist() == other.namelist()
        differ = [name for name in one.namelist() if one.read(name) != other.read(name)]
    assert differ == ["manifest.json"]
    before, after = (
        json.loads(zipfile.ZipFile(io.BytesIO(data)).read("manifest.json"))
        for data in (kept, again)
    )
    assert before.pop("made") != after.pop("made")
    assert before == after


@pytest.mark.parametrize("gone", [(), ("numpy",)])
def test_it_is_read_where_nothing_but_numpy_is_installed_and_without_that(
    kept: bytes, tmp_path: Path, gone: tuple[str, ...]
) -> None:
    file = tmp_path / "bell.quanopy"
    file.write_bytes(kept)
    run = subprocess.run(
        [sys.executable, "-c", ALONE, str(file), *gone],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == "{'00': 49, '11': 51} job.completed unknown\n"


def test_the_page_on_receipts_reads_one_without_quanopy(kept: bytes, tmp_path: Path) -> None:
    (tmp_path / "bell.quanopy").write_bytes(kept)
    code = script(DOCS / "reference" / "receipts.md", "python")
    assert "quanopy." not in code.replace("bell.quanopy", "")
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == "aer [{'0x0': 49, '0x3': 51}] [49 51]\n"


def test_a_job_that_is_not_final_can_be_kept_and_says_so(service: Service) -> None:
    client = service.client()
    job_id = submitted(client)
    with opened(receipt_of(client, job_id)) as receipt:
        assert receipt.unfinished == [job_id]
        assert receipt.jobs[0].state is JobState.QUEUED
        with pytest.raises(NotReady):
            receipt.jobs[0].result()
        assert receipt.verify() == []
    service.complete()


def test_a_failed_job_says_why(service: Service) -> None:
    client = service.client()
    job_id = submitted(client)
    service.complete(state=TaskState.FAILED)
    with opened(receipt_of(client, job_id)) as receipt:
        with pytest.raises(TaskFailed, match="the fridge is warm"):
            receipt.job(job_id).result()
        assert receipt.verify() == []
        with pytest.raises(NotFound):
            receipt.job("job_none")


def test_split_shots_are_there_part_by_part(service: Service) -> None:
    client = service.client()
    job_id = submitted(client, options={"shots": 1500})
    service.complete()
    data = receipt_of(client, job_id)
    with opened(data) as receipt:
        assert receipt.jobs[0].result()[0].counts == {"00": 98, "11": 102}
        assert len(receipt.jobs[0].record.parts) == 2
    with ReceiptFile(io.BytesIO(data)) as file:
        lines = list(file.lines(f"jobs/{job_id}/parts.jsonl"))
    assert [line["pubs"][0]["shots"] for line in lines] == [100, 100]


def test_anothers_job_is_not_there(service: Service, kept: bytes) -> None:
    with opened(kept) as receipt:
        job_id = receipt.jobs[0].id
    answer = service.client("bob").get(f"/v1/jobs/{job_id}/receipt")
    assert answer.status_code == 404


# -- what is wrong with it ---------------------------------------------------------------------
def test_what_was_changed_missing_or_put_in_is_named(kept: bytes) -> None:
    result = member(kept, "result.json")
    with zipfile.ZipFile(io.BytesIO(kept)) as file:
        better = file.read(result).replace(b":51}", b":99}")
    (fault,) = problems(rewritten(kept, {result: better}))
    assert fault[0] == result
    assert "digest" in fault[1]
    events = member(kept, "events.jsonl")
    assert (events, "is missing") in problems(rewritten(kept, {events: None}))
    more = rewritten(kept, {"jobs/x.json": b"{}"}, append=True)
    assert problems(more) == [("jobs/x.json", "is not in the manifest")]
    longer = rewritten(kept, {result: better + b" "})
    assert "bytes" in problems(longer)[0][1]


def test_members_that_do_not_belong_together_are_named(kept: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(kept)) as file:
        members = {name: file.read(name) for name in file.namelist()}
    manifest = json.loads(members.pop("manifest.json"))
    job_id = manifest["jobs"][0]
    job = json.loads(members[f"jobs/{job_id}/job.json"])

    def made(**changes: object) -> list[str]:
        writer = ReceiptWriter()
        for name, data in members.items():
            changed = {**job, **changes}
            own = name == f"jobs/{job_id}/job.json"
            writer.add(name, json.dumps(changed).encode() if own else data)
        about = {"made": {}, "jobs": [job_id], "unfinished": []}
        first = writer.take()
        return [problem for _, problem in problems(first + writer.close(about))]

    assert made() == []
    other = "sha256:" + "0" * 64
    assert any(
        "which is not there" in one
        for one in made(programs=[{"format": "openqasm3", "digest": other}])
    )
    execution = {**job["executions"][0], "calibration": {"label": "exact", "snapshot": other}}
    assert any(other in one for one in made(executions=[execution]))
    assert any("not told of" in one for one in made(executions=[]))
    assert any("resource" in one for one in made(resource="elsewhere"))
    assert any("no JobState" in one for one in made(state="asleep"))
    assert any("manifest says otherwise" in one for one in made(state="running"))
    assert any("by its job.json" in one for one in made(result=False))


def test_a_cut_or_foreign_file_is_no_receipt(kept: bytes, tmp_path: Path) -> None:
    file = tmp_path / "cut.quanopy"
    file.write_bytes(kept[:-100])
    with pytest.raises(Invalid, match=r"was cut|no whole zip"):
        quanopy.load(file)
    with pytest.raises(Invalid, match="no receipt"):
        opened(rewritten(kept, {"manifest.json": None}))
    later = b'{"format": "quanopy.receipt/2"}'
    with pytest.raises(Unsupported, match="receipt/2"):
        opened(rewritten(kept, {"manifest.json": later}))
    with pytest.raises(NotFound):
        quanopy.load(tmp_path / "none.quanopy")


@pytest.mark.parametrize(
    "manifest",
    [
        b"[]",
        b"{",
        b'{"format": 1}',
        b'{"format": "quanopy.receipt/1", "jobs": 1}',
        b'{"format": "quanopy.receipt/1", "jobs": [], "made": {}, "members": [1]}',
        b"[" * 100_000,
        b'{"format": NaN}',
    ],
)
def test_a_manifest_that_is_none_is_refused(kept: bytes, manifest: bytes) -> None:
    with pytest.raises(Invalid):
        opened(rewritten(kept, {"manifest.json": manifest}))


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../b", "C:\\x", "a//b", "é"])
def test_names_that_lead_elsewhere_are_refused(kept: bytes, name: str) -> None:
    with pytest.raises(Invalid, match="no name"):
        opened(rewritten(kept, {name: b"x"}, append=True))
