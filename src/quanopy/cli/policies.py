"""The options of a group's policy, and its stop rules."""

import json
from typing import Annotated, Any

import typer

from quanopy.cli.pairs import pairs

Order = Annotated[
    str | None,
    typer.Option("--order", help="parallel (default), or sequential: one after another."),
]
InFlight = Annotated[
    int | None,
    typer.Option(
        "--max-in-flight",
        min=1,
        help="Jobs begun and not ended; by default one if sequential, else any number.",
    ),
]
Gap = Annotated[
    str | None,
    typer.Option(
        "--gap", metavar="DURATION", help="Between the end of one and the next: 90s, 10m, 2h."
    ),
]
Stop = Annotated[
    list[str] | None,
    typer.Option(
        "--stop",
        metavar="RULE=VALUE",
        help="End at precision=0.01, seconds=600, cost=50, deadline=2026-12-31T12:00Z; pause at "
        "failures=3, calibration.cx.error=0.02; repeat for several.",
    ),
]
_RULES = ("precision", "seconds", "cost", "deadline", "failures")
_CALIBRATION = "calibration."
_HINT = f"Rules are {', '.join(_RULES)} and calibration.METRIC."


def rules(given: list[str] | None) -> dict[str, Any] | None:
    """Stop rules from ``name=value`` each; a calibration's are ``calibration.METRIC=LIMIT``."""
    from quanopy.domain.errors import Invalid

    found: dict[str, Any] = {}
    bounds: dict[str, Any] = {}
    for name, value in pairs(given, "--stop", form="RULE=VALUE", hint=_HINT).items():
        metric = name.removeprefix(_CALIBRATION)
        if name in _RULES:
            found[name] = _value(value)
        elif metric and metric != name:
            bounds[metric] = _value(value)
        else:
            raise Invalid(f"there is no rule {name[:60]!r}", where="--stop", hint=_HINT)
    return found | ({"calibration": bounds} if bounds else {}) or None


def _value(text: str) -> Any:
    """JSON, or the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
