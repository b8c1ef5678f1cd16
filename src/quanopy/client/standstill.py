"""Groups that stand still: nothing more comes of them until somebody does something."""

import shlex

from quanopy.domain.errors import NotReady
from quanopy.domain.groups import GroupState
from quanopy.wire.groups import GroupOut

_ACTIONS = {GroupState.OPEN: "run", GroupState.PAUSED: "resume"}
"""What has a group begin its jobs, in states in which it begins nothing."""
STILL = tuple(_ACTIONS)


def beginning(group: GroupOut) -> str | None:
    """The command that has a group begin its jobs; ``None`` where it does, or never will."""
    action = _ACTIONS.get(group.state)
    return None if action is None else f"quanopy group {action} {shlex.quote(group.name)}"


def standstill(group: GroupOut, *, waited: bool = False) -> NotReady | None:
    """Why its end does not come by itself, and what to do; ``None`` while it may. ``waited``: it
    was waited with a timeout for somebody to do so."""
    done = group.progress
    if group.ended_at is not None or done.running or done.queued:
        return None
    command = beginning(group) or f"quanopy group add {shlex.quote(group.name)} FILE"
    if group.state is GroupState.OPEN:
        what, call = "has not been run", "group.run()"
    elif group.state is GroupState.PAUSED and (done.blocked or group.started_at is None):
        why = f" ({group.reason})" if group.reason else ""
        what, call = f"is paused{why}", "group.resume()"
    elif group.state is GroupState.RUNNING and not group.size:
        what, call = "has no jobs", "group.add(…)"
    else:
        return None
    patience = "" if waited else "; with a timeout, this waits for somebody to do so"
    return NotReady(
        f"the group {group.name!r} {what}: nothing more comes of it by itself",
        hint=f"`{call}`, or `{command}`{patience}.",
    )
