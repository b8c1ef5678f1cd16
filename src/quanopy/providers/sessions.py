"""Under vendors' clients that speak through ``requests``: a session that waits and reads only so
much, follows nobody elsewhere, and has one of our errors for every failure.

What such a client then raises is ours already; it is none that the client would retry by itself.
"""

import logging
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlsplit

import requests
from requests.exceptions import ConnectTimeout, InvalidSchema, InvalidURL, MissingSchema
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from quanopy.domain.errors import (
    OutcomeUnknown,
    QuanopyError,
    Rejected,
    Transient,
    Unavailable,
    retry_after,
)
from quanopy.providers.refusals import refusal, retry_after_s
from quanopy.providers.secrets import without

_CHUNK = 64 * 1024
_QUERY = re.compile(r"\?\S*")
_NO_ADDRESS = (InvalidSchema, InvalidURL, MissingSchema)
_FORM = "application/x-www-form-urlencoded"
_SAID = ("message", "error", "detail", "description")
"""Where vendors put what they say of an error."""


class _Unsigned(logging.Filter):
    """Addresses that vendors sign carry a credential in their query: logs go without."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                _QUERY.sub("?…", one) if isinstance(one, str) else one for one in record.args
            )
        return True


logging.getLogger("urllib3.connectionpool").addFilter(_Unsigned())


class VendorSession(requests.Session):
    """Connections to one vendor; threads may share it."""

    def __init__(
        self,
        who: str,
        *,
        home: str,
        timeout_s: float,
        most_bytes: int = 64 * 1024 * 1024,
        connections: int = 16,
    ) -> None:
        """``who`` is named in errors. Where the vendor names addresses itself, only its own, at
        ``home``, need not be encrypted. An answer has ``timeout_s`` altogether, and may have
        ``most_bytes``."""
        super().__init__()
        self.auth = _as_it_is
        self._who = who
        self._home = _origin(home)
        self._timeout_s = timeout_s
        self._most_bytes = most_bytes
        self._environment: Mapping[str, Any] | None = None
        for scheme in ("http://", "https://"):
            self.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=connections))

    def request(  # type: ignore[override]
        self, method: str, url: str, *args: Any, **kwargs: Any
    ) -> requests.Response:
        """As ``requests`` does it, but the answer is whole and a good one, or an error of ours:
        ``OutcomeUnknown`` where the vendor may have done what was asked."""
        try:
            scheme, place = _origin(url)
        except ValueError:
            raise self._no_address() from None
        if scheme != "https" and (scheme, place) != self._home:
            raise Rejected(f"{self._who} names an address that is not asked: it is not https")
        kwargs |= {"timeout": self._timeout_s, "allow_redirects": False, "stream": True}
        deadline = time.monotonic() + self._timeout_s
        try:
            with super().request(method, url, *args, **kwargs) as response:
                body = self._read(response, deadline)
        except (requests.RequestException, HTTPError) as error:
            raise self._trouble(error) from None
        response._content, response._content_consumed = body, True
        if not 200 <= response.status_code < 300:
            raise refusal(
                response.status_code,
                self._who,
                _said(response),
                retry_after_s=retry_after_s(dict(response.headers)),
            )
        return response

    def merge_environment_settings(  # type: ignore[override]
        self, url: str, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> Mapping[str, Any]:
        """What the environment says of proxies and authorities, read once for ``home``: each time
        it is an eighth of what a request costs."""
        usual = _origin(url) == self._home and verify is None and not (proxies or cert)
        if usual and self._environment is not None:
            return self._environment
        said = super().merge_environment_settings(url, proxies, stream, verify, cert)
        if usual:
            self._environment = said
        return said

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: an answer that points elsewhere is a refusal, and nobody reads on there."""

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        parts, size = [], 0
        while part := response.raw.read1(_CHUNK, decode_content=True):
            size += len(part)
            if size > self._most_bytes:
                raise OutcomeUnknown(f"{self._who} answers more than {self._most_bytes} bytes")
            if time.monotonic() > deadline:
                raise OutcomeUnknown(f"{self._who} did not end its answer in {self._timeout_s:g} s")
            parts.append(part)
        return b"".join(parts)

    def _no_address(self) -> Unavailable:
        return Unavailable(f"{self._who} has no usable address", hint="Check its url.")

    def _trouble(self, error: requests.RequestException | HTTPError) -> QuanopyError:
        """Only the kind of the failure is told: its text may have an address with a signature."""
        if isinstance(error, _NO_ADDRESS):
            return self._no_address()
        kind = type(error).__name__
        if _never_left(error):
            return Unavailable(f"{self._who} cannot be reached: {kind}")
        return OutcomeUnknown(f"{self._who} did not answer: {kind}")


@contextmanager
def sending(who: str) -> Iterator[None]:
    """Around a request that must not be repeated blindly: an answer that nobody can read leaves
    its outcome unknown."""
    try:
        yield
    except QuanopyError:
        raise
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        AssertionError,
        RecursionError,
    ) as error:
        raise OutcomeUnknown(f"{who} gave an answer that is none: {type(error).__name__}") from None


@contextmanager
def asking(who: str) -> Iterator[None]:
    """Around a question that may be repeated: whatever became of it, it may be asked again."""
    try:
        with sending(who):
            yield
    except OutcomeUnknown as error:
        raise Transient(error.message, retry_after_s=retry_after(error)) from None


def _never_left(error: requests.RequestException | HTTPError) -> bool:
    """Whether the vendor cannot have got the request."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(error, ConnectTimeout) or isinstance(
        reason, NewConnectionError | ConnectTimeoutError
    ):
        return True
    return any(isinstance(one, ssl.SSLCertVerificationError) for one in getattr(reason, "args", ()))


def _origin(url: str) -> tuple[str, str]:
    split = urlsplit(url)
    return split.scheme, split.netloc


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """How requests are signed in: as whoever made them did. Else ``requests`` would put in what
    the user's ``.netrc`` has for the host, in place of the vendor's credential."""
    return request


def credentials_in(request: requests.PreparedRequest) -> Iterator[str]:
    """What gave access to a vendor: a token, or what the form of a login is filled with."""
    yield from str(request.headers.get("Authorization", "")).split()[-1:]
    if request.headers.get("Content-Type") == _FORM and isinstance(request.body, str):
        for _, value in parse_qsl(request.body):
            yield from (value, quote_plus(value))


def _said(response: requests.Response) -> str:
    """The vendor's own words in an error; what else it answers is nobody's business."""
    return without(credentials_in(response.request), _words(response))


def _words(response: requests.Response) -> str:
    try:
        found = response.json()
    except (ValueError, RecursionError):
        return ""
    if not isinstance(found, dict):
        return ""
    inner = found.get("data")
    places = (inner, found) if isinstance(inner, dict) else (found,)
    words = (place.get(name) for place in places for name in _SAID)
    return next((word for word in words if isinstance(word, str) and word), "")
