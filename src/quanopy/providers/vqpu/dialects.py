"""What is said to a vQPU, and what its answers mean: with its extensions, and without them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from quanopy.domain.errors import NotFound, NotReady, OutcomeUnknown, Rejected, Transient
from quanopy.domain.jobs import Options
from quanopy.domain.states import ExecutionState
from quanopy.ports.providers import Report
from quanopy.providers.vqpu.answers import report_of
from quanopy.providers.vqpu.connection import MOST, Connection
from quanopy.providers.vqpu.description import Description, described, moment, plain
from quanopy.providers.vqpu.places import is_id

_CIRCUITS = "/api/v1/circuits"


class Dialect(Protocol):
    """How one kind of vQPU is spoken to. All raise classified errors."""

    extended: bool
    """Whether it knows more than Quantum Brilliance's routes: a key twice is one circuit, many
    are asked for at once, and what runs can be cancelled."""

    def describe(self, to: Connection, *, qubits: int | None, lanes: int) -> Description:
        """What it is; raises :class:`~quanopy.domain.errors.Invalid` too. ``qubits`` and
        ``lanes`` are what the settings say."""

    def submit(
        self, to: Connection, circuits: Sequence[Mapping[str, Any]], options: Options, key: str
    ) -> str:
        """Its id of what was submitted; ``OutcomeUnknown`` where the answer was lost."""

    def states(self, to: Connection, theirs: Sequence[str]) -> dict[str, Report]:
        """States by its ids; those that it does not know are left out."""

    def origin(self, to: Connection, there: str) -> tuple[datetime | None, str | None]:
        """When one was created, and the key that it was sent with (empty: none); ``None`` where
        it does not say."""

    def stop(self, to: Connection, theirs: Sequence[str]) -> None:
        """Ask for an end."""

    def tells_shots(self, options: Options) -> bool:
        """Whether its result has each shot, rather than how often each outcome was seen."""


class Extended:
    """A vQPU of this project."""

    extended = True

    def describe(self, to: Connection, *, qubits: int | None, lanes: int) -> Description:
        """See the protocol."""
        return described(to.ask("GET", "/api/v1/device"))

    def submit(
        self, to: Connection, circuits: Sequence[Mapping[str, Any]], options: Options, key: str
    ) -> str:
        """See the protocol."""
        settings: dict[str, Any] = {"results": "normal" if options.memory else "counts"}
        if options.seed is not None:
            settings["seed"] = options.seed
        body = {"command": "circuits", "settings": settings, "circuits": circuits}
        return _id_in(to, to.tell(_CIRCUITS, body, key=key))

    def states(self, to: Connection, theirs: Sequence[str]) -> dict[str, Report]:
        """See the protocol."""
        rows = self._rows(to, theirs)
        return {there: report_of(rows[there]) for there in theirs if there in rows}

    def origin(self, to: Connection, there: str) -> tuple[datetime | None, str | None]:
        """See the protocol."""
        row = self._rows(to, [there]).get(there)
        if not isinstance(row, dict):
            return None, None
        key = row.get("key")
        return moment(row.get("created_at")), key if isinstance(key, str) else None

    def stop(self, to: Connection, theirs: Sequence[str]) -> None:
        """See the protocol."""
        if to.ask("POST", f"{_CIRCUITS}/cancel", {"ids": list(theirs)}) != {}:
            raise Transient(f"{to.who} answered a cancellation with what is none")

    def tells_shots(self, options: Options) -> bool:
        """Where they were asked for."""
        return options.memory

    def _rows(self, to: Connection, theirs: Sequence[str]) -> Mapping[str, Any]:
        document = to.ask("POST", f"{_CIRCUITS}/status", {"ids": list(theirs)})
        rows = document.get("circuits") if isinstance(document, dict) else None
        if not isinstance(rows, dict):
            raise Transient(f"{to.who} answered no states")
        return rows


class Plain:
    """One that has Quantum Brilliance's routes alone."""

    extended = False

    def describe(self, to: Connection, *, qubits: int | None, lanes: int) -> Description:
        """See the protocol."""
        return plain(to.ask("GET", "/api/v1/native-gates"), qubits=qubits or 1, lanes=lanes)

    def submit(
        self, to: Connection, circuits: Sequence[Mapping[str, Any]], options: Options, key: str
    ) -> str:
        """See the protocol."""
        if len(circuits) != 1:
            raise Rejected(f"{len(circuits)} circuits, a plain vQPU takes one at a time")
        (only,) = circuits
        body = {
            "command": "circuit",
            "settings": {"shots": only["shots"], "results": "normal"},
            "init": [],
            "circuit": only["circuit"],
            "measure": only["measure"],
        }
        return _id_in(to, to.tell(_CIRCUITS, body, key=None))

    def states(self, to: Connection, theirs: Sequence[str]) -> dict[str, Report]:
        """A request each."""
        told = {there: self._state(to, there) for there in theirs}
        return {there: report for there, report in told.items() if report is not None}

    def origin(self, to: Connection, there: str) -> tuple[datetime | None, str | None]:
        """It does not say."""
        return None, None

    def stop(self, to: Connection, theirs: Sequence[str]) -> None:
        """It cannot be asked, and goes on."""

    def tells_shots(self, options: Options) -> bool:
        """Always."""
        return True

    def _state(self, to: Connection, there: str) -> Report | None:
        try:
            document = fetch(to, there, most=MOST)
        except NotReady:
            return Report(state=ExecutionState.RUNNING)
        except NotFound:
            return None
        done = isinstance(document, dict) and document.get("data") is not None
        return Report(state=ExecutionState.COMPLETED if done else ExecutionState.RUNNING)


def fetch(to: Connection, there: str, *, most: int) -> Any:
    """The document of a result, of at most so many bytes."""
    return to.ask("GET", f"{_CIRCUITS}/{there}", most=most)


def _id_in(to: Connection, answer: object) -> str:
    there = answer.get("id") if isinstance(answer, dict) else None
    if not isinstance(there, str) or not is_id(there):
        raise OutcomeUnknown(f"{to.who} answered a submission with no id")
    return there
