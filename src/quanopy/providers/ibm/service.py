"""The service as qiskit-ibm-runtime's REST client speaks to it, every failure with a class.

That layer of the client is used, not ``QiskitRuntimeService``: the latter turns failures into
warnings and decodes answers by importing the modules they name.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

from quanopy.domain.errors import (
    NotFound,
    NotReady,
    OutcomeUnknown,
    QuanopyError,
    Rejected,
    Transient,
)
from quanopy.domain.texts import is_showable
from quanopy.providers.secrets import Secret

PAGE = 200
"""Most jobs in one list."""
_LONGEST_ID = 128
_CLIENT = "qiskit_ibm_runtime"
T = TypeVar("T")


class Service:
    """One instance of the service; safe from several threads."""

    def __init__(
        self, *, key: Secret, crn: str, url: str | None, iam_url: str | None, timeout_s: float
    ) -> None:
        """Imports the vendor's client, which takes seconds."""
        # The client would else tell the vendor from which files it is called, at 20 ms a request.
        os.environ.setdefault("USAGE_DATA_OPT_OUT", "True")
        with _quiet():
            from qiskit_ibm_runtime.api.rest.runtime import Runtime
            from qiskit_ibm_runtime.api.session import RetrySession
            from qiskit_ibm_runtime.api.utils import default_runtime_url_resolver

        from quanopy.providers.ibm.http import Bounded, Login

        base = url or default_runtime_url_resolver("https://cloud.ibm.com", crn)
        self._login = Login(key, crn, iam_url=iam_url, timeout_s=timeout_s)
        self._session = RetrySession(base.rstrip("/"), auth=self._login)
        self._session.max_redirects = 0
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, Bounded(timeout_s))
        self._api = Runtime(self._session)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    # -- machines -----------------------------------------------------------------------------
    def backends(self) -> Sequence[Mapping[str, Any]]:
        """What the list of backends says of each."""
        return _objects(self._ask(self._api.backends), "devices")

    def configuration(self, backend: str) -> Mapping[str, Any]:
        """A backend's configuration."""
        return _object(self._ask(self._api.backend(backend).configuration))

    def properties(self, backend: str) -> Mapping[str, Any] | None:
        """Its calibration; ``None`` where it has none."""
        found = self._ask(self._api.backend(backend).properties)
        return _object(found) if found else None

    # -- jobs ---------------------------------------------------------------------------------
    def start(
        self,
        program: str,
        backend: str,
        params: Mapping[str, Any],
        *,
        tags: Sequence[str],
        session: str | None,
    ) -> str:
        """Submit a job; its id. :class:`OutcomeUnknown` where the answer was lost."""
        try:
            told = self._call(
                lambda: self._api.program_run(
                    program, backend, dict(params), session_id=session, job_tags=list(tags)
                )
            )
        except NotReady as error:
            raise Rejected(error.message) from error
        found = told.get("id") if isinstance(told, dict) else None
        if not (isinstance(found, str) and 0 < len(found) <= _LONGEST_ID and is_showable(found)):
            raise OutcomeUnknown("IBM gave no job id for what was submitted")
        return found

    def job(self, id: str, *, whole: bool = False) -> Mapping[str, Any]:
        """A job, with what was submitted if ``whole``; :class:`NotFound`."""
        query = {} if whole else {"exclude_params": "true"}
        found = _object(self._ask(lambda: self._session.get(f"/jobs/{id}", params=query).json()))
        if found.get("id") != id:
            raise Transient(f"IBM did not tell of job {id}, but of something else")
        return found

    def jobs(
        self,
        *,
        tags: Sequence[str],
        skip: int = 0,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Sequence[Mapping[str, Any]]:
        """A page of jobs that have all these tags, the newest first."""
        found = self._ask(
            lambda: self._api.jobs_get(
                limit=PAGE,
                skip=skip,
                job_tags=list(tags),
                created_after=since,
                created_before=until,
            )
        )
        return _objects(found, "jobs")

    def results(self, id: str) -> bytes:
        """A job's result as it was sent; empty where there is none yet."""
        found: bytes = self._ask(lambda: self._session.get(f"/jobs/{id}/results").content)
        return found

    def metrics(self, id: str) -> Mapping[str, Any]:
        """Its usage and times."""
        return _object(self._ask(self._api.program_job(id).metadata))

    def logs(self, id: str) -> str:
        """What the service logged of it."""
        return str(self._ask(self._api.program_job(id).logs))

    def cancel(self, id: str) -> None:
        """End a job; one that has ended already, or is gone, is no error."""
        try:
            self._ask(self._api.program_job(id).cancel)
        except (NotReady, NotFound):
            return

    # -- sessions -----------------------------------------------------------------------------
    def open_session(self, backend: str, mode: str, most_s: int) -> str:
        """Open a batch or session; its id."""
        opened = self._ask(
            lambda: self._api.runtime_session().create(backend=backend, mode=mode, max_time=most_s)
        )
        found = _object(opened).get("id")
        if not isinstance(found, str):
            raise Transient("IBM opened a session, but gave no id of it")
        return found

    def takes_jobs(self, session: str) -> bool:
        """Whether a session is open."""
        try:
            found = _object(self._ask(self._api.runtime_session(session).details))
        except NotFound:
            return False
        return bool(found.get("accepting_jobs"))

    def close_session(self, session: str) -> None:
        """Have it take no more jobs; those in it complete."""
        self._ask(self._api.runtime_session(session).close)

    # -- requests -----------------------------------------------------------------------------
    def _ask(self, call: Callable[[], T]) -> T:
        """A question: a lost answer only means to ask again."""
        try:
            return self._call(call)
        except OutcomeUnknown as error:
            raise Transient(error.message, retry_after_s=error.retry_after_s) from error

    def _call(self, call: Callable[[], T]) -> T:
        from qiskit_ibm_runtime.api.exceptions import RequestsApiError
        from qiskit_ibm_runtime.exceptions import IBMError
        from requests import RequestException

        try:
            return call()
        except (RequestsApiError, IBMError, RequestException) as error:
            told = self._classified(error)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            told = OutcomeUnknown(f"IBM gave an answer that is none: {type(error).__name__}")
        # Out here, it does not carry what it came from: the client's errors have all of the answer.
        raise told

    def _classified(self, error: BaseException) -> QuanopyError:
        from requests import RequestException

        from quanopy.domain.errors import Denied
        from quanopy.providers.ibm.http import error_of

        found: BaseException | None = error
        while found is not None and not isinstance(found, RequestException):
            # The client wraps what went wrong, once with a cause and once without.
            found = found.__cause__ or found.__context__
        if found is None:
            return OutcomeUnknown(f"IBM's client failed: {type(error).__name__}")
        told = error_of(found, "IBM")
        if isinstance(told, Denied):
            self._login.forget()
        return told


@contextmanager
def _quiet() -> Iterator[None]:
    """The client logs to where everything else does, and not each of its requests: it would write
    two lines a job to the standard error, and its import some on compiling."""
    passes, client = logging.getLogger("qiskit.passmanager"), logging.getLogger(_CLIENT)
    before = passes.level
    passes.setLevel(logging.WARNING)
    try:
        yield
    finally:
        passes.setLevel(before)
        for handler in list(client.handlers):
            client.removeHandler(handler)
        client.propagate = True
        if client.level == logging.NOTSET and not client.isEnabledFor(logging.DEBUG):
            client.setLevel(logging.WARNING)


def _object(found: Any) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise Transient(f"IBM answered with {type(found).__name__} where an object belongs")
    return found


def _objects(found: Any, field: str) -> list[Mapping[str, Any]]:
    listed = _object(found).get(field)
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise Transient(f"IBM answered without {field}")
    return listed
