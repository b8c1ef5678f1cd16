"""What failed of a group, as new jobs: few requests, however many, and none too large."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

from quanopy.client import Client
from quanopy.client.groups import Group
from quanopy.domain.errors import QuanopyError
from quanopy.domain.ids import new_id
from tests.unit.client.stub import Answer, Seen, Stub, document

AT = "2026-03-01T12:00:00Z"
MIB = 1024 * 1024


@dataclass
class Failed:
    """A broker of a group whose jobs have all failed, which tells of at most so many at once."""

    count: int
    text: str = "OPENQASM 3.0;"
    most: int = 10_000
    after: dict[int, list[int]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    added: list[list[dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ids = [new_id("job") for _ in range(self.count)]

    def __call__(self, seen: Seen) -> Answer:
        path = urlsplit(seen.path).path.removeprefix("/v1")
        self.asked[f"{seen.method} {path.split('group_')[0]}"] += 1
        body = json.loads(seen.body) if seen.body else {}
        if path == "/jobs/programs":
            return document({"jobs": [self.submitted(one) for one in body["ids"][: self.most]]})
        if seen.method == "POST":
            self.added.append(body["jobs"])
            return document({"jobs": [self.job(new_id("job")) for _ in body["jobs"]]}, 201)
        return document({"jobs": [self.job(one) for one in self.ids], "next": None})

    def job(self, id: str) -> dict[str, Any]:
        shown = {"kind": "sample", "resource": "aer", "state": "failed", "account": "ada"}
        return {**shown, "id": id, "created_at": AT}

    def submitted(self, id: str) -> dict[str, Any]:
        after = [self.ids[one] for one in self.after.get(self.ids.index(id), [])]
        program = {"format": "openqasm3", "digest": "sha256:0", "text": self.text}
        options: dict[str, Any] = {"shots": 1}
        return {"job_id": id, "programs": [program], "options": options, "after": after}


@pytest.fixture
def failed(request: pytest.FixtureRequest) -> Iterator[tuple[Failed, Group]]:
    broker = Failed(**request.param)
    with Stub(broker) as stub, Client(stub.url, "t") as client:
        yield broker, Group(client._http, new_id("group"), resource="aer")


@pytest.mark.parametrize("failed", [{"count": 1000}], indirect=True)
def test_a_thousand_take_three_requests(failed: tuple[Failed, Group]) -> None:
    broker, group = failed
    told: list[tuple[int, int]] = []
    again = group.rerun_failed(
        replace=False, on_progress=lambda done, total: told.append((done, total))
    )
    assert len(again) == 1000
    assert sum(broker.asked.values()) == 3, broker.asked
    assert (told[0], told[-1]) == ((1, 1000), (1000, 1000))


@pytest.mark.parametrize("failed", [{"count": 10, "most": 4, "text": "x" * 3 * MIB}], indirect=True)
def test_large_ones_come_and_go_few_at_a_time(failed: tuple[Failed, Group]) -> None:
    broker, group = failed
    assert len(group.rerun_failed(replace=False)) == 10
    assert broker.asked["POST /jobs/programs"] == 3
    assert [len(lot) for lot in broker.added] == [2] * 5
    assert all(job["programs"][0]["text"] == broker.text for lot in broker.added for job in lot)


@pytest.mark.parametrize("failed", [{"count": 3, "after": {2: [0]}}], indirect=True)
def test_what_another_comes_after_is_there_first(failed: tuple[Failed, Group]) -> None:
    broker, group = failed
    again = group.rerun_failed(replace=False)
    assert [[one.get("after", []) for one in lot] for lot in broker.added] == [
        [[], []],
        [[again[0].id]],
    ]


@pytest.mark.parametrize("failed", [{"count": 2, "most": 0}], indirect=True)
def test_a_broker_that_tells_of_nothing_is_not_asked_for_ever(
    failed: tuple[Failed, Group],
) -> None:
    broker, group = failed
    with pytest.raises(QuanopyError, match="other jobs"):
        group.rerun_failed(replace=False)
    assert broker.added == []
