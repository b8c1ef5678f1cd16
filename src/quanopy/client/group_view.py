"""How far a group is, for people: as one line, in a terminal, in a notebook."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

from quanopy.domain.durations import duration_text
from quanopy.domain.groups import GroupOrder, GroupState
from quanopy.wire.groups import GroupOut

_BAR = 40
"""Letters of a bar in a terminal."""
_COLOURS = {
    GroupState.RUNNING: "cyan",
    GroupState.PAUSED: "yellow",
    GroupState.DONE: "green",
    GroupState.CANCELLED: "yellow",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupView:
    """A group as it was at a moment."""

    group: GroupOut
    at: datetime

    @classmethod
    def now(cls, group: GroupOut) -> "GroupView":
        """As it is now."""
        return cls(group=group, at=datetime.now(UTC))

    @property
    def ended(self) -> int:
        """Jobs that have ended, in whatever state."""
        done = self.group.progress
        return done.completed + done.failed + done.cancelled

    @property
    def left_s(self) -> float | None:
        """How long it will take yet, if it goes on as it did since it began, and no less than its
        gaps; ``None`` where nothing tells."""
        group, done = self.group, self.group.progress
        ran = done.completed + done.failed
        if group.state is not GroupState.RUNNING or group.started_at is None or not ran:
            return None
        took = (self.at - group.started_at).total_seconds()
        return max(max(0.0, took) * (group.size - self.ended) / ran, self._gaps_s)

    @property
    def _gaps_s(self) -> float:
        """How long the gaps before what has not begun take together."""
        policy, blocked = self.group.policy, self.group.progress.blocked
        if not policy.gap or not blocked:
            return 0.0
        # In order each place has gaps of its own; side by side all beginnings share them.
        places = (policy.max_in_flight or 1) if policy.order is GroupOrder.SEQUENTIAL else 1
        gaps = math.ceil(blocked / places) * policy.gap
        if self.group.next_at is None:
            return gaps
        until_next = (self.group.next_at - self.at).total_seconds()
        return max(0.0, gaps - policy.gap + min(max(0.0, until_next), policy.gap))

    def __str__(self) -> str:
        """One line without colours."""
        said = [self._title(), f"{self.ended:,} of {self.group.size:,} jobs ended"]
        return ", ".join([*said, *self._jobs(), *self._used(), *self._coming()])

    def __rich__(self) -> Any:
        from rich.console import Group as Lines
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        colour = _COLOURS.get(self.group.state, "")
        bar = ProgressBar(total=max(self.group.size, 1), completed=self.ended, width=_BAR)
        row = Table.grid(padding=(0, 1))
        row.add_row(bar, Text(f"{self.ended:,} of {self.group.size:,}"))
        lines = [", ".join(some) for some in (self._jobs(), [*self._used(), *self._coming()])]
        return Lines(
            Text(self._title(), style=f"bold {colour}"),
            row,
            *(Text(line) for line in lines if line),
        )

    def _repr_html_(self) -> str:
        rest = [*self._jobs(), *self._used(), *self._coming()]
        return (
            f"<div><b>{escape(self._title())}</b><br>"
            f'<progress max="{max(self.group.size, 1)}" value="{self.ended}" '
            'style="width: 24em"></progress> '
            f"{self.ended:,} of {self.group.size:,}<br>{escape(', '.join(rest))}</div>"
        )

    def _title(self) -> str:
        idle = "not run yet" if self.group.state is GroupState.OPEN else None
        why = self.group.reason or idle
        return f"{self.group.name}: {self.group.state}" + (f" ({why})" if why else "")

    def _jobs(self) -> list[str]:
        """How many jobs are in each state, where there are any."""
        done = self.group.progress
        states = ("completed", "running", "queued", "blocked", "failed", "cancelled")
        said = {"blocked": "waiting"}
        return [
            f"{number:,} {said.get(state, state)}"
            for state in states
            if (number := getattr(done, state))
        ]

    def _used(self) -> Iterator[str]:
        """What it has come to, and what of the resource it used."""
        if shots := self.group.progress.shots:
            yield f"{shots:,} shots"
        for name, unit in (("seconds", " s used"), ("cost", " billed")):
            if used := self.group.usage.get(name):
                yield f"{used:,.3g}{unit}" if used < 100 else f"{used:,.0f}{unit}"

    def _coming(self) -> Iterator[str]:
        """What comes next, and when it will be done."""
        group, done = self.group, self.group.progress
        idle = not done.running and not done.queued and done.blocked
        if idle and group.next_at is not None and group.state is GroupState.RUNNING:
            yield f"next at {group.next_at.astimezone():%H:%M:%S}"
        left = self.left_s
        if left:
            end = self.at + timedelta(seconds=left)
            yield f"about {duration_text(left)} left, until {_clock(end, self.at)}"


def _clock(when: datetime, now: datetime) -> str:
    """A time of day; with its date if it is another day's."""
    local = when.astimezone()
    same = local.date() == now.astimezone().date()
    return f"{local:%H:%M}" if same else f"{local:%Y-%m-%d %H:%M}"
