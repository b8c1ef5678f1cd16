"""The fake provider keeps the contract of remote providers, whatever its vendor promises."""

from collections.abc import Iterator

import pytest

from quanopy.domain.ids import new_id
from quanopy.domain.jobs import JobKind, Options, Pub
from quanopy.ports.providers import Work
from quanopy.testing.fake_provider import FakeProvider
from quanopy.testing.fake_vendor import TOKEN
from quanopy.testing.remote_provider_contract import Bench, ProviderContract
from tests.servers.vendor import FakeVendorServer


class FakeBench:
    """The fake provider before its vendor."""

    secret = TOKEN
    secrets = (TOKEN,)
    astray = ()
    absorbed = frozenset({("stop", "strange")})

    def __init__(self, vendor: FakeVendorServer, mode: str) -> None:
        self._vendor = vendor
        self._mode = mode
        self._settings: dict[str, object] = {"idempotent": mode == "idempotent"}
        vendor.script(**self._settings)

    def provider(
        self,
        *,
        secret: str | None = None,
        timeout_s: float | None = None,
        account: str | None = None,
    ) -> FakeProvider:
        return FakeProvider(
            f"http://{account}.example" if account else self._vendor.url,
            token=secret or TOKEN,
            mode=self._mode,
            request_timeout_s=timeout_s or 30.0,
        )

    def work(self) -> Work:
        return Work(
            task_id=new_id("task"),
            resource="fake",
            kind=JobKind.SAMPLE,
            circuits=[b"qpy"],
            pubs=[Pub(shots=100), Pub(shots=7)],
            options=Options(),
        )

    def hold(self) -> None:
        self._vendor.script(**self._settings | {"run_s": 3600.0})

    def release(self) -> None:
        self._vendor.script(**self._settings)

    def fault(self, route: str, kind: str) -> None:
        self._vendor.script(**self._settings | {"next": {route: [kind]}})

    def skew(self, seconds: float) -> None:
        """It tells no time."""

    def recalibrate(self) -> None:
        """It publishes no calibration."""

    def accepted(self, key: str) -> int:
        counts: int = self._vendor.counts()["keys"].get(key, 0)
        return counts


@pytest.fixture(scope="module")
def vendor() -> Iterator[FakeVendorServer]:
    with FakeVendorServer() as server:
        yield server


@pytest.mark.parametrize("mode", ["idempotent", "searchable", "neither"])
class TestFakeProvider(ProviderContract):
    @pytest.fixture
    def bench(self, vendor: FakeVendorServer, mode: str) -> Bench:
        return FakeBench(vendor, mode)
