"""Following a group with people's eyes: a display in place where there is one, else lines."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from time import monotonic
from typing import Any, TextIO

from quanopy.client.group_view import GroupView

Show = Callable[[GroupView], None]
EVERY_S = 10.0
"""How often there is a line, at most, where nothing can be shown in place."""


@contextmanager
def display(out: TextIO | None = None, *, every_s: float = EVERY_S) -> Iterator[Show]:
    """What shows how far a group is: in a notebook's cell, in a terminal, or as lines on ``out``
    (standard error)."""
    stream = sys.stderr if out is None else out
    publish = _notebook()
    if publish is not None and out is None:
        yield publish
    elif stream.isatty():
        with _terminal(stream) as show:
            yield show
    else:
        lines = Lines(stream, every_s=every_s)
        try:
            yield lines
        finally:
            lines.close()


def _notebook() -> Show | None:
    """What shows in the cell that runs; ``None`` where no notebook does.

    IPython is asked only where it runs already: a shell of it in a terminal has no kernel.
    """
    ipython = sys.modules.get("IPython")
    shell: Any = None if ipython is None else ipython.get_ipython()
    if getattr(shell, "kernel", None) is None:
        return None
    publish = import_module("IPython.display").display

    shown: list[Any] = []

    def show(view: GroupView) -> None:
        if shown:
            shown[0].update(view)
        else:
            shown.append(publish(view, display_id=True))

    return show


@contextmanager
def _terminal(stream: TextIO) -> Iterator[Show]:
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(file=stream), auto_refresh=False) as live:
        yield lambda view: live.update(view, refresh=True)


class Lines:
    """A line when something has changed, not too often; the last view is not left out."""

    def __init__(
        self, out: TextIO, *, every_s: float = EVERY_S, clock: Callable[[], float] = monotonic
    ) -> None:
        self._out = out
        self._every_s = every_s
        self._clock = clock
        self._next = clock()
        self._said: Any = None
        self._left: GroupView | None = None

    def __call__(self, view: GroupView) -> None:
        self._left = None if view.group == self._said else view
        if self._clock() >= self._next:
            self.close()

    def close(self) -> None:
        """Say what has not been said yet."""
        if self._left is not None:
            print(self._left, file=self._out, flush=True)
            self._said, self._left = self._left.group, None
            self._next = self._clock() + self._every_s
