"""IBM's sampler, by its own client and through QRMI."""

import contextlib
import json
import time
import warnings
from collections.abc import Iterator
from typing import Any

from benchmarks.vendor_pairs.circuits import bell, written
from benchmarks.vendor_pairs.pair import PAUSE_S, SHOTS, Pair, opened, through, work_of
from quanopy.testing.vendors.ibm import CRN, IbmService

MACHINE, RESOURCE = "ibm_nairobi", "ibm-nairobi"


@contextlib.contextmanager
def ibm() -> Iterator[Pair]:
    """A Bell pair with qiskit-ibm-runtime's sampler."""
    from qiskit import transpile
    from qiskit_ibm_runtime import QiskitRuntimeService, SamplerV2

    from quanopy.providers.ibm import create

    warnings.simplefilter("ignore", DeprecationWarning)
    with (
        IbmService(machines=("nairobi",)) as vendor,
        opened(create, vendor, where="ibm") as provider,
    ):
        service = QiskitRuntimeService(
            token=vendor.secret, instance=CRN, url_resolver=lambda *_: f"{vendor.url}/api/v1"
        )
        backend = service.backend(MACHINE)
        circuit = transpile(bell(), backend, optimization_level=1, seed_transpiler=1)
        work = work_of(written(circuit), on=RESOURCE)
        sampler = SamplerV2(backend)

        def theirs() -> None:
            job = sampler.run([circuit], shots=SHOTS)
            while not job.in_final_state():
                time.sleep(PAUSE_S)
            job.result()

        yield Pair(theirs=theirs, ours=lambda: through(provider, work))


@contextlib.contextmanager
def qrmi() -> Iterator[Pair]:
    """A Bell pair with QRMI's calls, in the payload that its own sampler makes."""
    from qiskit import qasm3, transpile
    from qiskit_ibm_runtime import RuntimeDecoder
    from qrmi import Payload, QuantumResource, ResourceType, TaskStatus

    from quanopy.codecs.qiskit_targets import qiskit_target
    from quanopy.codecs.targets import decode_target
    from quanopy.providers.qrmi import create

    with IbmService(machines=("nairobi",)) as vendor:
        variables = {
            "QRMI_IBM_QCS_ENDPOINT": f"{vendor.url}/api/v1",
            "QRMI_IBM_QCS_IAM_ENDPOINT": vendor.url,
            "QRMI_IBM_QCS_IAM_APIKEY": vendor.secret,
            "QRMI_IBM_QCS_SERVICE_CRN": CRN,
            "QRMI_JOB_TIMEOUT_SECONDS": "300",
        }
        machine = variables | {
            "type": "ibm-quantum-compute-service",
            "QRMI_IBM_QCS_IAM_APIKEY": vendor.options()["token"],
        }
        with opened(
            create, vendor, where="qrmi", options={"machines": {MACHINE: machine}}
        ) as provider:
            target = qiskit_target(decode_target(provider.target(RESOURCE)))
            circuit = transpile(bell(), target=target, optimization_level=1, seed_transpiler=1)
            work = work_of(written(circuit), on=RESOURCE)
            resource = QuantumResource.from_config(
                MACHINE, ResourceType.IBMQuantumComputeService, variables
            )

            def sent() -> Any:
                pubs = [(qasm3.dumps(circuit), None, SHOTS)]
                told = {"pubs": pubs, "version": 2, "support_qiskit": True, "options": {}}
                return Payload.QiskitPrimitive(json.dumps(told), "sampler")

            def theirs() -> None:
                task = resource.task_start(sent())
                while resource.task_status(task) in (TaskStatus.Queued, TaskStatus.Running):
                    time.sleep(PAUSE_S)
                json.loads(resource.task_result(task).value, cls=RuntimeDecoder)

            yield Pair(theirs=theirs, ours=lambda: through(provider, work))
