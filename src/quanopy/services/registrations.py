"""Resources that registered themselves, as the provider that serves them is told of them."""

import time
from collections.abc import Callable, Sequence
from threading import Lock

from quanopy.codecs.targets import decode_target
from quanopy.codecs.vqpu import LANES_FOR_EACH, MOST_CIRCUITS, MOST_SHOTS, NOT_GATES, SHOTS
from quanopy.domain.resources import Capabilities, Limits, Registration, Resource
from quanopy.ports.resources import ResourceStore

PROVIDER = "vqpu"
"""The provider that serves them."""


class CatalogueRegistrations:
    """The :class:`~quanopy.ports.registrations.Registrations` of a catalogue, remembered for a
    moment."""

    def __init__(
        self, store: ResourceStore, token: Callable[[str], str], *, fresh_s: float = 2.0
    ) -> None:
        """``token`` makes the token of a registration from its id."""
        self._store = store
        self._token = token
        self._fresh_s = fresh_s
        self._lock = Lock()
        self._known: Sequence[Registration] = ()
        self._loaded_at = float("-inf")

    def known(self, *, anew: bool = False) -> Sequence[Registration]:
        """See the port."""
        with self._lock:
            began = time.monotonic()
            if anew or began - self._loaded_at > self._fresh_s:
                self._known = self._store.registrations()
                self._loaded_at = began
            return self._known

    def token(self, registration_id: str) -> str:
        """See the port."""
        return self._token(registration_id)


def resource_of(one: Registration) -> Resource:
    """A registered vQPU as a resource, from what it said of itself."""
    document = decode_target(one.target)
    instructions = document["instructions"]
    anywhere = all(entry.get("qubits") is None for entry in instructions.values())
    return Resource(
        name=one.name,
        provider=PROVIDER,
        description=one.description,
        lanes=LANES_FOR_EACH * one.lanes,
        capabilities=Capabilities(
            limits=Limits(
                qubits=document["qubits"],
                pubs=MOST_CIRCUITS,
                evaluations=MOST_CIRCUITS,
                shots=SHOTS,
                job_shots=MOST_SHOTS,
            ),
            gates=tuple(sorted(set(instructions) - NOT_GATES)) if anywhere else None,
        ),
        owner=one.owner,
        accounts=one.accounts,
    )
