"""Requests of the vendor's client: signed in, bounded in time and size, tried once."""

import time
from threading import Lock
from typing import Any

from ibm_cloud_sdk_core import ApiException, IAMTokenManager
from requests import PreparedRequest, RequestException, Response
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from requests.exceptions import ConnectionError as RequestsConnectionError

from quanopy.domain.errors import Denied, OutcomeUnknown, QuanopyError, Transient, Unavailable
from quanopy.providers.refusals import refusal, retry_after_s
from quanopy.providers.secrets import Secret, without
from quanopy.providers.sessions import credentials_in

MOST_BYTES = 256 * 2**20
_CHUNK = 64 * 2**10


class Login(AuthBase):
    """Signs requests with a token of IAM, which the vendor's own manager renews. The key is read
    anew after it was refused."""

    def __init__(self, key: Secret, crn: str, *, iam_url: str | None, timeout_s: float) -> None:
        self._key = key
        self._crn = crn
        self._iam_url = iam_url
        self._timeout_s = timeout_s
        self._lock = Lock()
        self._manager: IAMTokenManager | None = None

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Service-CRN"] = self._crn
        request.headers["Authorization"] = f"Bearer {self._token()}"
        return request

    def forget(self) -> None:
        """The token was refused."""
        with self._lock:
            self._manager = None

    def _token(self) -> str:
        with self._lock:
            if self._manager is None:
                self._manager = IAMTokenManager(self._key.reveal(), url=self._iam_url)
                self._manager.http_config = {"timeout": self._timeout_s, "allow_redirects": False}
            try:
                return str(self._manager.get_token())
            except ApiException as error:
                refused = self._refused(error)
            except (RequestException, ValueError, KeyError, TypeError) as error:
                refused = Unavailable(f"IBM's IAM gave no token: {type(error).__name__}")
            # Out here, it does not carry what it came from: the client's errors have all that IAM
            # said, which may be the key.
            self._manager = None
            raise refused

    def _refused(self, error: ApiException) -> QuanopyError:
        status = int(error.status_code or 0)
        if status in (400, 401, 403):
            return Denied(
                f"IBM's IAM refused the key at {self._key}", hint="Check the provider's token."
            )
        if 300 <= status < 400:
            return refusal(status, "IBM's IAM", retry_after_s=None)
        headers = dict(error.http_response.headers) if error.http_response is not None else {}
        return Transient(f"IBM's IAM answered {status}", retry_after_s=retry_after_s(headers))


class Bounded(HTTPAdapter):
    """Sends once, gives up after a time, and takes no answer that is too large."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        super().__init__(max_retries=0, pool_maxsize=32)

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: dict[str, str] | None = None,
    ) -> Response:
        """The answer, read whole."""
        response = super().send(
            request,
            stream=True,
            timeout=self._timeout_s,
            verify=verify,
            cert=cert,
            proxies=proxies,
        )
        response._content = _read(response, time.monotonic() + self._timeout_s)
        return response


def _read(response: Response, deadline: float) -> bytes:
    data = bytearray()
    for chunk in response.iter_content(_CHUNK):
        data += chunk
        if len(data) > MOST_BYTES:
            response.close()
            raise RequestsConnectionError(f"an answer of more than {MOST_BYTES} bytes")
        if time.monotonic() > deadline:
            response.close()
            raise RequestsConnectionError("an answer that takes too long")
    return bytes(data)


def error_of(failed: RequestException, who: str) -> QuanopyError:
    """What a request that failed means: of one that was sent, the outcome is unknown."""
    response = failed.response
    if response is not None:
        after = retry_after_s(dict(response.headers))
        return refusal(response.status_code, who, _said(response), retry_after_s=after)
    if _never_left(failed):
        return Unavailable(f"{who} cannot be reached: {type(failed).__name__}")
    return OutcomeUnknown(f"{who} did not answer: {type(failed).__name__}")


def _never_left(failed: RequestException) -> bool:
    from requests.exceptions import ConnectTimeout, ProxyError, SSLError
    from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

    if isinstance(failed, ConnectTimeout | SSLError | ProxyError):
        return True
    cause = failed.args[0] if failed.args else None
    return isinstance(cause, MaxRetryError) and isinstance(
        cause.reason, NewConnectionError | ConnectTimeoutError
    )


def _said(response: Response) -> str:
    """The vendor's own words."""
    try:
        (first, *_) = response.json()["errors"]
        return without(credentials_in(response.request), str(first["message"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
