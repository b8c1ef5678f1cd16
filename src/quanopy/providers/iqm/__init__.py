"""IQM's quantum computers, through iqm-client, in a worker of its own environment.

iqm-client holds pydantic and Qiskit back, so it is installed apart from the other vendors' SDKs:
``quanopy worker --providers iqm`` runs there, on the same catalogue as everybody else.
"""

from collections.abc import Sequence

from quanopy.providers.iqm.provider import IqmProvider
from quanopy.providers.sdk import require
from quanopy.providers.secrets import Secret


def create(
    *,
    name: str = "iqm",
    url: str = "https://resonance.iqm.tech",
    token: Secret,
    account: str = "",
    quantum_computers: Sequence[str] = (),
    max_shots: int | None = None,
    max_circuits: int | None = None,
    timeout_s: float = 30.0,
) -> IqmProvider:
    """The entry point.

    ``quantum_computers`` are aliases; none: all that the token gives access to. ``account`` names
    who is billed: IQM's tokens carry no name. ``max_shots`` and ``max_circuits`` are what a job
    may ask of IQM; what is more is split over several.
    """
    require("iqm-client", "36.0", extra="iqm")
    return IqmProvider(
        name=name,
        url=url,
        token=token,
        account=account,
        chosen=quantum_computers,
        max_shots=max_shots,
        max_circuits=max_circuits,
        timeout_s=timeout_s,
    )
