"""``make demo-vendors``: one program on every vendor's machine, with no account and no network.

Serves the loopback vendors, on which the vendors' own clients talk to the vendors' own emulators;
starts a broker with a provider for each, and a worker in IQM's own environment where that is there;
runs a GHZ circuit on a machine of every gate-model vendor, a Rydberg blockade on atoms and two
photons on a beam splitter; prints one table of what came of it and of the calibration it ran under.
"""

import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from quanopy import Client
from quanopy.client import Job
from quanopy.domain.errors import QuanopyError
from quanopy.domain.jobs import JobKind
from quanopy.domain.states import ResourceState
from quanopy.testing.vendors.base import Vendor
from quanopy.testing.vendors.registry import build
from quanopy.wire.service import ResourceOut

HERE = Path(__file__).parent
DATA = HERE.parent / ".demo-vendors"
GHZ = HERE / "circuits" / "ghz_3.qasm"
QUANOPY = Path(sys.executable).with_name("quanopy")
IQM_QUANOPY = HERE.parent / ".venv-iqm" / "bin" / "quanopy"
SHOTS = 1000
START_S, PATIENCE_S = 60.0, 300.0
console = Console(width=None if sys.stdout.isatty() else 150)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A job of the demonstration."""

    provider: str
    what: str
    job: Job | None = None
    problem: str = ""


def photons() -> object:
    """Two photons that are alike, on a beam splitter that reflects half of the light (Perceval)."""
    from hong_ou_mandel import experiment

    return experiment(math.pi / 2)


def pulsed_atoms() -> object:
    """Two atoms within the blockade radius, under one pulse (Pulser)."""
    from rydberg_blockade import sequence

    return sequence(5.0)


def driven_atoms() -> object:
    """The same on Aquila, driven until one of both is excited (Bloqade)."""
    from aquila_pair import pulse

    return pulse(2, math.pi / math.sqrt(2))


SERVED = ("braket", "ibm", "pasqal", "perceval", "iqm", "vqpu")
PROVIDERS = (*SERVED, "quera", "qrmi", "aer")
NATIVE = {"quera": driven_atoms, "pasqal": pulsed_atoms, "perceval": photons}
"""What runs where no circuits do, by provider."""


@contextmanager
def vendors() -> Iterator[Mapping[str, Vendor]]:
    """A loopback vendor for each provider that has one of its own."""
    with ExitStack() as stack:
        served = {name: stack.enter_context(build(name)) for name in SERVED}
        for vendor in served.values():
            os.environ.update(vendor.environment())
        yield served


def settings(served: Mapping[str, Vendor]) -> Path:
    """The broker's file, with a table for each provider: QuEra's machine is one of Braket's, and
    QRMI's is IBM's again."""
    tables = {name: dict(vendor.options()) for name, vendor in served.items()}
    tables["quera"] = dict(tables["braket"])
    tables["braket"]["makers"] = ["Amazon Braket", "IQM"]
    tables["qrmi"] = {"prefix": "qrmi-", "machines": {"ibm_nairobi": as_qrmi_has_it(tables["ibm"])}}
    tables["aer"] = {}
    path = DATA / "quanopy.toml"
    path.write_text("\n".join(table(name, options) for name, options in tables.items()))
    path.chmod(0o600)
    return path


def as_qrmi_has_it(ibm: Mapping[str, Any]) -> Mapping[str, Any]:
    """IBM's service in the variables of QRMI, which names resources by the vendor's own names."""
    return {
        "type": "ibm-quantum-compute-service",
        "QRMI_IBM_QCS_ENDPOINT": ibm["url"],
        "QRMI_IBM_QCS_IAM_ENDPOINT": ibm["iam_url"],
        "QRMI_IBM_QCS_IAM_APIKEY": ibm["token"],
        "QRMI_IBM_QCS_SERVICE_CRN": ibm["instance"],
        "QRMI_JOB_TIMEOUT_SECONDS": "300",
    }


def table(name: str, options: Mapping[str, Any]) -> str:
    """A table of TOML: JSON's texts, numbers and lists are TOML's too."""
    plain = {k: v for k, v in options.items() if not isinstance(v, Mapping)}
    lines = [f"[providers.{name}]", *(f"{k} = {json.dumps(v)}" for k, v in plain.items()), ""]
    nested = {k: v for k, v in options.items() if isinstance(v, Mapping)}
    for key, inner in nested.items():
        lines += [table(f"{name}.{key}.{one}", many) for one, many in inner.items()]
    return "\n".join(lines)


@contextmanager
def broker(config: Path) -> Iterator[Client]:
    """A broker whose worker has every provider but IQM's, which has a worker of its own."""
    own = [name for name in PROVIDERS if name != "iqm"]
    serve = [QUANOPY, "serve", "--port", "0", "--config", config, "--providers", ",".join(own)]
    work = [IQM_QUANOPY, "worker", "--config", config, "--providers", "iqm"]
    with (
        (DATA / "serve.log").open("w") as log,
        subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=log) as server,
        ExitStack() as stack,
    ):
        stack.callback(server.terminate)
        if server.stdout is None or not server.stdout.readline():  # it says where it listens
            raise SystemExit(f"The broker did not start; see {log.name}.")
        if IQM_QUANOPY.exists():
            worker = stack.enter_context(subprocess.Popen(work, stderr=log))
            stack.callback(worker.terminate)
        with Client() as client:
            yield client


