"""Devices of the loopback cloud, and a job of it, run on Pulser's emulator."""

import dataclasses
import warnings
from functools import cache
from typing import Any

from pulser import NoiseModel, Sequence
from pulser.backend import BitStrings, EmulationConfig
from pulser.devices import AnalogDevice
from pulser_simulation import QutipBackendV2


@cache
def device(name: str, calibrations: int) -> str:
    """What a device says of itself after so many calibrations."""
    changes: dict[str, Any] = {"name": name, "noise_model": noise(calibrations)}
    made = dataclasses.replace(AnalogDevice, **changes)
    return str(made.to_abstract_repr())


@cache
def noise(calibrations: int) -> NoiseModel:
    """How wrong atoms are read: by 0.1 % more from one calibration to the next."""
    return NoiseModel(p_false_pos=0.01 + 0.001 * calibrations, p_false_neg=0.03)


def run(sequence: str, runs: int, calibrations: int) -> dict[str, Any]:
    """A job's result; what the emulator raises is its error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            built = Sequence.from_abstract_repr(sequence)
            config: EmulationConfig[Any] = EmulationConfig(
                observables=[BitStrings(num_shots=runs)], noise_model=noise(calibrations)
            )
            counts = QutipBackendV2(built, config=config).run().final_bitstrings
    except Exception as error:  # noqa: BLE001 - Pulser raises what it likes
        return {"error": f"{type(error).__name__}: {error}"[:500]}
    counter = {str(bits): int(number) for bits, number in counts.items()}
    return {"counter": counter, "raw": [bits for bits, n in counter.items() for _ in range(n)]}
