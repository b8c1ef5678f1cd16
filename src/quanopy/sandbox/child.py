"""What the server names when it calls a child: importing this loads no Qiskit, calling it does."""

import os
from collections.abc import Sequence

from quanopy.domain.errors import QuanopyError
from quanopy.domain.jobs import JobSpec, Reading
from quanopy.ports.programs import Compilation, Compiled


def warm_reader() -> None:
    """Load what reading needs, and keep what native readers print to themselves."""
    _silence()
    import qiskit_qasm3_import  # noqa: F401

    import quanopy.sandbox.reading  # noqa: F401


def read(specs: Sequence[JobSpec]) -> list[Reading | QuanopyError]:
    """Read jobs, see :func:`quanopy.sandbox.reading.read_jobs`."""
    from quanopy.sandbox.reading import read_jobs

    return read_jobs(specs)


def warm_compiler() -> None:
    """Load what compiling needs."""
    _silence()
    import quanopy.sandbox.compiling  # noqa: F401


def compile(requests: Sequence[Compilation]) -> list[Compiled | QuanopyError]:  # noqa: A001
    """Compile programs, see :func:`quanopy.sandbox.compiling.compile_all`."""
    from quanopy.sandbox.compiling import compile_all

    return compile_all(requests)


def _silence() -> None:
    """Native code prints its findings straight to the server's terminal otherwise."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
