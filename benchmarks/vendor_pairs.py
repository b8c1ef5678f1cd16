"""Each vendor's own client beside our provider, on the same job at the same loopback server.

A pair has one call each that submits a job, waits for it and has its result. To add a vendor,
write a function that yields its pair and name it in :data:`PAIRS`.
"""

import contextlib
import io
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from quanopy.domain.ids import new_id
from quanopy.domain.jobs import JobKind, Options, Pub
from quanopy.domain.states import FINAL_EXECUTION_STATES, ExecutionState
from quanopy.ports.providers import Order, RemoteProvider, Work
from quanopy.providers.options import bound

SHOTS = 1000
PAUSE_S = 0.002
"""Between two looks at a job, for both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The same job both ways."""

    theirs: Callable[[], object]
    ours: Callable[[], object]


def through(provider: RemoteProvider, work: Work) -> None:
    """A work by way of a provider: started, polled until it has ended, its result fetched."""
    order = Order(key=new_id("exec"), resource=work.resource, works=[work])
    (started,) = provider.start([order])
    if not isinstance(started, str):
        raise started
    while (state := provider.poll([started])[started].state) not in FINAL_EXECUTION_STATES:
        time.sleep(PAUSE_S)
    if state is not ExecutionState.COMPLETED:
        raise RuntimeError(f"the job has {state}")
    (outcome,) = provider.result(started, lambda: [work])
    if outcome.error is not None:
        raise outcome.error


@contextlib.contextmanager
def ibm() -> Iterator[Pair]:
    """A Bell pair with qiskit-ibm-runtime's sampler."""
    from qiskit import QuantumCircuit, qpy, transpile
    from qiskit_ibm_runtime import QiskitRuntimeService, SamplerV2

    from quanopy.providers.ibm import create
    from quanopy.testing.vendors.ibm import CRN, IbmService

    warnings.simplefilter("ignore", DeprecationWarning)
    with IbmService(machines=("nairobi",)) as vendor:
        os.environ.update(vendor.environment())
        service = QiskitRuntimeService(
            token=vendor.secret, instance=CRN, url_resolver=lambda *_: f"{vendor.url}/api/v1"
        )
        backend = service.backend("ibm_nairobi")
        bell = QuantumCircuit(2, 2)
        bell.h(0)
        bell.cx(0, 1)
        bell.measure([0, 1], [0, 1])
        circuit = transpile(bell, backend, optimization_level=1, seed_transpiler=1)
        written = io.BytesIO()
        qpy.dump([circuit], written, version=15)
        provider = create(**bound(create, vendor.options(), where="ibm"))
        work = Work(
            task_id=new_id("task"),
            resource="ibm-nairobi",
            kind=JobKind.SAMPLE,
            circuits=[written.getvalue()],
            pubs=[Pub(shots=SHOTS)],
            options=Options(),
        )
        sampler = SamplerV2(backend)

        def theirs() -> None:
            job = sampler.run([circuit], shots=SHOTS)
            while not job.in_final_state():
                time.sleep(PAUSE_S)
            job.result()

        yield Pair(theirs=theirs, ours=lambda: through(provider, work))
        provider.close()


@contextlib.contextmanager
def vqpu() -> Iterator[Pair]:
    """A Bell pair at a virtual QPU, whose own client is whatever speaks HTTP."""
    import urllib3
    from qiskit import QuantumCircuit, qpy

    from quanopy.providers.vqpu import create
    from quanopy.providers.vqpu.translation import circuits_of
    from quanopy.testing.vendors.vqpu import VqpuVendor

    with VqpuVendor() as vendor:
        os.environ.update(vendor.environment())
        provider = create(**bound(create, vendor.options(), where="vqpu"))
        (resource,) = provider.resources()
        bell = QuantumCircuit(2, 2)
        bell.ry(1.5707963267948966, [0, 1])
        bell.cz(0, 1)
        bell.ry(-1.5707963267948966, 1)
        bell.measure([0, 1], [0, 1])
        written = io.BytesIO()
        qpy.dump([bell], written, version=15)
        work = Work(
            task_id=new_id("task"),
            resource=resource.name,
            kind=JobKind.SAMPLE,
            circuits=[written.getvalue()],
            pubs=[Pub(shots=SHOTS)],
            options=Options(),
        )
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
        provider.close()


PAIRS: Mapping[str, Callable[[], contextlib.AbstractContextManager[Pair]]] = {
    "ibm": ibm,
    "vqpu": vqpu,
}
