"""A served broker without worker or Qiskit, and what a worker would do, by hand."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Semaphore

import httpx

from quanopy.domain.accounts import Scope
from quanopy.domain.errors import Invalid, QuanopyError
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import Execution, Job, JobSpec, Problem, Pub, Reading
from quanopy.domain.programs import Footprint
from quanopy.domain.resources import Capabilities, Limits, Resource, Target
from quanopy.domain.states import ExecutionState, TaskState
from quanopy.ports.claims import Offer
from quanopy.ports.executions import Ending, TaskEnd
from quanopy.ports.objects import Objects
from quanopy.ports.store import Store
from quanopy.ports.wakeups import Topic, Wakeups
from quanopy.server.auth import make_token, new_secret
from quanopy.server.listening import listening
from quanopy.server.parts import Parts
from quanopy.server.registering import RegistrationTokens
from quanopy.server.run import serving
from quanopy.server.settings import Settings
from quanopy.server.web import Web
from quanopy.services.calibrate import Calibrations
from quanopy.services.calibration_reads import CalibrationReads
from quanopy.services.candidates import Candidates
from quanopy.services.egress import Egress
from quanopy.services.hints import JobHints
from quanopy.services.packing import pack_endings
from quanopy.services.recording import Ended, EndedTask
from quanopy.services.submit import Submit
from quanopy.services.targets import ProviderTargets
from quanopy.services.webhook_secrets import WebhookSecrets
from quanopy.storage.objects import open_objects
from quanopy.storage.store import open_store
from quanopy.storage.wakeups_sqlite import SqliteWakeups
from quanopy.testing.fake_local import FakeEmulator
from tests.catalogues import new_catalogue

WORKER = "worker_test"
PATIENCE_S = 60.0
AER = Resource(
    name="aer",
    provider="aer",
    capabilities=Capabilities(limits=Limits(qubits=20, shots=1000, job_shots=5000, pubs=10)),
)
BELL = {"format": "openqasm3", "text": "OPENQASM 3.0; a Bell pair"}
JOB = {"resource": "aer", "programs": [BELL]}
PUB = b'{"shape":[],"shots":100,"registers":[{"name":"c","bits":2}],"counts":[{"0x0":49,"0x3":51}]}'


class Vendor(FakeEmulator):
    """Tells its targets once it is let (``hold``)."""

    hold: Event | None = None

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.asked = Semaphore(0)
        """Released by each who is held."""

    def target(self, resource: str) -> Target:
        """When it is time."""
        if self.hold is not None:
            self.asked.release()
            self.hold.wait(PATIENCE_S)
        return super().target(resource)


class Key:
    """The broker's key, told once it is let (``hold``)."""

    hold: Event | None = None

    def __init__(self) -> None:
        self.asked = Event()

    def __call__(self) -> str:
        """When it is time."""
        if self.hold is not None:
            self.asked.set()
            self.hold.wait(PATIENCE_S)
        return "a key of these tests"


class PlainReader:
    """Takes every program for a Bell pair; ``bad`` is none, and ``slow`` is never read."""

    def __init__(self) -> None:
        self.hold: Event | None = None
        self.bad = b"bad"
        self.batches: list[int] = []
        self.warmed = 0

    def read(
        self, specs: Sequence[JobSpec], *, deadline_s: float
    ) -> list[Reading | QuanopyError | None]:
        """One answer each, by what the programs say."""
        if self.hold is not None:
            self.hold.wait(PATIENCE_S)
        self.batches.append(len(specs))
        return [_read(spec, self.bad) for spec in specs]

    def warm(self) -> None:
        self.warmed += 1

    def close(self) -> None:
        """Nothing to end."""


def _read(spec: JobSpec, bad: bytes) -> Reading | QuanopyError | None:
    texts = [program.data for program in spec.programs]
    if bad in texts:
        return Invalid("no gate is called foo", where="programs[0]")
    if b"slow" in texts:
        return None
    if b"bug" in texts:
        raise RuntimeError("a secret of the reader")
    pubs = tuple(spec.pubs or (Pub(program=index) for index in range(len(texts))))
    return Reading(
        kind=spec.kind,
        circuits=tuple(b"QPY of " + text for text in texts),
        footprints=tuple(footprint() for _ in texts),
        pubs=pubs,
        evaluations=tuple(1 for _ in pubs),
    )


def footprint(*, qubits: int = 2, gates: tuple[str, ...] = ("h", "cx")) -> Footprint:
    """Of a Bell pair, unless told otherwise."""
    return Footprint(
        circuits=1,
        qubits=qubits,
        clbits=2,
        gates=gates,
        instructions=4,
        clifford=True,
        measured=True,
    )


