"""Compiles programs in child processes, each for a target with given options once."""

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial
from importlib.metadata import version

from quanopy.codecs.packs import COMPILED
from quanopy.domain.errors import Invalid, NotFound, QuanopyError, Unavailable
from quanopy.ports.objects import Objects
from quanopy.ports.programs import Compilation, Compiled
from quanopy.sandbox import child
from quanopy.sandbox.confinement import Confinement
from quanopy.sandbox.pool import Call, ChildFailed, Children, ChildTimedOut

_MEMORY = 4 * 1024**3
_TIME_LIMIT_S = 600.0
_KEPT_BYTES = 128 * 1024 * 1024
_LOOK_UP = 32
"""In how large a batch objects are kept and looked for: more requests of the store would cost
more than compiling."""
_LOOKING = 8
"""Requests of the object store at once."""

_log = logging.getLogger(__name__)

Answer = Compiled | QuanopyError


class ProcessCompiler:
    """The :class:`~quanopy.ports.programs.Compiler` that works in processes of its own."""

    def __init__(
        self, objects: Objects | None = None, *, processes: int = 1, memory_bytes: int = _MEMORY
    ) -> None:
        """``objects`` also keeps what was compiled for later processes, under ``compiled/``."""
        self._objects = objects
        self._lookers = ThreadPoolExecutor(_LOOKING, thread_name_prefix="compiled")
        confinement = Confinement(memory_bytes=memory_bytes, warm_up=child.warm_compiler)
        self._children = Children(processes, confinement, child.compile, name="compile")
        self._processes = processes
        self._known = _Known()

    def compile(self, requests: Sequence[Compilation]) -> list[Answer]:
        """Compile these together; see the port."""
        keys = [_key(request) for request in requests]
        distinct = dict(zip(keys, requests, strict=True))
        found: dict[str, Answer] = {}
        for key in distinct:
            if (known := self._known.get(key)) is not None:
                found[key] = known
        missing = {key: request for key, request in distinct.items() if key not in found}
        found |= self._stored(missing)
        missing = {key: request for key, request in missing.items() if key not in found}
        found |= self._keep(self._compile(missing))
        return [found[key] for key in keys]

    def close(self) -> None:
        """End the processes; idempotent."""
        self._children.close()
        self._lookers.shutdown(cancel_futures=True)

    def _compile(self, requests: Mapping[str, Compilation]) -> dict[str, Answer]:
        keys = list(requests)
        calls = [
            (some, self._begin([requests[key] for key in some]))
            for some in _dealt(keys, self._processes)
        ]
        return {
            key: answer
            for some, call in calls
            for key, answer in zip(
                some, self._finish([requests[key] for key in some], call), strict=True
            )
        }

    def _begin(self, requests: Sequence[Compilation]) -> Call[Answer]:
        return self._children.submit(
            child.compile, *child.requests_of(requests), timeout_s=_TIME_LIMIT_S
        )

    def _finish(self, requests: Sequence[Compilation], call: Call[Answer]) -> Sequence[Answer]:
        try:
            return call.result()
        except ChildFailed as failure:
            if len(requests) == 1:
                return [_blame(failure)]
            return [self._finish([one], self._begin([one]))[0] for one in requests]

    def _stored(self, requests: Mapping[str, Compilation]) -> dict[str, Answer]:
        """What an earlier process compiled."""
        if self._objects is None or not 0 < len(requests) <= _LOOK_UP:
            return {}
        looks = self._lookers.map(partial(_look_up, self._objects), requests)
        try:
            found = {key: one for key, one in zip(requests, looks, strict=True) if one is not None}
        except (Unavailable, RuntimeError) as error:
            _log.warning("compiled programs cannot be looked up: %s", error)
            return {}
        for key, one in found.items():
            self._known.add(key, one)
        return dict(found)

    def _keep(self, made: Mapping[str, Answer]) -> dict[str, Answer]:
        """These as they are remembered; in the store only what was compiled: what fits is there."""
        compiled = {k: one for k, one in made.items() if isinstance(one, Compiled) and one.changed}
        kept = {key: replace(one, kept=_object(key)) for key, one in compiled.items()}
        answers = {**made, **(kept if self._put(compiled) else {})}
        for key, one in answers.items():
            self._known.add(key, one)
        return answers

    def _put(self, compiled: Mapping[str, Compiled]) -> bool:
        """Whether the store has them now; whoever runs them keeps them where it has not."""
        if self._objects is None or not 0 < len(compiled) <= _LOOK_UP:
            return False
        try:
            self._objects.put({_object(key): one.circuits for key, one in compiled.items()})
        except Unavailable as error:
            _log.warning("compiled programs cannot be kept: %s", error)
            return False
        return True


def _look_up(objects: Objects, key: str) -> Compiled | None:
    try:
        circuits = objects.get([_object(key)])[0]
        return Compiled(circuits=circuits, changed=True, kept=_object(key))
    except NotFound:
        return None


class _Known:
    """What was compiled lately, up to so many bytes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._compiled: OrderedDict[str, Compiled] = OrderedDict()
        self._bytes = 0

    def get(self, key: str) -> Compiled | None:
        with self._lock:
            found = self._compiled.get(key)
            if found is not None:
                self._compiled.move_to_end(key)
            return found

    def add(self, key: str, compiled: Answer) -> None:
        if not isinstance(compiled, Compiled):
            return
        with self._lock:
            if key in self._compiled:
                return
            self._compiled[key] = compiled
            self._bytes += len(compiled.circuits)
            while self._bytes > _KEPT_BYTES:
                _, old = self._compiled.popitem(last=False)
                self._bytes -= len(old.circuits)


def _key(request: Compilation) -> str:
    """Names a program, a target, a compiler, and every option that changes what comes out."""
    options = request.options
    level = options.optimization_level
    how = (
        f"{request.target.digest} {request.level if level is None else level} "
        f"{'always' if level is not None else 'misfits'} {request.seed} "
        f"{options.compile} {_compiler()}"
    )
    return hashlib.sha256(how.encode() + b"\n" + request.circuits).hexdigest()


@cache
def _compiler() -> str:
    return version("qiskit")


def _object(key: str) -> str:
    return f"{COMPILED}/{key[:2]}/{key}.qpy"


def _dealt(keys: Sequence[str], hands: int) -> Iterable[Sequence[str]]:
    """The keys in as many shares as there are processes, none empty."""
    return [share for first in range(hands) if (share := keys[first::hands])]


def _blame(failure: ChildFailed) -> QuanopyError:
    if isinstance(failure, ChildTimedOut):
        return Invalid(
            f"the program is not compiled after {_TIME_LIMIT_S:g} s",
            hint="Make it smaller, or choose a lower optimization_level.",
        )
    return Invalid(f"the program breaks the compiler: {failure}", hint="Report it, if you can.")
