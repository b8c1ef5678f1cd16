"""A machine as IQM's: its architecture, calibration sets with their metrics, and noisy runs of
circuits in IQM's JSON, on Aer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from itertools import permutations
from typing import Any, Final
from uuid import UUID

Locus = tuple[str, ...]
Readings = Mapping[str, Sequence[Sequence[int]]]
"""Of a circuit: by measurement key, for each shot, a bit for each qubit measured."""

_GATES: Final = {"prx": "r", "cz": "cz", "move": "swap"}
"""What plays each gate on Aer. A MOVE goes in or out of an empty resonator, as a swap would."""
_IMPLEMENTATIONS: Final = {"prx": "drag_crf", "cz": "tgss", "move": "tgss_crf"}
_DRIFT: Final = 1.03
"""What errors grow by with each calibration, and coherence times shrink by."""
_WORST: Final = 0.5
_METHODS: Final = {"prx": "rb", "cz": "irb", "move": "rb"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine in one condition; times in seconds, errors as probabilities."""

    alias: str
    chip: str
    qubits: tuple[str, ...]
    resonators: tuple[str, ...] = ()
    t1: Mapping[str, float]
    t2: Mapping[str, float]
    errors: Mapping[str, Mapping[Locus, float]]
    """Depolarizing error by gate and locus."""
    durations: Mapping[str, float]
    readout: Mapping[str, float]
    """Probability to read the other state."""

    def drifted(self, times: int) -> "Machine":
        """What has become of it after so many calibrations: a little worse each time."""
        factor = _DRIFT**times

        def worse(error: float) -> float:
            return min(error * factor, _WORST)

        return replace(
            self,
            t1={name: value / factor for name, value in self.t1.items()},
            t2={name: value / factor for name, value in self.t2.items()},
            errors={
                gate: {locus: worse(value) for locus, value in by_locus.items()}
                for gate, by_locus in self.errors.items()
            },
            readout={name: worse(value) for name, value in self.readout.items()},
        )

    @property
    def components(self) -> tuple[str, ...]:
        """Qubits, then resonators."""
        return (*self.qubits, *self.resonators)


def adonis() -> Machine:
    """Five qubits in a star, coupled directly."""
    return Machine(
        alias="adonis",
        chip="M138_W0_A22_Z99",
        qubits=("QB1", "QB2", "QB3", "QB4", "QB5"),
        t1={"QB1": 27e-6, "QB2": 33e-6, "QB3": 25e-6, "QB4": 40e-6, "QB5": 25e-6},
        t2={"QB1": 20e-6, "QB2": 26e-6, "QB3": 23e-6, "QB4": 26e-6, "QB5": 7e-6},
        errors={
            "prx": {
                ("QB1",): 6e-4,
                ("QB2",): 5.4e-3,
                ("QB3",): 1e-4,
                ("QB4",): 2e-4,
                ("QB5",): 5e-4,
            },
            "cz": {
                ("QB1", "QB3"): 0.0335,
                ("QB2", "QB3"): 0.0344,
                ("QB3", "QB4"): 0.0192,
                ("QB3", "QB5"): 0.0373,
            },
        },
        durations={"prx": 40e-9, "cz": 80e-9},
        readout={"QB1": 0.021, "QB2": 0.018, "QB3": 0.056, "QB4": 0.021, "QB5": 0.023},
    )


def deneb() -> Machine:
    """Six qubits around a resonator that carries the state of one of them at a time."""
    qubits = tuple(f"QB{number}" for number in range(1, 7))
    around: list[Locus] = [(qubit, "CR1") for qubit in qubits]
    return Machine(
        alias="deneb",
        chip="M193_W0_P08_Z99",
        qubits=qubits,
        resonators=("CR1",),
        t1=dict.fromkeys(qubits, 35e-6) | {"CR1": 5.4e-6},
        t2=dict.fromkeys(qubits, 33e-6) | {"CR1": 10.8e-6},
        errors={
            "prx": {(qubit,): 2e-4 for qubit in qubits},
            "cz": dict.fromkeys(around, 0.0128),
            "move": dict.fromkeys(around, 0.002),
        },
        durations={"prx": 40e-9, "cz": 120e-9, "move": 96e-9},
        readout=dict.fromkeys(qubits, 0.02),
    )


