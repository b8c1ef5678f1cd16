"""How commands end: exit codes that scripts can use, and no tracebacks for users."""

import functools
import os
import re
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import typer

P = ParamSpec("P")
T = TypeVar("T")

INTERRUPTED = 130
_FIELD = re.compile(r"(?:jobs\[\d+\]\.)?(?P<of>options|requires)\.(?P<name>[a-z_]+)")
HELP = """\
Exit codes: 0 done; 1 a job failed; 2 wrong usage; 65 bad input; 66 not found, or an input file
that cannot be read; 69 the broker cannot be reached; 70 internal error; 73 conflict; 75 not ready,
or try again later; 77 denied; 130 interrupted; 128 + N ended by signal N."""


def guarded(command: Callable[P, T]) -> Callable[P, T]:
    """End a command that raises with a message on stderr and the exit code of its error."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        from quanopy.domain.errors import QuanopyError

        try:
            return command(*args, **kwargs)
        except QuanopyError as error:
            raise typer.Exit(explain(error, as_json=kwargs.get("as_json") is True)) from error
        except KeyboardInterrupt as error:
            typer.echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from error
        except BrokenPipeError as error:
            # Whoever read our output has gone; nothing of it may be flushed at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from error

    return run


def explain(error: Exception, *, as_json: bool = False) -> int:
    """Say on stderr what went wrong (and on stdout, as a problem document, for scripts that
    asked for JSON); the exit code."""
    from quanopy.domain.errors import QuanopyError
    from quanopy.wire.problems import kind_of, to_problem

    known = error if isinstance(error, QuanopyError) else QuanopyError(str(error))
    if as_json:
        typer.echo(to_problem(known).model_dump_json(exclude_none=True))
    known.where = _as_option(known.where)
    typer.echo(f"error: {known}", err=True)
    return kind_of(known).exit_code


def _as_option(where: str | None) -> str | None:
    """A field of a request as the option that it was given by; other places stay."""
    found = _FIELD.fullmatch(where or "")
    if found is None:
        return where
    if found["of"] == "requires":
        return f"--require {found['name']}"
    return f"--{found['name'].replace('_', '-')}"
