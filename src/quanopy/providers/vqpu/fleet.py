"""The virtual QPUs there are: those of the settings, and those that registered themselves."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

from urllib3 import PoolManager

from quanopy.codecs.vqpu import MOST_CIRCUITS, SHOTS
from quanopy.domain.errors import Invalid, NotFound, QuanopyError, Transient, Unavailable
from quanopy.domain.resources import Registration, Resource
from quanopy.domain.states import ResourceState
from quanopy.ports.registrations import Registrations
from quanopy.providers.secrets import Secret
from quanopy.providers.vqpu.connection import Connection
from quanopy.providers.vqpu.description import Description, capabilities, of_target
from quanopy.providers.vqpu.dialects import Dialect
from quanopy.providers.vqpu.errands import Errands, Late
from quanopy.providers.vqpu.places import Place, place_of

log = logging.getLogger(__name__)

_FRESH_S = 60.0
"""How long a vQPU's description is believed."""
_AGAIN_S = 5.0
"""How soon one that did not answer is asked for it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """A vQPU of the settings."""

    name: str
    url: str
    token: Secret
    qubits: int | None
    lanes: int | None


@dataclass(slots=True, kw_only=True, eq=False)
class Vqpu:
    """A vQPU that is spoken to."""

    name: str
    connection: Connection
    errands: Errands
    instance: str = ""
    """Its registration's id; empty for one of the settings."""
    qubits: int | None = None
    lanes: int = 1
    registration: Registration | None = None
    description: Description | None = None
    error: QuanopyError | None = None
    """Why it was not to be had when it was last asked."""
    heard: bool = False
    """Whether it has described itself; until then ``description`` is what was registered."""
    ask_at: float = 0.0
    lock: Lock = field(default_factory=Lock)

    @property
    def reason(self) -> str | None:
        """Why it is not in service; ``None`` where it is."""
        if (paused := self.errands.paused) is not None:
            return paused[:300]
        return None if self.error is None else self.error.message[:300]


