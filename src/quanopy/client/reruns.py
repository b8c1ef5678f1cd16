"""Reruns: what to submit to run a job again as it ran, each part under its own calibration."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from quanopy.client.calibrations import RanUnder
from quanopy.client.compiled import AsRun
from quanopy.client.handles import Job
from quanopy.client.numbers import least_sure
from quanopy.domain.calibration import CalibrationLabel
from quanopy.domain.errors import NotFound, ResourceMismatch
from quanopy.domain.jobs import JobKind
from quanopy.domain.programs import PERCEVAL, PULSER, QPY
from quanopy.wire.jobs import JobIn, OptionsIn, ProgramIn, PubIn, SubmittedOut, TaskOut

_EMULATORS = {None: "aer", PERCEVAL: "perceval-slos", PULSER: "pulser-qutip"}
"""Which emulates the noise of a snapshot, by the format of what ran (``None``: circuits)."""
_SEEDS = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """Parts of a job that ran alike, to be run again as one job."""

    parts: Sequence[int]
    """Their indices among the job's."""
    calibration: str
    """Digest of the snapshot that they ran under."""
    pubs: Sequence[int]
    """Which of the job's pubs the draft has, in its order; none: all, as they are."""
    draft: JobIn


def reruns(
    job: Job, emulator: str | None, *, shots: int | None, seed: int | None
) -> tuple[Sequence[Rerun], CalibrationLabel]:
    """What to submit to run a job again as it ran, and how surely it ran under these snapshots.

    Parts that ran the same programs under one snapshot are run again together. Seeds count up
    from ``seed``, for jobs of one seed would draw the same shots. Raises as
    :meth:`Client.replay`.
    """
    detail, ran = job.detail(), job.compiled()
    formats = {one.native for one in ran}
    if detail.kind is JobKind.ESTIMATE or len(formats) != 1:
        raise ResourceMismatch(f"{job.id} gave no counts to compare")
    (native,) = formats
    ids = {one.execution_id for one in ran}
    under = {one.execution: one for one in job.calibration if one.execution in ids}
    given = job.submitted()
    alike = _ran_alike(job, ran, under)
    if given.pubs is not None:
        _tell_shots(alike, detail.parts, given.pubs)
        if shots is not None:
            _scale_shots(alike, shots)
    found = [
        Rerun(
            parts=one.parts,
            calibration=one.calibration,
            pubs=tuple(one.shots),
            draft=JobIn(
                kind=JobKind.SAMPLE if native is None else JobKind.RUN,
                resource=_resource(native, emulator),
                programs=[_program(one.programs[index]) for index in one.used(given)],
                pubs=one.pubs(given),
                options=OptionsIn(
                    noise=one.calibration,
                    seed=None if seed is None else (seed + index) % _SEEDS,
                    shots=shots or given.options.shots,
                ),
                name=f"replay of {job.id}",
                tags=["replay"],
            ),
        )
        for index, one in enumerate(alike)
        if one.shots or given.pubs is None
    ]
    return found, least_sure(one.label for one in under.values())


@dataclass(slots=True, kw_only=True)
class _Alike:
    """Parts that ran alike."""

    calibration: str
    programs: dict[int, AsRun]
    parts: list[int]
    shots: dict[int, int | None] = field(default_factory=dict)
    """By pub; ``None``: as many as the emulator gives where none are named."""

    def takes(self, calibration: str, programs: Mapping[int, AsRun]) -> bool:
        """Whether a part that ran so ran as these did."""
        return self.calibration == calibration and all(
            index not in self.programs or self.programs[index].data == one.data
            for index, one in programs.items()
        )

    def used(self, given: SubmittedOut) -> Sequence[int]:
        """The programs that are wanted."""
        if given.pubs is None:
            return sorted(self.programs)
        return sorted({given.pubs[pub].program for pub in self.shots})

    def pubs(self, given: SubmittedOut) -> list[PubIn] | None:
        """Its pubs, of those programs."""
        if given.pubs is None:
            return None
        places = {program: place for place, program in enumerate(self.used(given))}
        return [
            given.pubs[pub].model_copy(
                update={"program": places[given.pubs[pub].program], "shots": shots}
            )
            for pub, shots in self.shots.items()
        ]


def _ran_alike(job: Job, ran: Sequence[AsRun], under: Mapping[str, RanUnder]) -> list[_Alike]:
    """The parts of a job, those together that ran alike; raises :class:`NotFound` where it is
    not known what one ran under."""
    found: list[_Alike] = []
    for part, programs in _by_part(ran).items():
        snapshot = next(under[one.execution_id].snapshot for one in programs.values())
        if snapshot is None:
            raise NotFound(
                f"it is not known what calibration {job.id} ran under",
                where=f"parts[{part}]",
                hint=f"What is known of it: `quanopy calibration --job {job.id}`.",
            )
        same = next((one for one in found if one.takes(snapshot.digest, programs)), None)
        if same is None:
            found.append(_Alike(calibration=snapshot.digest, programs=programs, parts=[part]))
        else:
            same.programs |= programs
            same.parts.append(part)
    return found


def _by_part(ran: Sequence[AsRun]) -> Mapping[int, dict[int, AsRun]]:
    """What each part ran, by program."""
    found: dict[int, dict[int, AsRun]] = {}
    for one in ran:
        found.setdefault(one.part, {})[one.program] = one
    return found


def _tell_shots(alike: Sequence[_Alike], parts: Sequence[TaskOut], pubs: Sequence[PubIn]) -> None:
    """Say which pubs each ran, with how many shots."""
    for one in alike:
        for part in (parts[index] for index in one.parts):
            # A job that was read late is one part, whose pubs were not told apart.
            last = part.first_pub + part.pubs if len(parts) > 1 else len(pubs)
            for pub in range(part.first_pub, last):
                shots = part.shots or pubs[pub].shots
                one.shots[pub] = shots and shots + (one.shots.get(pub) or 0)


def _scale_shots(alike: Sequence[_Alike], total: int) -> None:
    """Have ``total`` shots of each pub instead, shared as its own were."""
    for pub in sorted({pub for one in alike for pub in one.shots}):
        own = sum(one.shots.get(pub) or 0 for one in alike)
        ran = given = 0
        for one in (one for one in alike if pub in one.shots):
            ran += one.shots[pub] or 0
            share = (total * ran // own if own else total) - given
            given += share
            one.shots[pub] = share
            if not share:
                del one.shots[pub]


def _program(ran: AsRun) -> ProgramIn:
    """A program as it ran, to be submitted."""
    return ProgramIn(format=ran.native or QPY, data=base64.b64encode(ran.data).decode())


def _resource(native: str | None, emulator: str | None) -> str:
    if emulator is not None:
        return emulator
    if native not in _EMULATORS:
        raise ResourceMismatch(
            f"no emulator is known for {native} programs", hint="Name one that takes noise."
        )
    return _EMULATORS[native]
