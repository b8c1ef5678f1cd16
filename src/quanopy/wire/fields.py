"""What the models of the wire are made of."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from quanopy.domain.durations import seconds_of
from quanopy.domain.jobs import LEAST_PRECISION, MOST_PRECISION, MOST_SHOTS
from quanopy.domain.texts import is_showable


def _showable(text: str) -> str:
    if not is_showable(text):
        raise ValueError("it has characters that cannot be shown")
    return text


Line = Annotated[str, AfterValidator(_showable)]
"""Text that can be shown as it is."""


def _precision(value: float) -> float:
    if value and value < LEAST_PRECISION:
        raise ValueError(f"it must be 0 or at least {LEAST_PRECISION:g}")
    return value


Shots = Annotated[int, Field(ge=1, le=MOST_SHOTS)]
Precision = Annotated[
    float,
    Field(
        ge=0,
        le=MOST_PRECISION,
        allow_inf_nan=False,
        description=f"Standard error; 0 is exact, else at least {LEAST_PRECISION:g}.",
    ),
    AfterValidator(_precision),
]


def _seconds(value: object) -> object:
    return seconds_of(value) if isinstance(value, str) else value


Duration = Annotated[
    float,
    BeforeValidator(_seconds, json_schema_input_type=float | str),
    Field(gt=0, le=10 * 366 * 24 * 3600, allow_inf_nan=False),
]
"""Seconds, or text such as ``2h``."""


class Strict(BaseModel):
    """A request: fields that are not known are an error, not ignored. NaN stays what it is, so
    that the broker can say so."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")


class Answer(BaseModel):
    """A response: clients ignore fields they do not know."""

    model_config = ConfigDict(extra="ignore", frozen=True)
