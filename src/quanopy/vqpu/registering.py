"""A vQPU's place in a broker's catalogue: registered, kept by a heartbeat, given up at the end."""

import logging
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from quanopy.client import Client
from quanopy.client.settings import find as find_settings
from quanopy.domain.errors import Conflict, NotFound, QuanopyError
from quanopy.vqpu.machine import Machine
from quanopy.vqpu.stopping import Stop
from quanopy.wire.service import RegistrationOut

log = logging.getLogger(__name__)
_BEATS = 3
"""Heartbeats in the time after which a silent resource is offline."""
_SERVED = 2
"""Heartbeats after which a worker serves it, if there is one that will."""
_ANYWHERE = ("0.0.0.0", "::")


class Registered:
    """Registers when it is entered; its heart beats in a thread until it leaves."""

    def __init__(
        self,
        machine: Machine,
        url: str,
        stop: Stop,
        *,
        client: Client | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """The broker is the one that a client finds (``QUANOPY_URL``, ``QUANOPY_TOKEN``); ``stop``
        is asked where the broker removed the registration."""
        self._machine = machine
        self._url = url
        self._stop = stop
        self._client = client or Client()
        self._clock = clock
        self._heard_at = clock()
        """When it last said something that the broker answered: that came no earlier."""
        self._leaving = self._news = False
        self._again = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._beat_on, name="heartbeat", daemon=True)
        self._made: RegistrationOut | None = None

    def __enter__(self) -> Self:
        try:
            self._made = self._register()
        except BaseException:
            self._client.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the catalogue; where the broker is away it finds out by the silence."""
        with self._again:
            self._ended = True
            self._again.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        made = self._registration
        try:
            self._client.remove_resource(made.name, made.id)
        except NotFound:
            log.info("%s had left the catalogue already", made.name)
        except QuanopyError as refused:
            log.warning("%s could not leave the catalogue: %s", made.name, refused)
        finally:
            self._client.close()

    @property
    def _registration(self) -> RegistrationOut:
        if self._made is None:
            raise RuntimeError("not registered")
        return self._made

    def secret(self) -> str:
        """The token that the broker's workers send."""
        return self._registration.token

    def beat(self) -> None:
        """Begin to say that it lives."""
        self._thread.start()

    def take_no_more(self) -> None:
        """Say that it is about to end, so that no new work is sent."""
        with self._again:
            self._leaving = self._news = True
            self._again.notify_all()

    def _register(self) -> RegistrationOut:
        machine, asked_at = self._machine, self._clock()
        made = self._client.register_resource(
            machine.name,
            self._url,
            machine.target,
            description=machine.description,
            lanes=machine.pace.lanes,
        )
        self._heard_at = asked_at
        return made

    def _beat_on(self) -> None:
        beats = 0
        while True:
            made = self._registration
            with self._again:
                self._again.wait_for(lambda: self._ended or self._news, made.ttl_s / _BEATS)
                if self._ended:
                    return
                leaving, self._news = self._leaving, False
            asked_at = self._clock()
            try:
                self._client.heartbeat(made.name, made.id, leaving=leaving)
                beats, self._heard_at = beats + 1, asked_at
                if beats == _SERVED and not self._client.resource(made.name).workers:
                    log.warning(
                        "%s is registered, but no worker serves it: "
                        "does the broker have the provider vqpu?",
                        made.name,
                    )
            except NotFound:
                if not self._came_back(self._clock() - self._heard_at):
                    self._stop.ask("the broker removed its registration")
                    return
            except QuanopyError as error:
                log.warning("no heartbeat: %s", error)

    def _came_back(self, silent_s: float) -> bool:
        """Whether it goes on, though its registration is gone. So it does where it had lost touch
        with the broker, which has forgotten it since, and nobody has taken its place."""
        made = self._registration
        if silent_s <= made.ttl_s or self._leaving:
            return False
        try:
            self._client.resource(made.name)
        except NotFound:
            return self._registers_anew()
        except QuanopyError as error:
            log.warning("no heartbeat: %s", error)
            return True
        return False

    def _registers_anew(self) -> bool:
        try:
            self._made = self._register()
        except Conflict:
            return False
        except QuanopyError as error:
            log.warning("it cannot register anew: %s", error)
        else:
            log.warning("%s had lost touch, was forgotten, and is registered anew", self._made.name)
        return True


def own_url(host: str, url: str) -> str:
    """Where a vQPU is reached from its broker: as it listens, or, where it listens on all
    addresses, at the one that this machine has on the way there."""
    to = urlsplit(find_settings().url)
    if host not in _ANYWHERE or to.hostname is None:
        return url
    found = socket.getaddrinfo(to.hostname, to.port or 80, type=socket.SOCK_DGRAM)[0]
    with socket.socket(found[0], socket.SOCK_DGRAM) as probe:
        probe.connect(found[4])  # sends nothing
        own = probe.getsockname()[0]
    split = urlsplit(url)
    shown = f"[{own}]" if ":" in own else own
    return f"{split.scheme}://{shown}:{split.port}"
