"""Braket's and S3's API through botocore: one request a call, each with a time-out and an error of
ours for whatever comes of it."""

import base64
import binascii
import hashlib
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from quanopy.domain.errors import (
    Denied,
    NotFound,
    OutcomeUnknown,
    QuanopyError,
    Rejected,
    Transient,
    Unavailable,
)
from quanopy.providers.refusals import refusal, retry_after_s
from quanopy.providers.secrets import Secret, without

MAX_RESULT = 256 * 1024 * 1024
"""Bytes of one object that are read."""
_CONNECTIONS = 32
_DENIED = frozenset(
    {
        *("AccessDenied", "AccessDeniedException", "ExpiredToken", "ExpiredTokenException"),
        *("InvalidAccessKeyId", "InvalidSignatureException", "SignatureDoesNotMatch"),
        *("MissingAuthenticationTokenException", "UnrecognizedClientException"),
    }
)
_LATER = frozenset({"ThrottlingException", "ServiceQuotaExceededException", "SlowDown"})
_MISSING = frozenset({"ResourceNotFoundException", "NoSuchKey", "NoSuchBucket"})


@dataclass(frozen=True, kw_only=True)
class Access:
    """Where the service is and how one gets in; showing it shows where credentials are."""

    region: str
    access_key_id: Secret | None
    secret_access_key: Secret | None
    session_token: Secret | None
    profile: str | None
    endpoint_url: str | None
    s3_endpoint_url: str | None
    timeout_s: float

    @cached_property
    def account(self) -> str | None:
        """The account that the key's id is of, which AWS writes into it; no request is made."""
        key = self.access_key_id.reveal() if self.access_key_id else self._found_key()
        return None if key is None else _account_in(key)

    def _found_key(self) -> str | None:
        found = self.session().get_credentials()
        return None if found is None else str(found.access_key)

    def session(self) -> Any:
        """A botocore session with the credentials as they are now."""
        from botocore.session import Session

        keys = (self.access_key_id, self.secret_access_key, self.session_token)
        try:
            session = Session(profile=self.profile)
            session.set_config_variable("region", self.region)
            session.register_component(
                "data_loader", _descriptions(session.get_config_variable("data_path"))
            )
            if any(keys):
                session.set_credentials(*(key.reveal() if key else None for key in keys))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with them: there are none
            raise Denied(f"no AWS credentials: {type(error).__name__}") from None
        return session


@cache
def _descriptions(data_path: str | None) -> Any:
    """What AWS's services are like, read once a process: it takes a quarter of a second."""
    from botocore.loaders import create_loader

    return create_loader(data_path)


def _account_in(key_id: str) -> str | None:
    """The account in an access key id (``AKIA…``, ``ASIA…``), of the form used since 2019."""
    if len(key_id) != 20 or key_id[:4] not in ("AKIA", "ASIA"):
        return None
    try:
        bits = base64.b32decode(key_id[4:])
    except (binascii.Error, ValueError):
        return None
    return f"{(int.from_bytes(bits[:6], 'big') & 0x7FFFFFFFFF80) >> 7:012d}"


def fingerprint_of(account: str, region: str) -> str:
    """A digest of an account. Account numbers are few, so it is one that takes long to make."""
    digest = hashlib.scrypt(
        account.encode(), salt=f"quanopy/aws/{region}".encode(), n=2**14, r=8, p=1, dklen=32
    )
    return f"scrypt:{digest.hex()}"


