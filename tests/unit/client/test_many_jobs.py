"""Many jobs at once: how they are asked for in requests of a bounded size, and in order."""

import json
from typing import Any

import pytest

from quanopy.client import Client
from quanopy.client.bulk import AT_ONCE
from quanopy.domain import errors
from quanopy.domain.ids import new_id
from tests.unit.client.stub import Stub, document


def told(id: str, state: str) -> dict[str, Any]:
    """A job, as the broker lists it."""
    return {
        "id": id,
        "kind": "sample",
        "resource": "aer",
        "state": state,
        "account": "ada",
        "created_at": "2026-01-01T00:00:00Z",
    }


def test_more_ids_than_one_request_takes_are_asked_for_in_several() -> None:
    ids = [new_id("job") for _ in range(AT_ONCE + 1)]
    answers = [document({"jobs": [told(one, "queued")]}) for one in (ids[0], ids[-1])]
    with Stub(*answers) as stub, Client(stub.url) as client:
        assert [job.id for job in client.states(ids)] == [ids[0], ids[-1]]
    assert [json.loads(seen.body)["ids"] for seen in stub.seen] == [ids[:-1], ids[-1:]]


@pytest.mark.usefixtures("breathless")
def test_jobs_come_as_they_end_and_each_once() -> None:
    first, second = new_id("job"), new_id("job")
    answers = [
        document({"jobs": [told(first, "running"), told(second, "failed")]}),
        document({"jobs": [told(first, "completed")]}),
    ]
    with Stub(*answers) as stub, Client(stub.url) as client:
        assert [job.id for job in client.as_completed([first, second])] == [second, first]
    assert json.loads(stub.seen[-1].body)["ids"] == [first]


def test_a_job_that_does_not_end_in_time_is_said_to_be_late() -> None:
    late = new_id("job")
    with (
        Stub(document({"jobs": [told(late, "queued")]})) as stub,
        Client(stub.url) as client,
        pytest.raises(errors.NotReady, match="1 jobs have not ended"),
    ):
        next(client.as_completed([late], timeout=0.0))


def test_a_listing_asks_for_no_more_than_is_wanted_and_page_by_page() -> None:
    ids = [new_id("job") for _ in range(120)]
    answers = [
        document({"jobs": [told(one, "queued") for one in ids[:100]], "next": "on"}),
        document({"jobs": [told(one, "queued") for one in ids[100:]], "next": "further"}),
    ]
    with Stub(*answers) as stub, Client(stub.url) as client:
        assert [job.id for job in client.listing(limit=120)] == ids
    assert "limit=100" in stub.seen[0].path
    assert "limit=20&cursor=on" in stub.seen[1].path


def test_a_filter_that_there_is_not_is_named() -> None:
    with (
        Stub(document({"jobs": []})) as stub,
        Client(stub.url) as client,
        pytest.raises(errors.Invalid, match="there is no filter colour"),
    ):
        next(client.listing(colour="red"))
