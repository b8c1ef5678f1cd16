"""Wiring: the only place where adapters are chosen and built."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from threading import Lock
from typing import Any

from quanopy.domain.events import Event
from quanopy.domain.groups import Group
from quanopy.domain.jobs import Job
from quanopy.outbound.trust import trusting
from quanopy.ports.objects import Objects
from quanopy.ports.providers import is_remote
from quanopy.ports.registrations import Registrations
from quanopy.ports.sender import Sender
from quanopy.providers.registry import AnyProvider, Plugin, load
from quanopy.providers.secrets import Secret
from quanopy.sandbox.reader import ProcessReader
from quanopy.server.parts import Parts
from quanopy.server.registering import RegistrationTokens, key_in
from quanopy.server.settings import Settings
from quanopy.server.worker import Worker, rhythm
from quanopy.services.calibrate import Calibrations, Pace
from quanopy.services.calibration_reads import CalibrationReads
from quanopy.services.candidates import Candidates
from quanopy.services.delivering import Delivering
from quanopy.services.egress import Egress
from quanopy.services.hints import JobHints
from quanopy.services.notifying import Notifying
from quanopy.services.registrations import PROVIDER, CatalogueRegistrations
from quanopy.services.submit import Submit
from quanopy.services.targets import ProviderTargets
from quanopy.services.webhook_secrets import WebhookSecrets
from quanopy.storage.objects import S3Access, open_objects
from quanopy.storage.store import open_store
from quanopy.storage.wakeups import open_wakeups

MEBIBYTE = 1024 * 1024
CHECK_S = 5.0
"""How long a bucket may take to answer each try of the look at it when a process starts."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Everything below the HTTP interface; ``close`` ends it all, in order."""

    parts: Parts
    providers: Callable[[], Sequence[AnyProvider]]
    """Loads them, once."""
    stack: contextlib.ExitStack

    def worker(self) -> Worker:
        """A worker of this broker, not started yet; its providers close with the broker."""
        from quanopy.sandbox.compiler import ProcessCompiler  # a server alone compiles nothing

        parts = self.parts
        compiler = ProcessCompiler(parts.objects)
        self.stack.callback(compiler.close)
        return Worker(
            store=parts.store,
            objects=parts.objects,
            wakeups=parts.wakeups,
            hints=parts.hints,
            reader=parts.reader,
            compiler=compiler,
            providers=self.providers(),
            rhythm=rhythm(
                parts.settings.worker_ttl_s,
                _pace(parts.settings),
            ),
        )

    def notifying(self) -> Notifying:
        """What delivers webhooks, not started yet."""
        parts = self.parts
        authorities = parts.settings.webhook_ca
        if authorities is not None:
            trusting(authorities)  # what cannot be read is said at once

        # Most workers have no webhook to tell.
        def sender() -> Sender:
            from quanopy.outbound.sender import HttpSender

            return HttpSender(parts.egress, authorities=authorities)

        def render(event: Event, job: Job | None, group: Group | None) -> bytes:
            from quanopy.server.notes import note

            return note(event, job, group)

        return Notifying(
            store=parts.store,
            wakeups=parts.wakeups,
            delivering=Delivering(
                store=parts.store,
                sender=sender,
                secrets=parts.webhook_secrets,
                render=render,
                agent=f"Quanopy/{version('quanopy')}",
            ),
        )

    def close(self) -> None:
        """Answer what was taken, then let go of everything; idempotent."""
        self.stack.close()


