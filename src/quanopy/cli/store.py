"""Commands on what is kept: migrate, rebuild, verify, gc. They need no running broker."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quanopy.cli.arguments import AsJson, Data
from quanopy.cli.exits import guarded
from quanopy.cli.service import Config, Database, Objects
from quanopy.cli.subcommands import Subcommands

if TYPE_CHECKING:
    from quanopy.server.parts import Parts
    from quanopy.server.settings import Settings
    from quanopy.services.archive_packs import Damage

app = typer.Typer(
    cls=Subcommands,
    help="Look after the catalogue and the archive; the settings are those of `serve`.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

DAMAGED = 1


def _settings(given: dict[str, Path | str | None], *, needs: Sequence[str] = ()) -> "Settings":
    """The settings of a broker. A data folder that does not exist is made only where it ``needs``
    nothing out of it: elsewhere it is most likely a typing mistake."""
    from quanopy.domain.errors import NotFound
    from quanopy.server.settings import load

    file = given.pop("config")
    found = load(None if file is None else Path(file), **given)  # type: ignore[arg-type]
    if not all(getattr(found, name) for name in needs) and not found.data.is_dir():
        raise NotFound(
            f"there is no folder {found.data}",
            where="--data",
            hint="Name the broker's data folder, where its catalogue and archive lie.",
        )
    return found


@contextmanager
def _opened(settings: "Settings") -> "Iterator[Parts]":
    """The parts of a broker."""
    from quanopy.server.owner import open_folder
    from quanopy.server.wiring import build

    open_folder(settings.data)
    with closing(build(settings)) as broker:
        yield broker.parts


def _refuse_empty(settings: "Settings") -> None:
    """Refuse to make a catalogue of an archive that is not there."""
    from quanopy.codecs.packs import COMPLETED, PENDING
    from quanopy.domain.errors import NotFound
    from quanopy.server.wiring import archive

    there = bool(settings.objects) or (settings.data / "objects").is_dir()
    if there:
        objects = archive(settings)
        there = any(True for prefix in (PENDING, COMPLETED) for _ in objects.list(prefix))
    if not there:
        raise NotFound(
            f"there is nothing to rebuild from at {settings.objects_url}",
            where="--objects" if settings.objects else "--data",
            hint="Name the archive with --objects, or the data folder that it lies in with --data.",
        )


@app.command("migrate")
@guarded
def migrate(
    data: Data = None,
    database: Database = None,
    objects: Objects = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Make the catalogue's tables, or bring them up to date."""
    from quanopy.cli.output import done

    settings = {"data": data, "database": database, "objects": objects, "config": config}
    with _opened(_settings(settings)):
        done("the catalogue is up to date", {"up_to_date": True}, as_json=as_json)


@app.command("rebuild")
@guarded
def rebuild(
    data: Data = None,
    database: Database = None,
    objects: Objects = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Restore the catalogue from the archive alone. Safe to repeat; 1 if something is damaged.

    Unfinished jobs come back held: `quanopy retry` releases them. Groups come back paused:
    `quanopy group resume` goes on. Tokens are not restored.
    """
    given = {"data": data, "database": database, "objects": objects, "config": config}
    settings = _settings(given, needs=("objects",))

    from quanopy.cli.output import progress
    from quanopy.services.rebuild import rebuild as rebuild_catalogue

    _refuse_empty(settings)
    with _opened(settings) as parts, progress() as bar:
        shown = bar.add_task("packs", total=None)
        found = rebuild_catalogue(
            parts.objects, parts.store, lambda packs, jobs: bar.update(shown, completed=packs)
        )
    figures = {
        name: getattr(found, name)
        for name in (
            *("packs", "snapshots", "jobs", "new", "finished", "held", "stranded"),
            "groups",
        )
    }
    _report(figures, found.damaged, found.lost, as_json=as_json)


@app.command("verify")
@guarded
def verify(
    data: Data = None,
    database: Database = None,
    objects: Objects = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Read the whole archive and check every digest; 1 if something is damaged."""
    given = {"data": data, "database": database, "objects": objects, "config": config}
    settings = _settings(given, needs=("objects",))

    from quanopy.cli.output import progress
    from quanopy.server.wiring import archive
    from quanopy.services.verify import verify as verify_archive

    kept = archive(settings)
    with progress() as bar:
        shown = bar.add_task("packs", total=None)
        found = verify_archive(kept, lambda packs, size: bar.update(shown, completed=packs))
    _report({"packs": found.packs, "bytes": found.bytes}, found.damaged, as_json=as_json)


@app.command("gc")
@guarded
def collect(
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete them; by default they are only listed.")
    ] = False,
    older_than: Annotated[
        float, typer.Option("--older-than", min=0.0, metavar="HOURS", help="Spare younger ones.")
    ] = 1.0,
    data: Data = None,
    database: Database = None,
    objects: Objects = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Find objects that no row needs, left by crashes. After a lost database, rebuild first."""
    from datetime import timedelta

    from quanopy.cli.output import emit, show_table
    from quanopy.services.orphans import delete_orphans, find_orphans

    given = {"data": data, "database": database, "objects": objects, "config": config}
    with _opened(_settings(given, needs=("database", "objects"))) as parts:
        age = timedelta(hours=older_than)
        orphans = list(find_orphans(parts.objects, parts.store, older_than=age))
        if delete:
            delete_orphans(parts.objects, orphans)
    if as_json:
        keys = [{"key": orphan.key, "size": orphan.size} for orphan in orphans]
        emit({"orphans": keys, "deleted": delete})
        return
    rows = [(orphan.key, orphan.size, orphan.modified_at.astimezone()) for orphan in orphans]
    show_table(("orphan", "bytes", "written"), rows)
    typer.echo(f"{len(orphans)} {'deleted' if delete else 'found'}", err=True)


def _report(
    figures: dict[str, int],
    damaged: "tuple[Damage, ...]",
    lost: tuple[str, ...] | None = None,
    *,
    as_json: bool,
) -> None:
    from dataclasses import asdict

    from quanopy.cli.output import emit, show_table

    if as_json:
        shown: dict[str, object] = {"damaged": [asdict(damage) for damage in damaged]}
        emit({**figures, **shown} if lost is None else {**figures, **shown, "lost": lost})
    else:
        show_table(tuple(figures), [tuple(figures.values())])
        for damage in damaged:
            of = f" (of {', '.join(damage.jobs)})" if damage.jobs else ""
            typer.echo(f"damaged: {damage.key}: {damage.problem}{of}", err=True)
        for job_id in lost or ():
            typer.echo(f"lost: {job_id}: the archive does not have its submission", err=True)
    if damaged or lost:
        raise typer.Exit(DAMAGED)
