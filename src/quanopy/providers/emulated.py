"""In a child process: what vendors' own emulators have in common, one work after another."""

import hashlib
import time
import warnings
from collections.abc import Callable

from quanopy.codecs.results import PubResult, encode_result
from quanopy.domain.errors import QuanopyError, ResourceMismatch, TaskFailed
from quanopy.ports.providers import Outcome, Work


def outcome(work: Work, run: Callable[[], list[PubResult]]) -> Outcome:
    """What a work comes to; whatever a simulator raises is its own work's."""
    began = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pubs = run()
    except QuanopyError as error:
        return Outcome(error=error)
    except MemoryError:
        return Outcome(error=ResourceMismatch("the emulation ran out of memory"))
    except Exception as error:  # noqa: BLE001 - a simulator raises what it likes
        reason = f"the emulation failed: {type(error).__name__}: {error}"
        return Outcome(error=TaskFailed(" ".join(reason.split())[:500]))
    shots = float(sum(pub.get("shots", 0) * max(1, len(pub.get("counts", ()))) for pub in pubs))
    usage = {"seconds": time.perf_counter() - began, "shots": shots}
    return Outcome(result=encode_result(pubs), usage=usage)


def seed_of(work: Work, pub: int, run: int) -> int | None:
    """A seed from the job's own indices: the same however the job is split."""
    if work.options.seed is None:
        return None
    name = f"{work.options.seed}/{pub}/{run}/{work.shots_from}".encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:4], "big")
