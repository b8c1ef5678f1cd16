"""QRMI's resources as settings have them: a type, and variables of which some are credentials."""

from collections.abc import Mapping
from dataclasses import dataclass

from quanopy.domain.errors import Invalid
from quanopy.providers.secrets import Secret

TYPES = {
    "ibm-quantum-system": "IBMQuantumSystem",
    "ibm-quantum-compute-service": "IBMQuantumComputeService",
    "qiskit-runtime-service": "IBMQiskitRuntimeService",
    "pasqal-cloud": "PasqalCloud",
    "pasqal-local": "PasqalLocal",
    "iqm-server": "IQMServer",
}
"""The types that are served, and QRMI's own names of them."""
_CREDENTIALS = ("APIKEY", "API_KEY", "TOKEN", "SECRET", "SECRET_ACCESS_KEY", "PASSWORD")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A resource of QRMI."""

    backend: str
    """QRMI's name of it, which is its vendor's."""
    type: str
    variables: Mapping[str, str | Secret]
    """Without the resource's name before them."""

    def revealed(self) -> dict[str, str]:
        """The variables with their credentials, as they are now."""
        return {
            name: value.reveal() if isinstance(value, Secret) else value
            for name, value in self.variables.items()
        }


def described(backend: str, table: Mapping[str, str | Secret], *, where: str) -> Machine:
    """A resource from its table; raises :class:`Invalid` naming the key, and never its value."""
    variables = dict(table)
    kind = variables.pop("type", None)
    if not isinstance(kind, str) or kind not in TYPES:
        raise Invalid(
            "there is no such type of QRMI resource here",
            where=f"{where}.type",
            hint=f"There are {', '.join(TYPES)}.",
        )
    for name, value in variables.items():
        if not name.startswith("QRMI_"):
            raise Invalid("no variable of QRMI", where=f"{where}.{name}")
        if is_credential(name) and not isinstance(value, Secret):
            raise Invalid(
                "a credential is given by reference, not as it is",
                where=f"{where}.{name}",
                hint="Use env:NAME, file:PATH or command:PROGRAM ARGUMENTS.",
            )
    return Machine(backend=backend, type=kind, variables=variables)


def is_credential(variable: str) -> bool:
    """Whether what a variable holds gives access to something."""
    return variable.endswith(_CREDENTIALS)
