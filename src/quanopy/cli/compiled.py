"""``quanopy compiled``: what really ran of a job."""

from pathlib import Path
from typing import Annotated

import typer

from quanopy.cli.arguments import AsJson, JobId


def compiled(
    id: JobId,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write each program into this folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what really ran: programs as they were compiled, by part of the job."""
    from quanopy.cli.output import emit_all, show_table
    from quanopy.client import Client

    with Client() as client:
        found = client.job(id).compiled()
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for one in found:
            ending = "qpy" if one.native is None else one.native
            (out / f"{one.part}-{one.program}.{ending}").write_bytes(one.data)
    if as_json:
        emit_all([one.wire for one in found])
        return
    show_table(
        ("part", "program", "compiled by", "level", "seed", "target", "execution"),
        (
            (
                *(one.part, one.program, one.compiler or "nothing: it ran as it was"),
                *(one.level, one.seed, one.target, one.execution_id),
            )
            for one in found
        ),
    )
