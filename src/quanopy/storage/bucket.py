"""Objects in an S3 bucket, or in what speaks its protocol."""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from quanopy.domain.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

_CHECK = "check"
_THREADS = 16
_PREFIX = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._-]*/([A-Za-z0-9_][A-Za-z0-9._/-]*)?")
_MISSING = (NotFoundError, FileNotFoundError)


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Access:
    """How to reach an S3 service.

    Without keys the ones of the environment the process runs in are used: AWS variables, web
    identity, container or instance credentials.
    """

    endpoint: str | None = field(default=None, repr=False)
    """URL of a service other than AWS; plain ``http`` only where it says so."""
    region: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    timeout_s: float = 30.0
    """Of one request, a large object's transfer included."""


class Bucket:
    """Objects under a prefix of one bucket; many are put at a time."""

    near = False

    def __init__(self, bucket: str, prefix: str, access: S3Access) -> None:
        """Makes no request: a service that is away now may come back later."""
        self.name = f"the bucket {bucket}"
        if access.endpoint is not None:
            self.name += f" at {_host(access.endpoint)}"
        if not _PREFIX.fullmatch(f"{bucket}/{prefix}"):
            raise Invalid(
                f"{bucket}/{prefix} is no bucket and prefix",
                hint="Take letters, digits, dots, hyphens and underscores between slashes.",
            )
        self._keyless = access.access_key_id is None
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="bucket")
        self.store = S3Store(
            bucket,
            prefix=prefix or None,
            config=_config(access),
            client_options=_client(access),
            retry_config=_RETRIES,
        )

    def put(self, objects: Mapping[str, bytes]) -> set[str]:
        """Create each once, and say which were new; S3 answers only after an object is safe."""
        try:
            new = self._threads.map(lambda item: self._create(*item), objects.items())
            return {key for key, created in zip(objects, new, strict=True) if created}
        except (BaseError, OSError) as error:
            raise self.unavailable(error) from error

    def delete(self, key: str) -> None:
        """Remove an object; S3 does not say whether it was there."""
        obstore.delete(self.store, key)

    def unavailable(self, error: Exception) -> Unavailable:
        """What this error means for whoever needs the bucket; it tells nothing of the keys."""
        if isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError):
            return Unavailable(
                f"{self.name} refuses these credentials",
                hint="Check the access key and its rights to read, write and list.",
            )
        if isinstance(error, _MISSING):
            return Unavailable(
                f"{self.name} does not exist", hint="Create the bucket, or name another."
            )
        keys = "No key is set: the machine's own identity was tried. " if self._keyless else ""
        return Unavailable(
            f"{self.name} cannot be reached",
            hint=f"{keys}Check its endpoint, its name, the credentials and the network; then try "
            "again.",
        )

    def confirm(self) -> None:
        """Raise unless the bucket is there."""
        try:
            next(iter(obstore.list(self.store, prefix=_CHECK, chunk_size=1)), None)
        except (BaseError, OSError) as error:
            raise self.unavailable(error) from error

    def check(self) -> None:
        """Raise unless an object can be created now."""
        self.put({_CHECK: b"ready"})

    def _create(self, key: str, data: bytes) -> bool:
        try:
            obstore.put(self.store, key, data, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        return True


_RETRIES: "RetryConfig" = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=30),
    "backoff": {
        "init_backoff": timedelta(milliseconds=50),
        "max_backoff": timedelta(seconds=2),
        "base": 2,
    },
}


def _host(endpoint: str) -> str:
    """The endpoint without any user or password in it; raises Invalid for what is no URL, at
    which obstore would panic later."""
    try:
        parts = urlsplit(endpoint)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        raise _no_endpoint() from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _no_endpoint()
    return f"{parts.hostname}{port}"


def _no_endpoint() -> Invalid:
    return Invalid("the S3 endpoint is no URL", hint="Take https://host or http://host:port.")


def _config(access: S3Access) -> "S3Config":
    config: S3Config = {"virtual_hosted_style_request": False}
    if access.endpoint:
        config["endpoint"] = access.endpoint
    if access.region:
        config["region"] = access.region
    if (access.access_key_id is None) != (access.secret_access_key is None):
        raise Invalid("an S3 access key needs its id and its secret", hint="Set both, or neither.")
    if access.access_key_id and access.secret_access_key:
        config["access_key_id"] = access.access_key_id
        config["secret_access_key"] = access.secret_access_key
    if access.session_token:
        config["session_token"] = access.session_token
    return config


def _client(access: S3Access) -> "ClientConfig":
    plain = access.endpoint is not None and urlsplit(access.endpoint).scheme == "http"
    return {
        "allow_http": plain,
        "timeout": timedelta(seconds=access.timeout_s),
        "connect_timeout": timedelta(seconds=min(5.0, access.timeout_s)),
    }
