"""Amazon Braket: gate-model machines and simulators, and atoms (analog Hamiltonian simulation)."""

from collections.abc import Sequence

from quanopy.providers.braket.provider import BraketProvider
from quanopy.providers.braket.service import Access
from quanopy.providers.secrets import Secret


def create(
    *,
    name: str = "braket",
    region: str = "us-east-1",
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    session_token: str | None = None,
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
    """The provider of the devices of one region.

    ``access_key_id``, ``secret_access_key`` and ``session_token`` say where the credentials are
    (``env:NAME``, ``file:PATH``, ``command:…``); without them AWS's own chain finds them, from
    ``profile`` if that is named. Results are put under ``prefix`` in ``bucket`` (default:
    ``amazon-braket-REGION-ACCOUNT``); ``account`` is the number of the AWS account, which a key
    id of AWS tells too. ``makers`` limits the devices to those of ``QuEra``, ``IQM`` …
    ``endpoint_url`` and ``s3_endpoint_url`` are those of another service than Amazon's.
    """
    access = Access(
        region=region,
        access_key_id=_secret(access_key_id),
        secret_access_key=_secret(secret_access_key),
        session_token=_secret(session_token),
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


def _secret(reference: str | None) -> Secret | None:
    return None if reference is None else Secret(reference)
