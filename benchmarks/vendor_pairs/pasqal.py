"""Pasqal's cloud, with pasqal-cloud."""

import contextlib
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.vendor_pairs.pair import PAUSE_S, SHOTS, Pair, opened, through, work_of
from quanopy.domain.programs import PULSER
from quanopy.testing.vendors.pasqal import DEVICE, PasqalVendor


@contextlib.contextmanager
def pasqal() -> Iterator[Pair]:
    """Two atoms in blockade, as a Pulser sequence."""
    from pasqal_cloud.device import DeviceTypeName
    from pasqal_cloud.endpoints import Endpoints, TokenProviderConf
    from pasqal_cloud.pasqal_cloud_client import PasqalCloudClient
    from pasqal_cloud.utils.constants import BatchStatus
    from pulser import AnalogDevice, Pulse, Register, Sequence

    from quanopy.providers.pasqal import create

    warnings.simplefilter("ignore")
    register = Register.rectangle(1, 2, spacing=6.0, prefix="q")
    sequence = Sequence(register, AnalogDevice)
    sequence.declare_channel("all", "rydberg_global")
    sequence.add(Pulse.ConstantPulse(500, 4.44, 0, 0), "all")
    sequence.measure("ground-rydberg")
    program = sequence.to_abstract_repr()
    with PasqalVendor() as vendor, opened(create, vendor, where="pasqal") as provider:
        client = PasqalCloudClient(
            username=vendor.user,
            password=vendor.secret,
            project_id=vendor.project,
            endpoints=Endpoints(core=vendor.url, account=vendor.url),
            auth_config=replace(
                TokenProviderConf.from_region("fr"), token_endpoint=f"{vendor.url}/oauth/token"
            ),
        )
        work = work_of(program.encode(), on=DEVICE.lower(), native=PULSER)

        waiting = (BatchStatus.PENDING, BatchStatus.RUNNING)

        def theirs() -> None:
            batch = client.create_batch(
                program, jobs=[{"runs": SHOTS}], device_type=DeviceTypeName(DEVICE)
            )
            while client.get_batch_status(batch.id) in waiting:
                time.sleep(PAUSE_S)
            (job,) = client.get_batch(batch.id).ordered_jobs
            if not job.result:
                raise RuntimeError(f"the job has {job.status}")

        yield Pair(theirs=theirs, ours=lambda: through(provider, work))
