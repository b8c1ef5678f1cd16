"""Whether what a receipt says of a job is what a job can be: a stranger tells it."""

import re
from collections.abc import Collection, Iterator
from typing import Any

from quanopy.codecs.receipt_records import EventEntry, GroupEntry, JobEntry, snapshots_of
from quanopy.domain.errors import Invalid
from quanopy.domain.events import TOLD
from quanopy.domain.groups import GroupState
from quanopy.domain.ids import Kind, is_id
from quanopy.domain.jobs import MOST_SHOTS
from quanopy.domain.states import FINAL_EXECUTION_STATES, FINAL_TASK_STATES, roll_up
from quanopy.domain.texts import is_showable

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_DEEPEST = 60
_LONGEST_NAME = 200
_MOST_TAGS = 50
_MOST_PRIORITY = 100
_MOST = 2**31 - 1
_MOST_EVENTS = 1_000_000


def check_plain(document: object, where: str) -> None:
    """Refuse texts that a database cannot keep, and nesting deeper than any job has; raises
    :class:`Invalid`."""
    level = [document]
    for _ in range(_DEEPEST):
        if not level:
            return
        level = [one for each in level for one in _inside(each, where)]
    raise Invalid("it is nested too deeply", where=where)


def _inside(one: object, where: str) -> Iterator[Any]:
    if isinstance(one, str):
        _check_text(one, where)
    elif isinstance(one, dict):
        for name, value in one.items():
            _check_text(name, where)
            yield value
    elif isinstance(one, list):
        yield from one


