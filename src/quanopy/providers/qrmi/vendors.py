"""What QRMI leaves to its users: each vendor's own payloads, results and machine descriptions."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from quanopy.codecs.results import PubResult
from quanopy.domain.calibration import Snapshot
from quanopy.domain.errors import Invalid, ResourceMismatch, Transient, Unavailable
from quanopy.domain.jobs import JobKind
from quanopy.domain.programs import CIRCUITS, IQM, PULSER, QIR
from quanopy.domain.resources import Target
from quanopy.ports.providers import Work

_FELIS_SHOTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A machine as its vendor describes it."""

    document: Any
    target: Target | None
    """``None``: nothing is compiled for it."""
    snapshot: Snapshot | None
    qubits: int | None


Known = Callable[[], Described]
"""Gives the description of the machine, if need be after asking for it."""


class Vendor(Protocol):
    """What is the same for all machines of a type."""

    formats: tuple[str, ...]
    kinds: tuple[JobKind, ...]
    technology: str

    def described(self, resource: str, document: Any) -> Described:
        """What ``target()`` told; raises :class:`Transient` for what is none."""

    def payload(self, work: Work, key: str, machine: Known) -> tuple[str, tuple[str, ...]]:
        """QRMI's payload: its name, and its parts."""

    def results(self, work: Work, text: str) -> Sequence[PubResult]:
        """What ``task_result`` told; raises ``Transient`` or ``Invalid`` for what is none."""


class Ibm:
    """Sampler payloads with OpenQASM 3; expectation values are measured."""

    formats: tuple[str, ...] = CIRCUITS
    kinds: tuple[JobKind, ...] = (JobKind.SAMPLE, JobKind.ESTIMATE, JobKind.RUN)
    technology = "superconducting"

    def described(self, resource: str, document: Any) -> Described:
        """The backend's configuration and properties."""
        from quanopy.providers.ibm.documents import snapshot_of, target_of

        configuration = _mapping(document).get("configuration")
        if configuration is None:
            # QRMI does not tell why: a credential that is refused looks no different.
            raise Unavailable(f"IBM gave no configuration of {resource} to QRMI")
        configuration = _mapping(configuration)
        properties = _mapping(document).get("properties")
        target = target_of(configuration, properties)
        snapshot = snapshot_of(resource, properties, datetime.now(UTC)) if properties else None
        qubits = configuration.get("n_qubits")
        return Described(
            document=document,
            target=target,
            snapshot=snapshot,
            qubits=qubits if isinstance(qubits, int) else None,
        )

    def payload(self, work: Work, key: str, machine: Known) -> tuple[str, tuple[str, ...]]:
        """A pub a run, with its own shots."""
        from quanopy.providers.runs import runs_of

        runs = runs_of(work, gates=("sx", "rz"))
        pubs = [[_openqasm(run.circuit), None, run.shots] for run in runs]
        parameters = {"pubs": pubs, "version": 2, "support_qiskit": True, "options": {}}
        return "QiskitPrimitive", (json.dumps(parameters), "sampler")

    def results(self, work: Work, text: str) -> Sequence[PubResult]:
        """Counts of the one register that was sent."""
        from quanopy.providers.circuits import Counted
        from quanopy.providers.ibm.results import read_counts, read_result
        from quanopy.providers.runs import results_of

        answers = []
        for found in read_result(text.encode()):
            pub = read_counts(found, memory=work.options.memory)
            (counts,) = pub["counts"]
            memory = [int(shot, 16) for shot in pub["memory"][0]] if "memory" in pub else None
            numbers = {int(outcome, 16): number for outcome, number in counts.items()}
            answers.append(Counted(counts=numbers, memory=memory))
        return results_of(work, answers)


def _openqasm(circuit: Any) -> str:
    """A compiled circuit as text, its classical bits in one register: names would be changed."""
    from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, qasm3

    if not circuit.num_clbits:
        raise Invalid("a circuit without classical bits has nothing to measure into")
    plain = QuantumCircuit(
        QuantumRegister(circuit.num_qubits, "q"), ClassicalRegister(circuit.num_clbits, "c")
    )
    plain.compose(circuit, plain.qubits, plain.clbits, inplace=True)
    return str(qasm3.dumps(plain))


