"""Commands on jobs: submit, status, jobs, cancel, retry."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quanopy.cli.arguments import AsJson, JobId, JobIds, Observables
from quanopy.cli.exits import goes_on
from quanopy.cli.pairs import pairs, time_of
from quanopy.cli.running import Running, with_running

if TYPE_CHECKING:
    from quanopy.client import Client, Draft, How, Job
    from quanopy.wire.jobs import JobOut

_PLACE = re.compile(r"(?:jobs\[(?P<job>\d+)\]\.)?programs\[(?P<program>\d+)\]")
STEP_S = 2.0
"""How often a progress bar moves on while jobs run; their end is noticed at once."""


@with_running
def submit(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="OpenQASM, QPY or QRMI payload files.")
    ],
    *,
    kind: Annotated[
        str | None, typer.Option("--kind", help="sample, estimate or run; default: as it fits.")
    ] = None,
    running: Running,
    observable: Observables = None,
    name: Annotated[str | None, typer.Option("--name", help="Default: the file's name.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="TAG", help="Repeat for several.")
    ] = None,
    priority: Annotated[
        int, typer.Option("--priority", min=-100, max=100, help="Higher first, among your own.")
    ] = 0,
    together: Annotated[
        bool, typer.Option("--together", help="All files as one job, not one job a file.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end; 1 if one fails.")] = False,
    as_json: AsJson = False,
) -> None:
    """Submit programs: one job for each file."""
    from quanopy.client import Client, How

    how: How = {**running.how(), "tags": tag or (), "priority": priority}
    groups = [files] if together else [[file] for file in files]
    drafts = [
        drafted(
            group, kind, running.resource, observable or [], {**how, "name": name or group[0].stem}
        )
        for group in groups
    ]
    with Client() as client:
        with _files_named(groups):
            jobs = client.submit_many(drafts)
        if wait:
            with goes_on("watch", *(job.id for job in jobs)):
                found = wait_for(client, jobs)
        else:
            found = client.states(jobs)
    _show(found, as_json=as_json)
    if wait:
        _exit_by_state(found)


def drafted(
    files: Sequence[Path],
    kind: str | None,
    resource: str | None,
    observables: Sequence[str],
    how: "How",
) -> "Draft":
    """A job of these files."""
    from quanopy.cli.observables import parse_observable
    from quanopy.client import drafts
    from quanopy.client.programs import program_of
    from quanopy.domain.errors import Invalid

    if not observables:
        if kind == "estimate" and not any(file.suffix == ".json" for file in files):
            raise Invalid("nothing to estimate", hint="Say --observable, for example ZZ.")
        return drafts.programs(files, kind=kind, resource=resource, **how)
    if len(files) > 1 or kind not in (None, "estimate"):
        raise Invalid("--observable goes with one file a job, and with estimates alone")
    asked = [parse_observable(text) for text in observables]
    return drafts.observed(program_of(files[0]), asked, resource=resource, **how)


@contextmanager
def _files_named(groups: Sequence[Sequence[Path]]) -> Iterator[None]:
    """Say the file where the broker's refusal says the place in the request."""
    from quanopy.domain.errors import QuanopyError

    try:
        yield
    except QuanopyError as error:
        place = _PLACE.match(error.where or "")
        if place is not None:
            files = groups[int(place["job"] or 0)]
            number = int(place["program"] or 0)
            name = str(files[number] if number < len(files) else files[0])
            inside = (error.where or "")[place.end() :].strip(".")
            error.where = f"{name}, {inside}" if inside else name
        raise


def wait_for(client: "Client", jobs: "Sequence[Job]") -> "list[JobOut]":
    """Wait until all of these are final, showing people how far it is."""
    from quanopy.cli.output import progress
    from quanopy.domain.states import FINAL_JOB_STATES

    with progress() as bar:
        shown = bar.add_task("jobs", total=len(jobs))
        while True:
            found = client.states(jobs, wait_s=STEP_S)
            done = sum(job.state in FINAL_JOB_STATES for job in found)
            bar.update(shown, completed=done)
            if done == len(jobs):
                return found


