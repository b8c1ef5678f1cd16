"""Following: what has become of executions, of vQPUs that may be slow, dead or gone."""

import logging
from collections.abc import Iterable, Mapping

from quanopy.domain.errors import QuanopyError, Transient, Unavailable
from quanopy.domain.states import ExecutionState
from quanopy.ports.providers import Report
from quanopy.providers.vqpu.answers import lost
from quanopy.providers.vqpu.dialects import Dialect
from quanopy.providers.vqpu.fleet import Fleet, Vqpu
from quanopy.providers.vqpu.places import Place
from quanopy.providers.vqpu.recent import Recent

log = logging.getLogger(__name__)


class Following:
    """Asks the vQPUs of a fleet for the states of executions."""

    def __init__(self, fleet: Fleet, dialect: Dialect, *, patience_s: float | None) -> None:
        self._fleet = fleet
        self._dialect = dialect
        self._patience_s = patience_s
        self._last: Recent[ExecutionState] = Recent()
        """The state that each was last seen in."""

    def poll(
        self, name: str, places: Mapping[str, Place]
    ) -> tuple[dict[str, Report], QuanopyError | None]:
        """What one vQPU says of its executions; and, where it does not answer, why."""
        instances = {place.instance for place in places.values()}
        known = self._fleet.find(name, next(iter(instances)) if len(instances) == 1 else "")
        if known is None:
            if not self._fleet.grows:
                return {}, None
            return dict.fromkeys(places, lost(f"{name} has left the catalogue")), None
        current = {one: p.there for one, p in places.items() if p.instance == known.instance}
        reports = dict.fromkeys(set(places).difference(current), lost(f"{name} was started anew"))
        try:
            return reports | (self._states(known, current) if current else {}), None
        except QuanopyError as error:
            return self._without_answer(known, current, error, reports)
        except Exception as error:
            log.exception("the states of %s cannot be told", name)
            said = Transient(f"{name}: its states broke their reader: {type(error).__name__}")
            return reports | self._as_they_were(current), said

    def _states(self, vqpu: Vqpu, theirs: Mapping[str, str]) -> dict[str, Report]:
        """By id; what was told a moment ago, where it was told late, does for those it is of."""
        ids = list(theirs.values())
        to = vqpu.connection
        asked, told = vqpu.errands.run(
            "states",
            lambda: (set(ids), self._dialect.states(to, ids)),
            patience_s=self._patience_s,
        )
        found = {one: told[there] for one, there in theirs.items() if there in told}
        others = [one for one, there in theirs.items() if there not in asked]
        return found | self._as_they_were(others)

    def _without_answer(
        self,
        vqpu: Vqpu,
        current: Iterable[str],
        error: QuanopyError,
        reports: Mapping[str, Report],
    ) -> tuple[dict[str, Report], QuanopyError | None]:
        """Executions of one that does not answer: it may have died."""
        registered = vqpu.registration
        if registered is not None and not registered.alive and isinstance(error, Unavailable):
            died = f"{vqpu.name} died: nothing was heard of it since {registered.seen_at:%H:%M:%S}"
            return {**reports, **dict.fromkeys(current, lost(died))}, None
        return {**reports, **self._as_they_were(current)}, error

    def _as_they_were(self, ids: Iterable[str]) -> dict[str, Report]:
        return {one: Report(state=self._last.get(one) or ExecutionState.SUBMITTED) for one in ids}

    def note(self, reports: Mapping[str, Report]) -> None:
        """Remember the states that were told."""
        for one, report in reports.items():
            if report.state is not None:
                self._last.keep(one, report.state)
