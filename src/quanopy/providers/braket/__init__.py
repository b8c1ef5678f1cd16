"""Amazon Braket: gate-model machines and simulators, and atoms (analog Hamiltonian simulation)."""

import os
from collections.abc import Sequence

from quanopy.providers.braket.provider import BraketProvider
from quanopy.providers.braket.service import Access
from quanopy.providers.braket.simulators import BraketSimulators
from quanopy.providers.sdk import require
from quanopy.providers.secrets import Secret


def create(
    *,
    name: str = "braket",
    region: str = "us-east-1",
    access_key_id: Secret | None = None,
    secret_access_key: Secret | None = None,
    session_token: Secret | None = None,
    profile: str | None = None,
    account: str | None = None,
    bucket: str | None = None,
    prefix: str = "quanopy",
    makers: Sequence[str] | None = None,
    endpoint_url: str | None = None,
    s3_endpoint_url: str | None = None,
    timeout_s: float = 30.0,
    poll_interval_s: float = 2.0,
) -> BraketProvider:
    """The provider of the devices of one region; nothing is asked yet.

    ``access_key_id``, ``secret_access_key`` and ``session_token`` say where the credentials are
    (``env:NAME``, ``file:PATH``, ``command:…``); without them AWS's own chain finds them, from
    ``profile`` if that is named. Results are put under ``prefix`` in ``bucket`` (default:
    ``amazon-braket-REGION-ACCOUNT``); ``account`` is the number of the AWS account, which a key
    id of AWS tells too. ``makers`` limits the devices to those of ``QuEra``, ``IQM`` …
    ``endpoint_url`` and ``s3_endpoint_url`` are those of another service than Amazon's.
    """
    require("amazon-braket-sdk", "1.127", extra="braket")
    access = Access(
        region=region,
        access_key_id=access_key_id,
        secret_access_key=secret_access_key,
        session_token=session_token,
        profile=profile,
        endpoint_url=endpoint_url,
        s3_endpoint_url=s3_endpoint_url,
        timeout_s=timeout_s,
    )
    return BraketProvider(
        access,
        name=name,
        account=account,
        bucket=bucket,
        prefix=prefix,
        makers=makers,
        poll_interval_s=poll_interval_s,
    )


def create_local(
    *,
    name: str = "braket-local",
    processes: int | None = None,
    memory_bytes: int = 4 * 1024**3,
    time_limit_s: float = 24 * 3600.0,
) -> BraketSimulators:
    """Braket's simulators in ``processes`` processes of our own (default: one a core), each with
    at most ``memory_bytes``; a batch that takes longer than ``time_limit_s`` is ended."""
    require("amazon-braket-sdk", "1.127", extra="braket")
    return BraketSimulators(
        name=name,
        processes=processes or len(os.sched_getaffinity(0)),
        memory_bytes=memory_bytes,
        time_limit_s=time_limit_s,
    )
