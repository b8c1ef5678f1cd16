"""A prefix before resources' names: outside it is there, inside it is not."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from quanopy.domain.errors import NotFound
from quanopy.domain.jobs import JobKind, Options, Pub
from quanopy.domain.states import ExecutionState
from quanopy.ports.providers import Order, RemoteProvider, Work, is_remote
from quanopy.providers import registry
from quanopy.providers.renaming import renamed
from quanopy.testing.fake_provider import FakeProvider
from quanopy.testing.fake_vendor import TOKEN
from tests.servers.vendor import FakeVendorServer

WORK = Work(
    task_id="task_1",
    resource="ours-fake",
    kind=JobKind.SAMPLE,
    circuits=[b""],
    pubs=[Pub(shots=10)],
    options=Options(),
)


@pytest.fixture
def provider() -> Iterator[RemoteProvider]:
    with FakeVendorServer() as vendor:
        found = renamed(FakeProvider(vendor.url, token=TOKEN), "ours-")
        yield found
        found.close()


def test_a_job_goes_its_way_under_the_longer_name(provider: RemoteProvider) -> None:
    assert [one.name for one in provider.resources()] == ["ours-fake"]
    assert is_remote(provider)
    assert provider.target("ours-fake").data
    (found,) = provider.start([Order(key="exec_1", resource="ours-fake", works=[WORK])])
    assert isinstance(found, str)
    assert provider.poll([found])[found].state is ExecutionState.COMPLETED
    assert provider.describe(found).resource == "ours-fake"
    (outcome,) = provider.result(found, lambda: [WORK])
    assert outcome.error is None


def test_the_shorter_name_is_nobodys(provider: RemoteProvider) -> None:
    with pytest.raises(NotFound):
        provider.target("fake")


def test_what_is_sent_is_renamed_and_nothing_else() -> None:
    seen: list[Any] = []

    class Local:
        name = "local"

        def start(self, works: Sequence[Work]) -> None:
            seen.extend(works)

    renamed(Local(), "ours-").start([WORK])  # type: ignore[type-var]
    assert seen == [replace(WORK, resource="fake")]


@pytest.mark.parametrize("prefix", [7, "a b", "x" * 41, "é"])
def test_a_prefix_is_the_beginning_of_a_name(prefix: object) -> None:
    (plugin,) = registry.load({"aer": {"prefix": prefix}})
    assert (plugin.problem or "").startswith("providers.aer.prefix: ")
