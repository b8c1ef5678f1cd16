"""Amazon Braket's devices, with its own SDK."""

import contextlib
import os
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from benchmarks.vendor_pairs.circuits import bell, written
from benchmarks.vendor_pairs.pair import PAUSE_S, SHOTS, Pair, opened, through, work_of
from quanopy.domain.programs import BRAKET_AHS
from quanopy.testing.vendors.base import Vendor
from quanopy.testing.vendors.braket import BUCKET, KEY_ID, BraketVendor
from quanopy.testing.vendors.braket_devices import AQUILA, REGION, SV1


@contextlib.contextmanager
def braket() -> Iterator[Pair]:
    """A Bell pair on the state vector simulator."""
    from braket.circuits import Circuit

    from quanopy.providers.braket import create

    with BraketVendor() as vendor, opened(create, vendor, where="braket") as provider:
        device = _device(vendor, SV1)
        circuit = Circuit().h(0).cnot(0, 1).measure([0, 1])
        work = work_of(written(bell()), on="sv1")
        yield Pair(
            theirs=lambda: _ran(device, circuit).measurement_counts,
            ours=lambda: through(provider, work),
        )


@contextlib.contextmanager
def quera() -> Iterator[Pair]:
    """Two atoms in blockade on Aquila."""
    from braket.ahs import AnalogHamiltonianSimulation, AtomArrangement, DrivingField
    from braket.timings import TimeSeries

    from quanopy.providers.quera import create

    atoms = AtomArrangement()
    atoms.add((0, 0))
    atoms.add((0, Decimal("5.5e-6")))
    rising = TimeSeries().put(0, 0).put(1e-7, 7.4e6).put(3e-7, 7.4e6).put(4e-7, 0)
    still = TimeSeries().put(0, 0).put(4e-7, 0)
    drive = DrivingField(amplitude=rising, phase=still, detuning=still)
    program = AnalogHamiltonianSimulation(register=atoms, hamiltonian=drive)
    written_out = program.to_ir().json().encode()
    with BraketVendor() as vendor, opened(create, vendor, where="quera") as provider:
        device = _device(vendor, AQUILA)
        work = work_of(written_out, on="aquila", native=BRAKET_AHS)
        yield Pair(
            theirs=lambda: _ran(device, program).get_counts(),
            ours=lambda: through(provider, work),
        )


def _device(vendor: Vendor, arn: str) -> Any:
    """A device before the vendor on loopback."""
    import boto3
    from braket.aws import AwsDevice, AwsSession

    os.environ.update({"BRAKET_ENDPOINT": vendor.url, "AWS_ENDPOINT_URL_S3": vendor.url})
    keys = boto3.Session(
        aws_access_key_id=KEY_ID, aws_secret_access_key=vendor.secret, region_name=REGION
    )
    return AwsDevice(arn, aws_session=AwsSession(keys))


def _ran(device: Any, program: Any) -> Any:
    """The result of a program."""
    task = device.run(
        program,
        s3_destination_folder=(BUCKET, "own"),
        shots=SHOTS,
        poll_interval_seconds=PAUSE_S,
    )
    return task.result()
