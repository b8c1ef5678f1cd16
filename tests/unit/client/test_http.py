"""What the client does when the way to the broker, or the broker, fails."""

import contextlib
import json
import math
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quanopy.client import Client
from quanopy.client.http import FIRST_PATIENCE_S, PATIENCE_S, Http
from quanopy.client.settings import STARTING_S, Settings
from quanopy.domain import errors
from quanopy.domain.ids import new_id
from quanopy.domain.programs import OPENQASM3, Program
from quanopy.wire.problems import TABLE, Kind
from quanopy.wire.service import ResourcesOut
from tests.unit.client.passing import Time
from tests.unit.client.stub import LOST, Answer, Stub, document, problem

JOB = {
    "id": new_id("job"),
    "kind": "sample",
    "resource": "aer",
    "state": "queued",
    "account": "ada",
    "created_at": "2026-01-01T00:00:00Z",
}
BELL = Program(format=OPENQASM3, data=b"OPENQASM 3.0; qubit q;")
RESOURCES = document({"resources": []})


@contextlib.contextmanager
def reached(url: str, time: Time) -> Iterator[Http]:
    """The way to a broker, in that time."""
    http = Http(Settings(url=url, token="t"), time.pause, time.now)
    try:
        yield http
    finally:
        http.close()


@pytest.fixture
def url() -> Iterator[str]:
    """Where nobody listens, and nobody else can."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: kind.slug)
def test_what_the_broker_says_is_raised_as_its_class(kind: Kind) -> None:
    cls = kind.error
    error = cls("no good", where="here", hint="Do that.")
    with (
        Stub(problem(error)) as stub,
        Client(stub.url, "t") as client,
        pytest.raises(cls) as caught,
    ):
        client.job(new_id("job")).retry()
    assert type(caught.value) is cls
    assert (caught.value.message, caught.value.where, caught.value.hint) == (
        *("no good", "here", "Do that."),
    )


@pytest.mark.parametrize(
    ("status", "cls"), [(401, errors.Denied), (404, errors.NotFound), (500, errors.QuanopyError)]
)
def test_a_proxy_in_between_is_understood_by_its_status(
    status: int, cls: type[errors.QuanopyError]
) -> None:
    with (
        Stub(Answer(status, b"<html>")) as stub,
        Client(stub.url, "t") as client,
        pytest.raises(cls, match=str(status)),
    ):
        client.resources()


def test_an_answer_that_is_no_brokers_is_an_error() -> None:
    with (
        Stub(Answer(200, b"<html>")) as stub,
        Client(stub.url, "t") as client,
        pytest.raises(errors.QuanopyError, match="as no Quanopy broker"),
    ):
        client.resources()


def test_nobody_there_is_said_soon_and_with_what_to_do(url: str) -> None:
    time = Time()
    with reached(url, time) as http, pytest.raises(errors.Unavailable, match="quanopy serve"):
        http.get(ResourcesOut, "/resources")
    assert time.waited_for(STARTING_S)


@pytest.mark.parametrize(
    "answer", [LOST, Answer(503, b"<html>", {"Content-Type": "text/html"})], ids=["cut", "proxy"]
)
def test_what_never_answers_as_a_broker_is_given_up_sooner(answer: Answer) -> None:
    time = Time()
    with Stub(answer) as stub, reached(stub.url, time) as http:
        with pytest.raises(errors.Unavailable):
            http.get(ResourcesOut, "/resources")
        assert len(stub.seen) == len(time.pauses) + 1
    assert time.waited_for(FIRST_PATIENCE_S)


def test_a_broker_that_has_answered_before_is_waited_for_longer() -> None:
    time = Time()
    with Stub(RESOURCES, LOST) as stub, reached(stub.url, time) as http:
        assert http.get(ResourcesOut, "/resources").resources == []
        with pytest.raises(errors.Unavailable):
            http.get(ResourcesOut, "/resources")
    assert time.waited_for(PATIENCE_S)


def test_a_broker_that_is_only_starting_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with contextlib.ExitStack() as started:

        class Starting(Time):
            def pause(self, seconds: float) -> None:
                super().pause(seconds)
                if self.now() > 1.2 * FIRST_PATIENCE_S and not path.exists():
                    started.enter_context(Stub(RESOURCES, socket_path=path))

        with reached(f"unix://{path}", Starting()) as http:
            assert http.get(ResourcesOut, "/resources").resources == []
    assert path.exists()


def test_a_broker_that_says_it_is_away_is_waited_for_though_it_is_new() -> None:
    away = problem(errors.Unavailable("it starts"), **{"Retry-After": "2"})
    time = Time()
    with Stub(away, away, RESOURCES) as stub, reached(stub.url, time) as http:
        assert http.get(ResourcesOut, "/resources").resources == []
    assert time.pauses == [2.0, 2.0]


def test_a_lost_answer_to_a_submission_is_asked_for_again_with_the_same_key() -> None:
    with Stub(RESOURCES, LOST, document(JOB, 201)) as stub, Client(stub.url, "t") as client:
        client.resources()
        job = client.submit(BELL)
    assert job.id == JOB["id"]
    _, first, again = stub.seen
    assert first.headers["Idempotency-Key"] == again.headers["Idempotency-Key"]
    assert first.body == again.body


def test_two_submissions_have_two_keys() -> None:
    with Stub(document(JOB, 201)) as stub, Client(stub.url, "t") as client:
        client.submit(BELL)
        client.submit(BELL)
    assert stub.seen[0].headers["Idempotency-Key"] != stub.seen[1].headers["Idempotency-Key"]


def test_a_lost_answer_to_what_cannot_be_repeated_is_an_unknown_outcome() -> None:
    with (
        Stub(LOST) as stub,
        Client(stub.url, "t") as client,
        pytest.raises(errors.OutcomeUnknown),
    ):
        client.job(new_id("job")).retry()
    assert len(stub.seen) == 1


def test_a_busy_broker_is_asked_again_after_the_time_it_names() -> None:
    busy = problem(errors.Transient("busy"), **{"Retry-After": "1"})
    time = Time()
    with Stub(busy, RESOURCES) as stub, reached(stub.url, time) as http:
        assert http.get(ResourcesOut, "/resources").resources == []
    assert time.pauses == [1.0]


def test_a_proxy_may_name_that_time_as_a_date() -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=19), usegmt=True)
    away = Answer(503, b"<h1>later</h1>", {"Retry-After": at})
    time = Time()
    with Stub(RESOURCES, away, RESOURCES) as stub, reached(stub.url, time) as http:
        http.get(ResourcesOut, "/resources")
        assert http.get(ResourcesOut, "/resources").resources == []
    assert 5 < time.pauses[0] <= 19


def test_token_and_lease_go_with_every_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANOPY_LEASE", "lease_1")
    with Stub(RESOURCES) as stub, Client(stub.url, "secret") as client:
        client.resources()
    assert stub.seen[0].headers["Authorization"] == "Bearer secret"
    assert stub.seen[0].headers["Quanopy-Lease"] == "lease_1"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (np.array([[0.5]]), [[0.5]]),
        ({"x": np.float64(2.0)}, {"x": 2.0}),
        ([math.nan, math.inf], [math.nan, math.inf]),
    ],
)
def test_numbers_are_sent_as_they_are(given: Any, sent: Any) -> None:
    with Stub(document(JOB, 201)) as stub, Client(stub.url, "t") as client:
        client.sample((BELL, given))
    (pub,) = json.loads(stub.seen[0].body)["pubs"]
    assert str(pub["parameters"]) == str(sent)


def test_what_json_cannot_hold_is_invalid_and_not_sent() -> None:
    with Stub(document(JOB, 201)) as stub, Client(stub.url, "t") as client:
        with pytest.raises(errors.Invalid, match="JSON"):
            client.sample((BELL, [object()]))
        assert stub.seen == []


def test_a_state_that_there_is_not_is_invalid_and_not_sent() -> None:
    with Stub(RESOURCES) as stub, Client(stub.url, "t") as client:
        for ask in (
            lambda: client.set_resource_state("aer", "gone"),
            lambda: client.job(str(JOB["id"])).wait(states=["gone"]),
        ):
            with pytest.raises(errors.Invalid, match=r"no state 'gone'.*Known: "):
                ask()
        with pytest.raises(errors.Invalid, match=r"no way 'gone'.*Known: "):
            client.settle("exec_1", "gone", "looked it up")
        with pytest.raises(errors.Invalid, match="at most 500"):
            client.set_resource_state("aer", "offline", "x" * 501)
        assert stub.seen == []


@pytest.mark.usefixtures("impatient")
def test_what_cannot_be_repeated_and_never_left_has_a_known_outcome(url: str) -> None:
    with Client(url, "t") as client, pytest.raises(errors.Unavailable, match="refused"):
        client.job(new_id("job")).retry()


@pytest.mark.parametrize(
    "address", ["ftp://x", "nonsense", "http://", "http://h:port", "http://[::1", "http://a..b"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(errors.Invalid, match="address"):
        Client(address, "t")


def test_certificates_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANOPY_CA", "/nowhere/ca.pem")
    with pytest.raises(errors.Invalid, match=r"ca\.pem"):
        Client("https://broker.example", "t")


def test_threads_share_a_client() -> None:
    with Stub(RESOURCES) as stub, Client(stub.url, "t") as client:
        threads = [threading.Thread(target=client.resources) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(stub.seen) == 16


@pytest.mark.usefixtures("breathless")
def test_waiting_goes_on_until_the_result_is_there() -> None:
    result = {
        "job_id": JOB["id"],
        "kind": "sample",
        "resource": "aer",
        "state": "completed",
        "pubs": [],
    }
    early = problem(errors.NotReady("not yet"))
    with Stub(early, early, document(result)) as stub, Client(stub.url, "t") as client:
        assert len(client.job(str(JOB["id"])).result(timeout=3600)) == 0
    assert next(seen.path.partition("?")[2] for seen in stub.seen) == "wait=30.0"


def test_waiting_ends_with_the_callers_time() -> None:
    with Stub(problem(errors.NotReady("not yet"))) as stub, Client(stub.url, "t") as client:
        with pytest.raises(errors.NotReady, match=r"after 0\.3 s"):
            client.job(str(JOB["id"])).result(timeout=0.3)
        assert len(stub.seen) < 8
