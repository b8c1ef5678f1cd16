"""Neutral atoms of Pasqal: Pulser sequences on its cloud, and on Pulser's own emulator."""

import os
from typing import Literal

from quanopy.domain.errors import Invalid
from quanopy.providers.pasqal.access import Access
from quanopy.providers.pasqal.local import PulserEmulators
from quanopy.providers.pasqal.provider import PasqalProvider
from quanopy.providers.sdk import require
from quanopy.providers.secrets import Secret


def create(
    *,
    name: str = "pasqal",
    project: str,
    username: str | None = None,
    password: Secret | None = None,
    token: Secret | None = None,
    region: Literal["fr", "sa"] = "fr",
    url: str | None = None,
    token_url: str | None = None,
    request_timeout_s: float = 30.0,
) -> PasqalProvider:
    """The provider of Pasqal's cloud; nothing is asked yet.

    Who pays is the ``project``. ``username`` and ``password`` log in; ``token`` stands for both
    where another program renews it. ``url`` and ``token_url`` are those of the ``region``.
    """
    require("pasqal-cloud", "0.24", extra="pasqal")
    if token is None and (username is None or password is None):
        raise Invalid("no credentials are given", hint="Give username and password, or token.")
    access = Access(
        project=project,
        username=username,
        password=password,
        token=token,
        region=region,
        url=url.rstrip("/") if url else None,
        token_url=token_url,
        timeout_s=request_timeout_s,
    )
    return PasqalProvider(name=name, access=access)


def create_local(
    *,
    name: str = "pasqal-local",
    processes: int | None = None,
    memory_bytes: int = 4 * 1024**3,
    atoms: int = 14,
    time_limit_s: float = 24 * 3600.0,
) -> PulserEmulators:
    """Pulser's emulator in ``processes`` processes of our own (default: one a core), each with at
    most ``memory_bytes``, for registers of up to so many ``atoms``; a batch that takes longer than
    ``time_limit_s`` is ended."""
    require("pulser-simulation", "1.9", extra="pasqal")
    return PulserEmulators(
        name=name,
        processes=processes or len(os.sched_getaffinity(0)),
        memory_bytes=memory_bytes,
        atoms=atoms,
        time_limit_s=time_limit_s,
    )
