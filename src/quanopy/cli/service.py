"""Commands that run the service: serve, worker."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from quanopy.cli.arguments import Data
from quanopy.domain.errors import Invalid

Config = Annotated[
    Path | None,
    typer.Option("--config", help="TOML file of settings, quanopy.toml; default QUANOPY_CONFIG."),
]
Database = Annotated[
    str | None, typer.Option("--database", help="sqlite:////path or postgresql://…")
]
Objects = Annotated[str | None, typer.Option("--objects", help="file:///path or s3://bucket/…")]
Providers = Annotated[
    str | None, typer.Option("--providers", help="Names of tables, comma-separated; default: all.")
]
LogLevel = Annotated[str | None, typer.Option("--log-level", help="debug, info, warning, error.")]


@contextmanager
def named_as_options(given: Mapping[str, object]) -> Iterator[None]:
    """Have what is wrong with a setting that was given as an option name the option."""
    try:
        yield
    except Invalid as error:
        if given.get(error.where or "") is not None:
            error.where = f"--{(error.where or '').replace('_', '-')}"
        raise


def serve(
    host: Annotated[str | None, typer.Option("--host", help="Default 127.0.0.1.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", "-p", help="Default 8420; 0 takes a free one.")
    ] = None,
    uds: Annotated[
        Path | None, typer.Option("--uds", help="Listen on this unix socket instead.")
    ] = None,
    data: Data = None,
    worker: Annotated[
        bool | None, typer.Option("--worker/--no-worker", help="Also work on tasks (default).")
    ] = None,
    database: Database = None,
    objects: Objects = None,
    providers: Providers = None,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", help="PEM chain.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="PEM key.")] = None,
    insecure: Annotated[
        bool | None, typer.Option("--insecure", help="Plain HTTP beyond this machine.")
    ] = None,
    log_level: LogLevel = None,
    config: Config = None,
) -> None:
    """Run the broker until SIGTERM or Ctrl-C. Every setting is also QUANOPY_NAME."""
    from quanopy.server import run, settings

    given: dict[str, Any] = {
        "host": host,
        "port": port,
        "uds": uds,
        "data": data,
        "worker": worker,
        "database": database,
        "objects": objects,
        "providers": providers,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "insecure": insecure,
        "log_level": log_level,
    }
    with named_as_options(given):
        loaded = settings.load(config, **given)
    run.serve(
        loaded,
        ready=lambda where: typer.echo(f"quanopy listens on {where}"),
    )


def worker(
    providers: Providers = None,
    data: Data = None,
    database: Database = None,
    objects: Objects = None,
    log_level: LogLevel = None,
    config: Config = None,
) -> None:
    """Work on tasks until SIGTERM or Ctrl-C, beside a broker with the same database."""
    from quanopy.server import settings, working

    given: dict[str, Any] = {
        "providers": providers,
        "data": data,
        "database": database,
        "objects": objects,
        "log_level": log_level,
    }
    with named_as_options(given):
        loaded = settings.load(config, **given)
    working.work(loaded)
