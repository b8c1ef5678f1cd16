"""Virtual QPUs, whose own client is whatever speaks HTTP."""

import contextlib
import time
from collections.abc import Iterator
from math import pi

from benchmarks.vendor_pairs.circuits import written
from benchmarks.vendor_pairs.pair import PAUSE_S, Pair, opened, through, work_of


@contextlib.contextmanager
def vqpu() -> Iterator[Pair]:
    """A Bell pair with urllib3."""
    import urllib3
    from qiskit import QuantumCircuit

    from quanopy.providers.vqpu import create
    from quanopy.providers.vqpu.translation import circuits_of
    from quanopy.testing.vendors.vqpu import VqpuVendor

    with VqpuVendor() as vendor, opened(create, vendor, where="vqpu") as provider:
        (resource,) = provider.resources()
        bell = QuantumCircuit(2, 2)
        bell.ry(pi / 2, [0, 1])
        bell.cz(0, 1)
        bell.ry(-pi / 2, 1)
        bell.measure([0, 1], [0, 1])
        work = work_of(written(bell), on=resource.name)
        (circuit,) = circuits_of(work, resource.capabilities.gates or ())
        body = {"command": "circuit", "settings": {"results": "counts"}, **circuit}
        http = urllib3.PoolManager(headers={"Authorization": f"Bearer {vendor.secret}"})
        place = f"{vendor.url}/api/v1/circuits"

        def theirs() -> None:
            made = http.request("POST", place, json=body).json()["id"]
            while (told := http.request("GET", f"{place}/{made}")).status == 425:
                time.sleep(PAUSE_S)
            if told.status != 200:
                raise RuntimeError(f"the circuit has {told.status}")

        yield Pair(theirs=theirs, ours=lambda: through(provider, work))
