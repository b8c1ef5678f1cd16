"""``qrun``, ``sample`` and ``estimate``: one payload in, one result file out, for batch scripts."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quanopy.cli.arguments import Observables
from quanopy.cli.exits import HELP, explain, plain_output
from quanopy.cli.running import Running, with_running
from quanopy.cli.signals import Signalled, Signals

if TYPE_CHECKING:
    from quanopy.client import Client, Draft, How, Job

PAYLOAD = """\
PAYLOAD is a file of OpenQASM 2 or 3 (told apart by its OPENQASM header), QPY, or a QRMI payload.
OUTPUT is written as a quanopy.result/1 JSON document, whole or not at all; - is stdout. On
SIGTERM and SIGINT the job is cancelled."""

Payload = Annotated[Path, typer.Argument(metavar="PAYLOAD", help="Program or payload file.")]
Result = Annotated[Path, typer.Argument(metavar="OUTPUT", help="Result file, or - for stdout.")]


def qrun() -> None:
    """The entry point of ``qrun``: the payload says what to do."""
    _run(None, "Run a payload; a bare circuit is sampled, or estimated with --observable.")


def sample() -> None:
    """The entry point of ``sample``."""
    _run("sample", "Sample measured bitstrings of a payload.")


def estimate() -> None:
    """The entry point of ``estimate``."""
    _run("estimate", "Estimate expectation values of a payload.")


def _run(kind: str | None, summary: str) -> None:
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

    @app.command(help=f"{summary}\n\n{PAYLOAD}", epilog=HELP)
    @with_running
    def command(
        payload: Payload, output: Result, *, running: Running, observable: Observables = None
    ) -> None:
        with Signals() as signals:
            raise typer.Exit(_guarded(signals, kind, payload, output, observable or [], running))

    plain_output()
    app()


def _guarded(
    signals: Signals,
    kind: str | None,
    payload: Path,
    output: Path,
    observables: list[str],
    running: Running,
) -> int:
    """Everything, as an exit code."""
    from quanopy.domain.errors import QuanopyError

    try:
        draft = signals.interruptible(lambda: _draft(kind, payload, observables, running))
        _execute(signals, draft, output)
    except QuanopyError as error:
        return explain(error)
    except Signalled as signal:
        typer.echo(f"ended by {signal}", err=True)
        return signal.exit_code
    return 0


def _draft(kind: str | None, payload: Path, observables: list[str], running: Running) -> "Draft":
    """The job that a payload stands for; raises ``Invalid`` where it is the other primitive's."""
    from quanopy.cli.observables import parse_observable
    from quanopy.client import drafts
    from quanopy.client.programs import kind_in, program_of
    from quanopy.domain.errors import Invalid

    program = program_of(payload)
    stated = kind_in(program)
    if stated and observables:
        raise Invalid("a payload has observables of its own", where="--observable")
    found = stated or ("estimate" if observables else "sample")
    if kind == "estimate" and not stated and not observables:
        raise Invalid("nothing to estimate", hint="Say --observable, for example ZZ.")
    if kind and found != kind:
        raise Invalid(
            f"this is to be {found}d, not {kind}d", where=str(payload), hint=f"Use {found} or qrun."
        )
    how: How = {**running.how(), "name": payload.stem}
    if observables:
        asked = [parse_observable(text) for text in observables]
        return drafts.observed(program, asked, resource=running.resource, **how)
    return drafts.programs(program, resource=running.resource, **how)


def _execute(signals: Signals, draft: "Draft", output: Path) -> None:
    """Submit, wait, write. A signal cancels the job, also one that came while submitting."""
    with signals.interruptible(lambda: _client(output)) as client:
        job = client.submit_many([draft])[0]
        with _named(job):
            try:
                document = signals.interruptible(lambda: _fetch(client, job))
            except Signalled:
                job.cancel()
                raise
            signals.interruptible(lambda: _write(document, output))


def _client(output: Path) -> "Client":
    """The way to the broker, once it is seen that there is a way for the result."""
    from quanopy.client import Client
    from quanopy.client.files import check_writable

    if str(output) != "-":
        check_writable(output)
    return Client()


@contextmanager
def _named(job: "Job") -> Iterator[None]:
    """Whatever fails once there is a job: say which it is, for its result may still be had."""
    try:
        yield
    except BaseException:
        typer.echo(f"the job: {job.id}", err=True)
        raise


def _fetch(client: "Client", job: "Job") -> bytes:
    from quanopy.cli.jobs import wait_for
    from quanopy.client.results import to_json

    if sys.stderr.isatty():
        typer.echo(job.id, err=True)
        wait_for(client, [job])
    return to_json(job.result())


def _write(document: bytes, output: Path) -> None:
    from quanopy.client.files import write_atomically

    if str(output) == "-":
        sys.stdout.buffer.write(document)
        sys.stdout.buffer.flush()
    else:
        write_atomically(output, document)
