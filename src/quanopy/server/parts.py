"""A broker's parts: everything below the HTTP interface, for servers and workers."""

from collections.abc import Callable
from dataclasses import dataclass

from quanopy.ports.objects import Objects
from quanopy.ports.programs import Reader
from quanopy.ports.providers import Targets
from quanopy.ports.store import Store
from quanopy.ports.wakeups import Wakeups
from quanopy.server.settings import Settings
from quanopy.services.calibration_reads import CalibrationReads
from quanopy.services.candidates import Candidates
from quanopy.services.egress import Egress
from quanopy.services.hints import JobHints
from quanopy.services.submit import Submit
from quanopy.services.webhook_secrets import WebhookSecrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a server or worker is given."""

    settings: Settings
    store: Store
    objects: Objects
    wakeups: Wakeups
    hints: JobHints
    reader: Reader
    submit: Submit
    targets: Targets
    calibrations: CalibrationReads
    registration_token: Callable[[str], str]
    """Makes the token of a resource that registered itself from its registration's id."""
    candidates: Candidates
    egress: Egress
    webhook_secrets: WebhookSecrets