def architecture(machine: Machine, calibration: UUID) -> dict[str, Any]:
    """Its dynamic quantum architecture under a calibration set."""
    loci = {gate: list(by_locus) for gate, by_locus in machine.errors.items()}
    loci["measure"] = [(qubit,) for qubit in machine.qubits]
    return {
        "calibration_set_id": str(calibration),
        "qubits": list(machine.qubits),
        "computational_resonators": list(machine.resonators),
        "gates": {
            gate: {
                "implementations": {_IMPLEMENTATIONS.get(gate, "constant"): {"loci": where}},
                "default_implementation": _IMPLEMENTATIONS.get(gate, "constant"),
                "override_default_implementation": {},
            }
            for gate, where in loci.items()
        },
    }


def static_architecture(machine: Machine) -> dict[str, Any]:
    """What of it no calibration changes."""
    pairs = sorted({locus for loci in machine.errors.values() for locus in loci if len(locus) > 1})
    return {
        "dut_label": machine.chip,
        "qubits": list(machine.qubits),
        "computational_resonators": list(machine.resonators),
        "connectivity": [list(pair) for pair in pairs],
    }


def settings_of(machine: Machine, at: datetime) -> list[dict[str, Any]]:
    """The observations of its calibration set: what its pulses are set to."""
    found = [
        (f"gates.{gate}.{_IMPLEMENTATIONS[gate]}.{'__'.join(locus)}.duration", duration, "s")
        for gate, duration in machine.durations.items()
        for locus in machine.errors[gate]
    ]
    return _observations(found, at)


def metrics_of(machine: Machine, at: datetime) -> list[dict[str, Any]]:
    """The observations of its quality metric set."""
    found = [
        *((f"characterization.model.{q}.t1_time", value, "s") for q, value in machine.t1.items()),
        *((f"characterization.model.{q}.t2_time", value, "s") for q, value in machine.t2.items()),
    ]
    for gate, by_locus in machine.errors.items():
        way = f"metrics.{_METHODS[gate]}.{gate}.{_IMPLEMENTATIONS[gate]}"
        found += [
            (f"{way}.{'__'.join(locus)}.fidelity:par=d{len(locus)}", 1.0 - value, "")
            for locus, value in by_locus.items()
        ]
    for qubit, value in machine.readout.items():
        way = f"metrics.ssro.measure.constant.{qubit}"
        found += [
            (f"{way}.fidelity", 1.0 - value, ""),
            (f"{way}.error_0_to_1", value, ""),
            (f"{way}.error_1_to_0", value, ""),
        ]
    return _observations(found, at)


def _observations(found: Sequence[tuple[str, float, str]], at: datetime) -> list[dict[str, Any]]:
    return [
        {
            "dut_field": name,
            "value": value,
            "unit": unit,
            "uncertainty": abs(value) * 0.01,
            "invalid": False,
            "observation_id": number,
            "created_timestamp": at.isoformat(),
            "modified_timestamp": at.isoformat(),
        }
        for number, (name, value, unit) in enumerate(found, start=1)
    ]


def run(machine: Machine, circuits: Sequence[Any], shots: int) -> list[Readings]:
    """Run circuits on it; raises :class:`ValueError` for what it cannot do."""
    from qiskit import QuantumCircuit

    if not circuits:
        raise ValueError("there are no circuits")
    built: list[tuple[QuantumCircuit, list[tuple[str, int]]]] = [
        _built(machine, circuit) for circuit in circuits
    ]
    simulator = _simulator(_Shown(machine))
    result = simulator.run([one for one, _ in built], shots=shots, memory=True).result()
    if not result.success:
        raise ValueError(str(result.status))
    return [
        _readings(result.get_memory(place) if keys else [""] * shots, keys)
        for place, (_, keys) in enumerate(built)
    ]


