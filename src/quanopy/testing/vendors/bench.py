"""The bench of any loopback vendor: a provider before it, for the contract's checks."""

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256

from quanopy.domain.ids import new_id
from quanopy.ports.providers import RemoteProvider, Work
from quanopy.providers.secrets import Secret
from quanopy.testing.vendors.base import Vendor

_LATE_S = 60.0
"""How long a slow answer is in coming, to a provider that waits for it so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a provider is built with."""

    url: str
    secret: Secret
    """Where the key is found."""
    timeout_s: float
    """How long it waits for an answer."""
    account: str
    """Its account at the vendor, however that is called there."""


class VendorBench:
    """Implements :class:`quanopy.testing.remote_provider_contract.Bench` before a vendor that has
    been started. Building one makes the vendor behave again, so a module may share the vendor."""

    def __init__(
        self,
        vendor: Vendor,
        make: Callable[[Given], RemoteProvider],
        sample: Work,
        *,
        timeout_s: float = 20.0,
        account: str = "loopback-account",
        absorbed: Collection[tuple[str, str]] = (),
    ) -> None:
        """``make`` builds a provider, ``sample`` is a work for its first resource; each that is
        asked for gets a task of its own. ``absorbed``: see ``Bench``."""
        self.secret = vendor.secret
        self.absorbed = absorbed
        self._vendor = vendor
        self._make = make
        self._sample = sample
        self._timeout_s = timeout_s
        self._account = account
        vendor.faults.clear()
        vendor.latency_s = 0.0
        self.skew(0.0)
        self.release()

    @property
    def secrets(self) -> Sequence[str]:
        """What nobody may see."""
        return self._vendor.secrets()

    @property
    def astray(self) -> Sequence[str]:
        """What was sent to another host."""
        return [f"{one.headers} {one.body!r}" for one in self._vendor.astray]

    def provider(
        self,
        *,
        secret: str | None = None,
        timeout_s: float | None = None,
        account: str | None = None,
    ) -> RemoteProvider:
        """A provider as a fresh process would build it."""
        return self._make(
            Given(
                url=self._vendor.url,
                secret=_kept(secret or self.secret),
                timeout_s=timeout_s or self._timeout_s,
                account=account or self._account,
            )
        )

    def work(self) -> Work:
        """The sample, as a task of its own."""
        return replace(self._sample, task_id=new_id("task"))

    def hold(self) -> None:
        """Jobs go on until ``release``."""
        self._vendor.hold()

    def release(self) -> None:
        """They end."""
        self._vendor.release()

    def fault(self, route: str, kind: str) -> None:
        """What the next request to a route meets; an answer that is slow comes once the provider
        has given it up."""
        self._vendor.faults.clear(route)
        self._vendor.faults.plan(route, kind, delay_s=_LATE_S if kind == "slow" else 0.0)

    def accepted(self, key: str) -> int:
        """How many jobs the vendor has made of a key."""
        return self._vendor.accepted(key)

    def skew(self, seconds: float) -> None:
        """Set its clock."""
        self._vendor.skew = timedelta(seconds=seconds)

    def recalibrate(self) -> None:
        """It has a new calibration."""
        self._vendor.recalibrate()


def _kept(secret: str) -> Secret:
    """A reference to this key, in a variable of this process."""
    name = f"QUANOPY_LOOPBACK_{sha256(secret.encode()).hexdigest()[:12].upper()}"
    os.environ[name] = secret
    return Secret(f"env:{name}")
