"""Tasks of the loopback Braket, run on Braket's own simulators."""

import json
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

from quanopy.testing.vendors.braket_devices import LARK, SV1, capabilities

_STEP_S = 4e-9
_LEAST_STEPS = 100
"""Steps in which atoms are evolved: a thousand at most, as the simulator's default has it."""


@cache
def simulators() -> dict[str, Any]:
    """One of each; importing them takes seconds."""
    from braket.analog_hamiltonian_simulator.rydberg.rydberg_simulator import RydbergAtomSimulator
    from braket.default_simulator import DensityMatrixSimulator, StateVectorSimulator

    return {
        "gates": StateVectorSimulator(),
        "noisy": DensityMatrixSimulator(),
        "atoms": RydbergAtomSimulator(),
    }


def _duration_s(action: dict[str, Any]) -> float:
    """How long the atoms are driven."""
    times = [
        float(field["amplitude"]["time_series"]["times"][-1])
        for field in action["hamiltonian"]["drivingFields"]
    ]
    return max(times, default=0.0)


@lru_cache(maxsize=4)
def _noise(edition: int) -> Any:
    """What Braket makes of the machine's calibration: depolarisation and wrong readings."""
    from braket.emulation.local_emulator import LocalEmulator

    document = capabilities(LARK, edition=edition, started_at=datetime.now(UTC))
    return LocalEmulator.from_json(json.dumps(document)).noise_model


def _noisy(source: str, edition: int) -> str:
    """A circuit with noise in it. Its parameters stay open."""
    from braket.circuits import Circuit
    from braket.circuits.serialization import (
        IRType,
        OpenQASMSerializationProperties,
        QubitReferenceType,
    )
    from braket.emulation.passes.circuit_passes import RemoveVerbatimTransformation

    plain = RemoveVerbatimTransformation().run(Circuit.from_ir(source))
    circuit = _noise(edition).apply(plain)
    named = OpenQASMSerializationProperties(qubit_reference_type=QubitReferenceType.PHYSICAL)
    return str(circuit.to_ir(IRType.OPENQASM, named).source)


def _with_noise(action: dict[str, Any], edition: int) -> dict[str, Any]:
    """A program, or a set of them, with the machine's noise after its gates."""
    if "programs" in action:
        programs = [_with_noise(one, edition) for one in action["programs"]]
        return {**action, "programs": programs}
    return {**action, "source": _noisy(action["source"], edition)}


def simulated(action: dict[str, Any], device: str, shots: int, edition: int) -> dict[str, Any]:
    """The result's document of a program; ``edition``: how often the machine was calibrated."""
    from braket.ir.ahs.program_v1 import Program as Atoms
    from braket.ir.openqasm.program_set_v1 import ProgramSet
    from braket.ir.openqasm.program_v1 import Program

    text = json.dumps(_with_noise(action, edition) if device == LARK else action)
    name = action["braketSchemaHeader"]["name"]
    if name == "braket.ir.ahs.program":
        steps = max(_LEAST_STEPS, int(_duration_s(action) / _STEP_S))
        result = simulators()["atoms"].run(Atoms.parse_raw(text), shots=shots, steps=steps)
    else:
        simulator = simulators()["gates" if device == SV1 else "noisy"]
        kind = ProgramSet if name.endswith("program_set") else Program
        result = simulator.run(kind.parse_raw(text), shots=shots)
    document: dict[str, Any] = json.loads(result.json())
    return document
