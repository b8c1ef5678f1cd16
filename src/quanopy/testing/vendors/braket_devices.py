"""The devices that the loopback Braket has: a simulator, a gate-model machine, an atom machine.

Their documents are of the vendor's own schemas. ``edition`` counts recalibrations, each of which
makes the machines a little worse.
"""

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

REGION = "us-east-1"
SV1 = "arn:aws:braket:::device/quantum-simulator/amazon/sv1"
LARK = f"arn:aws:braket:{REGION}::device/qpu/iqm/Lark"
AQUILA = f"arn:aws:braket:{REGION}::device/qpu/quera/Aquila"

QUBITS = 5
_WORSE = 1.03
_MOST_ERROR = 0.25
PAIRS = ((1, 2), (2, 3), (3, 4), (4, 5), (2, 5))
"""Couplings of the gate-model machine, whose qubits are counted from one."""


def summaries() -> list[dict[str, Any]]:
    """The devices as a search gives them."""
    rows = (
        (SV1, "SV1", "Amazon Braket", "SIMULATOR"),
        (LARK, "Lark", "IQM", "QPU"),
        (AQUILA, "Aquila", "QuEra", "QPU"),
    )
    return [
        {
            "deviceArn": arn,
            "deviceName": name,
            "providerName": maker,
            "deviceType": kind,
            "deviceStatus": "ONLINE",
        }
        for arn, name, maker, kind in rows
    ]


def capabilities(arn: str, *, edition: int, started_at: datetime) -> dict[str, Any]:
    """What a device says of itself."""
    updated = (started_at + timedelta(seconds=edition)).replace(tzinfo=None).isoformat()
    return _DOCUMENTS[arn](edition, updated)


def _header(name: str) -> dict[str, str]:
    return {"name": f"braket.device_schema.{name}", "version": "1"}


def _service(shots: list[int], updated: str, price: float) -> dict[str, Any]:
    return {
        "braketSchemaHeader": _header("device_service_properties"),
        "executionWindows": [
            {"executionDay": "Everyday", "windowStartHour": "00:00", "windowEndHour": "23:59:59"}
        ],
        "shotsRange": shots,
        "deviceCost": {"price": price, "unit": "shot"},
        "deviceLocation": REGION,
        "updatedAt": updated,
    }


_ALL_GATES = [
    *("ccnot", "cnot", "cphaseshift", "cswap", "cv", "cy", "cz", "ecr", "h", "i", "iswap"),
    *("phaseshift", "prx", "rx", "ry", "rz", "s", "si", "swap", "t", "ti", "unitary", "v", "vi"),
    *("x", "xx", "y", "yy", "z", "zz"),
]


def _openqasm(gates: list[str], *, exact: bool) -> dict[str, Any]:
    results = [
        {
            "name": "Expectation",
            "observables": ["x", "y", "z", "h", "i"],
            "minShots": 0 if exact else 1,
            "maxShots": 100_000,
        }
    ]
    return {
        "version": ["1"],
        "actionType": "braket.ir.openqasm.program",
        "supportedOperations": gates,
        "supportedModifiers": [],
        "supportedPragmas": ["braket_result_type_expectation"] + ([] if exact else ["verbatim"]),
        "forbiddenPragmas": [],
        "supportPhysicalQubits": not exact,
        "requiresContiguousQubitIndices": False,
        "supportedResultTypes": results,
    }


def _sv1(edition: int, updated: str) -> dict[str, Any]:
    return {
        "braketSchemaHeader": _header("simulators.gate_model_simulator_device_capabilities"),
        "service": _service([0, 100_000], updated, 0.075),
        "action": {"braket.ir.openqasm.program": _openqasm(_ALL_GATES, exact=True)},
        "paradigm": {
            "braketSchemaHeader": _header("simulators.gate_model_simulator_paradigm_properties"),
            "qubitCount": 34,
        },
        "deviceParameters": {},
    }


def _lark(edition: int, updated: str) -> dict[str, Any]:
    graph: dict[str, list[str]] = {str(qubit): [] for qubit in range(1, QUBITS + 1)}
    for one, other in PAIRS:
        graph[str(one)].append(str(other))
        graph[str(other)].append(str(one))
    return {
        "braketSchemaHeader": _header("iqm.iqm_device_capabilities"),
        "service": _service([1, 20_000], updated, 0.00145),
        "action": {
            "braket.ir.openqasm.program": _openqasm(_ALL_GATES, exact=False),
            "braket.ir.openqasm.program_set": {
                "version": ["1"],
                "actionType": "braket.ir.openqasm.program_set",
                "maximumExecutables": 100,
                "maximumTotalShots": 200_000,
            },
        },
        "paradigm": {
            "braketSchemaHeader": _header("gate_model_qpu_paradigm_properties"),
            "connectivity": {"fullyConnected": False, "connectivityGraph": graph},
            "qubitCount": QUBITS,
            "nativeGateSet": ["cz", "prx"],
        },
        "standardized": _standardized(edition),
        "deviceParameters": {},
    }


