"""IQM's servers, with iqm-client's backend for Qiskit."""

import contextlib
import time
from collections.abc import Iterator

from benchmarks.vendor_pairs.pair import PAUSE_S, SHOTS, Pair, opened, through, work_of

MACHINE = "adonis"


@contextlib.contextmanager
def iqm() -> Iterator[Pair]:
    """A Bell pair with Qiskit on IQM."""
    from iqm.qiskit_iqm import IQMProvider
    from qiskit import transpile
    from qiskit.providers import JobStatus

    from benchmarks.vendor_pairs.circuits import bell, written
    from quanopy.providers.iqm import create
    from quanopy.testing.vendors.iqm import IqmVendor

    with IqmVendor() as vendor, opened(create, vendor, where="iqm") as provider:
        backend = IQMProvider(
            vendor.url, quantum_computer=MACHINE, token=vendor.secret
        ).get_backend()
        circuit = transpile(bell(), backend, optimization_level=1, seed_transpiler=1)
        work = work_of(written(circuit), on=MACHINE)
        waiting = (JobStatus.INITIALIZING, JobStatus.QUEUED, JobStatus.RUNNING)

        def theirs() -> None:
            job = backend.run(circuit, shots=SHOTS)
            while job.status() in waiting:
                time.sleep(PAUSE_S)
            job.result()

        yield Pair(theirs=theirs, ours=lambda: through(provider, work))
