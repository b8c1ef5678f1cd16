"""Virtual QPUs over HTTP: those named in the settings, and those that registered themselves."""

from collections.abc import Mapping
from typing import Any

from quanopy.domain.errors import Invalid
from quanopy.ports.registrations import Registrations
from quanopy.providers.secrets import Secret
from quanopy.providers.vqpu.fleet import Configured
from quanopy.providers.vqpu.provider import VqpuProvider

_OPTIONS = frozenset({"url", "token", "qubits", "lanes"})


def create(
    *,
    name: str = "vqpu",
    vqpus: Mapping[str, Mapping[str, Any]] | None = None,
    registrations: Registrations | None = None,
    account: str = "",
    plain: bool = False,
    request_timeout_s: float = 20.0,
    poll_interval_s: float = 0.25,
) -> VqpuProvider:
    """The provider, with nothing asked yet.

    ``vqpus`` gives by resource name the ``url`` and ``token`` (a reference) of each; ``account``
    tells apart who is billed where that matters. ``plain``: they speak Quantum Brilliance's
    routes alone, so that ``qubits`` (and ``lanes``) are given, and a submission whose answer was
    lost is never repeated. ``registrations`` are those of the broker's catalogue.
    """
    return VqpuProvider(
        name=name,
        configured=[_configured(at, options, plain) for at, options in (vqpus or {}).items()],
        registrations=registrations,
        account=account,
        plain=plain,
        request_timeout_s=request_timeout_s,
        poll_interval_s=poll_interval_s,
    )


def plain(
    *,
    name: str = "vqpu-plain",
    vqpus: Mapping[str, Mapping[str, Any]] | None = None,
    account: str = "",
    request_timeout_s: float = 20.0,
    poll_interval_s: float = 0.25,
) -> VqpuProvider:
    """As :func:`create`, for vQPUs that have nothing but Quantum Brilliance's routes; the plugin
    ``quanopy.providers.vqpu:plain``."""
    return create(
        name=name,
        vqpus=vqpus,
        account=account,
        plain=True,
        request_timeout_s=request_timeout_s,
        poll_interval_s=poll_interval_s,
    )


def _configured(name: str, options: Mapping[str, Any], plain: bool) -> Configured:
    if unknown := sorted(set(options) - _OPTIONS):
        raise Invalid(f"no option {unknown[0]!r}", where=f"vqpus.{name}")
    if not isinstance(options.get("url"), str) or not isinstance(options.get("token"), str):
        raise Invalid("url and token (a reference) are needed", where=f"vqpus.{name}")
    if plain and not isinstance(options.get("qubits"), int):
        raise Invalid("qubits are needed: a plain vQPU does not say", where=f"vqpus.{name}")
    return Configured(
        name=name,
        url=options["url"],
        token=Secret(options["token"]),
        qubits=options.get("qubits"),
        lanes=options.get("lanes"),
    )
