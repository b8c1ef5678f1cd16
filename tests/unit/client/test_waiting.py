"""Waiting, as it is written in a hurry: what is meant is done, what cannot be meant is said."""

import json
import math
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from quanopy.client import Client
from quanopy.client.groups import Group
from quanopy.domain.errors import Forbidden, Invalid, NotReady
from quanopy.domain.ids import new_id
from quanopy.domain.states import JobState
from tests.unit.client.stub import Answer, Seen, Stub, document, problem

AT = "2026-01-01T00:00:00Z"


def answer(seen: Seen) -> Answer:
    """A job, a group or jobs that run, and will for a long time."""
    path = urlsplit(seen.path).path.removeprefix("/v1")
    shown = {"account": "ada", "state": "running", "created_at": AT}
    job = {**shown, "kind": "sample", "resource": "aer"}
    if path.startswith("/groups/"):
        return document({**shown, "id": path.rsplit("/", 1)[1], "name": "scan"})
    if path.startswith("/jobs/job_"):
        return document({**job, "id": path.rsplit("/", 1)[1]})
    if path.startswith("/jobs"):
        return document({"jobs": [{**job, "id": one} for one in json.loads(seen.body)["ids"]]})
    return problem(Forbidden("not here"))


@pytest.fixture
def stub() -> Iterator[Stub]:
    with Stub(answer) as stub:
        yield stub


@pytest.fixture
def client(stub: Stub) -> Iterator[Client]:
    with Client(stub.url, "t") as client:
        yield client


def group_of(client: Client) -> Group:
    return client.find_group(new_id("group"))


def until(stub: Stub) -> list[str]:
    """States that the last request asked for."""
    return parse_qs(urlsplit(stub.seen[-1].path).query).get("until", [])


def test_a_number_is_how_long_a_job_is_waited_for(client: Client) -> None:
    job = client.job(new_id("job"))
    with pytest.raises(NotReady, match=r"after 0\.01 s") as raised:
        job.wait(0.01)
    assert f"`quanopy status {job.id}`" in (raised.value.hint or "")


def test_states_are_named_one_or_many(client: Client, stub: Stub) -> None:
    job = client.job(new_id("job"))
    assert job.wait(5, states="running") is JobState.RUNNING
    assert job.wait(states=[JobState.RUNNING, "failed"], timeout=5) is JobState.RUNNING
    assert until(stub) == ["failed", "running"]
    assert group_of(client).wait(5, states="running").state == "running"
    assert until(stub) == ["running"]


@pytest.mark.parametrize("states", ["runing", ["running", "x"], 5, [None]])
def test_a_state_that_there_is_not_comes_with_those_there_are(client: Client, states: Any) -> None:
    waits: tuple[Callable[..., object], ...] = (
        client.job(new_id("job")).wait,
        group_of(client).wait,
    )
    for wait in waits:
        with pytest.raises(Invalid, match="there is no state") as raised:
            wait(1, states=states)
        assert "running" in (raised.value.hint or "")


@pytest.mark.parametrize("timeout", ["running", ["running"], True, "2h", math.nan])
def test_what_is_no_number_of_seconds_is_said(client: Client, timeout: Any) -> None:
    job, group = client.job(new_id("job")), group_of(client)
    waits: tuple[Callable[[], object], ...] = (
        lambda: job.wait(timeout),
        lambda: job.result(timeout),
        lambda: job.npz(timeout),
        lambda: group.wait(timeout),
        lambda: group.watch(timeout),
        lambda: group.results(timeout),
        lambda: client.results([job], timeout),
        lambda: list(client.as_completed([job], timeout)),
        lambda: client.replay(job, timeout=timeout),
        lambda: client.adopt("ibm", "x", timeout=timeout),
        lambda: client.webhooks.test(new_id("hook"), timeout),
    )
    for wait in waits:
        with pytest.raises(Invalid, match="is no number of seconds") as raised:
            wait()
        assert raised.value.where == "timeout"


@pytest.mark.parametrize("jobs", [5, None, [None], [5], b"job", object()])
def test_what_is_no_job_is_said(client: Client, jobs: Any) -> None:
    for ask in (client.states, client.details, client.cancel, client.segments):
        with pytest.raises(Invalid, match="is no job's id"):
            ask(jobs)
    with pytest.raises(Invalid, match="is no job's id"):
        client.job(jobs)


@pytest.mark.parametrize("name", ["\udcff", 5, None])
def test_what_is_no_name_is_asked_for_nowhere(client: Client, stub: Stub, name: Any) -> None:
    asks: tuple[Callable[[Any], object], ...] = (
        client.resource,
        client.calibration_of,
        client.remove_resource,
        client.revoke_token,
        client.webhooks.get,
        lambda name: client.settle(name, "look", "looked it up"),
    )
    for ask in asks:
        with pytest.raises(Invalid, match="is no name"):
            ask(name)
    assert stub.seen == []


def test_a_filter_that_cannot_be_sent_is_named(client: Client, stub: Stub) -> None:
    with pytest.raises(Invalid, match="cannot be sent") as raised:
        next(client.listing(tag="ok", name="\udcff"))
    assert raised.value.where == "name"
    with pytest.raises(Invalid, match="cannot be sent"):
        client.find_group("\udcff")
    assert stub.seen == []


def test_a_group_is_not_changed_into_itself(client: Client) -> None:
    with pytest.raises(Invalid, match="nothing to change"):
        group_of(client).change()


def test_one_name_is_not_taken_for_its_letters(client: Client, stub: Stub) -> None:
    asks: tuple[Callable[[], object], ...] = (
        lambda: client.open_resource("aer", "ada"),
        lambda: client.webhooks.add("https://lab.example/", kinds="job.completed"),
        lambda: client.match(formats="qpy"),
        lambda: client.calibrations("aer", metrics="T1"),
    )
    wanted = ('"accounts":["ada"]', '"kinds":["job.completed"]', '"formats":["qpy"]', "metric=T1")
    for ask, said in zip(asks, wanted, strict=True):
        with pytest.raises(Forbidden):
            ask()
        assert said in stub.seen[-1].body.decode() + stub.seen[-1].path


@pytest.mark.parametrize("limit", ["5", 1.5, True])
def test_a_limit_is_a_number_of_jobs(client: Client, limit: Any) -> None:
    with pytest.raises(Invalid, match="is no number of jobs"):
        next(client.listing(limit=limit))