def machines(client: Client) -> dict[str, str]:
    """The smallest machine in service of each provider, once all have said theirs."""
    ends_at = time.monotonic() + START_S
    wanted = set(PROVIDERS) - (set() if IQM_QUANOPY.exists() else {"iqm"})
    while True:
        online = [one for one in client.resources() if one.state is ResourceState.ONLINE]
        online.sort(key=lambda one: one.limits.qubits or 0, reverse=True)
        found = {one.provider: one.name for one in online if _fits(one)}
        if wanted <= found.keys() or time.monotonic() > ends_at:
            return found
        time.sleep(0.5)


def _fits(resource: ResourceOut) -> bool:
    """Whether it is for what is shown here: AHS of Braket's machines is QuEra's row."""
    if resource.provider in NATIVE:
        return JobKind.RUN in resource.kinds
    return JobKind.SAMPLE in resource.kinds and (resource.limits.qubits or 99) >= 3


def submit(client: Client) -> list[Row]:
    """A job for a machine of every vendor."""
    found = machines(client)
    rows = []
    for provider in PROVIDERS:
        native = NATIVE.get(provider)
        what = GHZ.stem if native is None else native.__name__.replace("_", " ")
        if provider not in found:
            hint = "tools/make-environment iqm" if provider == "iqm" else "see serve.log"
            rows.append(Row(provider=provider, what=what, problem=f"no machine: {hint}"))
            continue
        job = client.submit(
            GHZ if native is None else native(),
            kind=JobKind.SAMPLE if native is None else JobKind.RUN,
            resource=found[provider],
            shots=SHOTS,
            name=what,
        )
        rows.append(Row(provider=provider, what=what, job=job))
    return rows


def follow(client: Client, jobs: Sequence[Job]) -> None:
    """A progress bar that moves as the broker's events arrive."""
    columns = (TextColumn("running"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("jobs", total=len(jobs))
        for _ in client.as_completed(jobs, timeout=PATIENCE_S):
            progress.advance(bar)


def show(rows: Sequence[Row]) -> bool:
    """The table; whether every row of it has a result."""
    shown = Table("vendor", "resource", "program", "result", "calibrated", "label")
    good = True
    for row in rows:
        if row.job is None:
            shown.add_row(row.provider, "-", row.what, row.problem, "", "")
            good = good and row.provider == "iqm"
            continue
        try:
            (pub,) = row.job.result()
        except QuanopyError as error:
            shown.add_row(row.provider, row.job.detail().resource, row.what, str(error), "", "")
            good = False
            continue
        under = row.job.calibration
        when = under.snapshot and (under.snapshot.calibrated_at or under.snapshot.seen_from)
        shown.add_row(
            row.provider,
            row.job.detail().resource,
            row.what,
            likely(pub.counts, pub.shots),
            f"{when:%Y-%m-%d %H:%M} UTC" if when else "none published",
            under.label,
        )
    console.print(shown)
    return good


def likely(counts: Mapping[str, int], shots: int) -> str:
    """The most likely outcomes."""
    most = sorted(counts.items(), key=lambda item: -item[1])[:2]
    return ", ".join(f"{outcome}: {n / shots:.1%}" for outcome, n in most)


def main() -> None:
    """Run the demonstration; 1 where a vendor has no result."""
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir(mode=0o700)
    for name in [name for name in os.environ if name.startswith("QUANOPY_")]:
        del os.environ[name]
    os.environ["QUANOPY_DATA"] = str(DATA)
    console.print(f"Serving {len(SERVED)} loopback vendors, and a broker in {DATA.name}/")
    with vendors() as served, broker(settings(served)) as client:
        rows = submit(client)
        follow(client, [row.job for row in rows if row.job is not None])
        good = show(rows)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
