"""Groups that stand still: nothing more comes of them until somebody does something."""

import shlex

from quanopy.domain.errors import NotReady
from quanopy.domain.groups import GroupState
from quanopy.wire.groups import GroupOut

STILL = (GroupState.OPEN, GroupState.PAUSED)
"""States in which a group begins nothing."""


def standstill(group: GroupOut) -> NotReady | None:
    """Why its end does not come by itself, and what to do; ``None`` while it may."""
    done, named = group.progress, shlex.quote(group.name)
    if group.ended_at is not None or done.running or done.queued:
        return None
    if group.state is GroupState.OPEN:
        return _error(f"{group.name!r} has not been run", "group.run()", f"run {named}")
    if group.state is GroupState.PAUSED and (done.blocked or group.started_at is None):
        why = f" ({group.reason})" if group.reason else ""
        return _error(f"{group.name!r} is paused{why}", "group.resume()", f"resume {named}")
    if group.state is GroupState.RUNNING and not group.size:
        return _error(f"{group.name!r} has no jobs", "group.add(…)", f"add {named} FILE")
    return None


def _error(what: str, call: str, command: str) -> NotReady:
    return NotReady(
        f"the group {what}: nothing more comes of it by itself",
        hint=f"`{call}`, or `quanopy group {command}`; with a timeout, this waits for somebody to "
        "do so.",
    )
