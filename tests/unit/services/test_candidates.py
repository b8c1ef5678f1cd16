"""What is known of a resource's errors, for those who choose by them."""

import pytest

from quanopy.domain.calibration import Metric
from quanopy.domain.resources import Capabilities, Resource, ResourceStatus
from quanopy.services.candidates import _two_qubit_error


@pytest.mark.parametrize(
    ("metrics", "error"),
    [
        ({("cz.error", (0, 1)): 0.02, ("cz.error", (1, 2)): 0.04}, 0.03),
        ({("cz.error", ()): 0.01, ("rx.error", ()): 0.001}, 0.01),  # of all pairs alike
        ({("T1", ()): 1e-5}, None),  # there is noise, and nobody says how much a pair has of it
        ({}, 0.0),
    ],
)
def test_the_error_of_an_emulator_is_that_of_its_noise(
    metrics: dict[tuple[str, tuple[int, ...]], float], error: float | None
) -> None:
    able = Capabilities(gates=("rx", "cz"))
    status = ResourceStatus(
        resource=Resource(name="vq1", provider="vqpu", capabilities=able),
        queued=0,
        active=0,
        wait_s=0.0,
        seen_at=None,
        workers=1,
    )
    told = [Metric(name=n, targets=at, value=value) for (n, at), value in metrics.items()]
    assert _two_qubit_error(told, None, status) == error
