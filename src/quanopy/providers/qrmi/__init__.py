"""Any resource of QRMI, the quantum resource management interface, through the ``qrmi`` package.

A resource is a table with its ``type`` and the variables that QRMI reads, without the resource's
name before them; credentials are references. ``quanopy resources import`` makes such tables of a
``qrmi_config.json``.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from quanopy.providers.secrets import Secret

if TYPE_CHECKING:
    from quanopy.providers.qrmi.provider import QrmiProvider


def create(
    *,
    name: str = "qrmi",
    machines: Mapping[str, Mapping[str, str | bool | Secret]],
    account: str = "",
    acquire: bool = False,
    processes: int = 4,
    timeout_s: float = 60.0,
) -> "QrmiProvider":
    """The entry point.

    ``machines`` are QRMI's resources by name; one with ``is_dynamic`` stands for all machines of
    its account. With ``acquire`` each execution has a vendor's
    session of its own, where the type has sessions. QRMI's calls run in ``processes`` processes,
    and one that takes longer than ``timeout_s`` is ended. ``account`` names who is billed.
    """
    # Its child processes import this package too, and need none of these.
    from quanopy.providers.qrmi.machines import described, require_munge
    from quanopy.providers.qrmi.provider import QrmiProvider
    from quanopy.providers.sdk import require

    found = [described(one, table, where=f"machines.{one}") for one, table in machines.items()]
    for machine in found:
        require_munge(machine, where=f"machines.{machine.backend}")
    require("qrmi", "0.26", extra="qrmi")
    return QrmiProvider(
        name=name,
        machines=found,
        account=account,
        acquire=acquire,
        processes=processes,
        timeout_s=timeout_s,
    )
