"""The vQPU's HTTP contract, as requests and answers; whoever listens passes them on.

The routes and codes are Quantum Brilliance's: 425 keep polling, 401 a wrong or expired token, 403
a malformed header, 404 an unknown command, 500 the device failed, 503 reserved by another token.
Ours beside them: OpenQASM 3 and several circuits in one submission, counts, ``Idempotency-Key``,
states of many at once, cancelling, the device's description, ``/health`` (see ``docs/vqpu.md``).
"""

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quanopy.codecs.targets import decode_target
from quanopy.codecs.vqpu import MOST_CIRCUITS, shown
from quanopy.domain.errors import (
    Conflict,
    Denied,
    Forbidden,
    Invalid,
    NotFound,
    QuanopyError,
    TooLarge,
    Unavailable,
    retry_after,
)
from quanopy.vqpu.device import ENDED, Device, State, Submission
from quanopy.vqpu.machine import MOST_SHOTS
from quanopy.vqpu.requests import parse_json, read_submission
from quanopy.vqpu.runs import Taken

MOST_IDS = 1_000
LONGEST_KEY = 200
RESERVED_S = 600.0
"""How long a reservation lasts where no other time is asked for; each use begins it anew."""
MOST_RESERVED_S = 24 * 3600.0
EXTENSIONS = ("openqasm3", "circuits", "counts", "idempotency-key", "status", "cancel")
_CIRCUIT = re.compile(r"/api/v1/circuits/([A-Za-z0-9_-]{1,100})")
_WRONG = "the token is wrong, or has expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer; ``body`` is sent as JSON."""

    status: int = 200
    body: Mapping[str, Any] | Sequence[Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


class TooEarly(QuanopyError):
    """What was asked for has not ended: keep polling."""


class Failed(QuanopyError):
    """The device failed, or the circuit on it."""


class Gone(QuanopyError):
    """It was cancelled, so there is no result."""


_STATUS: Mapping[type[QuanopyError], int] = {
    TooEarly: 425,
    Failed: 500,
    Gone: 410,
    Forbidden: 403,
    Denied: 401,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    Unavailable: 503,
}


@dataclass(slots=True, kw_only=True)
class _Reservation:
    secret: bytes
    until: float
    seconds: float


class Api:
    """Answers requests for one device; safe for threads."""

    def __init__(self, device: Device, secret: Callable[[], str]) -> None:
        """``secret`` gives the token that is taken, as it is now."""
        self._device = device
        self._secret = secret
        self._lock = threading.Lock()
        self._reservation: _Reservation | None = None
        self._instance = secrets.token_hex(8)

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer to a request; ``headers`` by names in lower case. Never raises for what a
        request says."""
        try:
            return self._route(method, path, headers, body)
        except QuanopyError as error:
            return _refused(error)

    def _route(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if (method, path) == ("GET", "/health"):
            return self._health()
        token = self._authorise(headers)
        match method, path:
            case "PUT", "/api/v1/reservations":
                return self._reserve(token, parse_json(body))
            case "DELETE", "/api/v1/reservations":
                return self._release(token)
            case "GET", "/api/v1/native-gates":
                return Answer(body=[shown(gate) for gate in self._device.machine.places])
            case "GET", "/api/v1/device":
                return Answer(body=self._description())
            case "POST", "/api/v1/circuits":
                return self._submit(token, headers, body)
            case "POST", "/api/v1/circuits/status":
                return self._states(_ids(parse_json(body)))
            case "POST", "/api/v1/circuits/cancel":
                return self._cancel(_ids(parse_json(body)))
        found = _CIRCUIT.fullmatch(path)
        if found is not None and method == "GET":
            one = self._device.find(found[1])
            answer = _result(one)
            self._device.fetched(one)
            return answer
        if found is not None and method == "DELETE":
            self._device.cancel(found[1])
            return Answer()
        raise NotFound(f"there is no {method} {path[:100]}")

    # -- who asks -----------------------------------------------------------------------------
    def _authorise(self, headers: Mapping[str, str]) -> bytes:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = token.strip().encode()
        if scheme.lower() != "bearer" or not given:
            raise Forbidden("no bearer token", where="Authorization", hint="Bearer TOKEN")
        if hmac.compare_digest(given, self._secret().encode()):
            return given
        held = self._held()
        if held is not None and hmac.compare_digest(given, held.secret):
            return given
        raise Denied(_WRONG)

    def _held(self) -> _Reservation | None:
        with self._lock:
            if self._reservation is not None and self._reservation.until <= time.monotonic():
                self._reservation = None
            return self._reservation

    def _reserve(self, token: bytes, document: Mapping[str, Any]) -> Answer:
        """For the token in the body, else the one that asks."""
        wanted = document.get("token")
        if wanted is not None and not (isinstance(wanted, str) and 8 <= len(wanted) <= 200):
            raise Invalid("a token has 8 to 200 characters", where="token")
        seconds = document.get("seconds", RESERVED_S)
        if not isinstance(seconds, int | float) or not 0 < seconds <= MOST_RESERVED_S:
            raise Invalid(f"up to {MOST_RESERVED_S:g} seconds", where="seconds")
        secret = wanted.encode() if wanted is not None else token
        self._check_reserved(token, secret)
        with self._lock:
            self._reservation = _Reservation(
                secret=secret, until=time.monotonic() + seconds, seconds=float(seconds)
            )
        return Answer(body={"reserved": True, "seconds": seconds})

    def _release(self, token: bytes) -> Answer:
        self._check_reserved(token)
        with self._lock:
            self._reservation = None
        return Answer(body={"reserved": False})

    def _check_reserved(self, *tokens: bytes) -> None:
        """Refuse unless the device is free, or one of these tokens has reserved it."""
        held = self._held()
        if held is None:
            return
        if not any(hmac.compare_digest(held.secret, token) for token in tokens):
            left = held.until - time.monotonic()
            raise Unavailable("reserved by another token", retry_after_s=max(0.0, left))
        held.until = time.monotonic() + held.seconds

    # -- circuits -----------------------------------------------------------------------------
    def _submit(self, token: bytes, headers: Mapping[str, str], body: bytes) -> Answer:
        self._check_reserved(token)
        key = headers.get("idempotency-key")
        if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isprintable()):
            raise Invalid("no key", where="Idempotency-Key", hint=f"1 to {LONGEST_KEY} characters.")
        asked = read_submission(parse_json(body), self._device.machine)
        made = self._device.submit(
            asked.runs,
            normal=asked.normal,
            single=asked.single,
            key=key,
            digest=hashlib.sha256(body).hexdigest(),
        )
        return Answer(body={"id": made.id})

    def _states(self, ids: Sequence[str]) -> Answer:
        found: dict[str, Any] = {}
        for one in ids:
            try:
                found[one] = _state(self._device.find(one))
            except NotFound:
                continue
        return Answer(body={"circuits": found})

    def _cancel(self, ids: Sequence[str]) -> Answer:
        for one in ids:
            try:
                self._device.cancel(one)
            except NotFound:
                continue
        return Answer()

    def _description(self) -> dict[str, Any]:
        machine = self._device.machine
        return {
            "name": machine.name,
            "instance": self._instance,
            "description": machine.description,
            "method": machine.method,
            "lanes": machine.pace.lanes,
            "shot_s": machine.pace.shot_s,
            "target": decode_target(machine.target),
            "calibration": machine.calibration(),
            "extensions": list(EXTENSIONS),
            "limits": {"circuits": MOST_CIRCUITS, "shots": MOST_SHOTS, "qubits": machine.qubits},
        }

    def _health(self) -> Answer:
        waiting, running = self._device.busy
        state = "ready" if self._device.warm else "warming"
        return Answer(
            body={
                "status": "stopping" if self._device.draining else state,
                "name": self._device.machine.name,
                "instance": self._instance,
                "queued": waiting,
                "running": running,
            }
        )


def _ids(document: Mapping[str, Any]) -> list[str]:
    ids = document.get("ids")
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise Invalid("a list of ids is missing", where="ids")
    if len(ids) > MOST_IDS:
        raise TooLarge(f"{len(ids)} ids, at most {MOST_IDS}", where="ids")
    return ids


def _state(one: Submission) -> dict[str, Any]:
    known = {
        "state": one.state.value,
        "created_at": one.created_at.isoformat(),
        "key": one.key or "",
    }
    return known | ({"error": one.error} if one.error else {})


def _result(one: Submission) -> Answer:
    if one.state not in ENDED:
        raise TooEarly(f"it is {one.state}: ask again")
    if one.state is State.FAILED:
        raise Failed(one.error or "the device failed")
    if one.state is State.CANCELLED:
        raise Gone("it was cancelled")
    rows = [_data(t, normal=one.normal) if isinstance(t, Taken) else None for t in one.taken]
    body = {
        "data": rows[0] if one.single else rows,
        "seconds": one.seconds,
        "started_at": one.started_at and one.started_at.isoformat(),
        "ended_at": one.ended_at and one.ended_at.isoformat(),
    }
    errors = {str(i): text for i, text in enumerate(one.taken) if isinstance(text, str)}
    return Answer(body=body | ({"errors": errors} if errors else {}))


def _data(taken: Taken, *, normal: bool) -> Any:
    """The bits of each shot, bit 0 first; or shots by outcome in hexadecimal."""
    if not normal:
        return dict(taken.counts)
    seen: dict[str, list[int]] = {}
    for outcome in taken.memory or ():
        if outcome not in seen:
            value = int(outcome, 16)
            seen[outcome] = [(value >> bit) & 1 for bit in range(taken.bits)]
    return [seen[outcome] for outcome in taken.memory or ()]


def _refused(error: QuanopyError) -> Answer:
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 400)
    body = {"message": error.message, "where": error.where, "hint": error.hint}
    later = retry_after(error)
    return Answer(
        status=status,
        body={name: value for name, value in body.items() if value is not None},
        headers={} if later is None else {"Retry-After": f"{later:g}"},
    )