class Service:
    """Calls of the API; safe for threads. Clients are made at the first call, and again after
    credentials were refused: they may have been renewed."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}
        self._signing: Any = None
        """What the clients' requests are signed with."""

    def ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """A call of Braket that may be repeated: a lost answer means to ask again."""
        try:
            return self.send(operation, **parameters)
        except OutcomeUnknown as error:
            raise Transient(error.message, retry_after_s=error.retry_after_s) from error

    def send(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """A call of Braket; :class:`OutcomeUnknown` where the answer was lost."""
        answer = self._call("braket", operation, parameters)
        if not isinstance(answer, dict):
            raise OutcomeUnknown("braket answered what its API has not")
        return answer

    def read(self, bucket: str, key: str) -> bytes:
        """An object of at most :data:`MAX_RESULT` bytes."""
        try:
            answer = self._call("s3", "get_object", {"Bucket": bucket, "Key": key})
            data = self._guarded("s3", lambda: answer["Body"].read(MAX_RESULT + 1))
        except OutcomeUnknown as error:
            raise Transient(error.message, retry_after_s=error.retry_after_s) from error
        if len(data) > MAX_RESULT:
            raise Rejected(f"s3://{bucket}/{key} has more than {MAX_RESULT} bytes")
        return bytes(data)

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()

    def _call(self, name: str, operation: str, parameters: Mapping[str, Any]) -> Any:
        try:
            return self._guarded(name, lambda: getattr(self._client(name), operation)(**parameters))
        except Denied:
            self.close()
            raise

    def _guarded(self, name: str, action: Any) -> Any:
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            ConnectTimeoutError,
            EndpointConnectionError,
            HTTPClientError,
            NoCredentialsError,
            ParamValidationError,
            PartialCredentialsError,
            ProxyConnectionError,
        )
        from botocore.parsers import ResponseParserError

        try:
            return action()
        except ClientError as error:
            raise _refused(name, error.response, self._secrets()) from None
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise Denied(
                "no AWS credentials were found", hint="Set access_key_id and secret_access_key."
            ) from error
        except ParamValidationError as error:
            raise Rejected(f"{name} does not take this: {error}"[:500]) from None
        except (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError) as error:
            raise Unavailable(f"{name} cannot be reached: {type(error).__name__}") from None
        except (HTTPClientError, BotoCoreError, ResponseParserError, OSError) as error:
            raise OutcomeUnknown(f"{name} did not answer: {type(error).__name__}") from None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # What the client makes of an answer that is not of its API.
            raise OutcomeUnknown(f"{name} answered nonsense: {type(error).__name__}") from None

    def _secrets(self) -> list[str]:
        """What may be repeated in an answer: a session's token is sent as it is."""
        known = self._signing
        return [] if known is None else [one for one in (known.secret_key, known.token) if one]

    def _client(self, name: str) -> Any:
        with self._lock:
            if name not in self._clients:
                self._clients[name] = self._build(name)
            return self._clients[name]

    def _build(self, name: str) -> Any:
        session = self._access.session()
        self._signing = session.get_credentials()
        from botocore.config import Config

        s3 = self._access.s3_endpoint_url
        config = Config(
            connect_timeout=self._access.timeout_s,
            read_timeout=self._access.timeout_s,
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=_CONNECTIONS,
            s3={"addressing_style": "path"} if s3 else None,
        )
        url = s3 if name == "s3" else self._access.endpoint_url
        return session.create_client(name, endpoint_url=url, config=config)


def _refused(name: str, response: Mapping[str, Any], secrets: Iterable[str]) -> QuanopyError:
    """An error that the service answered."""
    about, metadata = response.get("Error", {}), response.get("ResponseMetadata", {})
    code, said = str(about.get("Code", "")), str(about.get("Message", ""))
    status = int(metadata.get("HTTPStatusCode", 0))
    later = retry_after_s(metadata.get("HTTPHeaders", {}))
    told = " ".join(without(secrets, f"{code}: {said}").split())[:500]
    if code in _DENIED:
        return Denied(f"{name} refused: {told}", hint="Check the provider's AWS credentials.")
    if code in _LATER:
        return Transient(f"{name} is busy: {told}", retry_after_s=later)
    if code in _MISSING:
        return NotFound(f"{name} answered {told}")
    if code == "DeviceOfflineException":
        return Unavailable(f"{name}: {told}", retry_after_s=later)
    return refusal(status, name, told, retry_after_s=later)