class Iqm:
    """IQM's JSON of circuits."""

    formats: tuple[str, ...] = (*CIRCUITS, IQM)
    kinds: tuple[JobKind, ...] = (JobKind.SAMPLE, JobKind.ESTIMATE, JobKind.RUN)
    technology = "superconducting"

    def described(self, resource: str, document: Any) -> Described:
        """The dynamic architecture, the calibration set and the quality metrics."""
        from quanopy.providers.iqm.machines import architecture_of, snapshot_of, target_of

        parts = _mapping(document)
        architecture = architecture_of(parts.get("dynamic_quantum_architecture"), resource)
        kept = ("dynamic_quantum_architecture", "calibration_set", "quality_metrics")
        snapshot = snapshot_of(
            resource,
            architecture,
            {name: parts.get(name) for name in kept},
            fetched_at=datetime.now(UTC),
            who=resource,
        )
        return Described(
            document=document,
            target=target_of(architecture, snapshot.metrics),
            snapshot=snapshot,
            qubits=len(architecture.qubits),
        )

    def payload(self, work: Work, key: str, machine: Known) -> tuple[str, tuple[str, ...]]:
        """One batch; the tag and the circuits' names are our key."""
        from quanopy.providers.iqm.machines import architecture_of
        from quanopy.providers.iqm.programs import batch_of

        architecture = architecture_of(
            machine().document["dynamic_quantum_architecture"], work.resource
        )
        return "IQMServer", (json.dumps(batch_of(work, key, architecture)), key)

    def results(self, work: Work, text: str) -> Sequence[PubResult]:
        """The measurements shot by shot."""
        from quanopy.providers.iqm.programs import results_from

        return results_from(work, _mapping(_parsed(text)).get("measurements"), work.resource)


class Pasqal:
    """Pulser sequences."""

    formats: tuple[str, ...] = (PULSER,)
    kinds: tuple[JobKind, ...] = (JobKind.RUN,)
    technology = "neutral-atom"

    def described(self, resource: str, document: Any) -> Described:
        """Nothing is compiled for it, and it publishes no calibration."""
        return Described(document=document, target=None, snapshot=None, qubits=None)

    def payload(self, work: Work, key: str, machine: Known) -> tuple[str, tuple[str, ...]]:
        """One sequence and its runs: a batch of Pasqal's has one job here."""
        if len(work.pubs) != 1 or work.native != PULSER:
            raise ResourceMismatch("a task here is one Pulser sequence")
        (pub,) = work.pubs
        return "PasqalCloud", (work.circuits[pub.program].decode(), str(pub.shots or 1))

    def results(self, work: Work, text: str) -> Sequence[PubResult]:
        """Bitstrings of the atoms, in the register's order. QRMI gives them in another order each
        time."""
        counter = _mapping(_parsed(text)).get("counter")
        outcomes = {
            str(label): number
            for label, number in sorted(_mapping(counter).items())
            if type(number) is int and number > 0
        }
        return [
            {
                "shape": [],
                "shots": sum(outcomes.values()),
                "native": PULSER,
                "outcomes": outcomes,
            }
        ]


class Felis:
    """Alice & Bob's: QIR as text."""

    formats: tuple[str, ...] = (QIR,)
    kinds: tuple[JobKind, ...] = (JobKind.RUN,)
    technology = "superconducting"

    def described(self, resource: str, document: Any) -> Described:
        """Nothing is compiled for it, and it publishes no calibration."""
        qubits = _mapping(document).get("numQubits")
        return Described(
            document=document,
            target=None,
            snapshot=None,
            qubits=qubits if isinstance(qubits, int) else None,
        )

    def payload(self, work: Work, key: str, machine: Known) -> tuple[str, tuple[str, ...]]:
        """One program and its shots; all else is as the vendor has it by default."""
        if len(work.pubs) != 1 or work.native != QIR:
            raise ResourceMismatch("a task here is one program in QIR")
        (pub,) = work.pubs
        parameters = {"nbShots": pub.shots or _FELIS_SHOTS}
        return "AliceBobFelis", (work.circuits[pub.program].decode(), json.dumps(parameters))

    def results(self, work: Work, text: str) -> Sequence[PubResult]:
        """A histogram: bits, a comma, and how often, line by line."""
        outcomes: dict[str, int] = {}
        for line in filter(None, map(str.strip, text.splitlines())):
            label, _, number = line.partition(",")
            if not label or set(label) - {"0", "1"} or not number.strip().isdecimal():
                raise Transient("Felis gave a histogram that is none")
            outcomes[label] = outcomes.get(label, 0) + int(number)
        shots = sum(outcomes.values())
        return [{"shape": [], "shots": shots, "native": QIR, "outcomes": outcomes}]


VENDORS: Mapping[str, Vendor] = {
    "ibm-quantum-system": Ibm(),
    "ibm-quantum-compute-service": Ibm(),
    "qiskit-runtime-service": Ibm(),
    "pasqal-cloud": Pasqal(),
    "pasqal-local": Pasqal(),
    "iqm-server": Iqm(),
    "alice-bob-felis": Felis(),
}
"""By type."""


def parsed(text: str, who: str) -> Any:
    """A JSON document of a vendor's; raises :class:`Transient`."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Transient(f"{who} gave an answer that is no JSON") from None


def _parsed(text: str) -> Any:
    return parsed(text, "QRMI")


def _mapping(found: Any) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise Transient("QRMI gave a document that is none")
    return found
