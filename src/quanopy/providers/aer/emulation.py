"""In a child process: a batch of works emulated together, each with an outcome of its own."""

import time
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from quanopy.codecs.results import encode_result
from quanopy.domain.errors import QuanopyError, ResourceMismatch, TaskFailed
from quanopy.domain.jobs import JobKind
from quanopy.ports.providers import Outcome, Work
from quanopy.providers.aer.emulator import Emulator
from quanopy.providers.aer.engine import simulator
from quanopy.providers.aer.estimating import estimate
from quanopy.providers.aer.items import Item, items_of, results_of
from quanopy.providers.aer.sampling import sample

T = TypeVar("T")
P = ParamSpec("P")


def warm_up() -> None:
    """Load Aer and let it run once, before limits are set."""
    simulator(Emulator(method="automatic", device=None, threads=1, memory_bytes=2**30))


def emulate(emulator: Emulator, works: Sequence[Work]) -> list[Outcome]:
    """Run a batch. What fails together is tried again apart, so that one bad work fails alone."""
    began = time.perf_counter()
    prepared = [_guarded(items_of, i, work, emulator) for i, work in enumerate(works)]
    items = [item for one in prepared if not isinstance(one, QuanopyError) for item in one]
    failure = _guarded(_run, items, emulator)
    if isinstance(failure, QuanopyError):
        if len(works) > 1:
            return [emulate(emulator, [work])[0] for work in works]
        return [Outcome(error=failure)]
    seconds = time.perf_counter() - began
    results = results_of(items, len(works))
    evaluations = sum(item.sets for item in items) or 1
    return [
        Outcome(error=one)
        if isinstance(one, QuanopyError)
        else Outcome(
            result=encode_result(result),
            usage=_usage(one, seconds / evaluations),
        )
        for one, result in zip(prepared, results, strict=True)
    ]


def _run(items: Sequence[Item], emulator: Emulator) -> None:
    sample([item for item in items if item.work.kind is not JobKind.ESTIMATE], emulator)
    estimate([item for item in items if item.work.kind is JobKind.ESTIMATE], emulator)


def _usage(items: Sequence[Item], seconds: float) -> dict[str, float]:
    """A work's share of the run's time by its evaluations, and its shots."""
    return {
        "seconds": seconds * sum(item.sets for item in items),
        "shots": float(sum(item.sets * (item.pub.shots or 0) for item in items)),
    }


def _guarded(action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | QuanopyError:
    """What an action gives, or its error as one of ours."""
    try:
        return action(*args, **kwargs)
    except QuanopyError as error:
        return error
    except MemoryError:
        return ResourceMismatch(
            "the emulation ran out of memory", hint="Use fewer qubits or another method."
        )
    except Exception as error:  # noqa: BLE001 - Aer raises what it likes: this work's outcome
        return TaskFailed(f"the emulation failed: {type(error).__name__}: {error}"[:500])
