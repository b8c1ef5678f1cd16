"""Photonic programs of Perceval: on Quandela's cloud, and on Perceval's own emulators."""

import os
from collections.abc import Sequence

from quanopy.domain.errors import Invalid
from quanopy.providers.perceval.local import PercevalEmulators
from quanopy.providers.perceval.provider import PercevalProvider
from quanopy.providers.sdk import require
from quanopy.providers.secrets import Secret

CLOUD = "https://api.cloud.quandela.com"


def create(
    *,
    name: str = "perceval",
    token: Secret,
    platforms: Sequence[str],
    url: str = CLOUD,
    account: str | None = None,
    shots_per_sample: float = 1.0,
    request_timeout_s: float = 30.0,
) -> PercevalProvider:
    """The provider of Quandela's cloud; nothing is asked yet.

    ``platforms`` are names there (``qpu:belenos``): the
    cloud has no list of them. ``account`` tells whose token it is, where tokens are renewed. At
    most ``shots_per_sample`` times the shots of a pub are spent on getting as many samples.
    """
    require("perceval-quandela", "1.3", extra="perceval")
    if not platforms:
        raise Invalid("no platforms are named", hint='Say platforms = ["sim:slos", …].')
    if shots_per_sample < 1:
        raise Invalid("shots_per_sample is below 1: no shot gives more than one sample")
    return PercevalProvider(
        name=name,
        token=token,
        platforms=tuple(platforms),
        url=url.rstrip("/"),
        account=account,
        shots_per_sample=shots_per_sample,
        request_timeout_s=request_timeout_s,
    )


def create_local(
    *,
    name: str = "perceval-local",
    processes: int | None = None,
    memory_bytes: int = 4 * 1024**3,
    time_limit_s: float = 24 * 3600.0,
) -> PercevalEmulators:
    """Perceval's emulators in ``processes`` processes of our own (default: one a core), each with
    at most ``memory_bytes``; a batch that takes longer than ``time_limit_s`` is ended."""
    require("perceval-quandela", "1.3", extra="perceval")
    return PercevalEmulators(
        name=name,
        processes=processes or len(os.sched_getaffinity(0)),
        memory_bytes=memory_bytes,
        time_limit_s=time_limit_s,
    )
