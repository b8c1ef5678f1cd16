"""QRMI's resources as settings have them: a type, and variables of which some are credentials."""

import os
import re
from collections.abc import Mapping, Sequence
from ctypes import CDLL
from dataclasses import dataclass

from quanopy.domain.errors import Invalid, Unavailable
from quanopy.providers.secrets import Secret

TYPES = {
    "ibm-quantum-system": "IBMQuantumSystem",
    "ibm-quantum-compute-service": "IBMQuantumComputeService",
    "qiskit-runtime-service": "IBMQiskitRuntimeService",
    "pasqal-cloud": "PasqalCloud",
    "pasqal-local": "PasqalLocal",
    "iqm-server": "IQMServer",
    "alice-bob-felis": "AliceBobFelis",
}
"""The types that are served, and QRMI's own names of them."""
DYNAMIC = ("ibm-quantum-system", "ibm-quantum-compute-service", "qiskit-runtime-service")
"""Types of which QRMI lists the machines that an account may use."""
_NEEDED: Mapping[str, Sequence[str]] = {
    "ibm-quantum-system": tuple(
        f"QRMI_IBM_QS_{name}"
        for name in (
            *("ENDPOINT", "IAM_ENDPOINT", "IAM_APIKEY", "SERVICE_CRN", "AWS_ACCESS_KEY_ID"),
            *("AWS_SECRET_ACCESS_KEY", "S3_ENDPOINT", "S3_BUCKET", "S3_REGION"),
        )
    ),
    "pasqal-local": ("QRMI_WARDEN_URL",),
    "alice-bob-felis": ("QRMI_AB_FELIS_BASE_ENDPOINT", "QRMI_AB_FELIS_API_KEY"),
}
"""Variables without which QRMI cannot even be asked, or starts nothing."""
_MUNGE = "libmunge.so.2"
_JOB_S = "86400"
"""After so many seconds IBM ends a job."""
_CREDENTIALS = ("APIKEY", "API_KEY", "TOKEN", "SECRET", "SECRET_ACCESS_KEY", "PASSWORD")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A resource of QRMI."""

    backend: str
    """QRMI's name of it, which is its vendor's."""
    type: str
    variables: Mapping[str, str | Secret]
    """Without the resource's name before them."""
    dynamic: bool = False
    """Whether it stands for all machines that its account may use."""

    def revealed(self) -> dict[str, str]:
        """The variables with their credentials, as they are now; and what Slurm would say of a
        job, where they do not say it."""
        return {
            "QRMI_JOB_TIMEOUT_SECONDS": _JOB_S,
            "QRMI_JOB_UID": str(os.getuid()),
            "QRMI_JOB_ID": "quanopy",
            **{
                name: value.reveal() if isinstance(value, Secret) else value
                for name, value in self.variables.items()
            },
        }


def described(backend: str, table: Mapping[str, str | bool | Secret], *, where: str) -> Machine:
    """A resource from its table; raises :class:`Invalid` naming the key, and never its value."""
    kind, dynamic = table.get("type"), table.get("is_dynamic", False)
    if not isinstance(kind, str) or kind not in TYPES:
        raise Invalid(
            "there is no such type of QRMI resource here",
            where=f"{where}.type",
            hint=f"There are {', '.join(TYPES)}.",
        )
    if not isinstance(dynamic, bool) or (dynamic and kind not in DYNAMIC):
        raise Invalid(
            f"QRMI lists no machines of the type {kind}",
            where=f"{where}.is_dynamic",
            hint=f"Name each as a resource; it lists those of {', '.join(DYNAMIC)}.",
        )
    variables: dict[str, str | Secret] = {}
    for name, value in table.items():
        if name in ("type", "is_dynamic"):
            continue
        if not name.startswith("QRMI_"):
            raise Invalid("no variable of QRMI", where=f"{where}.{name}")
        if isinstance(value, bool):
            raise Invalid("is no text", where=f"{where}.{name}")
        if is_credential(name) and not isinstance(value, Secret):
            raise Invalid(
                "a credential is given by reference, not as it is",
                where=f"{where}.{name}",
                hint="Use env:NAME, file:PATH or command:PROGRAM ARGUMENTS.",
            )
        variables[name] = value
    for name in _NEEDED.get(kind, ()):
        if name not in variables:
            raise Invalid("the variable is needed and not given", where=f"{where}.{name}")
    return Machine(backend=backend, type=kind, variables=variables, dynamic=dynamic)


def require_munge(machine: Machine, *, where: str) -> None:
    """Raises :class:`Unavailable` where QRMI cannot sign what it sends to a Pasqal on premises."""
    if machine.type != "pasqal-local":
        return
    try:
        CDLL(_MUNGE)
    except OSError:
        raise Unavailable(
            f"QRMI needs {_MUNGE} for pasqal-local ({where}), and it is not here",
            hint="Install munge where this provider's workers run (libmunge2, munge-libs).",
        ) from None


def slug(backend: str) -> str:
    """The name of a machine's resource."""
    return re.sub(r"[^a-z0-9]+", "-", backend.lower()).strip("-")


def is_credential(variable: str) -> bool:
    """Whether what a variable holds gives access to something."""
    return variable.endswith(_CREDENTIALS)
