"""100 small programs on a noisy fake device, of 7 qubits and of 156, as 100 jobs submitted
together, beside one job each of qiskit-ibm-runtime's local mode. Both begin with circuits that are
not compiled; once with circuits that are new, once with those seen before, which the peer has
compiled already.
"""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx

from benchmarks.measure import Measure, report, seconds
from benchmarks.peer import circuit
from benchmarks.serving import Served, broker

JOBS = 100
SHOTS = 1000
ROUNDS = 3
GOAL = 20.0
_numbers = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A fake machine."""

    resource: str
    backend: str
    """Its class at the peer."""
    peer_jobs: int
    """Of so many the peer's time for all is made: it takes as long for each."""


DEVICES = (
    Device(resource="aer-fake-nairobi", backend="FakeNairobiV2", peer_jobs=20),
    Device(resource="aer-fake-fez", backend="FakeFez", peer_jobs=3),
)


def fresh() -> range:
    """As many circuits that were not asked for before."""
    first = next(_numbers) * JOBS
    return range(first, first + JOBS)


def ours(served: Served, device: Device, circuits: Sequence[int]) -> float:
    """Seconds until all results are here; raises if any is not what it should be."""
    jobs = [
        {
            "resource": device.resource,
            "programs": [{"format": "openqasm3", "text": circuit(number)}],
            "options": {"shots": SHOTS},
        }
        for number in circuits
    ]
    with httpx.Client(base_url=served.url, headers=served.headers, timeout=300) as http:
        began = time.perf_counter()
        answer = http.post("/v1/jobs/batch", json={"jobs": jobs}).raise_for_status()
        ids = [job["id"] for job in answer.json()["jobs"]]
        found = http.post("/v1/results", params={"wait": 60}, json={"ids": ids})
        results = found.raise_for_status().json()["results"]
        took = time.perf_counter() - began
    for result in results:
        if result["state"] != "completed":
            raise RuntimeError(f"{result['state']}: {result['problem']}")
        if sum(result["pubs"][0]["counts"][0].values()) != SHOTS:
            raise RuntimeError("a result has other shots")
    return took


def local_mode(
    device: Device,
) -> tuple[Callable[[Sequence[int]], list[Any]], Callable[[Sequence[Any]], None]]:
    """What compiles, and what runs one job each, with the vendor's client."""
    from qiskit import qasm3
    from qiskit.transpiler import generate_preset_pass_manager
    from qiskit_ibm_runtime import SamplerV2, fake_provider

    warnings.simplefilter("ignore", DeprecationWarning)
    backend = getattr(fake_provider, device.backend)()
    passes = generate_preset_pass_manager(optimization_level=1, backend=backend)
    sampler = SamplerV2(mode=backend)

    def compiled(circuits: Sequence[int]) -> list[Any]:
        return [passes.run(qasm3.loads(circuit(number))) for number in circuits]

    def run(circuits: Sequence[Any]) -> None:
        for one in circuits:
            sampler.run([one], shots=SHOTS).result()

    return compiled, run


def theirs(device: Device) -> tuple[float, float]:
    """Seconds for all, compiled anew and compiled before."""
    compiled, run = local_mode(device)
    known = compiled(range(device.peer_jobs))
    run(known[:1])
    new = seconds(lambda: run(compiled(fresh()[: device.peer_jobs])))
    seen = seconds(lambda: run(known))
    return new * JOBS / device.peer_jobs, seen * JOBS / device.peer_jobs


def measured(device: Device) -> Iterator[Measure]:
    """Both ways on a device, the best round of ours."""
    new_peer, seen_peer = theirs(device)
    with broker() as served:
        ours(served, device, range(JOBS))
        new = min(ours(served, device, fresh()) for _ in range(ROUNDS))
        seen = min(ours(served, device, range(JOBS)) for _ in range(ROUNDS))
    about = f"{JOBS} jobs together on {device.resource}"
    yield measure(f"{about}, programs that are new", new, new_peer)
    yield measure(f"{about}, programs seen before", seen, seen_peer)


def main() -> None:
    """Measure on each device."""
    report([one for device in DEVICES for one in measured(device)])


def measure(name: str, value: float, peer: float) -> Measure:
    """Seconds beside those of one runtime-local job each."""
    goal = f"{GOAL:g} times as fast as one runtime-local job each"
    return Measure(
        measure=name, value=value, unit="s", peer=peer, goal=goal, holds=value * GOAL <= peer
    )


if __name__ == "__main__":
    main()
