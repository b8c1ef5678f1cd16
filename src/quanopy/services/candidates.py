"""The resources that a job may be given to, with what is known of each now."""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from statistics import median
from threading import Lock

from quanopy.codecs.calibrations import decode_metrics
from quanopy.codecs.targets import decode_target
from quanopy.domain.calibration import Metric, medians
from quanopy.domain.errors import Invalid, QuanopyError
from quanopy.domain.requirements import Candidate, Need, Policy, Requirements
from quanopy.domain.resources import ResourceStatus, Target
from quanopy.domain.sightings import Standing
from quanopy.ports.objects import Objects
from quanopy.ports.providers import Targets
from quanopy.ports.store import Store
from quanopy.services.choosing import choose, plain_reasons

_MOST_SNAPSHOTS = 256
_MOST_ASKED = 16
_FRESH_S = 0.5
_ERRORS = ("error", ".error")
_PAIRS = ("cx", "cy", "cz", "ch", "cp", "ecr", "swap", "iswap", "rxx", "ryy", "rzz", "rzx")
_PAIRED = frozenset(f"{gate}.error" for gate in _PAIRS)
"""Errors that may be told of all pairs alike, by the names of their gates."""


class Candidates:
    """Gathers what a choice is made from; threads may share it."""

    def __init__(self, store: Store, objects: Objects, targets: Targets) -> None:
        self._store = store
        self._objects = objects
        self._targets = targets
        self._lock = Lock()
        self._statuses: tuple[float, Sequence[ResourceStatus]] = (-math.inf, ())
        self._metrics: dict[str, Sequence[Metric]] = {}
        """Of snapshots by their digests, which never change."""

    def of(
        self, account: str, wanted: Requirements, need: Need, *, patient: bool = False
    ) -> list[Candidate]:
        """The resources that an account may use. What the requirements need of those that may fit
        is looked up; ``patient``: asked of vendors, too, who may take their time. What is not to
        be had is not known.

        Raises:
            Unavailable: the database is away.
        """
        statuses = [one for one in self._now() if one.resource.serves(account)]
        names = [one.resource.name for one in statuses]
        standings = self._store.standings(names) if _needs_age(wanted) and names else []
        by_name = {standing.resource: standing for standing in standings}
        found = []
        for status in statuses:
            standing = by_name.get(status.resource.name)
            plain = _plain(status, standing)
            looked = not plain_reasons(wanted, need, plain)
            found.append(self._closely(plain, standing, wanted, patient) if looked else plain)
        return found

    def _now(self) -> Sequence[ResourceStatus]:
        with self._lock:
            then, statuses = self._statuses
            if time.monotonic() - then > _FRESH_S:
                statuses = self._store.resources()
                self._statuses = (time.monotonic(), statuses)
            return statuses

    def _closely(
        self, plain: Candidate, standing: Standing | None, wanted: Requirements, patient: bool
    ) -> Candidate:
        metrics = self._read(standing) if _needs_metrics(wanted) else ()
        target = self._target(plain.status, patient) if _needs_target(wanted, plain) else None
        return replace(
            plain,
            target=target,
            medians=medians(metrics),
            two_qubit_error=_two_qubit_error(metrics, target, plain.status)
            if target is not None or _needs_metrics(wanted)
            else None,
        )

    def _target(self, status: ResourceStatus, patient: bool) -> Target | None:
        name = status.resource.name
        try:
            return self._targets.target(name) if patient else self._targets.at_hand(name)
        except QuanopyError:
            return None  # Not known, which is what is said of the resource.

    def _read(self, standing: Standing | None) -> Sequence[Metric]:
        seen = None if standing is None else standing.seen
        if seen is None:
            return ()
        with self._lock:
            known = self._metrics.get(seen.digest)
        if known is not None:
            return known
        try:
            (data,) = self._objects.read([seen.normal])
            found = decode_metrics(data)
        except QuanopyError:
            return ()
        with self._lock:
            while len(self._metrics) >= _MOST_SNAPSHOTS:
                self._metrics.pop(next(iter(self._metrics)))
            self._metrics[seen.digest] = found
        return found


def look_up(candidates: Candidates, account: str, wanted: Iterable[Requirements]) -> None:
    """Ask vendors what jobs that name no resource are chosen by, so that their submission need
    not wait for it.

    Raises:
        Invalid: they ask for too many different things.
        Unavailable: the database is away.
    """
    asked: list[Requirements] = []
    for one in wanted:
        if one in asked:
            continue
        if len(asked) == _MOST_ASKED:
            raise Invalid(
                f"more than {_MOST_ASKED} different requirements in one request",
                where="requires",
                hint="Submit the jobs in several requests.",
            )
        asked.append(one)
        choose(one, Need(), candidates.of(account, one, Need(), patient=True))


def _needs_metrics(wanted: Requirements) -> bool:
    best = wanted.policy is Policy.BEST_CALIBRATED
    return bool(wanted.metrics) or wanted.fidelity is not None or best


def _needs_age(wanted: Requirements) -> bool:
    return wanted.max_calibration_age_s is not None or _needs_metrics(wanted)


def _needs_target(wanted: Requirements, candidate: Candidate) -> bool:
    """A resource that lists gates is noiseless, and carries them out on all qubits alike."""
    if candidate.status.resource.capabilities.gates is not None:
        return False
    best = wanted.policy is Policy.BEST_CALIBRATED
    shaped = wanted.connectivity is not None
    return shaped or bool(wanted.gates) or wanted.fidelity is not None or best


def _plain(status: ResourceStatus, standing: Standing | None) -> Candidate:
    seen = None if standing is None else standing.seen
    age_s = None if seen is None else seen.age_s(datetime.now(UTC))
    return Candidate(status=status, calibration_age_s=age_s)


def _two_qubit_error(
    metrics: Sequence[Metric], target: Target | None, status: ResourceStatus
) -> float | None:
    """The median error of its two-qubit gates: by its calibration, or else by its target; none on
    an emulator that neither tells any noise nor has a target that knows of errors."""
    errors = [
        m.value
        for m in metrics
        if (len(m.targets) == 2 and m.name.endswith(_ERRORS))
        or (not m.targets and m.name in _PAIRED)
    ]
    if not errors and target is not None:
        errors = _errors_of(target)
    if errors:
        return median(errors)
    able = status.resource.capabilities
    return 0.0 if able.simulator and able.gates is not None and not metrics else None


def _errors_of(target: Target) -> list[float]:
    found = []
    for entry in decode_target(target)["instructions"].values():
        errors = entry.get("errors") or ()
        for place, error in zip(entry["qubits"] or (), errors, strict=False):
            if len(place) == 2 and error is not None:
                found.append(float(error))
    return found
