"""Logging: the standard library's records, as lines. Never a token or a program."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from quanopy.domain.texts import shown

_COLOURS = {logging.WARNING: 33, logging.ERROR: 31, logging.CRITICAL: 31}
"""Of levels on a terminal, as it counts them."""


def set_up_logging(level: str, form: str) -> None:
    """Send every record at ``level`` or above to standard error, for people (``console``) or
    machines (``json``)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Objects() if form == "json" else _Lines(colours=sys.stderr.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Their notes on starting and stopping repeat our own.
    for chatty in ("alembic", "uvicorn"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


class _Lines(logging.Formatter):
    """A line a record; what was raised stands below it, without the values of variables, and set
    in: what others wrote begins no line, and moves no terminal."""

    def __init__(self, *, colours: bool) -> None:
        super().__init__("%(asctime)s [%(level)s] %(message)s [%(name)s]")
        self._colours = _COLOURS if colours else {}

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        level, colour = _level(record).ljust(8), self._colours.get(record.levelno)
        record.level = level if colour is None else f"\x1b[{colour}m{level}\x1b[0m"
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The line, without what was raised."""
        record.message = shown(record.message, len(record.message))
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """What was raised, below the line."""
        return _set_in(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        """Where it was, below the line."""
        return _set_in(super().formatStack(stack_info))

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """When it was."""
        return _moment(record)


class _Objects(logging.Formatter):
    """A JSON object a record, on a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """The object."""
        said = {
            "event": record.getMessage(),
            "logger": record.name,
            "level": _level(record),
            "timestamp": _moment(record),
        }
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return json.dumps(said)


def _set_in(text: str) -> str:
    return "\n".join(f"  {shown(line, len(line))}" for line in text.split("\n"))


def _level(record: logging.LogRecord) -> str:
    return record.levelname.lower()


def _moment(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
