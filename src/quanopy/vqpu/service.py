"""``quanopy vqpu serve``: a device behind its HTTP contract until it is told to stop."""

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quanopy.domain.errors import Invalid
from quanopy.server.listening import as_option, check_certificate, check_exposure, listening
from quanopy.server.logs import set_up_logging
from quanopy.server.settings import Settings
from quanopy.vqpu.api import Api
from quanopy.vqpu.device import Device
from quanopy.vqpu.listening import answering
from quanopy.vqpu.machine import Machine
from quanopy.vqpu.stopping import Stop

LINGER_S = 10.0
"""How long results that nobody has fetched are waited for when the service ends."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """How a vQPU is to be served."""

    machine: Machine
    settings: Settings
    """Where to listen, and with what certificate; nothing else of them matters."""
    secret: Callable[[], str] | None
    """Gives the token that it takes; ``None``: the broker issues one when it is registered."""
    register: bool = False
    """Whether it registers at the broker that a client would find."""
    advertised: str | None = None
    """The url that it registers; ``None``: the one that it listens on."""
    ready_file: Path | None = None
    """Where to write what ``ready`` is told, as JSON."""
    grace_s: float = 30.0
    """Seconds that circuits may go on for once it is told to stop."""


def serve(service: Service, ready: Callable[[dict[str, Any]], None]) -> None:
    """Serve until SIGTERM or SIGINT; raises ``QuanopyError`` when it cannot start."""
    settings = service.settings
    set_up_logging(settings.log_level, settings.log_format)
    check_exposure(settings, named=as_option)
    check_certificate(settings, named=as_option)
    if service.secret is None and not service.register:
        raise Invalid(
            "nobody could use it: it has no token",
            where="--token",
            hint="Give --token env:NAME or file:PATH, or --register.",
        )
    stop = Stop()
    with stop.listening_to_signals(), running(service, stop) as place:
        ready(place)
        stop.wait()
        logger.info("stopping: %s", stop.why)
    logger.info("stopped")


@contextlib.contextmanager
def running(service: Service, stop: Stop) -> Iterator[dict[str, Any]]:
    """A vQPU that answers, and is registered if it is to be; ends gracefully after the block."""
    with contextlib.ExitStack() as stack:
        device = Device(service.machine)
        stack.callback(device.close)
        if service.machine.gpu:
            device.probe()  # it may be the wrong wheel, or there is no GPU
        bound, place = stack.enter_context(listening(service.settings))
        url = service.advertised or place["url"]
        secret = service.secret
        registration = None
        if service.register:
            from quanopy.vqpu.registering import Registered, own_url  # only here is a client needed

            if service.advertised is None:
                url = own_url(service.settings.host, url)
            registration = stack.enter_context(Registered(service.machine, url, stop))
            secret = registration.secret
        if secret is None:
            raise Invalid("it has no token", where="token")
        stack.enter_context(answering(Api(device, secret), service.settings, bound))
        if registration is not None:
            registration.beat()
        told = {"name": service.machine.name, "url": url, "pid": os.getpid()}
        if service.ready_file is not None:
            stack.enter_context(_written(service.ready_file, told))
        try:
            yield told
        finally:
            stop.hurry_with(device.give_up)
            if registration is not None:
                registration.take_no_more()
            device.drain(service.grace_s, min(LINGER_S, service.grace_s))


@contextlib.contextmanager
def _written(file: Path, told: dict[str, Any]) -> Iterator[None]:
    """A file that is whole as soon as it is there, and gone when the service is."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.write_text(json.dumps(told) + "\n", encoding="utf-8")
    beside.replace(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
