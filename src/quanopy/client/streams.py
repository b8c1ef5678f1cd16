"""Following events: a server-sent event stream that is taken up again where it broke."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from quanopy.client.http import PATIENCE_S, Http
from quanopy.domain.errors import QuanopyError, Transient, Unavailable
from quanopy.wire.problems import from_problem
from quanopy.wire.service import EventOut, EventsOut, Problem

M = TypeVar("M", bound=BaseModel)
P = TypeVar("P", bound=BaseModel)

IDLE_S = 60.0
"""A stream silent for longer than this (the server sends comments) is taken for broken."""
PAUSE_S = 0.5
BEGINNING = "0.0"
"""The position before all events."""


def history(http: Http, path: str, params: Mapping[str, Any] | None = None) -> Iterator[EventOut]:
    """Events that there are so far, in order, page by page; ``params`` say of what, and ``after``
    which."""
    asked = dict(params or {})
    while True:
        page = http.get(EventsOut, path, params=asked)
        yield from page.events
        if not page.events or page.position == asked.get("after"):
            return
        asked["after"] = page.position


def follow(
    http: Http, job_ids: Sequence[str], after: str | None, *, group: str | None = None
) -> Iterator[EventOut]:
    """Events as they happen, without end; reconnects where the connection breaks.

    Raises :class:`Unavailable` once nobody has answered for long.
    """
    broken_at: float | None = None
    while True:
        params = {"after": after, "job": list(job_ids) or None, "group": group}
        try:
            with http.lines("/events/stream", params, idle_s=IDLE_S) as lines:
                for position, event in parse(lines):
                    broken_at, after = None, position
                    if event is not None:
                        yield event
        except (Transient, Unavailable) as error:
            broken_at = broken_at or time.monotonic()
            if time.monotonic() - broken_at > PATIENCE_S:
                raise Unavailable(f"the event stream is broken: {error}") from error
        time.sleep(PAUSE_S)


def parse(lines: Iterable[str]) -> Iterator[tuple[str, EventOut | None]]:
    """Positions, with the event there if there is one (HTML Living Standard, 9.2.6).

    Raises the error that the broker sends before it ends a stream, and :class:`QuanopyError`
    for data that is no event.
    """
    position = ""
    for block in _blocks(lines):
        position = block.get("id", position)
        if position and block.keys() & {"id", "data"}:
            yield position, _read(EventOut, block["data"]) if "data" in block else None


def outcome(
    lines: Iterable[str], answer: type[M], progress: type[P], tell: Callable[[P], object]
) -> M:
    """What came of work that the broker tells of while it is done; ``tell`` is told how far it is.

    Raises the error that the work ended with, and :class:`Unavailable` where nothing came of it.
    """
    for block in _blocks(lines):
        data = block.get("data", "")
        if block.get("event") == "done":
            return _read(answer, data)
        if block.get("event") == "progress":
            tell(_read(progress, data))
    raise Unavailable("the broker broke off", hint="Ask again.")


def _blocks(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """The fields of each block; raises the error that one is."""
    block = dict[str, str]()
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            block[name] = value.removeprefix(" ")
            continue
        if block.get("event") == "problem":
            raise from_problem(_read(Problem, block.get("data", "")))
        yield block
        block = {}


def _read(model: type[M], text: str) -> M:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise QuanopyError("the event stream holds something else") from error