@dataclass(kw_only=True)
class Service:
    """A running server and its parts."""

    settings: Settings
    store: Store
    objects: Objects
    wakeups: Wakeups
    hints: JobHints
    reader: PlainReader
    submit: Submit
    vendor: Vendor
    key: Key
    socket: Path
    first: list[str]
    """Something in it once a first job has been taken."""
    waiting: Callable[[], int]
    """How many callers wait or follow now."""
    clients: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def secret(
        self, account: str = "ada", scope: Scope = Scope.USER, expires_in_s: float | None = None
    ) -> str:
        """The secret of a new token."""
        secret = new_secret()
        token = make_token(account, scope, secret=secret, expires_in_s=expires_in_s)
        self.store.add_token(token)
        return secret

    def client(self, account: str = "ada", scope: Scope = Scope.USER) -> httpx.Client:
        """A caller with a token of its own."""
        return self.caller(self.secret(account, scope))

    def caller(self, secret: str | None) -> httpx.Client:
        """A caller with this token."""
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        transport = httpx.HTTPTransport(uds=str(self.socket), verify=False)
        client = httpx.Client(
            transport=transport, base_url="http://quanopy", headers=headers, timeout=20
        )
        return self.clients.enter_context(client)

    def await_callers(self, count: int) -> None:
        """Until so many wait for something."""
        self.await_that(lambda: self.waiting() == count)

    def await_that(self, holds: Callable[[], object]) -> None:
        """Until something comes true in the server, which says nothing of it."""
        until = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < until
            time.sleep(0.005)

    def complete(
        self, pub: bytes = PUB, state: TaskState = TaskState.COMPLETED, *, tell: bool = True
    ) -> None:
        """Do all that is queued, as a worker would; unless ``tell``, nobody hears of it."""
        self.store.register(WORKER, [AER], ttl_s=600)
        for claim in self.store.claim(WORKER, [Offer(resource="aer", seconds=1e9)], ttl_s=600):
            execution = _ended_execution(claim.tasks[0].account, [task.id for task in claim.tasks])
            good = state is TaskState.COMPLETED
            problem = None if good else Problem(type="TaskFailed", message="the fridge is warm")
            ended = [
                EndedTask(
                    task=task,
                    state=state,
                    result=b"[%b]" % b",".join([pub] * task.slice.count) if good else None,
                    problem=problem,
                )
                for task in claim.tasks
            ]
            now = datetime.now(UTC)
            key, data, extents = pack_endings(
                [Ended(tasks=ended, ended_at=now, execution=execution)], now
            )
            self.objects.put({key: data})
            ends = [
                TaskEnd(task_id=task.id, state=state, result=extents.get(task.id), problem=problem)
                for task in claim.tasks
            ]
            self.store.finish(claim.id, [Ending(execution=execution, tasks=ends)])
        if tell:
            self.wakeups.notify(Topic.EVENTS)

    def job(self, id: str) -> Job:
        """A job as the catalogue has it."""
        return self.store.jobs([id])[0]


def _ended_execution(account: str, tasks: list[str]) -> Execution:
    now = datetime.now(UTC)
    return Execution(
        id=new_id("exec"),
        resource="aer",
        provider="aer",
        account=account,
        state=ExecutionState.COMPLETED,
        tasks=tuple(tasks),
        created_at=now,
        started_at=now,
        ended_at=now,
    )


@contextlib.contextmanager
def running(data: Path) -> Iterator[Service]:
    """A server on a unix socket in a folder."""
    settings = Settings(data=data, uds=data / "socket", body_limit=1024 * 1024)
    with contextlib.ExitStack() as stack:
        store = open_store(new_catalogue(data / "quanopy.db"))
        stack.callback(store.close)
        store.register(WORKER, [AER], ttl_s=600)
        objects = open_objects(settings.objects_url)
        wakeups = SqliteWakeups(data / "quanopy.db")
        stack.callback(wakeups.close)
        reader = PlainReader()
        first: list[str] = []
        calibrations = CalibrationReads(
            store=store,
            objects=objects,
            calibrations=Calibrations(store=store, objects=objects, wakeups=wakeups),
            providers=lambda: [FakeEmulator(name="aer")],
        )
        vendor, key = Vendor(name="aer"), Key()
        targets = ProviderTargets(store, lambda: [vendor])
        candidates = Candidates(store, objects, targets)
        submit = Submit(
            store=store,
            objects=objects,
            wakeups=wakeups,
            reader=reader,
            first=lambda: first.append("job"),
            candidates=candidates,
            standings=calibrations,
        )
        stack.callback(submit.close)
        hints = JobHints()
        web = Web(
            Parts(
                settings=settings,
                store=store,
                objects=objects,
                wakeups=wakeups,
                hints=hints,
                reader=reader,
                submit=submit,
                calibrations=calibrations,
                registration_token=RegistrationTokens(key),
                targets=targets,
                candidates=candidates,
                egress=Egress(["127.0.0.0/8"]),
                webhook_secrets=WebhookSecrets(key),
            )
        )
        stack.callback(web.close)
        bound, place = stack.enter_context(listening(settings))
        stack.enter_context(serving(web, settings, bound))
        service = Service(
            settings=settings,
            store=store,
            objects=objects,
            wakeups=wakeups,
            hints=hints,
            reader=reader,
            submit=submit,
            vendor=vendor,
            key=key,
            socket=Path(place["socket"]),
            first=first,
            waiting=lambda: web.feed.waiting,
        )
        stack.enter_context(service.clients)
        yield service
