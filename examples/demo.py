"""``make demo``: a whole broker on this machine, real circuits through it, and a result kept.

Starts ``quanopy serve`` on SQLite, a local object folder and Aer in ``.demo``; submits every
OpenQASM file of ``circuits/`` and the parameter-shift gradient of an H2 ansatz; shows what came
back and where it lies; restarts the broker and fetches one result again from a second process.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from h2_gradient import H2, ansatz, gradient, shifted
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from quanopy import Client
from quanopy.client import Job, drafts
from quanopy.client.results import EstimatePub

HERE = Path(__file__).parent
DATA = HERE.parent / ".demo"
CIRCUITS = sorted((HERE / "circuits").glob("*.qasm"), key=lambda path: path.stat().st_size)
SHOTS = 2048
QUANOPY = str(Path(sys.executable).with_name("quanopy"))
console = Console(width=None if sys.stdout.isatty() else 150)


@contextmanager
def broker() -> Iterator[Client]:
    """A broker process of its own, and a client of it."""
    command = [QUANOPY, "serve", "--port", "0"]
    with (
        (DATA / "serve.log").open("a") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log) as server,
    ):
        try:
            if server.stdout is None or not server.stdout.readline():  # it says where it listens
                raise SystemExit(f"The broker did not start; see {log.name}.")
            with Client() as client:
                yield client
        finally:
            server.terminate()


def submit(client: Client) -> list[Job]:
    """Every circuit as a job of its own, one of them also with a real device's noise, and the
    gradient: all in one request."""
    circuits = [drafts.sample(path, shots=SHOTS, name=path.stem) for path in CIRCUITS]
    noisy = drafts.sample(
        HERE / "circuits" / "grover_3.qasm",
        resource="aer-fake-fez",
        shots=SHOTS,
        name="grover_3, noise of fez",
    )
    return client.submit_many([*circuits, noisy, gradient_job()])


def gradient_job() -> drafts.Draft:
    """The energy and gradient of H2 as one estimate job of 2P + 1 parameter sets."""
    circuit = ansatz()
    theta = np.linspace(0.1, 1.2, circuit.num_parameters)
    return drafts.estimate((circuit, H2, shifted(theta)), precision=0.005, name="h2_gradient")


def follow(client: Client, jobs: list[Job]) -> None:
    """A progress bar that moves as the broker's events arrive."""
    columns = (TextColumn("running"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("jobs", total=len(jobs))
        for _ in client.as_completed(jobs, timeout=150):
            progress.advance(bar)


def outcome(job: Job) -> str:
    """The most likely bitstrings of a job, or its energy and gradient with their error."""
    first = job.result()[0]
    if isinstance(first, EstimatePub):
        energy, slope = gradient(np.asarray(first.evs))
        error = float(np.max(first.stds))
        return f"E = {energy:.4f} ± {error:.4f} hartree, |∇E| = {np.linalg.norm(slope):.4f}"
    counts = sorted(first.counts.items(), key=lambda item: -item[1])[:2]
    return ", ".join(f"{_short(bits)}: {n / first.shots:.1%}" for bits, n in counts)


def _short(bits: str) -> str:
    return bits if len(bits) <= 16 else f"{bits[:6]}…{bits[-6:]} ({len(bits)} bits)"


def show(jobs: list[Job]) -> None:
    """The table of jobs, and where each result lies."""
    table = Table("job", "name", "resource", "shots", "queued", "executed", "outcome")
    table.columns[0].overflow = "fold"
    places = Table("job", "its result lies in .demo/objects at", box=None)
    places.columns[1].overflow = "fold"
    for job in jobs:
        now = job.detail()
        table.add_row(
            job.id,
            now.name,
            now.resource,
            str(now.shots or ""),
            _seconds(now.created_at, now.started_at),
            _seconds(now.started_at, now.ended_at),
            outcome(job),
        )
        places.add_row(job.id, now.parts[0].result_at)
    console.print(table, places)


def _seconds(begin: object, end: object) -> str:
    return f"{(end - begin).total_seconds():.2f} s" if begin and end else "-"  # type: ignore[operator]


def fetch_elsewhere(job: Job) -> None:
    """A second process, which knows no more than the job's id."""
    console.print(f"\n[b]$ quanopy result {job.id}[/b]   (another process, restarted broker)")
    sys.stdout.flush()
    subprocess.run([QUANOPY, "result", job.id], check=True, timeout=60)


def main() -> None:
    """Run the demonstration."""
    DATA.mkdir(mode=0o700, exist_ok=True)
    for name in [name for name in os.environ if name.startswith("QUANOPY_")]:
        del os.environ[name]
    os.environ["QUANOPY_DATA"] = str(DATA)
    console.print(f"Starting a broker in {DATA.name}/ (SQLite, a folder of objects, Aer)")
    with broker() as client:
        jobs = submit(client)
        follow(client, jobs)
        show(jobs)
    console.print("\nThe broker has stopped. Starting it again.")
    with broker():
        fetch_elsewhere(jobs[0])
    console.print("\nNext: make serve, then the ten lines of the README.")


if __name__ == "__main__":
    main()
