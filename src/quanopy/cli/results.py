"""Commands that bring something back: result, watch."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quanopy.cli.arguments import AsJson, JobId, Output, Timeout

if TYPE_CHECKING:
    from quanopy.client import Client, Job
    from quanopy.wire.service import EventOut


COUNTED = 500
"""Jobs under way that are counted for who follows them, at most."""
MOMENT_S = 3.0
"""So long nobody asks why there is no result yet."""


def result(
    id: JobId,
    partial: Annotated[
        bool, typer.Option("--partial", help="What there is now, of a job in any state.")
    ] = False,
    npz: Annotated[bool, typer.Option("--npz", help="As NumPy's .npz, with --output.")] = False,
    output: Output = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Show or save a job's result, waiting for it if need be. 1 if the job failed."""
    from quanopy.cli.output import emit, show_result
    from quanopy.client import Client
    from quanopy.client.results import to_json
    from quanopy.domain.jobs import JobKind

    with Client() as client, _in_all(id, None if partial else timeout):
        job = client.job(id)
        left = timeout if partial else _awaited(client, job, timeout)
        if npz:
            _write(job.npz(left), output)
            return
        found = job.result(left, partial=partial)
        shown = output is None and not as_json
        observables = _observables(job) if shown and found.kind is JobKind.ESTIMATE else ()
    if output is not None:
        _write(to_json(found), output)
    elif as_json:
        emit(found.to_dict())
    else:
        show_result(found, observables)


def _awaited(client: "Client", job: "Job", timeout: float | None) -> float | None:
    """What is left of the timeout once the job has ended, or whoever waits longer than a moment
    has been told what for."""
    from time import monotonic

    from quanopy.cli.standing import notes
    from quanopy.domain.errors import NotReady

    began = monotonic()
    try:
        job.wait(MOMENT_S if timeout is None else min(MOMENT_S, timeout))
    except NotReady:
        detail = job.detail()
        group = None if detail.group is None else client.find_group(detail.group).detail()
        for note in notes(detail, group):
            typer.echo(f"{job.id} {note}", err=True)
    return None if timeout is None else max(0.0, timeout - (monotonic() - began))


@contextmanager
def _in_all(id: str, timeout: float | None) -> Iterator[None]:
    """Say the whole timeout where the rest of it is over."""
    from quanopy.domain.errors import NotReady

    try:
        yield
    except NotReady as error:
        if timeout is None:
            raise
        late = f"{id} is not done after {timeout:g} s"
        raise NotReady(late, hint=error.hint) from error


def _observables(job: "Job") -> "Sequence[Any]":
    """Those of each pub, as they were understood; none where the record tells only how they
    came."""
    submitted = job.submitted()
    read = all(program.qpy is not None for program in submitted.programs)
    return [pub.observables for pub in submitted.pubs or ()] if read else ()


def _write(data: bytes, output: Path | None) -> None:
    from quanopy.client.files import write_atomically
    from quanopy.domain.errors import Invalid

    if output is not None and str(output) != "-":
        write_atomically(output, data)
    elif output is None and sys.stdout.isatty():
        raise Invalid("binary data for a terminal", hint="Say --output FILE.")
    else:
        sys.stdout.buffer.write(data)


def watch(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="Jobs; without any, all of the account's."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document a line.")] = False,
) -> None:
    """Follow jobs as they go, until these have ended, 1 if one failed; without ids until Ctrl-C."""
    from quanopy.client import Client

    with Client() as client:
        if not ids and not as_json:
            _say_what_is_followed(client)
        failed = _follow(client, ids or [], as_json=as_json)
    if failed:
        raise typer.Exit(1)


def _say_what_is_followed(client: "Client") -> None:
    from quanopy.cli.output import counted
    from quanopy.domain.states import FINAL_JOB_STATES, JobState

    under_way = [state for state in JobState if state not in FINAL_JOB_STATES]
    count = sum(1 for _ in client.listing(limit=COUNTED + 1, state=under_way))
    if count > COUNTED:
        said = f"more than {counted(COUNTED, 'job')} are under way"
    elif count:
        said = f"{counted(count, 'job')} {'is' if count == 1 else 'are'} under way"
    else:
        said = "no job is under way"
    typer.echo(f"{said}; what happens to all jobs of the account shows here until Ctrl-C", err=True)


def _follow(client: "Client", ids: list[str], *, as_json: bool) -> bool:
    """Show events until every one of these jobs is final (for ever without ids); whether one
    did not complete."""
    from quanopy.domain.states import FINAL_JOB_STATES, JobState

    # From the very first event: what happened before this command is part of the story, and a
    # job that has ended is seen to have.
    events = client.events(ids, after="0.0" if ids else None)
    pending, failed = set(ids), False
    for event in events:
        _show(event, as_json=as_json)
        if event.subject in pending and event.after in FINAL_JOB_STATES:
            # A retried job has ended before: what counts is its state now.
            state = client.job(event.subject).status()
            if state in FINAL_JOB_STATES:
                pending.discard(event.subject)
                failed |= state is not JobState.COMPLETED
            if not pending:
                break
    return failed


def _show(event: "EventOut", *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(event.model_dump(mode="json")))
        return
    at = event.at.astimezone().strftime("%H:%M:%S")
    about = event.job_id if event.job_id and event.job_id != event.subject else ""
    typer.echo(f"{at}  {event.kind:<22}  {event.subject}  {about}".rstrip())
