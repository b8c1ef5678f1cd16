"""What the server names when it calls a child: importing this loads no Qiskit, calling it does."""

from collections.abc import Iterable, Sequence

from quanopy.domain.errors import QuanopyError
from quanopy.domain.jobs import JobSpec, Options, Reading
from quanopy.domain.resources import Target
from quanopy.ports.programs import Compilation, Compiled
from quanopy.sandbox.silence import silence

Request = tuple[bytes, int, int, Options]
"""A :class:`~quanopy.ports.programs.Compilation`: circuits, which target, level, options."""


def warm_reader() -> None:
    """Load what reading needs, and keep what native readers print to themselves."""
    silence(errors=True)
    import qiskit_qasm3_import  # noqa: F401

    import quanopy.sandbox.reading  # noqa: F401


def read(specs: Sequence[JobSpec]) -> list[Reading | QuanopyError]:
    """Read jobs, see :func:`quanopy.sandbox.reading.read_jobs`."""
    from quanopy.sandbox.reading import read_jobs

    return read_jobs(specs)


def warm_compiler() -> None:
    """Load what compiling needs."""
    silence(errors=True)
    import quanopy.sandbox.compiling  # noqa: F401


def compile(  # noqa: A001
    targets: Sequence[Target], requests: Sequence[Request]
) -> list[Compiled | QuanopyError]:
    """Compile programs, see :func:`quanopy.sandbox.compiling.compile_all`."""
    from quanopy.sandbox.compiling import compile_all

    return compile_all(
        [
            Compilation(circuits=circuits, target=targets[which], level=level, options=options)
            for circuits, which, level, options in requests
        ]
    )


def requests_of(compilations: Iterable[Compilation]) -> tuple[list[Target], list[Request]]:
    """What :func:`compile` takes: a target may be a hundred times as long as a program, and is
    sent once."""
    targets: dict[Target, int] = {}
    requests = [
        (one.circuits, targets.setdefault(one.target, len(targets)), one.level, one.options)
        for one in compilations
    ]
    return list(targets), requests
