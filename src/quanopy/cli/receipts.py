"""Commands on receipts: export, verify, import. Verifying needs no broker."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quanopy.cli.arguments import AsJson

if TYPE_CHECKING:
    from rich.progress import Progress

    from quanopy.client.client import Client
    from quanopy.client.groups import Group
    from quanopy.client.receipts import Receipt
    from quanopy.codecs.receipt_checks import Fault
    from quanopy.wire.jobs import ImportingOut

    Sent = Callable[[int, int], object]
    Told = Callable[[ImportingOut], object]

WRONG = 65
"""As for every input that is not what it should be."""
ReceiptPath = Annotated[Path, typer.Argument(metavar="FILE", help="A receipt.")]


def export(
    what: Annotated[
        str, typer.Argument(metavar="JOB|GROUP", help="A job's id; a group's id or name.")
    ],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where to; a zip, often named .quanopy.")
    ],
    as_json: AsJson = False,
) -> None:
    """Write all that belongs to a job or group into one file: programs, results, calibrations,
    history."""
    from quanopy.cli.output import emit, transfer
    from quanopy.client import Client

    with Client() as client, transfer(quiet=as_json) as bar:
        shown = bar.add_task("exporting", total=None)
        receipt = client.export(
            _meant(client, what),
            file,
            on_progress=lambda size: bar.update(shown, completed=size),
        )
    with receipt:
        if as_json:
            emit({"file": str(file), **_about(receipt)})
            return
        typer.echo(receipt.digest)
        _say_unfinished(receipt)


def _meant(client: "Client", what: str) -> "str | Group":
    """A job's or group's id, or the group of that name."""
    from quanopy.domain.ids import is_id

    return what if is_id(what, "job") else client.find_group(what)


def verify(file: ReceiptPath, as_json: AsJson = False) -> None:
    """Check a receipt: every digest, nothing missing or extra, and that its parts belong together;
    65 if anything is wrong. Prints its digest, to be noted elsewhere."""
    from dataclasses import asdict

    from quanopy.cli.output import emit, progress
    from quanopy.client.receipts import Receipt, reads_arrays

    with Receipt(file) as receipt:
        with progress(quiet=as_json) as bar:
            shown = bar.add_task("members", total=None)
            found = receipt.verify(
                lambda done, total: bar.update(shown, completed=done, total=total)
            )
        if as_json:
            told = {"arrays": reads_arrays(), "faults": [asdict(fault) for fault in found]}
            emit(_about(receipt) | told)
        else:
            _say(receipt, found)
    if found:
        raise typer.Exit(WRONG)


def import_(file: ReceiptPath, as_json: AsJson = False) -> None:
    """Take the jobs of a receipt into a broker, as your own. Importing twice changes nothing."""
    from quanopy.cli.output import emit
    from quanopy.client import Client

    with Client() as client, _importing(quiet=as_json) as (sent, told), _said_of(file):
        found = client.import_receipt(file, on_progress=sent, told=told)
    if as_json:
        emit(found.model_dump(mode="json"))
        return
    for job_id in found.new:
        typer.echo(job_id)
    known = len(found.known)
    there = f"{known:,} {'was' if known == 1 else 'were'} there already"
    typer.echo(f"{len(found.new):,} imported, {there}", err=True)
    for one in found.left_out:
        typer.echo(f"left out: {one.id}: {one.reason}", err=True)


@contextmanager
def _importing(*, quiet: bool) -> "Iterator[tuple[Sent, Told]]":
    """What shows how much of a receipt has been sent, then how far the broker is with it."""
    from quanopy.cli.output import progress, transfer

    with ExitStack() as shown:
        sending = shown.enter_context(transfer(quiet=quiet))
        file = sending.add_task("sending", total=None)
        working: list[Progress] = []

        def sent(size: int, total: int) -> None:
            said = "sending" if size < total else "the broker checks and keeps it"
            sending.update(file, description=said, completed=size, total=total)

        def told(far: "ImportingOut") -> None:
            if not working:
                sending.stop()
                working.append(shown.enter_context(progress(quiet=quiet)))
                working[0].add_task("")
            said = f"{_STEPS[far.step]} ({far.done:,} of {far.of:,})"
            (task,) = working[0].task_ids
            working[0].update(task, description=said, completed=far.done, total=far.of)

        yield sent, told


_STEPS = {
    "check": "the broker checks jobs",
    "read": "the broker reads circuits",
    "keep": "the broker keeps jobs",
}


@contextmanager
def _said_of(file: Path) -> Iterator[None]:
    """Have what is wrong with a receipt name the file."""
    from quanopy.domain.errors import QuanopyError

    try:
        yield
    except QuanopyError as error:
        if error.where == "receipt":
            error.where = str(file)
        raise


def _about(receipt: "Receipt") -> dict[str, object]:
    return {
        "digest": receipt.digest,
        "content": receipt.content,
        "made": dict(receipt.made),
        "jobs": [job.id for job in receipt.jobs],
        "unfinished": receipt.unfinished,
    }


def _say(receipt: "Receipt", found: "list[Fault]") -> None:
    from quanopy.cli.output import counted
    from quanopy.client.receipts import reads_arrays

    typer.echo(receipt.digest)
    for fault in found:
        typer.echo(f"wrong: {fault.member}: {fault.problem}", err=True)
    said = counted(len(found), "fault") if found else "nothing is wrong"
    typer.echo(f"{counted(len(receipt.jobs), 'job')}, {said}", err=True)
    if not reads_arrays():
        typer.echo("without NumPy its arrays are held to their digests alone", err=True)
    _say_unfinished(receipt)


def _say_unfinished(receipt: "Receipt") -> None:
    for job_id in receipt.unfinished:
        typer.echo(f"{job_id} was not final: the receipt has what was known then", err=True)
