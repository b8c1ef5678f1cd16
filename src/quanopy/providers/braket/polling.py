"""States of many tasks in few requests.

Braket's search takes at most ten names of tasks, but any span of time, and answers a hundred tasks
a page. So tasks are asked for by the span they were created in, which pages hold them all if they
were created one after another; what is not met there is asked for by name, ten a request; and what
is not met there either, one by one: only that says for sure that there is none.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from quanopy.domain.errors import NotFound, Transient
from quanopy.domain.states import ExecutionState
from quanopy.ports.providers import Report
from quanopy.providers.braket.results import aware
from quanopy.providers.braket.service import Service

STATES = {
    "CREATED": ExecutionState.SUBMITTED,
    "QUEUED": ExecutionState.SUBMITTED,
    "RUNNING": ExecutionState.RUNNING,
    "CANCELLING": ExecutionState.RUNNING,
    "COMPLETED": ExecutionState.COMPLETED,
    "FAILED": ExecutionState.FAILED,
    "CANCELLED": ExecutionState.CANCELLED,
}
_PAGE = 100
_NAMES = 10
_REMEMBERED = 100_000
_ABOUT = timedelta(seconds=2)
"""How far the time of an answer may be from that at which a task was created."""


class Polling:
    """Asks for tasks, and remembers when each was created; safe for threads."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._created: OrderedDict[str, tuple[datetime, datetime]] = OrderedDict()

    def created(self, arn: str, answer: Mapping[str, Any]) -> None:
        """A task was created just now, by the clock of the answer."""
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        try:
            at = parsedate_to_datetime(headers.get("date", "")).astimezone(UTC)
        except (TypeError, ValueError):
            return
        self._remember(arn, at - _ABOUT, at + _ABOUT)

    def reports(self, ids: Sequence[str]) -> dict[str, Report]:
        """States by name of task; those that Braket does not know are left out."""
        wanted = {arn for arn in ids if arn.startswith("arn:")}
        rows: dict[str, Mapping[str, Any]] = {}
        if len(wanted) > _NAMES:
            rows |= self._in_span(wanted)
        missing = sorted(wanted - rows.keys())
        for start in range(0, len(missing), _NAMES):
            some = missing[start : start + _NAMES]
            rows |= self._matching(_equal("quantumTaskArn", some), some, pages=1)
        for arn in sorted(wanted - rows.keys()):
            try:
                rows[arn] = self._service.ask("get_quantum_task", quantumTaskArn=arn)
            except NotFound:
                continue
        return {arn: self._report(arn, row) for arn, row in rows.items()}

    def _in_span(self, wanted: set[str]) -> dict[str, Mapping[str, Any]]:
        with self._lock:
            spans = [self._created[arn] for arn in wanted if arn in self._created]
        if len(spans) <= _NAMES:
            return {}
        first, last = min(span[0] for span in spans), max(span[1] for span in spans)
        between = {
            "name": "createdAt",
            "operator": "BETWEEN",
            "values": [_text(first), _text(last)],
        }
        pages = 1 + 2 * len(wanted) // _PAGE
        return self._matching(between, wanted, pages=pages)

    def _matching(
        self, condition: Mapping[str, Any], wanted: Iterable[str], *, pages: int
    ) -> dict[str, Mapping[str, Any]]:
        """Rows of these tasks from so many pages of a search."""
        open_, rows = set(wanted), dict[str, Mapping[str, Any]]()
        token: dict[str, str] = {}
        for _ in range(pages):
            said = self._service.ask(
                "search_quantum_tasks", filters=[condition], maxResults=_PAGE, **token
            )
            found = said.get("quantumTasks")
            if not isinstance(found, list):
                raise Transient("braket answered what is no list of tasks")
            for row in found:
                arn = row.get("quantumTaskArn")
                if arn in open_:
                    rows[arn] = row
                    open_.discard(arn)
            if not open_ or not said.get("nextToken"):
                break
            token = {"nextToken": str(said["nextToken"])}
        return rows

    def _report(self, arn: str, row: Mapping[str, Any]) -> Report:
        at = aware(row.get("createdAt"))
        if at is not None:
            self._remember(arn, at, at)
        status = str(row.get("status"))
        state = STATES.get(status)
        detail = status
        if state is ExecutionState.FAILED:
            said = row if "failureReason" in row else self._asked(arn)
            detail = f"{status}: {said.get('failureReason', '')}"
        return Report(state=state, detail=detail[:500])

    def _asked(self, arn: str) -> Mapping[str, Any]:
        return self._service.ask("get_quantum_task", quantumTaskArn=arn)

    def _remember(self, arn: str, first: datetime, last: datetime) -> None:
        with self._lock:
            self._created[arn] = (first, last)
            self._created.move_to_end(arn)
            while len(self._created) > _REMEMBERED:
                self._created.popitem(last=False)


def _equal(name: str, values: Sequence[str]) -> dict[str, Any]:
    return {"name": name, "operator": "EQUAL", "values": list(values)}


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
