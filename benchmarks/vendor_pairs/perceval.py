"""Quandela's cloud, with Perceval."""

import contextlib
import time
from collections.abc import Iterator

from benchmarks.vendor_pairs.pair import PAUSE_S, SHOTS, Pair, opened, through, work_of
from quanopy.domain.programs import PERCEVAL
from quanopy.testing.vendors.perceval import SIMULATOR, PercevalVendor


@contextlib.contextmanager
def perceval() -> Iterator[Pair]:
    """Two photons on a beam splitter, with a remote processor's sampler."""
    from perceval import BS, BasicState, Experiment, RemoteProcessor
    from perceval.algorithm import Sampler
    from perceval.runtime.legacy import RemoteJob
    from perceval.serialization import serialize

    from quanopy.providers.perceval import create

    # It would look at a job once a second.
    RemoteJob.STATUS_REFRESH_DELAY = PAUSE_S / 2
    experiment = Experiment(BS(), name="hom")
    experiment.with_input(BasicState([1, 1]))
    experiment.min_detected_photons_filter(2)
    with PercevalVendor() as vendor, opened(create, vendor, where="perceval") as provider:
        processor = RemoteProcessor(SIMULATOR, token=vendor.secret, url=vendor.url)
        processor.set_circuit(BS())
        processor.with_input(BasicState([1, 1]))
        processor.min_detected_photons_filter(2)
        work = work_of(str(serialize(experiment)).encode(), on="sim-loopback", native=PERCEVAL)

        def theirs() -> None:
            sampler = Sampler(processor, max_shots_per_call=SHOTS)
            job = sampler.sample_count.execute_async(SHOTS)
            while not job.is_complete:
                time.sleep(PAUSE_S)
            job.get_results()

        yield Pair(theirs=theirs, ours=lambda: through(provider, work))
