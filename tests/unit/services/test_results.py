"""Results of many jobs are read a bounded number of bytes at a time."""

from dataclasses import replace

import pytest

from quanopy.domain.jobs import Extent
from quanopy.services.results import Wanted, in_batches
from quanopy.testing.catalogue import job


def wanted(*lengths: int | None) -> Wanted:
    """A job whose tasks have results of so many bytes."""
    made, (task,) = job()
    results = [None if one is None else Extent(key="k", offset=0, length=one) for one in lengths]
    return Wanted(job=made, tasks=[replace(task, result=one) for one in results])


@pytest.mark.parametrize(
    ("sizes", "batches"),
    [
        ([], []),
        ([[4], [3], [3], [1]], [3, 1]),
        ([[11], [1], [11]], [1, 1, 1]),
        ([[5, 5], [None], [1]], [2, 1]),
    ],
)
def test_as_many_as_fit_are_read_together(
    sizes: list[list[int | None]], batches: list[int]
) -> None:
    given = [wanted(*one) for one in sizes]
    found = list(in_batches(given, most=10))
    assert [len(one) for one in found] == batches
    assert [one for some in found for one in some] == given
