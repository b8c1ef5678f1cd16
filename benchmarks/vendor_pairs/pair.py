"""The same job at the same server in two ways, and what all pairs have in common."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from quanopy.domain.ids import new_id
from quanopy.domain.jobs import JobKind, Options, Pub
from quanopy.domain.states import FINAL_EXECUTION_STATES, ExecutionState
from quanopy.ports.providers import Order, RemoteProvider, Work
from quanopy.providers.options import bound
from quanopy.testing.vendors.base import Vendor

SHOTS = 1000
PAUSE_S = 0.002
"""Between two looks at a job, for both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One call each that submits the job, waits for it and has its result."""

    theirs: Callable[[], object]
    ours: Callable[[], object]


@contextlib.contextmanager
def opened(
    create: Callable[..., RemoteProvider],
    vendor: Vendor,
    *,
    where: str,
    options: Mapping[str, Any] | None = None,
) -> Iterator[RemoteProvider]:
    """The provider before a vendor, with the vendor's variables in the environment."""
    os.environ.update(vendor.environment())
    table = vendor.options() if options is None else options
    provider = create(**bound(create, table, where=where))
    try:
        yield provider
    finally:
        provider.close()


def work_of(program: bytes, *, on: str, native: str | None = None) -> Work:
    """One program with :data:`SHOTS`: circuits as QPY, or of a format of the vendor's own."""
    return Work(
        task_id=new_id("task"),
        resource=on,
        kind=JobKind.SAMPLE if native is None else JobKind.RUN,
        circuits=[program],
        pubs=[Pub(shots=SHOTS)],
        options=Options(),
        native=native,
    )


def through(provider: RemoteProvider, work: Work) -> None:
    """A work by way of a provider: started, polled until it has ended, its result fetched."""
    order = Order(key=new_id("exec"), resource=work.resource, works=[work])
    (started,) = provider.start([order])
    if not isinstance(started, str):
        raise started
    while (state := provider.poll([started])[started].state) not in FINAL_EXECUTION_STATES:
        time.sleep(PAUSE_S)
    if state is not ExecutionState.COMPLETED:
        raise RuntimeError(f"the job has {state}")
    (outcome,) = provider.result(started, lambda: [work])
    if outcome.error is not None:
        raise outcome.error
