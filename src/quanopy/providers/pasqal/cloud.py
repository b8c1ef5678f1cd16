"""Pasqal's own client, over a session of ours. Importing this loads it, and ``requests``.

The client as it is retries for a minute, and sends a batch again after a 500, though the first may
have been taken; it retries nothing that is an error of ours.
"""

from typing import Any
from urllib.parse import urlsplit

from pasqal_cloud.authentication import ExpiringTokenProvider, TokenProvider
from pasqal_cloud.endpoints import Endpoints, TokenProviderConf
from pasqal_cloud.http_client import HTTPClient

from quanopy.domain.errors import Denied, Rejected
from quanopy.providers.pasqal.access import Access
from quanopy.providers.secrets import Secret
from quanopy.providers.sessions import VendorSession, asking

WHO = "Pasqal's cloud"
MOST_JOBS = 100
"""Of a batch, and in a page of a list."""


class Cloud(HTTPClient):
    """The client, and a way to a batch's jobs that ends whatever answers say of more pages."""

    def batch_jobs(self, batch: str) -> Any:
        """Up to 100 jobs of a batch, in the order in which they were sent."""
        order = {"order_by": "creation_order", "order_by_direction": "ASC"}
        page = {"batch_id": batch, "offset": 0, "limit": MOST_JOBS}
        return self._authenticated_request(
            "GET", self._get_url("get_jobs"), params={**page, **order}
        )["data"]


def connected(access: Access) -> Cloud:
    """A client that has not asked anything yet."""
    endpoints = Endpoints.from_region(access.region)
    if access.url is not None:
        endpoints = Endpoints(core=access.url, account=access.url)
    client = Cloud(project_id=access.project, token_provider=_tokens(access), endpoints=endpoints)
    client.session.close()
    client.session = VendorSession(WHO, home=endpoints.core, timeout_s=access.timeout_s)
    return client


def _tokens(access: Access) -> TokenProvider:
    if access.token is not None:
        return _Given(access.token)
    config = TokenProviderConf.from_region(access.region)
    if access.token_url is not None:
        config.token_endpoint = access.token_url
    return _Login(access, config)


class _Given(TokenProvider):
    """A token that somebody else renews."""

    def __init__(self, token: Secret) -> None:
        self._token = token

    def get_token(self) -> str:
        return self._token.reveal()


class _Login(ExpiringTokenProvider):
    """Tokens for a user name and password, kept until they expire."""

    def __init__(self, access: Access, config: TokenProviderConf) -> None:
        self._access = access
        self._config = config
        home = urlsplit(config.token_endpoint)
        self._session = VendorSession(
            f"{WHO}'s login", home=f"{home.scheme}://{home.netloc}", timeout_s=access.timeout_s
        )

    def _query_token(self) -> dict[str, Any]:
        assert self._access.password is not None
        form = {
            "client_id": self._config.public_client_id,
            "grant_type": self._config.grant_type,
            "realm": self._config.realm,
            "audience": self._config.audience,
            "username": self._access.username,
            "password": self._access.password.reveal(),
        }
        try:
            # Nothing was ordered yet: whatever becomes of it, it may be asked again.
            with asking(f"{WHO}'s login"):
                told = self._session.post(self._config.token_endpoint, data=form).json()
                if not isinstance(told["access_token"], str):
                    raise TypeError("a token that is no text")
                return {"access_token": told["access_token"], "expires_in": _seconds(told)}
        except Rejected as error:
            raise Denied(error.message, hint="Check username and password.") from None


def _seconds(told: dict[str, Any]) -> float | None:
    seconds = told.get("expires_in")
    return float(seconds) if isinstance(seconds, int | float) and seconds > 0 else None