def status(
    ids: JobIds,
    expect: Annotated[
        list[str] | None,
        typer.Option(
            "--expect",
            metavar="NAME=VALUE",
            help="resource, provider, target or fingerprint; 65 where it differs.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show where jobs stand, what they wait for, and if their calibration changed under them."""
    from quanopy.cli.standing import details, notes
    from quanopy.client import Client
    from quanopy.client.expecting import compare, expectation

    expected = expectation(pairs(expect, "--expect"))
    with Client() as client:
        found = details(client, ids)
        named = {job.group for job in found if job.group is not None} if not as_json else ()
        groups = {one: client.find_group(one).detail() for one in named}
    for job in found:
        compare(job, expected)
    _show(found, as_json=as_json)
    for job in found if not as_json else ():
        for note in notes(job, groups.get(job.group or "")):
            typer.echo(f"  {job.id} {note}")


def jobs(
    state: Annotated[
        list[str] | None,
        typer.Option("--state", metavar="STATE", help="Only in this state; repeat for several."),
    ] = None,
    resource: Annotated[str | None, typer.Option("--resource", "-r")] = None,
    kind: Annotated[str | None, typer.Option("--kind")] = None,
    tag: Annotated[str | None, typer.Option("--tag")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Exactly this name.")] = None,
    name_prefix: Annotated[str | None, typer.Option("--name-prefix")] = None,
    account: Annotated[
        str | None, typer.Option("--account", help="Another's, or * for all: for operators.")
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", help="Only of this group, by its name or id.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="From then on: 2h, 7d, or an ISO 8601 time.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="Likewise.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="At most so many.")] = 30,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    from quanopy.client import Client
    from quanopy.domain.errors import Invalid

    if limit < 1:
        raise Invalid("it must be at least 1", where="--limit")

    filters = {
        "state": state,
        "resource": resource,
        "kind": kind,
        "tag": tag,
        "name": name,
        "name_prefix": name_prefix,
        "account": account,
        "created_from": since and time_of(since, "--since"),
        "created_to": until and time_of(until, "--until"),
    }
    with Client() as client:
        if group is not None:
            filters["group"] = client.find_group(group).id
        found = list(client.listing(limit=limit + 1, **filters))
    if found or as_json:
        _show(found[:limit], as_json=as_json)
        if len(found) > limit and not as_json:
            typer.echo(f"the newest {limit:,}; there are more: --limit, --since", err=True)
    else:
        typer.echo("no jobs with these filters" if any(filters.values()) else "no jobs", err=True)


def cancel(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="Ids of jobs; or options say which."),
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option("--state", metavar="STATE", help="All in this state; repeat for several."),
    ] = None,
    tag: Annotated[str | None, typer.Option("--tag", help="All with this tag.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="All of exactly this name.")] = None,
    group: Annotated[
        str | None, typer.Option("--group", help="All of this group, by its name or id.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask; it is asked in a terminal alone.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Ask for the end of jobs: what waits ends now, what runs soon."""
    from quanopy.client import Client
    from quanopy.domain.states import FINAL_JOB_STATES

    chosen = {"state": state, "tag": tag, "name": name, "group": group}
    filters = {option: value for option, value in chosen.items() if value}
    _say_one_way(ids, filters)
    with Client() as client:
        if filters:
            ids = _under_way(client, filters)
            _confirm(len(ids), yes=yes)
        found = client.cancel(ids or ())
    _show(found, as_json=as_json)
    running = [job.id for job in found if job.state not in FINAL_JOB_STATES]
    if running and not as_json:
        typer.echo("asked to end; what runs ends soon. Follow it:", err=True)
        typer.echo(f"  quanopy watch {' '.join(running)}", err=True)


def _say_one_way(ids: Sequence[str] | None, filters: Mapping[str, object]) -> None:
    from quanopy.domain.errors import Invalid

    if ids and filters:
        raise Invalid("jobs are named and chosen by options", where="cancel", hint="Do one.")
    if not ids and not filters:
        raise Invalid(
            "no job is named", where="cancel", hint="Give ids; or --tag, --name, --group, --state."
        )


def _under_way(client: "Client", filters: dict[str, Any]) -> list[str]:
    """Ids of the account's jobs that have not ended and pass these filters."""
    from quanopy.domain.errors import Invalid
    from quanopy.domain.states import FINAL_JOB_STATES, JobState

    if over := FINAL_JOB_STATES & set(filters.get("state", ())):
        raise Invalid(f"jobs that are {min(over)} have ended", where="--state")
    going = [state for state in JobState if state not in FINAL_JOB_STATES]
    asked = {"state": going, **filters}
    if "group" in filters:
        asked["group"] = client.find_group(filters["group"]).id
    return [job.id for job in client.listing(**asked)]


def _confirm(number: int, *, yes: bool) -> None:
    """Ask a person in a terminal, unless that is done already; ends the command on no."""
    from quanopy.cli.output import counted

    if number and not yes and sys.stdin.isatty():
        typer.confirm(f"cancel {counted(number, 'job')}?", abort=True, err=True)


def retry(id: JobId, as_json: AsJson = False) -> None:
    """Run the failed and cancelled parts of a job again."""
    from quanopy.client import Client

    with Client() as client:
        client.job(id).retry()
        _show(client.states([id]), as_json=as_json)


def _show(found: "Sequence[JobOut]", *, as_json: bool) -> None:
    from quanopy.cli.output import emit_all, show_jobs

    if as_json:
        emit_all(found)
    else:
        show_jobs(found)


def _exit_by_state(found: "Sequence[JobOut]") -> None:
    from quanopy.domain.states import JobState

    if any(job.state is not JobState.COMPLETED for job in found):
        raise typer.Exit(1)
