"""What every local provider must do. Subclass it beside a fixture named ``bench``::

class TestMine(LocalProviderContract):
    pass
"""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import pytest

from quanopy.codecs.results import PubResult, decode_result
from quanopy.domain.errors import NotFound, QuanopyError, TaskFailed
from quanopy.domain.jobs import JobKind, Options
from quanopy.ports.providers import LocalProvider, Outcome, Work


class LocalBench(Protocol):
    """A provider, and works for one of its resources."""

    @property
    def provider(self) -> LocalProvider:
        """The provider under test."""

    def good(self, kind: JobKind) -> Work:
        """A quick work of one or more pubs, with shots and precision set."""

    def bad(self) -> Work:
        """A work that cannot be run."""

    def endless(self) -> Work:
        """A work that runs for minutes, and says so in its estimate."""


def pubs_of(outcome: Outcome) -> Sequence[PubResult]:
    """A result's pubs; raises what the work failed of."""
    if outcome.error is not None:
        raise outcome.error
    assert outcome.result is not None
    return decode_result(outcome.result)


class LocalProviderContract:
    """The cases; each takes the ``bench``."""

    def test_resources_are_the_same_each_time_and_named_once(self, bench: LocalBench) -> None:
        first, second = bench.provider.resources(), bench.provider.resources()
        names = [resource.name for resource in first]
        assert names == [resource.name for resource in second]
        assert len(set(names)) == len(names)
        assert {resource.provider for resource in first} == {bench.provider.name}

    def test_the_digest_of_a_target_is_stable(self, bench: LocalBench) -> None:
        resource = bench.good(JobKind.SAMPLE).resource
        digests = {bench.provider.target(resource).digest for _ in range(2)}
        assert len(digests) == 1

    def test_the_target_of_an_unknown_resource_is_not_found(self, bench: LocalBench) -> None:
        with pytest.raises(NotFound):
            bench.provider.target("no-such-resource")

    def test_counts_sum_to_shots(self, bench: LocalBench) -> None:
        work = bench.good(JobKind.SAMPLE)
        [outcome] = bench.provider.start([work]).wait()
        for pub, result in zip(work.pubs, pubs_of(outcome), strict=True):
            assert result["shots"] == pub.shots
            assert all(sum(counts.values()) == pub.shots for counts in result["counts"])

    def test_estimates_have_a_value_and_an_error_each(self, bench: LocalBench) -> None:
        work = bench.good(JobKind.ESTIMATE)
        [outcome] = bench.provider.start([work]).wait()
        for result in pubs_of(outcome):
            assert len(result["evs"]) == len(result["stds"]) > 0

    def test_usage_is_reported(self, bench: LocalBench) -> None:
        [outcome] = bench.provider.start([bench.good(JobKind.SAMPLE)]).wait()
        assert outcome.usage["seconds"] > 0
        assert outcome.usage["shots"] > 0

    def test_a_bad_work_fails_alone(self, bench: LocalBench) -> None:
        works = [bench.good(JobKind.SAMPLE), bench.bad(), bench.good(JobKind.ESTIMATE)]
        first, bad, last = bench.provider.start(works).wait()
        assert isinstance(bad.error, QuanopyError)
        assert bad.result is None
        assert pubs_of(first)
        assert pubs_of(last)

    def test_a_seeded_work_gives_the_same_alone_and_in_company(self, bench: LocalBench) -> None:
        work = replace(bench.good(JobKind.SAMPLE), options=Options(seed=7))
        others = [bench.good(JobKind.SAMPLE) for _ in range(3)]
        [alone] = bench.provider.start([work]).wait()
        shared = bench.provider.start([*others, work]).wait()[-1]
        assert pubs_of(alone) == pubs_of(shared)

    def test_a_seeded_work_gives_the_same_when_it_is_split(self, bench: LocalBench) -> None:
        one = bench.good(JobKind.SAMPLE)
        work = replace(one, pubs=[*one.pubs, *one.pubs], options=Options(seed=7))
        parts = [replace(work, pubs=[pub], first_pub=index) for index, pub in enumerate(work.pubs)]
        [whole] = bench.provider.start([work]).wait()
        split = bench.provider.start(parts).wait()
        assert pubs_of(whole) == [pub for part in split for pub in pubs_of(part)]

    def test_shots_that_follow_others_have_a_seed_of_their_own(self, bench: LocalBench) -> None:
        work = replace(bench.good(JobKind.SAMPLE), options=Options(seed=7, memory=True))
        later = replace(work, shots_from=work.pubs[0].shots or 0)
        first, second = bench.provider.start([work, later]).wait()
        assert pubs_of(first)[0]["memory"] != pubs_of(second)[0]["memory"]

    def test_memory_holds_each_shot(self, bench: LocalBench) -> None:
        work = replace(bench.good(JobKind.SAMPLE), options=Options(memory=True))
        [outcome] = bench.provider.start([work]).wait()
        for result in pubs_of(outcome):
            assert [dict(Counter(shots)) for shots in result["memory"]] == result["counts"]

    def test_cancelling_ends_a_long_work_and_no_other(self, bench: LocalBench) -> None:
        works = [bench.good(JobKind.SAMPLE), bench.endless()]
        running = bench.provider.start(works)
        timer = threading.Timer(0.5, running.cancel, [[works[1].task_id]])
        timer.start()
        good, cancelled = running.wait()
        assert isinstance(cancelled.error, TaskFailed)
        assert pubs_of(good)

    def test_batches_may_run_from_several_threads(self, bench: LocalBench) -> None:
        results: list[Sequence[PubResult]] = []

        def run() -> None:
            [outcome] = bench.provider.start([bench.good(JobKind.SAMPLE)]).wait()
            results.append(pubs_of(outcome))

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(results) == 4
