"""What is wrong with input that does not have the form it should: in a user's words, where it is,
and what could be meant."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from quanopy.domain.errors import Invalid

M = TypeVar("M", bound=BaseModel)

MOST_ERRORS = 20
"""Places that are named beside the first."""
_MOST_SHOWN = 40
_MOST_BITS = 4_096
_WHOLE = "it must be a whole number, not {given}"
_NUMBER = "it must be a number, not {given}"
_TRUTH = "it must be true or false, not {given}"
_OBJECT = "it must be an object of named fields, not {given}"
_SHORT = "its length must be at least {min_length}, and is {length}"
_LONG = "its length must be at most {max_length}, and is {length}"
_TIME = "it must be a time such as 2026-01-31T12:00:00Z, not {given}"
_SAID: Mapping[str, str] = {
    "missing": "it is missing",
    "extra_forbidden": "there is no such field",
    "greater_than_equal": "it must be at least {ge}, not {given}",
    "greater_than": "it must be more than {gt}, not {given}",
    "less_than_equal": "it must be at most {le}, not {given}",
    "less_than": "it must be less than {lt}, not {given}",
    "finite_number": "it must be a finite number, not {given}",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), _WHOLE),
    **dict.fromkeys(("float_type", "float_parsing"), _NUMBER),
    **dict.fromkeys(("bool_type", "bool_parsing"), _TRUTH),
    "string_type": "it must be text, not {given}",
    "string_unicode": "it has characters that cannot be shown",
    "list_type": "it must be a list, not {given}",
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), _OBJECT),
    **dict.fromkeys(("enum", "literal_error"), "it must be {expected}, not {given}"),
    **dict.fromkeys(("too_short", "string_too_short"), _SHORT),
    **dict.fromkeys(("too_long", "string_too_long"), _LONG),
    **dict.fromkeys(("datetime_type", "datetime_parsing"), _TIME),
    "datetime_from_date_parsing": _TIME,
    "timezone_aware": "it must say its time zone, as 2026-01-31T12:00:00Z does",
    "value_error": "{error}",
    "json_invalid": "the body is not JSON",
}
"""By pydantic's types of errors (https://docs.pydantic.dev/latest/errors/validation_errors/)."""
_JSON_PLACE = re.compile(r"line (\d+) column (\d+)")


def refusal(
    errors: Sequence[Any], model: type[BaseModel] | None = None, *, within: str = ""
) -> Invalid:
    """The error of what pydantic found wrong with a ``model``: the first of it, and the places of
    the rest. ``within`` is the place of the whole. Without a model, it is FastAPI that found it:
    the places begin with a part of the request."""
    if model is None:
        errors = [{**error, "loc": error["loc"][1:]} for error in errors]
    first, *others = errors
    hints = []
    if model is not None and first["type"] == "extra_forbidden":
        hints.append(f"Known: {', '.join(sorted(_around(model, first['loc']).model_fields))}.")
    if others:
        places = ", ".join(_where(one, within) for one in others[:MOST_ERRORS])
        hints.append(f"{len(others)} more: {places}.")
    return Invalid(_message(first), where=_where(first, within), hint=" ".join(hints) or None)


def checked(model: type[M], fields: Mapping[str, Any] | M, *, within: str = "") -> M:
    """The model of these fields; raises :class:`Invalid` as :func:`refusal` has it."""
    try:
        return model.model_validate(_plain(fields))
    except ValidationError as error:
        raise refusal(error.errors(), model, within=within) from error


def _plain(fields: Any) -> Any:
    """Mappings of any kind, also within, as dictionaries."""
    if isinstance(fields, Mapping):
        return {name: _plain(value) for name, value in fields.items()}
    return fields


def _message(error: Mapping[str, Any]) -> str:
    said = _SAID.get(error["type"])
    if said is None:
        return str(error["msg"])[:500]
    given = error.get("input")
    length = len(given) if isinstance(given, str | list | tuple) else "?"
    return said.format(**{"given": _shown(given), "length": length, **error.get("ctx", {})})


def _shown(value: object) -> str:
    """A value in a message: as JSON has it, and not at length."""
    match value:
        case None:
            return "null"
        case True | False:
            return str(value).lower()
        case int() if value.bit_length() > _MOST_BITS:
            return f"one of some {value.bit_length() * 3 // 10} digits"  # repr may refuse it
        case str() | int() | float():
            text = repr(value)
            return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
        case Mapping():
            return "an object"
        case list() | tuple():
            return "a list"
    return f"a {type(value).__name__}"


def _where(error: Mapping[str, Any], within: str) -> str:
    if error["type"] == "json_invalid":
        place = _JSON_PLACE.search(str(error["ctx"]["error"]))
        return f"line {place[1]}, column {place[2]}" if place else "body"
    return ".".join(filter(None, (within, _location(error["loc"])))) or "body"


def _location(loc: Sequence[str | int]) -> str:
    """``pubs[3].shots`` for ``("pubs", 3, "shots")``."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{str(part)[:100]}"
    return text.removeprefix(".")


def _around(model: type[BaseModel], loc: Sequence[str | int]) -> type[BaseModel]:
    """The model that has, or has not, the field at a place within another."""
    for name in [part for part in loc if isinstance(part, str)][:-1]:
        model = next(_models(model.model_fields[name].annotation))
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in an annotation such as ``list[Model] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
