"""Groups that stand still: nothing more comes of them until somebody does something."""

import shlex

from quanopy.domain.errors import NotReady
from quanopy.domain.groups import GroupState
from quanopy.wire.groups import GroupOut

STILL = (GroupState.OPEN, GroupState.PAUSED)
"""States in which a group begins nothing."""


def standstill(group: GroupOut, *, waited: bool = False) -> NotReady | None:
    """Why its end does not come by itself, and what to do; ``None`` while it may. ``waited``: it
    was waited with a timeout for somebody to do so."""
    done, named = group.progress, shlex.quote(group.name)
    if group.ended_at is not None or done.running or done.queued:
        return None
    if group.state is GroupState.OPEN:
        what, call, command = "has not been run", "group.run()", f"run {named}"
    elif group.state is GroupState.PAUSED and (done.blocked or group.started_at is None):
        why = f" ({group.reason})" if group.reason else ""
        what, call, command = f"is paused{why}", "group.resume()", f"resume {named}"
    elif group.state is GroupState.RUNNING and not group.size:
        what, call, command = "has no jobs", "group.add(…)", f"add {named} FILE"
    else:
        return None
    patience = "" if waited else "; with a timeout, this waits for somebody to do so"
    return NotReady(
        f"the group {group.name!r} {what}: nothing more comes of it by itself",
        hint=f"`{call}`, or `quanopy group {command}`{patience}.",
    )
