"""The one tree of errors. A message says what was wrong, where, and what to do.

::

    QuanopyError
    ├── Invalid            the request itself is wrong; sending it again will not help
    │   ├── Unsupported    a format or media type that nothing here reads
    │   └── TooLarge       more than a stated limit allows
    ├── NotFound           no such thing, or not one of yours
    ├── Conflict           the same key or name was used for something else
    ├── Denied             no, a wrong, or an expired credential
    │   └── Forbidden      the credential is good, but has not the right that is needed
    ├── InvalidTransition  a state does not lead there
    ├── NotReady           the answer does not exist yet; ask again later
    ├── QuotaExceeded      your account's share is used up for now
    ├── ResourceMismatch   the work does not fit the resource
    ├── TaskFailed         the work ran, or could not run, and failed for good
    └── ProviderError      the other side, or the way to it
        ├── Transient      try again (after ``retry_after_s``)
        ├── Rejected       the provider refused this work for good
        ├── Unavailable    the service, database, object store or provider cannot be reached
        └── OutcomeUnknown it may or may not have been accepted: never repeat it blindly
"""

import math
from collections.abc import Mapping

LONGEST_RETRY_S = 24 * 3600.0
"""The longest that anybody is left alone because an error asks for it."""


class QuanopyError(Exception):
    """The root of every error Quanopy raises on purpose."""

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        """``where`` points into the input (``pubs[3].parameters``); ``hint`` says what to do."""
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint
        self.more: Mapping[str, object] = {}
        """What else programs may read of it, as plain JSON: members of its problem document."""

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.message}" if self.where else self.message]
        return ". ".join([*parts, self.hint] if self.hint else parts)


class Invalid(QuanopyError):
    """The request itself is wrong; sending it again unchanged will not help."""


class Unsupported(Invalid):
    """A program format or media type that nothing here reads."""


class TooLarge(Invalid):
    """More than a stated limit allows."""


class NotFound(QuanopyError):
    """There is no such thing, or it is not yours to see."""


class Conflict(QuanopyError):
    """The same key or name was already used for something else."""


class Denied(QuanopyError):
    """The credential is missing, wrong, revoked or expired."""


class Forbidden(Denied):
    """The credential is good, but has not the right that is needed."""


class InvalidTransition(QuanopyError):
    """A state does not lead to the one asked for."""


class NotReady(QuanopyError):
    """The answer does not exist yet; ask again later."""


class QuotaExceeded(QuanopyError):
    """The account's share is used up for now."""


class ResourceMismatch(QuanopyError):
    """The work does not fit the resource."""


class TaskFailed(QuanopyError):
    """The work failed, or was cancelled, for good; the message carries the reason."""


class ProviderError(QuanopyError):
    """The other side, or the way to it, failed."""

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        hint: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.retry_after_s = retry_after_s


class Transient(ProviderError):
    """It failed before anything happened; try again."""


class Rejected(ProviderError):
    """The provider refused this work for good."""


class Unavailable(ProviderError):
    """A service, database, object store or provider cannot be reached now."""


class OutcomeUnknown(ProviderError):
    """The request may or may not have been accepted: never repeat it blindly."""


def retry_after(error: QuanopyError) -> float | None:
    """How many seconds an error asks to be left alone: whatever it says, none to
    :data:`LONGEST_RETRY_S`; ``None`` where it does not ask."""
    asked: float | None = getattr(error, "retry_after_s", None)
    if asked is None or math.isnan(asked):
        return None
    return min(max(asked, 0.0), LONGEST_RETRY_S)
