"""Resources: what workers serve, and what registered itself."""

from collections.abc import Sequence
from typing import Protocol

from quanopy.domain.resources import Registration, Resource, ResourceStatus
from quanopy.domain.states import ResourceState


class ResourceStore(Protocol):
    """Resources in the catalogue."""

    def register(self, worker: str, resources: Sequence[Resource], *, ttl_s: float) -> set[str]:
        """Say that a live worker serves these resources; again every third of ``ttl_s``. State
        and reason that an operator has set are left alone, and all of those that registered
        themselves (they have an owner). The names that others registered for resources of their
        own, which this worker may not serve."""

    def resources(self) -> list[ResourceStatus]:
        """Every known resource and how busy it is."""

    def set_resource_state(
        self, name: str, state: ResourceState, reason: str | None, *, actor: str
    ) -> Resource:
        """Take a resource in or out of service; ``NotFound``."""

    def open_resource(self, name: str, accounts: Sequence[str] | None, *, actor: str) -> Resource:
        """Have a resource serve these accounts and its owner (``None``: everybody); ``NotFound``.
        Tasks of others that wait for it are not begun."""

    def enrol(self, registration: Registration, resource: Resource) -> Registration:
        """Put a resource into the catalogue for the account that owns it, or in the place of one
        that this account had put there under the same name; as it then is, with the accounts that
        it serves. ``Conflict`` where the name is another's, or others' work waits for it;
        ``QuotaExceeded`` where the account has registered too many."""

    def beat(self, name: str, registration_id: str, *, leaving: bool = False) -> None:
        """It lives (``leaving``: and takes no new work). ``NotFound`` where this registration does
        not stand, or no longer."""

    def withdraw(self, name: str, registration_id: str | None, *, actor: str) -> None:
        """Take a registered resource out of the catalogue; tasks that wait for it go on waiting.
        ``NotFound`` where the registration (``None``: any) does not stand."""

    def registrations(self) -> list[Registration]:
        """All registrations, by name."""
