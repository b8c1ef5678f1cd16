"""Works as Braket's tasks: the action that is sent, and the shots.

A stranger's program in one of Braket's formats is sent as the bytes it is.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quanopy.domain.errors import Invalid, ResourceMismatch
from quanopy.domain.jobs import JobKind, Pub
from quanopy.ports.providers import Work
from quanopy.providers.braket.devices import OPENQASM, PROGRAM_SET, Device

if TYPE_CHECKING:
    from quanopy.providers.circuits import BoundPub, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A task as it is created."""

    action: str
    shots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Executable:
    """One circuit as it is run: how often in the set, and from which of the vendor's qubits each
    classical bit is read."""

    source: str
    shots: int
    measured: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Set:
    """Circuits that share a task, each repeated until all have the same shots."""

    executables: Sequence[Executable]
    shots: int
    """Of each."""

    @property
    def repeats(self) -> list[int]:
        """How many of the task's executables belong to each circuit."""
        return [one.shots // self.shots for one in self.executables]


def check_native(work: Work) -> None:
    """Raises :class:`ResourceMismatch` for several programs, :class:`Invalid` for no text."""
    if len(work.pubs) != 1:
        raise ResourceMismatch(
            f"{len(work.pubs)} programs in one task of Braket's",
            hint="Submit each as a job of its own.",
        )
    native_action(work)


def native_action(work: Work) -> str:
    """The program as it was submitted."""
    try:
        return work.circuits[work.pubs[0].program].decode()
    except UnicodeDecodeError:
        raise Invalid("the program is no text") from None


def sent_of(work: Work, device: Device) -> Sent:
    """The task of a work; raises what makes it impossible on this device."""
    if work.native is not None:
        check_native(work)
        return Sent(action=native_action(work), shots=work.pubs[0].shots or 1)
    if is_exact(work, device):
        one = _only(work)
        return Sent(action=program(exact_source(one, 0)), shots=0)
    together = set_of(work, device)
    if device.set_size == 1:
        if len(together.executables) != 1:
            raise ResourceMismatch(f"{device.name} takes one circuit a task")
        return Sent(action=program(together.executables[0].source), shots=together.shots)
    return _set_sent(together, device)


def _set_sent(together: Set, device: Device) -> Sent:
    sources = [
        one.source
        for one, times in zip(together.executables, together.repeats, strict=True)
        for _ in range(times)
    ]
    total = len(sources) * together.shots
    if len(sources) > device.set_size or total > device.set_shots:
        raise ResourceMismatch(
            f"{len(sources)} circuits of {together.shots} shots; a task on {device.name} takes "
            f"{device.set_size} circuits and {device.set_shots} shots",
            hint="Submit fewer pubs or parameter sets a job, all with the same shots.",
        )
    return Sent(action=program_set(sources), shots=total)


def set_of(work: Work, device: Device) -> Set:
    """The circuits of a work; the same whenever it is asked for."""
    from quanopy.providers.runs import runs_of

    gates = device.paradigm["nativeGateSet"] if device.verbatim else None
    names = None if gates is None else ["r" if gate == "prx" else gate for gate in gates]
    runs = runs_of(work, gates=names)
    if not runs:
        raise Invalid("there is nothing to run", hint="Give parameter sets, and a Pauli.")
    executables = list(_executables(runs, device))
    return Set(executables=executables, shots=math.gcd(*(one.shots for one in executables)))


def _executables(runs: Sequence["Run"], device: Device) -> Iterator[Executable]:
    from quanopy.providers.braket.openqasm import measured_source
    from quanopy.providers.circuits import final_measurements

    for run in runs:
        labels = device.labels[: run.circuit.num_qubits]
        measured = final_measurements(run.circuit)
        if not measured:
            raise Invalid("a circuit measures nothing", hint="Measure some qubits.")
        yield Executable(
            source=measured_source(run.circuit, labels=labels, verbatim=device.verbatim),
            shots=run.shots,
            measured={clbit: labels[qubit] for clbit, qubit in measured.items()},
        )


def is_exact(work: Work, device: Device) -> bool:
    """Whether expectation values are calculated: where the device can, and nothing else would do
    or a task is one circuit anyway."""
    if work.kind is not JobKind.ESTIMATE or not device.exact:
        return False
    return device.set_size == 1 or not all(pub.precision for pub in work.pubs)


def _only(work: Work) -> "BoundPub":
    from quanopy.providers.circuits import bound_pubs

    found = list(bound_pubs(work))
    if len(found) != 1 or found[0].sets != 1:
        raise ResourceMismatch(
            "exact expectation values are of one pub and one parameter set a task",
            hint="Ask for a precision, or submit each as a job of its own.",
        )
    return found[0]


def exact_source(one: "BoundPub", at: int) -> str:
    """A circuit under one parameter set with the expectation value of each Pauli, in the order of
    :func:`exact_labels`."""
    from quanopy.providers.braket.openqasm import expected_source
    from quanopy.providers.observables import letters_on, places_in

    places = places_in(one.circuit)
    observables = [letters_on(label, places) for label in exact_labels(one.pub)]
    return expected_source(one.bound(at), observables)


def exact_labels(pub: Pub) -> list[str]:
    """The Paulis whose values are asked for."""
    from quanopy.providers.observables import labels_in

    found = [label for label in labels_in(pub.observables) if set(label) - {"I"}]
    if not found:
        raise Invalid("only identities are asked for", hint="Their expectation value is 1.")
    return found


def program(source: str) -> str:
    """A circuit as what a task is created with."""
    return json.dumps(_document(source))


def program_set(sources: Sequence[str]) -> str:
    """Circuits that share a task."""
    programs = [_document(source) for source in sources]
    return json.dumps({**_headed(PROGRAM_SET), "programs": programs})


def _document(source: str) -> dict[str, Any]:
    return {**_headed(OPENQASM), "source": source, "inputs": None}


def _headed(schema: str) -> dict[str, Any]:
    return {"braketSchemaHeader": {"name": schema, "version": "1"}}
