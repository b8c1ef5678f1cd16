"""What the README and the guides show is run as it stands, against a real broker."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from quanopy import Client
from tests.servers.process import ServerProcess
from tests.unit.docs.blocks import DOCS, ROOT, files, script

START_S = 60.0
RUN_S = 300.0
BIN = Path(sys.executable).parent

pytestmark = pytest.mark.timeout(RUN_S + START_S)


class Desk:
    """A folder to work in, with the examples, beside a broker that its user started."""

    def __init__(self, folder: Path, *, data: Path) -> None:
        self.folder = folder
        self.environ = {
            **{name: value for name, value in os.environ.items() if "QUANOPY" not in name},
            "HOME": str(folder),
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONPATH": str(folder),
            "QUANOPY_DATA": str(data),
            "QUANOPY_READ_DEADLINE_S": "60",
            "OMP_NUM_THREADS": "1",
        }
        (folder / "examples").symlink_to(ROOT / "examples")

    def run(self, command: list[str], text: str) -> str:
        """Run a script given on standard input: what it printed; a failure shows all of it."""
        done = subprocess.run(
            command,
            input=text,
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def python(self, page: Path) -> str:
        """Run a page's Python; line numbers in a traceback are the page's."""
        return self.run([sys.executable, "-"], script(page, "python"))

    def shell(self, page: Path) -> str:
        """Run a page's shell commands; line numbers in messages are the page's."""
        return self.run(["bash", "-euo", "pipefail", "-s"], script(page, "sh"))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    desk = Desk(folder, data=folder / "data")
    for name, text in files(DOCS / "reference" / "providers.md").items():
        (folder / name).write_text(text, encoding="utf-8")
    desk.environ["QUANOPY_PROVIDERS"] = "aer,reference:create"
    with broker(desk):
        yield desk


@contextmanager
def broker(desk: Desk) -> Iterator[None]:
    """`quanopy serve` at a desk."""
    command: list[str | Path] = [BIN / "quanopy", "serve", "--port", "0"]
    log = desk.folder / "serve.log"
    server = ServerProcess(command, log=log, environment=desk.environ)
    announced = Path(desk.environ["QUANOPY_DATA"], "server.json")
    server.wait_until(announced.exists, timeout_s=START_S)
    try:
        yield
    finally:
        server.stop()


def test_the_python_of_the_readme_runs(desk: Desk) -> None:
    assert "job_" in desk.python(ROOT / "README.md")


def test_the_python_of_the_user_guide_runs(desk: Desk) -> None:
    desk.python(DOCS / "user-guide.md")


def test_the_python_of_the_page_on_experiments_runs(desk: Desk) -> None:
    printed = desk.python(DOCS / "experiments.md")
    assert "aer" in printed
    assert "('a', 'b')" in printed
    assert "0.002 was wanted" in printed
    assert (desk.folder / "drift.png").exists()


def test_the_commands_of_the_page_on_experiments_run(desk: Desk) -> None:
    printed = desk.shell(DOCS / "experiments.md")
    assert "aer-fake-nairobi" in printed
    assert (desk.folder / "ghz.png").exists()


def test_the_commands_of_the_user_guide_run(desk: Desk) -> None:
    desk.shell(DOCS / "user-guide.md")


def test_the_commands_of_the_operating_guide_run(desk: Desk) -> None:
    desk.shell(DOCS / "operating.md")


def test_the_archive_is_read_with_ordinary_tools(desk: Desk) -> None:
    bell = 'OPENQASM 3.0; include "stdgates.inc"; qubit q; bit c; x q; c = measure q;'
    desk.run(["bash", "-eu", "-s"], f"echo '{bell}' > x.qasm; quanopy submit x.qasm --wait")
    (found,) = json.loads(desk.run(["bash", "-s"], "quanopy jobs --name x --json"))
    data = Path(desk.environ["QUANOPY_DATA"])
    server = json.loads((data / "server.json").read_text())
    with Client(server["url"], (data / "token").read_text().strip()) as client:
        detail = client.job(found["id"]).detail()
    (data / "objects" / "detail.json").write_text(detail.model_dump_json())
    printed = desk.run(
        ["bash", "-euo", "pipefail", "-s"],
        'cd "$QUANOPY_DATA/objects"\n' + script(DOCS / "reference" / "archive.md", "sh"),
    )
    assert json.loads(printed.splitlines()[-1])["counts"] == [{"0x1": 1024}]


def test_the_provider_of_the_reference_serves_a_broker(desk: Desk) -> None:
    out = desk.run(
        [sys.executable, "-"],
        "from quanopy import Client\n"
        "job = Client().submit('examples/circuits/ghz_3.qasm', resource='reference', shots=90)\n"
        "counts = job.result(60)[0].counts\n"
        "assert set(counts) == {'000', '111'} and sum(counts.values()) == 90\n"
        "print('sampled')\n",
    )
    assert out == "sampled\n"