def build(settings: Settings) -> Broker:
    """Build a broker's parts; raises ``Unavailable`` or ``Invalid`` as its adapters do."""
    with contextlib.ExitStack() as stack:
        store = open_store(settings.database_url, pooled=settings.listen_dsn is not None)
        stack.callback(store.close)
        objects = archive(settings)
        _usable(settings)
        wakeups = open_wakeups(settings.database_url, listen_dsn=settings.listen_dsn)
        stack.callback(wakeups.close)
        key = _registration_key(settings)
        tokens = RegistrationTokens(key)
        providers = _Providers(settings, CatalogueRegistrations(store, tokens))
        stack.callback(providers.close)
        targets = ProviderTargets(store, providers)
        calibrations = Calibrations(
            store=store, objects=objects, wakeups=wakeups, pace=_pace(settings)
        )
        reads = CalibrationReads(
            store=store, objects=objects, calibrations=calibrations, providers=providers
        )
        reader = ProcessReader(
            memory_bytes=settings.reader_memory_mb * MEBIBYTE, trials=targets.trials
        )
        stack.callback(reader.close)
        candidates = Candidates(store, objects, targets)
        submit = Submit(
            store=store,
            objects=objects,
            wakeups=wakeups,
            reader=reader,
            deadline_s=settings.read_deadline_s,
            most_waiting=settings.most_waiting,
            first=providers.warm if settings.worker else None,
            standings=reads,
            candidates=candidates,
        )
        stack.callback(submit.close)
        parts = Parts(
            settings=settings,
            store=store,
            objects=objects,
            wakeups=wakeups,
            hints=JobHints(),
            reader=reader,
            submit=submit,
            targets=targets,
            calibrations=reads,
            registration_token=tokens,
            candidates=candidates,
            egress=Egress(settings.webhook_networks),
            webhook_secrets=WebhookSecrets(key),
        )
        return Broker(parts=parts, providers=providers, stack=stack.pop_all())


def _pace(settings: Settings) -> Pace:
    return Pace(every_s=settings.calibrate_s, fresh_s=settings.calibration_fresh_s)


def archive(settings: Settings) -> Objects:
    """The object store alone; raises as :func:`build`."""
    return open_objects(settings.objects_url, s3=_s3(settings))


def _usable(settings: Settings) -> None:
    """Raise ``Unavailable`` unless objects can be created now, in less than half a minute: who
    starts a broker with a wrong key hears of it, and not the first who submits a job. A store that
    goes away later is a matter of readiness."""
    impatient = replace(_s3(settings), timeout_s=CHECK_S)
    open_objects(settings.objects_url, s3=impatient).check()


def plugins(settings: Settings, registrations: Registrations | None = None) -> list[Plugin]:
    """The providers that these settings name, each created or with the reason why not;
    ``registrations`` are for the one that serves them."""
    return load(_provider_tables(settings, registrations))


class _Providers:
    """The providers of this process, loaded when they are first asked for."""

    def __init__(self, settings: Settings, registrations: Registrations) -> None:
        self._settings = settings
        self._registrations = registrations
        self._lock = Lock()
        self._loaded: list[AnyProvider] | None = None

    def __call__(self) -> Sequence[AnyProvider]:
        with self._lock:
            if self._loaded is None:
                self._loaded = list(self._load())
            return self._loaded

    def warm(self) -> None:
        """Let those that are loaded for a worker of this process make ready for work."""
        for provider in self._loaded or ():
            if not is_remote(provider):
                provider.warm()

    def close(self) -> None:
        for provider in self._loaded or ():
            provider.close()

    def _load(self) -> Iterator[AnyProvider]:
        for plugin in plugins(self._settings, self._registrations):
            if plugin.provider is None:
                logger.error("provider %s is not available: %s", plugin.name, plugin.problem)
            else:
                yield plugin.provider


def _s3(settings: Settings) -> S3Access:
    return S3Access(
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key_id=settings.s3_access_key,
        secret_access_key=settings.s3_secret_key,
    )


def _registration_key(settings: Settings) -> Callable[[], str]:
    """Where the key of registrations is found, when it is needed."""
    if settings.registration_key is not None:
        return Secret(settings.registration_key).reveal
    return lambda: key_in(settings.data)


def _provider_tables(
    settings: Settings, registrations: Registrations | None
) -> Mapping[str, Mapping[str, Any]]:
    """What each provider is created from; Aer's with the settings about emulators, the vQPUs'
    with those that registered themselves."""
    cores = len(os.sched_getaffinity(0))
    emulators = {
        "processes": settings.emulator_processes or max(1, cores // settings.emulator_threads),
        "threads": settings.emulator_threads,
        "memory_bytes": settings.emulator_memory_mb * MEBIBYTE or None,
    }
    given = {name: value for name, value in emulators.items() if value is not None}
    tables = {
        name: given | table if table.get("plugin", name) == "aer" else table
        for name, table in settings.providers.items()
    }
    if registrations is not None and tables.get(PROVIDER, {}).get("plugin", PROVIDER) == PROVIDER:
        tables = {
            name: {**table, "registrations": registrations} if name == PROVIDER else table
            for name, table in tables.items()
        }
    return tables
