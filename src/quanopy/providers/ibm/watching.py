"""States of many jobs from few requests.

The service lists jobs by the page, the newest first, and by when they were created. Those that
are asked for together were mostly created together, so a list of that time has them all; the few
that it leaves out are asked for one by one.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from quanopy.domain.errors import NotFound
from quanopy.providers.ibm.documents import time_of
from quanopy.providers.ibm.service import PAGE, Service

TAG = "quanopy"
"""What every job of ours is tagged with."""
_FEW = 2
"""So many are asked for one by one at once."""
_REMEMBERED = 200_000
_MARGIN = timedelta(seconds=1)


class Watch:
    """Looks up jobs, and remembers when each was created by the vendor's clock."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._created: OrderedDict[str, datetime] = OrderedDict()

    def look(self, service: Service, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """The jobs of these ids, as the service shows them; one it does not know is left out."""
        found: dict[str, Mapping[str, Any]] = {}
        missing = list(dict.fromkeys(ids))
        for _ in range(2):
            if len(missing) > _FEW:
                self._list(service, ids, found)
                missing = [one for one in missing if one not in found]
            if len(missing) > _FEW and not self._window(ids):
                # Nothing tells when these were created: the first and last do, for a second list.
                self._ask(service, [missing[0], missing[-1]], found)
                missing = [one for one in missing if one not in found]
        self._ask(service, missing, found)
        return found

    def _list(
        self, service: Service, wanted: Sequence[str], found: dict[str, Mapping[str, Any]]
    ) -> None:
        since, until = self._window(wanted) or (None, None)
        left = set(wanted) - found.keys()
        for page in range(len(wanted) // PAGE + 2):
            listed = service.jobs(tags=[TAG], skip=page * PAGE, since=since, until=until)
            for job in listed:
                one = self._learn(job)
                if one in left:
                    found[one] = job
                    left.discard(one)
            if not left or len(listed) < PAGE:
                return

    def _ask(
        self, service: Service, ids: Sequence[str], found: dict[str, Mapping[str, Any]]
    ) -> None:
        for one in ids:
            try:
                job = service.job(one)
            except NotFound:
                continue
            self._learn(job)
            found[one] = job

    def _window(self, ids: Sequence[str]) -> tuple[datetime, datetime] | None:
        """When those of them that are known were created."""
        with self._lock:
            times = [self._created[one] for one in ids if one in self._created]
        return (min(times) - _MARGIN, max(times) + _MARGIN) if times else None

    def _learn(self, job: Mapping[str, Any]) -> str:
        known, created = str(job.get("id")), time_of(job.get("created"))
        if created is not None:
            with self._lock:
                self._created[known] = created
                while len(self._created) > _REMEMBERED:
                    self._created.popitem(last=False)
        return known
