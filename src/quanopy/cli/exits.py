"""How commands end: exit codes that scripts can use, and no tracebacks for users."""

import errno
import functools
import io
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import typer

P = ParamSpec("P")
T = TypeVar("T")

INTERRUPTED = 130
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What a disk says that takes no more."""
_FIELD = re.compile(r"(?:jobs\[\d+\]\.|policy\.)?(?P<of>options|requires|stop)\.(?P<name>.+)")
_OPTIONS = {
    "tags": "--tag",
    "kinds": "--kind",
    "expires_in_s": "--days",
    **{
        name: f"--{name.replace('_', '-')}"
        for name in (
            *("kind", "state", "order", "gap", "max_in_flight", "total_shots", "count", "shots"),
            *("observable", "scatter", "outcome"),
        )
    },
}
"""Fields that commands have options of."""
_OF = {"requires": "--require", "stop": "--stop"}
_INDEX = re.compile(r"\[\d+\]$")
HELP = """\
Exit codes: 0 done; 1 a job failed; 2 wrong usage; 65 bad input; 66 not found, or an input file
that cannot be read; 69 the broker cannot be reached; 70 internal error; 73 conflict; 75 not ready,
or try again later; 77 denied; 130 interrupted; 128 + N ended by signal N."""


def guarded(command: Callable[P, T]) -> Callable[P, T]:
    """End a command that raises with a message on stderr and the exit code of its error."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        from quanopy.domain.errors import Invalid, QuanopyError

        try:
            return command(*args, **kwargs)
        except QuanopyError as error:
            raise typer.Exit(explain(error, as_json=kwargs.get("as_json") is True)) from error
        except KeyboardInterrupt as error:
            typer.echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from error
        except BrokenPipeError as error:
            _give_up_output()  # Whoever read it has gone.
            raise typer.Exit(0) from error
        except OSError as error:
            if error.errno not in _FULL:
                raise
            _give_up_output()
            full = Invalid(f"cannot be written: {error.strerror}", where="the output")
            raise typer.Exit(explain(full)) from error

    return run


@contextmanager
def goes_on(*follow: str) -> Iterator[None]:
    """Whatever ends a command that waits: say that the work goes on, and the command that follows
    it."""
    try:
        yield
    except BaseException:
        typer.echo(f"it goes on; follow it: quanopy {shlex.join(follow)}", err=True)
        raise


def plain_output() -> None:
    """Have output always be there, and take every text: what its encoding lacks becomes ``?``."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # It was closed before we began.
            setattr(sys, name, io.TextIOWrapper(io.BytesIO()))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _give_up_output() -> None:
    """Flush nothing of what has not been written yet, not even at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def explain(error: Exception, *, as_json: bool = False) -> int:
    """Say on stderr what went wrong (and on stdout, as a problem document, for scripts that
    asked for JSON); the exit code."""
    from quanopy.domain.errors import QuanopyError
    from quanopy.wire.problems import kind_of, to_problem

    known = error if isinstance(error, QuanopyError) else QuanopyError(str(error))
    if as_json:
        typer.echo(json.dumps(to_problem(known).model_dump(mode="json", exclude_none=True)))
    known.where = _as_option(known.where)
    typer.echo(f"error: {known}", err=True)
    return kind_of(known).exit_code


def _as_option(where: str | None) -> str | None:
    """A field of a request as the option that it was given by; other places stay."""
    field = _INDEX.sub("", where or "")
    found = _FIELD.fullmatch(field)
    if found is None:
        return _OPTIONS.get(field.removeprefix("policy."), where)
    of, name = found["of"], found["name"]
    return f"--{name.replace('_', '-')}" if of == "options" else f"{_OF[of]} {name}"
