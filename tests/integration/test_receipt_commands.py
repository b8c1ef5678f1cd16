"""The commands on receipts: a person sees how far they are, a script nothing but JSON."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from quanopy import Client
from quanopy.client import Job
from quanopy.domain.programs import OPENQASM3, Program

pytestmark = pytest.mark.timeout(400)
BELL = b"""OPENQASM 3.0; include "stdgates.inc";
qubit[2] q; bit[2] c; h q[0]; cx q[0], q[1]; c = measure q;"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("b") / "data"


@pytest.fixture(scope="module")
def client(data: Path) -> Iterator[Client]:
    with Client.embedded(data, emulator_processes=1) as client:
        yield client


@pytest.fixture(scope="module")
def job(client: Client) -> Job:
    job = client.submit(Program(format=OPENQASM3, data=BELL), resource="aer", shots=100)
    job.wait(timeout=60)
    return job


def run(data: Path, *arguments: object) -> tuple[str, str]:
    """What a command says on stdout, and in the terminal that its stderr is."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb") as terminal, ThreadPoolExecutor(1) as reader:
        # While it runs, for a terminal takes only so much that nobody reads.
        said = reader.submit(_read_all, terminal.fileno())
        try:
            done = subprocess.run(
                [
                    sys.executable,
                    "-c",
                    "from quanopy.cli.main import run; run()",
                    *map(str, arguments),
                ],
                env=os.environ | {"QUANOPY_DATA": str(data), "TERM": "xterm", "COLUMNS": "100"},
                stdout=subprocess.PIPE,
                stderr=theirs,
                text=True,
                check=True,
                timeout=120,
            )
        finally:
            os.close(theirs)
        return done.stdout, said.result().decode()


def _read_all(terminal: int) -> bytes:
    said = b""
    while piece := _read(terminal):
        said += piece
    return said


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # a terminal that nobody writes to any more
        return b""


def test_a_person_sees_how_far_it_is_and_a_script_does_not(
    data: Path, client: Client, job: Job, tmp_path: Path
) -> None:
    file = tmp_path / "bell.quanopy"
    digest, said = run(data, "export", job.id, file)
    assert digest.startswith("sha256:")
    assert "exporting" in said
    again, said = run(data, "verify", file)
    assert again == digest
    assert "members" in said
    assert "1 job, nothing is wrong" in said
    _, said = run(data, "import", file)
    assert "the broker checks and keeps it" in said
    assert "0 imported, 1 was there already" in said
    for arguments in (("export", job.id, file), ("verify", file), ("import", file)):
        found, said = run(data, *arguments, "--json")
        assert json.loads(found)
        assert said == ""


def test_progress_is_told_to_the_last_byte(client: Client, job: Job, tmp_path: Path) -> None:
    file = tmp_path / "bell.quanopy"
    came: list[int] = []
    client.export(job, file, on_progress=came.append).close()
    assert came == sorted(came)
    size = file.stat().st_size
    assert came[-1] == size
    sent: list[tuple[int, int]] = []
    client.import_receipt(file, on_progress=lambda *told: sent.append(told))
    assert sent == sorted(sent)
    assert sent[-1] == (size, size)