def _check_text(text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Invalid("a text in it is none", where=where) from None
    if "\0" in text:
        raise Invalid("a text in it has the character NUL", where=where)


def check_job(entry: JobEntry, where: str) -> None:
    """Refuse what no job can be; raises :class:`Invalid`."""
    for name, value, longest in (
        ("name", entry.name, _LONGEST_NAME),
        ("resource", entry.resource, 100),
        ("account", entry.account, _LONGEST_NAME),
        *(("tags", tag, 100) for tag in entry.tags),
    ):
        if value is not None and not (len(value) <= longest and is_showable(value)):
            raise Invalid(f"{value[:60]!r} cannot be kept", where=f"{where}.{name}")
    _check(len(set(entry.tags)) == len(entry.tags) <= _MOST_TAGS, "tags", "are not", where)
    _check(abs(entry.priority) <= _MOST_PRIORITY, "priority", "is out of bounds", where)
    _check(0 <= (entry.shots or 0) < 2**62, "shots", "are out of bounds", where)
    _check(all(is_id(one, "job") for one in entry.after or ()), "after", "are no jobs", where)
    _check(entry.estimate_s >= 0, "estimate_s", "is negative", where)
    _check(0 < len(entry.parts) <= _MOST, "parts", "are none", where)
    _check_parts(entry, where)
    for index, one in enumerate(entry.executions):
        place = f"executions[{index}]"
        _check(is_id(one.id, "exec"), f"{place}.id", "is no id", where)
        _check(one.state in FINAL_EXECUTION_STATES, f"{place}.state", "is not final", where)
        for name, text in (("provider", one.provider), ("resource", one.resource)):
            named = 0 < len(text) <= 100 and is_showable(text)
            _check(named, f"{place}.{name}", "is no name", where)
        for name, said in (
            *(("provider_job_id", one.provider_job_id), ("target", one.target)),
            *(("fingerprint", one.fingerprint), ("calibration.named", one.calibration.named)),
        ):
            named = said is None or (0 < len(said) <= _LONGEST_NAME and is_showable(said))
            _check(named, f"{place}.{name}", "is no name", where)
        digests = snapshots_of(one.calibration)
        sound = all(_DIGEST.fullmatch(digest) for digest in digests)
        _check(sound, f"{place}.calibration", "names no snapshot", where)
    ids = [one.id for one in entry.executions]
    _check(len(set(ids)) == len(ids), "executions", "are the same twice", where)
    _check_programs(entry, where)


def _check_parts(entry: JobEntry, where: str) -> None:
    ids = [part.id for part in entry.parts]
    _check(len(set(ids)) == len(ids), "parts", "are the same twice", where)
    _check(
        roll_up(part.state for part in entry.parts) is entry.state,
        "state",
        "is not that of its parts",
        where,
    )
    pubs = len(entry.pubs) if entry.read and entry.pubs is not None else _MOST
    for index, part in enumerate(entry.parts):
        place, piece = f"parts[{index}]", part.slice
        _check(is_id(part.id, "task"), f"{place}.id", "is no id", where)
        _check(part.state in FINAL_TASK_STATES, f"{place}.state", "is not final", where)
        _check(0 <= part.attempt <= _MOST, f"{place}.attempt", "is out of bounds", where)
        _check(part.estimate_s >= 0, f"{place}.estimate_s", "is negative", where)
        sound = piece.first >= 0 and piece.count >= 0 and piece.first + piece.count <= pubs
        shots = 0 <= piece.shots_from <= MOST_SHOTS and 0 <= piece.shots <= MOST_SHOTS
        _check(sound and shots, f"{place}.slice", "is of no pubs", where)
    order = [(part.slice.first, part.slice.shots_from, part.id) for part in entry.parts]
    _check(order == sorted(order), "parts", "are not in order", where)


def _check_programs(entry: JobEntry, where: str) -> None:
    if not entry.read:
        return
    for index, program in enumerate(entry.programs):
        footprint = program.footprint
        _check(footprint is not None, f"programs[{index}].footprint", "is not there", where)
        native = footprint is not None and footprint.native is not None
        sound = native == (program.circuits is None)
        _check(sound, f"programs[{index}].circuits", "are not what was read", where)
    _check(entry.pubs is not None, "pubs", "are not there", where)
    _check(len(entry.evaluations) == len(entry.pubs or ()), "evaluations", "are others", where)


def check_group(entry: GroupEntry, where: str) -> None:
    """Refuse what no group that has ended can be; raises :class:`Invalid`."""
    named = 0 < len(entry.name) <= _LONGEST_NAME and is_showable(entry.name)
    _check(named, "name", "cannot be kept", where)
    resource = entry.resource
    _check(resource is None or len(resource) <= 100, "resource", "is no name", where)
    _check(entry.state in (GroupState.DONE, GroupState.CANCELLED), "state", "is no end", where)
    policy = entry.policy
    places = policy.max_in_flight is None or 0 < policy.max_in_flight <= _MOST
    _check(places, "policy.max_in_flight", "is out of bounds", where)
    _check(0 <= policy.gap_s < _MOST, "policy.gap_s", "is out of bounds", where)
    positions = entry.positions
    inside = all(0 <= one < entry.size for one in positions) and entry.size <= _MOST
    _check(inside, "positions", "are out of bounds", where)
    _check(0 <= entry.failures <= _MOST, "failures", "are out of bounds", where)


def check_group_events(events: list[EventEntry], entry: GroupEntry, where: str) -> None:
    """Refuse a history that cannot be the group's own; raises :class:`Invalid`."""
    _check_history(events, {entry.id}, where)


def check_events(events: list[EventEntry], entry: JobEntry, where: str) -> None:
    """Refuse a history that cannot be the job's; raises :class:`Invalid`."""
    _check_history(events, {entry.id}, where, "task", "exec")


def _check_history(
    events: list[EventEntry], own: Collection[str], where: str, *kinds: Kind
) -> None:
    """It is of these subjects, or of others of such kinds: retries made them, which are gone."""
    _check(len(events) <= _MOST_EVENTS, "events", "are too many", where)
    for number, event in enumerate(events, 1):
        place = f"line {number}"
        known = event.subject in own or any(is_id(event.subject, one) for one in kinds)
        _check(known, place, "is of something else", where)
        kind = 0 < len(event.kind) <= 100 and is_showable(event.kind)
        _check(kind and is_showable(event.actor), place, "is no event", where)
        _check(TOLD not in event.data, place, "is told at second hand", where)


def _check(holds: bool, name: str, complaint: str, where: str) -> None:
    if not holds:
        raise Invalid(f"{name} {complaint}", where=where)
