"""What is sent through iqm-client: requests that have a time-out, and answers that are checked."""

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote
from uuid import UUID

from quanopy.domain.errors import Denied, NotFound, OutcomeUnknown, Transient, Unavailable
from quanopy.providers.secrets import Secret

_MOST_BYTES = 512 * 1024 * 1024
"""Of an answer: all shots of all circuits come as lists of numbers."""
_TAKEN = ("IQM_TOKEN", "IQM_TOKENS_FILE")
"""Variables that iqm-client reads by itself, and then refuses a token that it is given."""


class IqmClient:
    """One IQM Server; threads may share it."""

    def __init__(self, who: str, url: str, token: Secret, *, timeout_s: float) -> None:
        self.who = who
        self._url = url.rstrip("/")
        self._token = token
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._session: Any = None
        self._client: Any = None

    def machines(self) -> Sequence[str]:
        """Aliases of the quantum computers that the token gives access to."""
        found = self._answered(self._ask("quantum-computers"))
        return _aliases(found, self.who)

    def ask(self, path: str) -> Any:
        """A question, which may be repeated; its answer as JSON has it."""
        return self._answered(self._ask(path))

    def submit(self, machine: str, batch: bytes) -> str:
        """Send a batch of circuits as it is; the job's id."""
        response = self._send("post", f"jobs/{quote(machine, safe='')}/circuit", batch)
        try:
            return str(UUID(response.json()["id"]))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise OutcomeUnknown(f"{self.who} took a job and gave no id of it") from None

    def cancel(self, id: str) -> None:
        """Ask for a job's end."""
        with _repeatable():
            self._send("post", f"jobs/{id}/cancel")

    def close(self) -> None:
        """Close the connections; idempotent."""
        with self._lock:
            session, self._session, self._client = self._session, None, None
        if session is not None:
            session.close()

    def forget(self) -> None:
        """Read the token again before the next request."""
        with self._lock:
            self._client = None

    def _ask(self, path: str) -> Any:
        with _repeatable():
            return self._send("get", path)

    def _answered(self, response: Any) -> Any:
        try:
            return response.json()
        except (ValueError, RecursionError):
            raise Transient(f"{self.who} gave an answer that is no JSON") from None

    def _send(self, method: str, path: str, body: bytes | None = None) -> Any:
        client, session = self._opened()
        try:
            return client.send_request(
                getattr(session, method), path, json_data=None if body is None else body.decode()
            )
        except Denied:
            self.forget()
            raise

    def _opened(self) -> tuple[Any, Any]:
        with self._lock:
            if self._session is None:
                from quanopy.providers.sessions import VendorSession

                self._session = VendorSession(
                    self.who,
                    home=self._url,
                    timeout_s=self._timeout_s,
                    most_bytes=_MOST_BYTES,
                )
            if self._client is None:
                self._client = self._connected()
            return self._client, self._session

    def _connected(self) -> Any:
        """iqm-client wants to be told one of the machines, and finds it before anything else."""
        from exa.common.errors.iqm_error import IQMError
        from iqm.iqm_server_client.iqm_server_client import IQMServerClient
        from requests import RequestException

        token = self._token.reveal()
        with _repeatable():
            headers = {"Authorization": f"Bearer {token}"}
            listed = self._session.get(f"{self._url}/api/v1/quantum-computers", headers=headers)
        aliases = _aliases(self._answered(listed), self.who)
        if not aliases:
            raise Unavailable(f"{self.who} gives access to no quantum computer")
        try:
            return IQMServerClient(
                self._url,
                quantum_computer=aliases[0],
                token=None if self._given_by_variable() else token,
                timeout=self._timeout_s,
            )
        except (IQMError, RequestException) as error:
            raise Transient(f"{self.who} is not to be used: {type(error).__name__}") from None

    def _given_by_variable(self) -> bool:
        taken = [name for name in _TAKEN if os.environ.get(name)]
        if not taken:
            return False
        if taken == ["IQM_TOKEN"] and self._token.reference == "env:IQM_TOKEN":
            return True
        raise Unavailable(
            f"iqm-client takes its token from {taken[0]}, and then no other",
            hint=f"Remove {taken[0]} from the worker's environment, or name it as the token.",
        )


def _aliases(found: Any, who: str) -> Sequence[str]:
    machines = found.get("quantum_computers") if isinstance(found, dict) else None
    if not isinstance(machines, list):
        raise Transient(f"{who} gave no list of its quantum computers")
    aliases = [one.get("alias") for one in machines if isinstance(one, Mapping)]
    return [alias for alias in aliases if isinstance(alias, str) and alias]


@contextmanager
def _repeatable() -> Iterator[None]:
    """Around a request that may be sent again, whatever became of it."""
    try:
        yield
    except OutcomeUnknown as error:
        raise Transient(error.message, retry_after_s=error.retry_after_s) from None


def job_path(id: str) -> str:
    """Where a job is asked for; raises :class:`NotFound` for what is no job's id."""
    try:
        return f"jobs/{UUID(id)}"
    except ValueError:
        raise NotFound(f"IQM has no job {id[:80]!r}: its ids are UUIDs") from None


def encoded(definition: Mapping[str, Any]) -> bytes:
    """A batch as it is sent."""
    return json.dumps(definition, separators=(",", ":")).encode()
