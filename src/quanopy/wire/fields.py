"""What the models of the wire are made of."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticKnownError

from quanopy.domain.durations import seconds_of
from quanopy.domain.jobs import LEAST_PRECISION, MOST_PRECISION, MOST_SHOTS
from quanopy.domain.texts import is_showable


def _showable(text: str) -> str:
    if not is_showable(text):
        raise ValueError("it has characters that cannot be shown")
    return text


Line = Annotated[str, AfterValidator(_showable)]
"""Text that can be shown as it is."""


def _whole(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticKnownError("int_type")
    return value


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticKnownError("float_type")
    return value


WHOLE = BeforeValidator(_whole)
"""Of an ``int``: ``true`` is none, though Python counts with it. It stands behind the bounds, which
the description of the API then has too."""
NUMBER = BeforeValidator(_number)
"""Of a ``float``, alike."""
Natural = Annotated[int, Field(ge=0), WHOLE]
Finite = Annotated[float, Field(allow_inf_nan=False), NUMBER]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), NUMBER]


def _precision(value: float) -> float:
    if value and value < LEAST_PRECISION:
        raise ValueError(f"it must be 0 or at least {LEAST_PRECISION:g}")
    return value


Shots = Annotated[int, Field(ge=1, le=MOST_SHOTS), WHOLE]
Precision = Annotated[
    float,
    Field(
        ge=0,
        le=MOST_PRECISION,
        allow_inf_nan=False,
        description=f"Standard error; 0 is exact, else at least {LEAST_PRECISION:g}.",
    ),
    AfterValidator(_precision),
    NUMBER,
]


def _seconds(value: Any) -> Any:
    return seconds_of(value) if isinstance(value, str) else _number(value)


_LONGEST_S = 10 * 366 * 24 * 3600
_SECONDS = BeforeValidator(_seconds, json_schema_input_type=float | str)
Duration = Annotated[float, Field(gt=0, le=_LONGEST_S, allow_inf_nan=False), _SECONDS]
"""Seconds, or text such as ``2h``."""
Gap = Annotated[float, Field(ge=0, le=_LONGEST_S, allow_inf_nan=False), _SECONDS]
"""As :data:`Duration`; 0 is none."""
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def _storable(when: datetime) -> datetime:
    if not _FIRST <= when < _LAST:
        raise ValueError(f"it must be a time from 1970 to 2099, not {when.isoformat()}")
    return when


Moment = Annotated[AwareDatetime, AfterValidator(_storable)]
"""A time that every clock and catalogue holds to the microsecond."""


class Strict(BaseModel):
    """A request: fields that are not known are an error, not ignored. NaN stays what it is, so
    that the broker can say so."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")


class Answer(BaseModel):
    """A response: clients ignore fields they do not know."""

    model_config = ConfigDict(extra="ignore", frozen=True)
