"""In a child process: QRMI's calls. Importing this loads no QRMI, calling it does.

QRMI has no time-outs, so a call that hangs is ended with its process. What it raises carries the
vendor's status in its text alone; here it becomes one of our errors.
"""

import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from quanopy.domain.errors import (
    Denied,
    NotFound,
    NotReady,
    OutcomeUnknown,
    QuanopyError,
    Rejected,
    Transient,
    Unavailable,
    retry_after,
)
from quanopy.providers.qrmi.machines import is_credential
from quanopy.providers.refusals import refusal
from quanopy.providers.secrets import without

_PAUSE_S = 5.0
"""QRMI does not tell for how long a vendor wants to be left alone."""
_STATUS = re.compile(r"(?:status code |response body: |Status: |\"status_code\":)(\d{3})\b")
_UNSEEN = re.compile(r"unknown variant `([^`]{1,80})`")
_UNREAD = "invalid JSON"
"""How QRMI's text begins where an answer is not what it expects."""
_UNSIGNED = "munge "
"""How it begins where a request could not be signed, and so was not sent."""
_NOT_STORED = "failed to upload to S3"
"""How it begins where the bucket did not take a program: there is no task yet."""
_NOT_READ = ("An error occurred while retrieving an object from S3", "failed to read object body")
_BUCKET = "Check the variables of S3, and the key for it."
_SAID = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A QRMI resource with its credentials."""

    backend: str
    type: str
    """QRMI's own name of the type."""
    variables: str
    """As a JSON object."""

    def __repr__(self) -> str:
        return f"Described({self.backend!r}, {self.type!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What to call: ``start``, ``status``, ``result``, ``stop``, ``logs``, ``target``,
    ``acquire``, ``release`` or, of an account instead of a machine, ``list``."""

    call: str
    id: str = ""
    """Of the task, or of what was acquired."""
    kind: str = ""
    """Of the payload: QRMI's own name."""
    payload: tuple[str, ...] = ()
    """Its parts; numbers as texts."""
    session: str = ""
    """What was acquired for the task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was said: a text, or an error."""

    text: str = ""
    error: QuanopyError | None = None


def warm_up() -> None:
    """Load QRMI, and have it say nothing: it prints what vendors answer to the standard error."""
    import qrmi  # noqa: F401 - only to have it

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def ask(machine: Described, asks: Sequence[Ask]) -> list[Answer]:
    """Call one after another; what one raises is its own answer."""
    return [_answer(machine, one) for one in asks]


def _answer(machine: Described, one: Ask) -> Answer:
    from qrmi import QrmiError

    try:
        if one.call == "list":
            return Answer(text=json.dumps(_listed(machine)))
        return Answer(text=_called(_resource_for(machine, one), one))
    except QrmiError as error:
        unseen = _UNSEEN.search(str(error)) if one.call == "status" else None
        if unseen is not None:
            return Answer(text=unseen[1])
        told = _classified(error, machine)
        if one.call != "start" and isinstance(told, OutcomeUnknown):
            told = Transient(told.message, retry_after_s=retry_after(told))
        if one.call == "start" and isinstance(told, NotReady):
            # QRMI itself sends again what was not answered, and is told that it is there already.
            told = OutcomeUnknown(told.message)
        return Answer(error=told)


def _resource_for(machine: Described, one: Ask) -> Any:
    """One that acquires something keeps it for all that it starts later, so it is not used again;
    nor is one that was given a session."""
    if one.call == "acquire" or one.session:
        return _made(machine, one.session)
    return _resource(machine)


@lru_cache(maxsize=64)
def _resource(machine: Described) -> Any:
    return _made(machine, "")


def _made(machine: Described, session: str) -> Any:
    import qrmi

    variables = json.loads(machine.variables)
    if session:
        variables |= {"QRMI_JOB_ACQUISITION_TOKEN": session}
    return qrmi.QuantumResource.from_config(machine.backend, _type_of(machine), variables)