class Fleet:
    """Finds vQPUs, and knows what each said of itself."""

    def __init__(
        self,
        dialect: Dialect,
        *,
        configured: Sequence[Configured],
        registrations: Registrations | None,
        timeout_s: float,
        pool: PoolManager,
    ) -> None:
        self._dialect = dialect
        self._registrations = registrations
        self._timeout_s = timeout_s
        self._pool = pool
        self._lock = Lock()
        self._fixed = {one.name: self._configured(one) for one in configured}
        self._registered: dict[str, Vqpu] = {}

    @property
    def grows(self) -> bool:
        """Whether vQPUs may come and go."""
        return self._registrations is not None

    def all(self, *, anew: bool = False) -> Mapping[str, Vqpu]:
        """Those of the settings, then those registered that do not take a name of these."""
        if self._registrations is None:
            return self._fixed
        with self._lock:
            # Asked for under the lock: of two lists the later one is also noted later.
            known = self._registrations.known(anew=anew)
            self._registered = {
                one.name: self._taken_over(one) for one in known if one.name not in self._fixed
            }
            return {**self._fixed, **self._registered}

    def find(self, name: str, instance: str | None = None) -> Vqpu | None:
        """The vQPU of a name; what was heard of it is asked for anew before one (or this instance
        of it) is said not to be there."""
        found = self.all().get(name)
        if found is None or instance not in (None, found.instance):
            found = self.all(anew=True).get(name)
        return found

    def get(self, name: str, instance: str | None = None) -> Vqpu:
        """The same; raises ``NotFound``."""
        found = self.find(name, instance)
        if found is None:
            raise NotFound(f"there is no vQPU {name!r}")
        return found

    def located(self, id: str) -> tuple[Vqpu, Place]:
        """Where an execution is; raises ``NotFound``."""
        place = place_of(id)
        if place is None:
            raise NotFound(f"{id[:100]!r} is no execution of a vQPU")
        found = self.get(place.vqpu, place.instance)
        if found.instance != place.instance:
            raise NotFound(f"{found.name} was started anew, and does not know {place.there}")
        return found, place

    def current(self, name: str) -> Vqpu:
        """Who has a name now, whatever was heard a moment ago; raises ``NotFound``."""
        found = self._bearer(name)
        if found is None:
            raise NotFound(f"there is no vQPU {name!r}")
        return found

    def check_current(self, one: Vqpu) -> None:
        """Raises ``Transient`` where another has its name by now, or nobody."""
        current = self._bearer(one.name)
        if current is None or current.instance != one.instance:
            raise Transient(f"{one.name} left, or was registered anew, while it was asked")

    def _bearer(self, name: str) -> Vqpu | None:
        return self._fixed.get(name) or self.all(anew=True).get(name)

    # -- descriptions -------------------------------------------------------------------------
    def described(self, one: Vqpu, *, anew: bool = False) -> Description:
        """What a vQPU is, asked about once a minute, or ``anew``; raises why that is not known,
        or, ``anew``, why it was not told."""
        if anew:
            self._ask(one)
            if one.error is not None:
                raise one.error
        elif one.ask_at <= time.monotonic():
            self.refresh(one)
        if one.description is None:
            raise one.error or Unavailable(f"{one.name} has not answered yet")
        return one.description

    def refresh(self, one: Vqpu) -> None:
        """Ask for a vQPU's description. It never raises for what it answers."""
        try:
            self._ask(one)
        except Late:
            log.debug("%s has not answered yet", one.name)

    def due(self) -> list[Vqpu]:
        """Those whose description is to be asked for; they are told once."""
        now = time.monotonic()
        found = [one for one in self.all().values() if one.ask_at <= now]
        for one in found:
            one.ask_at = now + _AGAIN_S
        return found

    def _ask(self, one: Vqpu) -> None:
        """Ask, and note what is answered; raises :class:`Late` where nothing is."""
        try:
            found = one.errands.run("description", lambda: self._description(one))
        except Late:
            one.ask_at = time.monotonic() + 1.0
            raise
        except QuanopyError as error:
            self._note_error(one, error)
        except Exception as error:
            log.exception("%s: what it is cannot be told", one.name)
            said = f"{one.name}: what it says of itself broke its reader: {type(error).__name__}"
            self._note_error(one, Transient(said))
        else:
            with one.lock:
                one.description, one.error, one.heard = found, None, True
                one.ask_at = time.monotonic() + _FRESH_S

    def _note_error(self, one: Vqpu, error: QuanopyError) -> None:
        with one.lock:
            if one.error is None or one.error.message != error.message:
                log.warning("%s: %s", one.name, error.message)
            one.error, one.ask_at = error, time.monotonic() + _AGAIN_S

    def _description(self, one: Vqpu) -> Description:
        try:
            return self._dialect.describe(one.connection, qubits=one.qubits, lanes=one.lanes)
        except Invalid as error:
            raise Transient(f"{one.name} describes no device: {error}") from error

    # -- vQPUs --------------------------------------------------------------------------------
    def _configured(self, one: Configured) -> Vqpu:
        return Vqpu(
            name=one.name,
            connection=self._connection(one.name, one.url, one.token.reveal),
            errands=Errands(one.name),
            qubits=one.qubits,
            lanes=one.lanes or 1,
        )

    def _connection(self, name: str, url: str, token: Callable[[], str]) -> Connection:
        return Connection(name, url, token, timeout_s=self._timeout_s, pool=self._pool)

    def _taken_over(self, one: Registration) -> Vqpu:
        """What is known of a registered vQPU, while it is the same."""
        found = self._registered.get(one.name)
        if found is None or found.instance != one.id:
            registrations = self._registrations
            assert registrations is not None
            found = Vqpu(
                name=one.name,
                connection=self._connection(one.name, one.url, lambda: registrations.token(one.id)),
                errands=Errands(one.name),
                instance=one.id,
                lanes=one.lanes,
                # What it registered will do until it is first asked.
                description=of_target(
                    one.target,
                    lanes=one.lanes,
                    circuits=MOST_CIRCUITS,
                    shots=SHOTS,
                    description=one.description,
                ),
            )
        found.registration = one
        return found


def resource_of(one: Vqpu, provider: str) -> Resource:
    """A vQPU as a resource of a provider, as it was last seen."""
    registered = one.registration
    owner = registered.owner if registered is not None else None
    accounts = registered.accounts if registered is not None else None
    if one.description is not None:
        return one.description.resource(
            one.name, provider, reason=one.reason, owner=owner, accounts=accounts
        )
    return Resource(
        name=one.name,
        provider=provider,
        state=ResourceState.OFFLINE,
        reason=one.reason or "it has not answered yet",
        capabilities=capabilities(one.qubits, None, 1, SHOTS),
        owner=owner,
        accounts=accounts,
    )
