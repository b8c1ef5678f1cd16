"""IBM Quantum, through qiskit-ibm-runtime's own client."""

from collections.abc import Sequence
from typing import Literal

from quanopy.domain.errors import Invalid
from quanopy.providers.ibm.provider import IbmProvider
from quanopy.providers.sdk import require
from quanopy.providers.secrets import Secret

MODES = ("job", "batch", "session")


def create(
    *,
    name: str = "ibm",
    token: Secret,
    instance: str,
    url: str | None = None,
    iam_url: str | None = None,
    backends: Sequence[str] | None = None,
    mode: Literal["job", "batch", "session"] = "job",
    session_s: int = 3600,
    idle_s: float = 60.0,
    lanes: int | None = None,
    tasks_per_execution: int = 20,
    timeout_s: float = 30.0,
    visibility_delay_s: float = 10.0,
    poll_interval_s: float = 2.0,
) -> IbmProvider:
    """The provider, with nothing asked yet.

    ``token`` is where the API key is found (``env:NAME``, ``file:PATH``, ``command:…``),
    ``instance`` the service instance's CRN. ``url`` is the service's base, ``iam_url`` that of
    IAM; both follow from the CRN. ``backends`` limits what is exposed, by the vendor's names.
    ``mode``: jobs on their own, or within a batch or a session of at most ``session_s`` that is
    opened when needed and closed after ``idle_s`` without a new job. ``lanes`` bounds the jobs in
    flight on each machine.
    """
    require("qiskit-ibm-runtime", "0.51", extra="ibm")
    if mode not in MODES:
        raise Invalid(f"{mode!r} is no mode", where="mode", hint=f"One of {', '.join(MODES)}.")
    if not instance.startswith("crn:"):
        raise Invalid(
            "the instance has to be a CRN",
            where="instance",
            hint="Copy it from the instances page.",
        )
    return IbmProvider(
        name=name,
        token=token,
        instance=instance,
        url=url,
        iam_url=iam_url,
        backends=backends,
        mode=mode,
        session_s=session_s,
        idle_s=idle_s,
        lanes=lanes,
        tasks_per_execution=tasks_per_execution,
        timeout_s=timeout_s,
        visibility_delay_s=visibility_delay_s,
        poll_interval_s=poll_interval_s,
    )
