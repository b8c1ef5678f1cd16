"""Replays: a job run again on an emulator with the noise it ran under, and the two compared."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quanopy.client import pictures
from quanopy.client.handles import Job
from quanopy.client.http import Http
from quanopy.client.polling import ends_at
from quanopy.client.reruns import Rerun, reruns
from quanopy.client.results import NativePub
from quanopy.client.submitting import submitted
from quanopy.codecs.results import PubResult, merge_shots
from quanopy.domain.calibration import CalibrationLabel
from quanopy.domain.errors import Invalid, NotFound

_SHOWN = 24
"""Outcomes in a picture, the most frequent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two distributions of the outcomes of one circuit under one parameter set."""

    pub: int
    at: int
    """Which of the pub's parameter sets, in C order."""
    ran: Mapping[str, int]
    """Counts of the job, by outcome (``0x…``, or as the native format writes it)."""
    replayed: Mapping[str, int]
    total_variation: float
    """Half the sum of differences of probabilities: 0 alike, 1 nothing in common."""
    hellinger: float
    """The Hellinger distance, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Parts of a job that ran alike, run again as one job."""

    job: Job
    calibration: str
    """Digest of the snapshot whose noise was emulated."""
    parts: Sequence[int]
    """Which parts, by their indices among the job's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A job, what it gave when it was run again, and how far the two are apart."""

    job: Job
    runs: Sequence[Run]
    """What it was run again as: one job, unless parts of it ran under different calibrations, or
    were compiled differently."""
    label: CalibrationLabel
    """How surely the job ran under these calibrations."""
    compared: Sequence[Compared]

    @property
    def total_variation(self) -> float:
        """The mean over all circuits."""
        return sum(one.total_variation for one in self.compared) / len(self.compared)

    @property
    def hellinger(self) -> float:
        """The mean over all circuits."""
        return sum(one.hellinger for one in self.compared) / len(self.compared)

    def as_json(self) -> dict[str, Any]:
        """All of it but the counts."""
        return {
            "job_id": self.job.id,
            "runs": [
                {"job_id": run.job.id, "calibration": run.calibration, "parts": list(run.parts)}
                for run in self.runs
            ],
            "label": self.label.value,
            "total_variation": self.total_variation,
            "hellinger": self.hellinger,
            "circuits": [
                {
                    "pub": one.pub,
                    "at": one.at,
                    "total_variation": one.total_variation,
                    "hellinger": one.hellinger,
                }
                for one in self.compared
            ],
        }

    def plot(self, file: Path | str, which: int = 0) -> None:
        """Draw the two distributions of one of :attr:`compared`, as PNG or SVG.

        Raises:
            Unsupported: the file is to be neither, or matplotlib is not installed.
            Invalid: it cannot be written.
        """
        path = Path(file)
        pictures.check(path, "file")
        figure, (axes,) = pictures.panels([3.2])
        _draw(axes, self.compared[which], self)
        pictures.save(figure, path, "file")


def run_again(
    http: Http,
    of: Job,
    emulator: str | None,
    *,
    shots: int | None,
    seed: int | None,
    timeout: float | None,
) -> Replay:
    """Run a job again under the noise it ran under, and compare; raises as
    :meth:`Client.replay`."""
    until = ends_at(timeout)
    ran = of.result(0.0)
    again, label = reruns(of, emulator, shots=shots, seed=seed)
    try:
        jobs = submitted(http, [one.draft for one in again])
    except NotFound as error:
        raise NotFound(
            error.message,
            where=error.where,
            hint="A replay wants an emulator that takes noise: name one here, or have the "
            "broker serve this one.",
        ) from error
    emulated = _merged(again, _results(jobs, until), len(ran))
    return Replay(
        job=of,
        runs=[
            Run(job=job, calibration=one.calibration, parts=tuple(one.parts))
            for job, one in zip(jobs, again, strict=True)
        ],
        label=label,
        compared=[
            compare(pub, at, counts, found)
            for pub, (was, now) in enumerate(zip(ran, emulated, strict=True))
            for at, (counts, found) in enumerate(
                zip(distributions(was), distributions(type(was)(now)), strict=True)
            )
        ],
    )


def _results(jobs: Sequence[Job], until: float) -> list[Sequence[PubResult]]:
    """Of all of them, by this time at the latest; raises as :meth:`Client.replay`."""
    found = []
    for job in jobs:
        left_s = max(0.0, until - time.monotonic())
        found.append(job.result(left_s).to_dict()["pubs"])
    return found


def _merged(
    again: Sequence[Rerun], results: Sequence[Sequence[PubResult]], pubs: int
) -> list[PubResult]:
    """One result of each of a job's pubs, of the jobs that ran them again."""
    found: list[list[PubResult]] = [[] for _ in range(pubs)]
    for one, result in zip(again, results, strict=True):
        for pub, part in zip(one.pubs or range(pubs), result, strict=True):
            found[pub].append(part)
    return [merge_shots(parts) for parts in found]


def distributions(pub: Any) -> Sequence[Mapping[str, int]]:
    """Counts of a pub's result, one a parameter set."""
    return [pub.counts] if isinstance(pub, NativePub) else pub.raw_counts


def compare(pub: int, at: int, ran: Mapping[str, int], replayed: Mapping[str, int]) -> Compared:
    """How far two counts are apart; raises :class:`Invalid` for one without any."""
    totals = sum(ran.values()), sum(replayed.values())
    if 0 in totals:
        raise Invalid("nothing was measured", where=f"pubs[{pub}]")
    p = {outcome: count / totals[0] for outcome, count in ran.items()}
    q = {outcome: count / totals[1] for outcome, count in replayed.items()}
    outcomes = p.keys() | q.keys()
    apart = sum(abs(p.get(k, 0.0) - q.get(k, 0.0)) for k in outcomes) / 2
    overlap = sum(math.sqrt(p[k] * q[k]) for k in p.keys() & q.keys())
    return Compared(
        pub=pub,
        at=at,
        ran=ran,
        replayed=replayed,
        total_variation=apart,
        hellinger=math.sqrt(max(0.0, 1 - overlap)),
    )


def _draw(axes: Any, one: Compared, replay: Replay) -> None:
    both = {k: one.ran.get(k, 0) + one.replayed.get(k, 0) for k in one.ran.keys() | one.replayed}
    frequent = sorted(both, key=lambda k: (-both[k], k))[:_SHOWN]
    shown = sorted(frequent, key=lambda k: (len(k), k))
    places = range(len(shown))
    for counts, shift, label in ((one.ran, -0.2, "ran"), (one.replayed, 0.2, "replayed")):
        total = sum(counts.values())
        heights = [counts.get(k, 0) / total for k in shown]
        axes.bar([place + shift for place in places], heights, width=0.4, label=label)
    axes.set_xticks(list(places), shown, rotation=90)
    axes.set_ylabel("probability")
    axes.set_title(
        f"{replay.job.id}: total variation {one.total_variation:.4f}, "
        f"Hellinger {one.hellinger:.4f} (calibration {replay.label})",
        fontsize=9,
    )
    axes.legend()
