"""Perceval's own client of its cloud, over a session of ours. Importing this loads Perceval."""

from typing import Any

from perceval.providers.quandela.rpc_handler import RPCHandler
from requests import JSONDecodeError
from requests.auth import AuthBase
from requests.models import PreparedRequest

from quanopy.providers.secrets import Secret
from quanopy.providers.sessions import VendorSession


class Cloud(RPCHandler):
    """The client for one platform. Its own two ways to ask lose the status and ``Retry-After`` of
    a refusal, read answers of any length and open a connection each: they go over the session."""

    def __init__(self, platform: str, *, url: str, token: Secret, session: VendorSession) -> None:
        # The reference stands for the token that the client wants: it is revealed on the way.
        super().__init__(platform, url, str(token), {})
        self._auth = _Bearer(token)
        self._session = session

    def get_request(self, endpoint: str) -> Any:
        """What a question is answered with."""
        return self._session.get(endpoint, auth=self._auth).json()

    def post_request(self, endpoint: str, payload: dict[str, Any] | None) -> Any:
        """What is answered, ``None`` where that is no JSON: a cancellation has none."""
        response = self._session.post(endpoint, json=payload, auth=self._auth)
        try:
            return response.json()
        except JSONDecodeError:
            return None


class _Bearer(AuthBase):
    def __init__(self, token: Secret) -> None:
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        return request