def _standardized(edition: int) -> dict[str, Any]:
    drift = _drift(edition)

    def fidelity(name: str, error: float) -> dict[str, Any]:
        return {"fidelityType": {"name": name}, "fidelity": 1 - min(_MOST_ERROR, error * drift)}

    def time(micros: float) -> dict[str, Any]:
        return {"value": micros / drift, "standardError": None, "unit": "us"}

    return {
        "braketSchemaHeader": _header("standardized_gate_model_qpu_device_properties"),
        "oneQubitProperties": {
            str(qubit): {
                "T1": time(30.0 + qubit),
                "T2": time(15.0 + qubit),
                "oneQubitFidelity": [
                    fidelity("RANDOMIZED_BENCHMARKING", 0.001 + 1e-4 * qubit),
                    fidelity("READOUT", 0.02 + 1e-3 * qubit),
                ],
            }
            for qubit in range(1, QUBITS + 1)
        },
        "twoQubitProperties": {
            f"{one}-{other}": {
                "twoQubitGateFidelity": [
                    {"gateName": "CZ", **fidelity("INTERLEAVED_RANDOMIZED_BENCHMARKING", 0.01)}
                ]
            }
            for one, other in PAIRS
        },
    }


def _aquila(edition: int, updated: str) -> dict[str, Any]:
    turn = 2 * math.pi
    drive = {
        "rabiFrequencyRange": [0.0, 15.8e6],
        "rabiFrequencyResolution": 400.0,
        "rabiFrequencySlewRateMax": 2.5e14,
        "detuningRange": [-125e6, 125e6],
        "detuningResolution": 0.2,
        "detuningSlewRateMax": 2.5e15,
        "phaseRange": [-99.0, 99.0],
        "phaseResolution": 5e-7,
        "timeResolution": 1e-9,
        "timeDeltaMin": 5e-8,
        "timeMin": 0.0,
        "timeMax": 4e-6,
    }
    lattice = {
        "area": {"width": 7.5e-5, "height": 7.6e-5},
        "geometry": {
            "spacingRadialMin": 4e-6,
            "spacingVerticalMin": 4e-6,
            "positionResolution": 1e-7,
            "numberSitesMax": 256,
        },
    }
    return {
        "braketSchemaHeader": _header("quera.quera_device_capabilities"),
        "service": _service([1, 1000], updated, 0.01),
        "action": {
            "braket.ir.ahs.program": {"version": ["1"], "actionType": "braket.ir.ahs.program"}
        },
        "paradigm": {
            "braketSchemaHeader": _header("quera.quera_ahs_paradigm_properties"),
            "qubitCount": 256,
            "lattice": lattice,
            "rydberg": {"c6Coefficient": turn * 862_690e-30, "rydbergGlobal": drive},
            "performance": _performance(_drift(edition)),
        },
        "deviceParameters": {},
    }


def _drift(edition: int) -> float:
    """By how much errors are larger after so many recalibrations."""
    return float(_WORSE**edition)


def _performance(drift: float) -> dict[str, Any]:
    return {
        "lattice": {
            "positionErrorAbs": 2.25e-7,
            "sitePositionError": 1e-7,
            "atomPositionError": 2e-7,
            "fillingErrorTypical": min(_MOST_ERROR, 0.008 * drift),
            "fillingErrorWorst": 0.05,
            "vacancyErrorTypical": 0.001,
            "vacancyErrorWorst": 0.005,
            "atomLossProbabilityTypical": 0.005,
            "atomLossProbabilityWorst": 0.01,
            "atomCaptureProbabilityTypical": 0.001,
            "atomCaptureProbabilityWorst": 0.002,
            "atomDetectionErrorFalsePositiveTypical": 0.001,
            "atomDetectionErrorFalsePositiveWorst": 0.005,
            "atomDetectionErrorFalseNegativeTypical": 0.001,
            "atomDetectionErrorFalseNegativeWorst": 0.005,
        },
        "rydberg": {
            "rydbergGlobal": {
                "rabiFrequencyErrorRel": 0.02 * drift,
                "rabiFrequencyGlobalErrorRel": 0.005,
                "rabiFrequencyInhomogeneityRel": 0.02,
                "groundDetectionError": min(_MOST_ERROR, 0.05 * drift),
                "rydbergDetectionError": min(_MOST_ERROR, 0.1 * drift),
                "groundPrepError": 0.01,
                "rydbergPrepErrorBest": 0.05,
                "rydbergPrepErrorWorst": 0.07,
                **{
                    f"{time}{of}": value / drift
                    for time, value in (
                        *(("T1", 7.5e-5), ("T2Star", 5e-6), ("T2Echo", 8e-6), ("T2Rabi", 8e-6)),
                        ("T2BlockadedRabi", 8e-6),
                    )
                    for of in ("Single", "Ensemble")
                },
                "detuningError": 1e6,
                "detuningInhomogeneity": 1e6,
                "rabiAmplitudeRampCorrection": [
                    {"rampTime": 5e-8, "rabiCorrection": 0.92},
                    {"rampTime": 1e-7, "rabiCorrection": 1.0},
                ],
            }
        },
    }


_DOCUMENTS: Mapping[str, Callable[[int, str], dict[str, Any]]] = {
    SV1: _sv1,
    LARK: _lark,
    AQUILA: _aquila,
}
