"""What all loopback vendors share: an HTTP server with faults, and jobs that run in the background.

A vendor subclasses :class:`Vendor`, names its routes and what each of them is about, and says how
a job runs. Routes that say ``start``, ``poll``, ``result``, ``stop``, ``find``, ``login``,
``target`` or ``calibration`` can be told to misbehave under that name.
"""

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from urllib.parse import unquote

from quanopy.testing.vendors.faults import STATUSES, Fault, Faults, linger
from quanopy.testing.vendors.jobs import ENDED, State, VendorJob
from quanopy.testing.vendors.messages import Cut, Reply, Request, Route, spoilt_reply
from quanopy.testing.vendors.serving import Server

CONTROL = "/quanopy/"
"""Routes under this steer the server itself: ``fault``, ``clear``, ``latency``, ``hold``,
``release``, ``recalibrate``, ``skew`` (POST), ``jobs`` and ``requests`` (GET)."""
_ELSEWHERE = "/elsewhere"
"""Routes under this are another host's."""


class Vendor:
    """A vendor's service in this process; subclasses set ``routes`` and ``run``."""

    name = "vendor"
    secret = "loopback-key"
    """The key that it takes."""

    def __init__(self, *, port: int = 0, runners: int = 1) -> None:
        """Listens on 127.0.0.1 once started; ``port`` 0 takes a free one."""
        self.faults = Faults()
        self.retry_after_s = 1
        self.latency_s = 0.0
        self.skew = timedelta()
        self.lock = threading.RLock()
        self.jobs: dict[str, VendorJob] = {}
        self._came = self._begun = 0
        self.requests: list[tuple[str, str]] = []
        """Every request that came: what it was about, and ``METHOD PATH``."""
        self.astray: list[Request] = []
        """What was sent on to where the fault ``elsewhere`` pointed."""
        self._open = threading.Event()
        self._open.set()
        self._runners = ThreadPoolExecutor(runners, thread_name_prefix=f"{self.name}-run")
        self._routes = list(self.routes())
        self._server = Server(port, self.answer, self.now)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    # -- what a vendor says -------------------------------------------------------------------
    def routes(self) -> Sequence[Route]:
        """Its routes, the first that matches is taken; use
        :func:`~quanopy.testing.vendors.messages.route`."""
        raise NotImplementedError

    def run(self, job: VendorJob) -> Any:
        """Run a job on the vendor's emulator, on a thread of its own; what it raises fails it."""
        raise NotImplementedError

    def refuse(self, status: int, message: str) -> Reply:
        """An error in the vendor's own words."""
        return Reply(status=status, body={"message": message})

    def recalibrate(self) -> None:
        """Have a new calibration from now on."""

    # -- how to use it ------------------------------------------------------------------------
    def environment(self) -> Mapping[str, str]:
        """Variables of a process that uses it, through its provider or the vendor's client."""
        return {self._variable: self.secret}

    @property
    def provider(self) -> str:
        """The provider that speaks to it, whose options these are."""
        return self.name

    def options(self) -> Mapping[str, Any]:
        """Options of its provider, as ``[providers.NAME]`` has them."""
        return {"url": self.url, "token": f"env:{self._variable}"}

    def secrets(self) -> Sequence[str]:
        """What nobody may see: the key, and what is given in exchange for it."""
        return [self.secret]

    @property
    def _variable(self) -> str:
        return f"QUANOPY_LOOPBACK_{self.name.upper().replace('-', '_')}_KEY"

    # -- jobs ---------------------------------------------------------------------------------
    def now(self) -> datetime:
        """The vendor's clock."""
        return datetime.now(UTC) + self.skew

    def accept(self, id: str, payload: Any, *, key: str | None = None) -> VendorJob:
        """Take a job in; it runs as soon as it may."""
        with self.lock:
            job = VendorJob(
                id=id, key=key, payload=payload, created_at=self.now(), place=self._came
            )
            self._came += 1
            self.jobs[id] = job
        self._runners.submit(self._run, job)
        return job

    def find(self, id: str) -> VendorJob | None:
        """The job of this id, unless there is none or it was forgotten."""
        with self.lock:
            job = self.jobs.get(id)
        return None if job is None or job.forgotten else job

    def cancel(self, job: VendorJob) -> None:
        """End a job that has not ended."""
        with self.lock:
            if job.state not in ENDED:
                job.state, job.ended_at = State.CANCELLED, self.now()

    def ahead(self, job: VendorJob) -> int:
        """How many stand before a job that waits, those that were cancelled meanwhile too."""
        with self.lock:
            return max(0, job.place - self._begun)

    def hold(self) -> None:
        """Jobs that start from now on go on running until :meth:`release`."""
        self._open.clear()

    def release(self) -> None:
        """Let them end."""
        self._open.set()

    def accepted(self, key: str) -> int:
        """How many jobs carry this key."""
        with self.lock:
            return sum(job.key == key for job in self.jobs.values())

    def _run(self, job: VendorJob) -> None:
        with self.lock:
            self._begun += 1
            if job.state in ENDED:
                return
            job.state, job.started_at = State.RUNNING, self.now()
        self._open.wait()
        if job.state in ENDED:
            return
        try:
            result, error = self.run(job), None
        except Exception as failure:  # noqa: BLE001 - a vendor says so of any program
            result, error = None, f"{type(failure).__name__}: {failure}"
        with self.lock:
            if job.state not in ENDED:
                job.result, job.error = result, error
                job.state = State.DONE if error is None else State.FAILED
                job.ended_at = self.now()

    # -- the server ---------------------------------------------------------------------------
    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Its address, with no slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Serve in the background."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End, whether it was started or not; idempotent."""
        self.release()
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()
        self._runners.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def answer(self, request: Request) -> Reply | Cut:
        """The reply to a request, with whatever fault is due."""
        if request.path.startswith(CONTROL):
            try:
                return self._control(request)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                wrong = f"not understood: {type(error).__name__}: {error}"
                return Reply(status=400, body={"message": wrong})
        if request.path.startswith(_ELSEWHERE):
            with self.lock:
                self.astray.append(request)
        found = self._match(request)
        if found is None:
            return self.refuse(404, f"no route {request.method} {request.path}")
        route, names = found
        about = route.about if isinstance(route.about, str) else route.about(request)
        with self.lock:
            self.requests.append((about, f"{request.method} {request.path}"))
        if self.latency_s:
            time.sleep(self.latency_s)
        planned = self.faults.next(about)
        fault = planned.kind if planned is not None else None
        if planned is not None and planned.delay_s:
            linger(request.connection, planned.delay_s)
        if fault in STATUSES:
            return self._misbehaved(request, fault)
        if fault is Fault.CUT:
            return Cut()
        acted = fault if fault in (Fault.REJECT, Fault.UNSEEN, Fault.VANISHED) else None
        try:
            reply = route.handle(replace(request, names=names, fault=acted))
        except Exception as error:  # noqa: BLE001 - a request may be anything
            return self.refuse(500, f"{type(error).__name__}: {error}")
        return spoilt_reply(reply, fault)

    def _misbehaved(self, request: Request, fault: Fault) -> Reply:
        said = f"told to answer {fault}"
        headers: Mapping[str, str] = {}
        if fault is Fault.ECHO:
            said = f"{dict(request.headers)} {request.body.decode(errors='replace')}"
        if fault is Fault.ELSEWHERE:
            headers = {"Location": f"http://localhost:{self.port}{_ELSEWHERE}{request.path}"}
        if fault in (Fault.MANY, Fault.BUSY):
            headers = {"Retry-After": f"{self.retry_after_s:g}"}
        refused = self.refuse(STATUSES[fault], said)
        return replace(refused, headers={**refused.headers, **headers})

    def _match(self, request: Request) -> tuple[Route, dict[str, str]] | None:
        for one in self._routes:
            if one.method == request.method and (match := one.pattern.fullmatch(request.path)):
                return one, {k: unquote(v) for k, v in match.groupdict().items() if v is not None}
        return None

    def _abouts(self) -> Sequence[str]:
        """What requests may be about; which of these a list is, a vendor tells by the request."""
        named = {one.about for one in self._routes if isinstance(one.about, str)}
        return sorted(named | {"find", "poll"})

    def _control(self, request: Request) -> Reply:
        told = request.json() or {}
        match request.path.removeprefix(CONTROL):
            case "fault":
                if told["route"] not in (known := self._abouts()):
                    raise ValueError(f"no route {told['route']!r}; there are {', '.join(known)}")
                self.faults.plan(
                    told["route"],
                    told["kind"],
                    times=told.get("times", 1),
                    delay_s=told.get("delay_s", 0.0),
                )
            case "latency":
                self.latency_s = float(told["seconds"])
            case "clear":
                self.faults.clear(told.get("route"))
            case "hold":
                self.hold()
            case "release":
                self.release()
            case "recalibrate":
                self.recalibrate()
            case "skew":
                self.skew = timedelta(seconds=told["seconds"])
            case "requests":
                with self.lock:
                    return Reply(body=dict(Counter(about for about, _ in self.requests)))
            case "jobs":
                with self.lock:
                    rows = [
                        {"id": j.id, "key": j.key, "state": j.state} for j in self.jobs.values()
                    ]
                return Reply(body={"jobs": rows})
            case other:
                return Reply(status=404, body={"message": f"no control {other}"})
        return Reply(body={})
