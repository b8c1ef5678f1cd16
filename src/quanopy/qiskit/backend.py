"""``Backend``: a broker's resource as a V2 backend."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

from qiskit import QuantumCircuit
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.providers import BackendV2, JobStatus, JobV1, Options
from qiskit.result import Result
from qiskit.transpiler import Target

from quanopy.client import Client, How, Job
from quanopy.client.results import SamplePub
from quanopy.codecs.qiskit_targets import qiskit_target
from quanopy.codecs.targets import decode_target
from quanopy.domain.errors import NotFound
from quanopy.domain.jobs import JobKind
from quanopy.domain.states import JobState
from quanopy.wire.service import ResourceOut

GATES = ("id", "x", "sx", "rz", "h", "cx", "measure", "reset", "delay")
"""What circuits are written in for a resource that leaves compiling to the broker."""
_NAMED = {"shots": "shots", "memory": "memory", "seed_simulator": "seed"}
"""What Qiskit's options are called in a job."""
_HOW = How.__annotations__.keys() - {*_NAMED.values(), "precision", "requires"}
"""Options that are the job's own: a backend measures, and is one resource."""
_STATUS = {
    JobState.QUEUED: JobStatus.QUEUED,
    JobState.RUNNING: JobStatus.RUNNING,
    JobState.COMPLETED: JobStatus.DONE,
    JobState.FAILED: JobStatus.ERROR,
    JobState.CANCELLED: JobStatus.CANCELLED,
}


class BackendJob(JobV1):
    """A run of a backend, in Qiskit's terms; ``job`` is the broker's handle on it."""

    def __init__(self, backend: "Backend", job: Job, circuits: Sequence[QuantumCircuit]) -> None:
        super().__init__(backend, job.id)
        self.job = job
        self._circuits = circuits

    def submit(self) -> None:
        """Nothing: a job is submitted when it is made."""

    def status(self) -> JobStatus:
        """The job's state."""
        return _STATUS[self.job.status()]

    def cancel(self) -> None:
        """Ask for its end."""
        self.job.cancel()

    def result(self, timeout: float | None = None) -> Result:
        """Wait for the counts (and memory, if asked for).

        Raises:
            TaskFailed: the job failed or was cancelled.
            NotReady: it is not done after ``timeout`` seconds.
        """
        found = self.job.result(timeout)
        return Result.from_dict(
            {
                "backend_name": self.backend().name,
                "backend_version": self.backend().backend_version,
                "job_id": self.job.id,
                "success": True,
                "status": "COMPLETED",
                "results": [
                    _experiment(pub, circuit)
                    for pub, circuit in zip(found, self._circuits, strict=True)
                ],
            }
        )


class Backend(BackendV2):
    """A resource that circuits can be transpiled for and run on.

    The target lists the resource's gates, on any qubits; where the resource's own connections
    decide (emulated devices, hardware), these too, with errors and durations, so that what was
    transpiled for it runs as it stands. Where the broker cannot tell them, the target is a plain
    universal set and the broker compiles for the device.
    """

    def __init__(
        self, client: Client | None = None, resource: str | None = None, **options: Any
    ) -> None:
        """``options`` are the defaults of :meth:`run`."""
        self._client = client or Client()
        found = self._client.resource(resource or self._client.settings.resource)
        super().__init__(name=found.name, description=found.description, backend_version="1")
        self._target = _target(self._client, found)
        self._options.shots = found.default_shots
        self.set_options(**options)

    @property
    def target(self) -> Target:
        """Gates and qubits."""
        return self._target

    @property
    def max_circuits(self) -> None:
        """No limit: the broker splits what a resource cannot take at once."""
        return

    @classmethod
    def _default_options(cls) -> Options:
        return Options(shots=1024, memory=False, seed_simulator=None, **dict.fromkeys(sorted(_HOW)))

    def run(
        self, run_input: QuantumCircuit | Sequence[QuantumCircuit], **options: Any
    ) -> BackendJob:
        """Submit circuits as one job.

        Options: ``shots``, ``memory`` (keep each shot's outcome), ``seed_simulator``, and what
        else a job may say (:class:`quanopy.client.How`): ``max_calibration_age``, ``tags`` ….
        """
        circuits = [run_input] if isinstance(run_input, QuantumCircuit) else list(run_input)
        chosen = dict(self._options)
        if unknown := options.keys() - chosen.keys():
            raise ValueError(f"{min(unknown)} is no option of {self.name}: {sorted(chosen)}")
        chosen |= options
        named = {_NAMED.get(name, name): value for name, value in chosen.items()}
        how = cast(How, {name: value for name, value in named.items() if value is not None})
        job = self._client.submit(circuits, kind=JobKind.RUN, resource=self.name, **how)
        return BackendJob(self, job, circuits)


def _target(client: Client, resource: ResourceOut) -> Target:
    if resource.gates is None:
        with suppress(NotFound):
            document = decode_target(client.target(resource.name))
            return qiskit_target(document, description=resource.name)
    return _anywhere(resource)


def _anywhere(resource: ResourceOut) -> Target:
    """The resource's gates, or a universal set, on any qubits."""
    known = get_standard_gate_name_mapping()
    target = Target(description=resource.name, num_qubits=resource.limits.qubits)
    for name in {*(resource.gates or GATES), "measure"}:
        if name in known:
            target.add_instruction(known[name])
    return target


def _experiment(pub: SamplePub, circuit: QuantumCircuit) -> dict[str, Any]:
    data: dict[str, Any] = {"counts": pub.raw_counts[0]}
    if pub.memory is not None:
        data["memory"] = pub.memory[0]
    return {
        "shots": pub.shots,
        "success": True,
        "status": "DONE",
        "data": data,
        "header": {
            "name": circuit.name,
            "creg_sizes": [[register.name, register.bits] for register in pub.registers],
            "memory_slots": pub.num_bits,
            "metadata": circuit.metadata,
        },
    }
