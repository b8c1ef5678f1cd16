"""What crosses the pipe between a parent and its children: MessagePack, checked against types.

A child may have been taken over by what it read, so its answer is data, and only such data as the
function that was called gives: the function's own annotations say what that is. An error is sent
as the name of its class, out of those in :mod:`quanopy.domain.errors`, and its texts.
"""

from collections.abc import Callable
from functools import cache, reduce
from operator import or_
from types import GenericAlias
from typing import Annotated, Any, get_args, get_type_hints

import msgspec
from msgspec.msgpack import Decoder, Encoder

from quanopy.domain import errors
from quanopy.domain.errors import LONGEST_RETRY_S, ProviderError, QuanopyError, retry_after
from quanopy.sandbox.channel import HEAD

Function = Callable[..., list[Any]]
"""What a child can be asked for: a function of a module whose last argument is a batch, and which
gives a list of one answer each. All types are annotated; ``QuanopyError`` is any of its kind."""

_LONGEST = 10_000
_Text = Annotated[str, msgspec.Meta(max_length=_LONGEST, pattern=r"\A[^\0]*\Z")]
_Pause = Annotated[float, msgspec.Meta(ge=0.0, le=LONGEST_RETRY_S)]
_ERRORS: dict[str, type[QuanopyError]] = {
    name: found
    for name, found in vars(errors).items()
    if isinstance(found, type) and issubclass(found, QuanopyError)
}


class Unsendable(Exception):
    """A message cannot say this: an integer beyond 64 bits, half a surrogate pair."""


class _Failure(msgspec.Struct, frozen=True, array_like=True):
    """An error of the domain, as it is sent."""

    type: str
    message: _Text
    where: _Text | None
    hint: _Text | None
    retry_after_s: _Pause | None

    def __post_init__(self) -> None:
        if self.type not in _ERRORS:
            raise ValueError("there is no such error")

    def error(self) -> QuanopyError:
        error = _ERRORS[self.type](self.message, where=self.where, hint=self.hint)
        if isinstance(error, ProviderError):
            error.retry_after_s = self.retry_after_s
        return error


def encode(message: object) -> bytearray:
    """A frame with this message; raises :class:`Unsendable`."""
    frame = bytearray(HEAD)
    try:
        _encoder.encode_into(message, frame, HEAD)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Unsendable(str(error)) from None
    return frame


def decode_arguments(function: Function, message: memoryview) -> tuple[Any, ...]:
    """What a function is called with."""
    arguments: tuple[Any, ...] = _arguments(function).decode(message)
    return arguments


def decode_answer(function: Function, message: memoryview) -> list[Any]:
    """What a function gave; a message that says anything else raises whatever it gives rise to."""
    answer: list[Any] = _answer(function).decode(message)
    return [one.error() if isinstance(one, _Failure) else one for one in answer]


def decode_text(message: memoryview) -> str:
    """A text of :func:`say`."""
    return _text.decode(message)


def say(error: Exception) -> str:
    """An error that is none of ours, in words."""
    return _unicode(f"{type(error).__name__}: {error}"[:500])


@cache
def _arguments(function: Function) -> Decoder[Any]:
    hints = get_type_hints(function)
    del hints["return"]
    return Decoder(GenericAlias(tuple, tuple(hints.values())), dec_hook=_restored)


@cache
def _answer(function: Function) -> Decoder[Any]:
    (item,) = get_args(get_type_hints(function)["return"])
    if QuanopyError in (parts := get_args(item)):
        item = reduce(or_, (_Failure if part is QuanopyError else part for part in parts))
    return Decoder(GenericAlias(list, (item,)), dec_hook=_restored)


def _as_failure(value: object) -> _Failure:
    """An error, by the nearest of its classes that is known everywhere."""
    if not isinstance(value, QuanopyError):
        raise TypeError(f"a {type(value).__name__} is never sent")
    name = next(one.__name__ for one in type(value).__mro__ if one in _ERRORS.values())
    return _Failure(
        type=name,
        message=_unicode(value.message),
        where=None if value.where is None else _unicode(value.where),
        hint=None if value.hint is None else _unicode(value.hint),
        retry_after_s=retry_after(value),
    )


def _restored(wanted: type, value: object) -> QuanopyError:
    if wanted is not QuanopyError:
        raise TypeError(f"a {wanted.__name__} is never sent")
    return msgspec.convert(value, _Failure).error()


def _unicode(text: str) -> str:
    """A text that may quote a program, without what a message cannot say or a database keep."""
    return text[:_LONGEST].replace("\0", "?").encode("utf-8", "replace").decode()


_encoder = Encoder(enc_hook=_as_failure)
_text: Decoder[str] = Decoder(_Text)