def _type_of(machine: Described) -> Any:
    import qrmi

    return getattr(qrmi.ResourceType, machine.type)


def _called(resource: Any, one: Ask) -> str:
    match one.call:
        case "start":
            return str(resource.task_start(_payload(one)))
        case "status":
            return str(resource.task_status(one.id)).rpartition(".")[2]
        case "result":
            return str(resource.task_result(one.id).value)
        case "logs":
            return _logs(resource, one.id)
        case "target":
            return str(resource.target().value)
        case "acquire":
            return str(resource.acquire())
        case "release":
            resource.release(one.id)
        case "stop":
            resource.task_stop(one.id)
        case other:
            raise ValueError(f"QRMI has no call {other}")
    return ""


def _logs(resource: Any, task: str) -> str:
    from qrmi import UnsupportedFunctionError

    try:
        return str(resource.task_logs(task))
    except UnsupportedFunctionError:
        return ""


def _listed(account: Described) -> list[str]:
    """The machines that an account may use. QRMI puts its credentials into this process's
    environment, under the name of each; from there they are taken again."""
    import qrmi

    variables = json.loads(account.variables)
    names = [
        str(machine.resource_id())
        for machine in qrmi.ResourceProvider(_type_of(account), variables).resources()
    ]
    for key in variables:
        for name in names:
            os.unsetenv(f"{name}_{key}")
    return names


def _payload(one: Ask) -> Any:
    from qrmi import Payload

    match one.kind:
        case "QiskitPrimitive":
            return Payload.QiskitPrimitive(*one.payload)
        case "IQMServer":
            circuits, tag = one.payload
            return Payload.IQMServer(circuits, "circuit", False, tag)
        case "PasqalCloud":
            sequence, runs = one.payload
            return Payload.PasqalCloud(sequence, int(runs))
        case "AliceBobFelis":
            program, parameters = one.payload
            return Payload.AliceBobFelis(program, parameters)
        case other:
            raise ValueError(f"no payload {other}")


def _classified(error: Exception, machine: Described) -> QuanopyError:
    """QRMI's classes where it has one; else the status in its text."""
    import qrmi

    who, variables = machine.backend, json.loads(machine.variables)
    secrets = [value for name, value in variables.items() if is_credential(name)]
    text = " ".join(without(secrets, str(error)).split())[:_SAID]
    if isinstance(error, qrmi.AuthenticationFailedError):
        return Denied(f"{who}: the credential is refused", hint="Check its variables.")
    if isinstance(error, qrmi.TaskNotFoundError | qrmi.ResourceNotFoundError):
        return NotFound(f"{who} has no such task, or is no such machine")
    if isinstance(error, qrmi.TaskNotReadyError):
        return NotReady(f"{who}: the task has not ended")
    if isinstance(error, qrmi.ConfigError | qrmi.EnvVarNotSetError):
        return Unavailable(f"{who} is not configured: {text}")
    if isinstance(error, qrmi.UnsupportedPayloadError | qrmi.UnsupportedFunctionError):
        return Rejected(f"{who}: {text}")
    if text.startswith(_UNSIGNED):
        return Unavailable(f"{who}: {text}")
    if text.startswith(_NOT_STORED):
        return Unavailable(f"{who}: its bucket did not take the program", hint=_BUCKET)
    if text.startswith(_NOT_READ):
        return Transient(f"{who}: its bucket did not give the result. {_BUCKET}")
    status = _STATUS.search(text)
    if status is not None:
        return refusal(int(status[1]), who, retry_after_s=_PAUSE_S)
    if isinstance(error, qrmi.InvalidInputError) and not text.startswith(_UNREAD):
        return Rejected(f"{who}: {text}")
    # The text of what went wrong on the way has addresses in it, some of them signed.
    return OutcomeUnknown(f"{who} gave QRMI no answer that it understands")
