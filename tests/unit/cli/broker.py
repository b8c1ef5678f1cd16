"""A broker of one job, by its routes alone: enough to see what commands ask and show."""

import json
import re
from dataclasses import dataclass, field
from threading import Event
from typing import Any
from urllib.parse import parse_qs, urlsplit

from quanopy.domain.errors import NotFound, NotReady, TaskFailed
from quanopy.domain.ids import new_id
from tests.unit.client.stub import Answer, Seen, document, problem


@dataclass
class OneJob:
    """Answers requests about one job in a state that a test sets: of an estimate, if it has
    ``observables``."""

    state: str = "completed"
    observables: list[dict[str, float]] = field(default_factory=list)
    listed: int = 1
    """How often it is listed: not at all where it is gone."""
    read: bool = True
    """Whether the record has the programs as they were read."""
    id: str = field(default_factory=lambda: new_id("job"))
    submitted: list[dict[str, Any]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    """Ids whose end was asked for together."""
    asked: list[dict[str, list[str]]] = field(default_factory=list)
    """What lists were asked for."""
    group: str | None = None
    waits: list[dict[str, Any]] = field(default_factory=list)
    cancelled: Event = field(default_factory=Event)
    waited_for: Event = field(default_factory=Event)

    def __call__(self, seen: Seen) -> Answer:
        """The answer to a request."""
        path = urlsplit(seen.path).path.removeprefix("/v1")
        if path == "/jobs" and seen.method == "POST":
            self.submitted.append(json.loads(seen.body))
            return document(self.job(), 201)
        if path == "/jobs/batch":
            self.submitted += json.loads(seen.body)["jobs"]
            return document({"jobs": [self.job()] * len(self.submitted)}, 201)
        if path == "/jobs/cancel":
            self.ended += json.loads(seen.body)["ids"]
        if path == "/jobs":
            self.asked.append(parse_qs(urlsplit(seen.path).query))
        if path in ("/jobs", "/jobs/wait", "/jobs/cancel"):
            return document({"jobs": [self.job()] * self.listed})
        if path == f"/jobs/{self.id}/cancel":
            self.cancelled.set()
            return document(self.job())
        if path == f"/jobs/{self.id}/result":
            return self._result()
        if path == f"/jobs/{self.id}/programs":
            return self._programs()
        if re.fullmatch(r"/jobs/job_\w+", path):
            return document(self.job()) if path.endswith(self.id) else problem(NotFound("no job"))
        return problem(NotFound(f"no {path}"))

    def job(self) -> dict[str, Any]:
        """The job as it is shown."""
        return {
            "id": self.id,
            "kind": "sample",
            "resource": "aer",
            "state": self.state,
            "account": "ada",
            "created_at": "2026-01-01T00:00:00Z",
            "name": "[red]bell[/]",
            "group": self.group,
            "waits": self.waits,
        }

    def _result(self) -> Answer:
        self.waited_for.set()
        if self.state == "failed":
            return problem(TaskFailed("the emulator ran out of memory"))
        if self.state != "completed":
            return problem(NotReady("not yet"))
        counts = {"0x0": 60, "0x3": 40}
        registers = [{"name": "c", "bits": 2}]
        pub: dict[str, Any] = {"shape": [], "shots": 100, "registers": registers}
        pub["counts"] = [counts]
        if self.observables:
            count = len(self.observables)
            pub = {"shape": [count], "evs": [0.25] * count, "stds": [0.0] * count, "precision": 0}
        return document(
            {
                "job_id": self.id,
                "kind": "estimate" if self.observables else "sample",
                "resource": "aer",
                "state": "completed",
                "pubs": [pub],
                "missing": [],
            }
        )

    def _programs(self) -> Answer:
        program = {"format": "openqasm3", "digest": "d", "qpy": "UUlTS0lU" if self.read else None}
        return document(
            {
                "job_id": self.id,
                "programs": [program],
                "pubs": [{"observables": self.observables}],
                "options": {},
            }
        )