def _built(machine: Machine, circuit: Any) -> tuple[Any, list[tuple[str, int]]]:
    """A circuit of Qiskit's, and its measurement keys with their widths."""
    from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister

    places = {name: place for place, name in enumerate(machine.components)}
    made = QuantumCircuit(QuantumRegister(len(places), "q"))
    keys: list[tuple[str, int]] = []
    bits: dict[str, Any] = {}
    for one in circuit["instructions"]:
        name, locus, args = one["name"], tuple(one["locus"]), one.get("args", {})
        where = [places[component] for component in locus]
        if name in machine.errors:
            _check_locus(machine, name, locus)
        if name == "prx":
            made.r(float(args["angle"]), float(args["phase"]), where[0])
        elif name == "cz":
            made.cz(*where)
        elif name == "move" and "move" in machine.errors:
            made.swap(*where)
        elif name == "measure":
            if args["key"] in dict(keys):
                raise ValueError(f"the measurement key {args['key']} is used twice")
            register = ClassicalRegister(len(where), f"k{len(keys)}")
            made.add_register(register)
            made.measure(where, register)
            keys.append((args["key"], len(where)))
            if "feedback_key" in args:
                bits[args["feedback_key"]] = register[0]
        elif name == "cc_prx":
            with made.if_test((bits[args["feedback_key"]], 1)):
                made.r(float(args["angle"]), float(args["phase"]), where[0])
        elif name == "reset":
            made.reset(where)
        elif name == "barrier":
            made.barrier(where)
        elif name != "delay":
            raise ValueError(f"there is no operation {name}")
    return made, keys


def _check_locus(machine: Machine, name: str, locus: Locus) -> None:
    known = machine.errors[name]
    ways = permutations(locus) if name == "cz" else [locus]
    if not any(way in known for way in ways):
        raise ValueError(f"{name} is not calibrated on {', '.join(locus)}")


def _readings(memory: Sequence[str], keys: Sequence[tuple[str, int]]) -> Readings:
    """Registers come with the last first, and in each the last bit first."""
    shots = [text.split(" ")[::-1] if text else [] for text in memory]
    return {
        key: [[int(bit) for bit in reversed(parts[place])] for parts in shots]
        for place, (key, _) in enumerate(keys)
    }


class _Shown:
    """A machine as a key: simulators are kept by its condition."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._shown = repr(machine)

    def __hash__(self) -> int:
        return hash(self._shown)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Shown) and other._shown == self._shown


@lru_cache(maxsize=8)
def _simulator(shown: _Shown) -> Any:
    from qiskit_aer import AerSimulator
    from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error
    from qiskit_aer.noise import thermal_relaxation_error as relaxation

    machine = shown.machine
    places = {name: place for place, name in enumerate(machine.components)}
    noise = NoiseModel(basis_gates=list(_GATES.values()))
    for gate, by_locus in machine.errors.items():
        for locus, error in by_locus.items():
            for way in permutations(locus):
                decay = [
                    relaxation(machine.t1[name], machine.t2[name], machine.durations[gate])
                    for name in way
                ]
                both = decay[0] if len(decay) == 1 else decay[0].tensor(decay[1])
                noise.add_quantum_error(
                    both.compose(depolarizing_error(error, len(way))),
                    _GATES[gate],
                    [places[name] for name in way],
                )
    for name, error in machine.readout.items():
        wrong = ReadoutError([[1 - error, error], [error, 1 - error]])
        noise.add_readout_error(wrong, [places[name]])
    return AerSimulator(method="density_matrix", noise_model=noise, max_parallel_threads=1)
