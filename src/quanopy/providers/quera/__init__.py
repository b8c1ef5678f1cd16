"""Atoms of QuEra: Aquila on Amazon Braket, and Bloqade's emulator in processes of our own."""

import os

from quanopy.providers.braket import create as create_braket
from quanopy.providers.braket.provider import BraketProvider
from quanopy.providers.braket.simulators import BraketSimulators, Simulator
from quanopy.providers.quera import child
from quanopy.providers.sdk import require
from quanopy.providers.secrets import Secret

EMULATORS = (
    Simulator(
        resource="bloqade",
        backend="bloqade",
        description="Bloqade's emulator of Rydberg atoms (analog Hamiltonian simulation)",
    ),
)


def create(
    *,
    name: str = "quera",
    region: str = "us-east-1",
    access_key_id: Secret | None = None,
    secret_access_key: Secret | None = None,
    session_token: Secret | None = None,
    profile: str | None = None,
    account: str | None = None,
    bucket: str | None = None,
    prefix: str = "quanopy",
    endpoint_url: str | None = None,
    s3_endpoint_url: str | None = None,
    timeout_s: float = 30.0,
    poll_interval_s: float = 2.0,
) -> BraketProvider:
    """QuEra's devices on Amazon Braket; options are those of
    :func:`quanopy.providers.braket.create`."""
    return create_braket(
        name=name,
        region=region,
        access_key_id=access_key_id,
        secret_access_key=secret_access_key,
        session_token=session_token,
        profile=profile,
        account=account,
        bucket=bucket,
        prefix=prefix,
        makers=["QuEra"],
        endpoint_url=endpoint_url,
        s3_endpoint_url=s3_endpoint_url,
        timeout_s=timeout_s,
        poll_interval_s=poll_interval_s,
    )


def create_local(
    *,
    name: str = "quera-local",
    processes: int | None = None,
    memory_bytes: int = 4 * 1024**3,
    time_limit_s: float = 24 * 3600.0,
) -> BraketSimulators:
    """Bloqade's emulator in ``processes`` processes of our own (default: one a core), each with
    at most ``memory_bytes``; a batch that takes longer than ``time_limit_s`` is ended."""
    require("bloqade-analog", "0.16.9", extra="quera")
    return BraketSimulators(
        name=name,
        processes=processes or len(os.sched_getaffinity(0)),
        memory_bytes=memory_bytes,
        time_limit_s=time_limit_s,
        simulators=EMULATORS,
        warm_up=child.warm_up,
        emulate=child.emulate,
    )
