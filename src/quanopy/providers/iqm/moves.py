"""Circuits for machines whose qubits meet in resonators: iqm-client puts the MOVE gates in."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from quanopy.domain.errors import ResourceMismatch
from quanopy.providers.iqm.machines import Architecture


def with_moves(circuits: Sequence[dict[str, Any]], machine: Architecture) -> list[dict[str, Any]]:
    """The same circuits, in which every CZ is one that the machine has; raises
    :class:`ResourceMismatch` where none can be found, and where iqm-client is not there."""
    if find_spec("iqm") is None:
        raise ResourceMismatch(
            "iqm-client, which puts in the MOVE gates of this machine, is not in this environment",
            hint="Run it through the provider iqm.",
        )
    from iqm.iqm_client.transpile import transpile_insert_moves
    from iqm.pulse import Circuit, CircuitOperation
    from iqm.station_control.interface.models import (
        DynamicQuantumArchitecture,
        GateImplementationInfo,
        GateInfo,
    )

    known = DynamicQuantumArchitecture(
        calibration_set_id=machine.calibration,
        qubits=list(machine.qubits),
        computational_resonators=list(machine.resonators),
        gates={
            gate: GateInfo(
                implementations={"any": GateImplementationInfo(loci=tuple(loci))},
                default_implementation="any",
                override_default_implementation={},
            )
            for gate, loci in machine.loci.items()
        },
    )
    made = []
    for circuit in circuits:
        plain = Circuit(
            name=circuit["name"],
            instructions=tuple(
                CircuitOperation(name=one["name"], locus=tuple(one["locus"]), args=one["args"])
                for one in circuit["instructions"]
            ),
        )
        try:
            moved = transpile_insert_moves(plain, known)
        except ValueError as error:
            raise ResourceMismatch(f"no MOVE gates can be found for it: {error}"[:300]) from None
        made.append(
            {
                **circuit,
                "instructions": [
                    {
                        "name": one.name,
                        "locus": list(one.locus),
                        "args": dict(one.args),
                        "implementation": None,
                    }
                    for one in moved.instructions
                ],
            }
        )
    return made
