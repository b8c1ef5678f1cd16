"""Commands that run a virtual QPU."""

from pathlib import Path
from typing import Annotated

import typer

from quanopy.cli.exits import guarded
from quanopy.cli.service import LogLevel, named_as_options
from quanopy.cli.subcommands import Subcommands

app = typer.Typer(
    cls=Subcommands, help="Run a virtual QPU: an emulator as a service.", rich_markup_mode=None
)


@app.callback()
def _vqpu() -> None:
    """Run a virtual QPU: an emulator as a service."""


@app.command()
@guarded
def serve(
    name: Annotated[str, typer.Option("--name", help="Its name as a resource.")] = "vqpu",
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", "-p", min=0, max=65535, help="0 takes a free one.")
    ] = 0,
    token: Annotated[
        str | None,
        typer.Option("--token", help="Where its token is: env:NAME, file:PATH or command:…"),
    ] = None,
    register: Annotated[
        bool, typer.Option("--register", help="Register at the broker (QUANOPY_URL).")
    ] = False,
    url: Annotated[
        str | None, typer.Option("--url", help="The url to register; default: where it listens.")
    ] = None,
    ready_file: Annotated[
        Path | None, typer.Option("--ready-file", help="Write name, url and process here.")
    ] = None,
    qubits: Annotated[int | None, typer.Option("--qubits", min=1, help="Default 12.")] = None,
    gates: Annotated[
        str | None, typer.Option("--gates", help="Native gates; default rx,ry,rz,cz.")
    ] = None,
    like: Annotated[
        str | None, typer.Option("--like", help="A fake device, as fez: its gates and noise.")
    ] = None,
    snapshot: Annotated[
        Path | None, typer.Option("--snapshot", help="Noise from a calibration in this file.")
    ] = None,
    depolarising: Annotated[
        float | None, typer.Option("--depolarising", help="Error of gates on one qubit.")
    ] = None,
    depolarising_2q: Annotated[
        float | None, typer.Option("--depolarising-2q", help="On two; default ten times that.")
    ] = None,
    readout: Annotated[
        float | None, typer.Option("--readout", help="How often a measured bit is wrong.")
    ] = None,
    t1: Annotated[float | None, typer.Option("--t1", help="T1 in seconds.")] = None,
    t2: Annotated[float | None, typer.Option("--t2", help="T2 in seconds.")] = None,
    method: Annotated[str, typer.Option("--method", help="Aer's method.")] = "automatic",
    device: Annotated[
        str, typer.Option("--device", help="cpu, or gpu with qiskit-aer-gpu.")
    ] = "cpu",
    threads: Annotated[int, typer.Option("--threads", min=1, help="Of each lane.")] = 1,
    memory_mb: Annotated[
        int | None, typer.Option("--memory-mb", min=64, help="Of each lane; default its share.")
    ] = None,
    lanes: Annotated[int, typer.Option("--lanes", help="Submissions that run at once.")] = 1,
    shot_s: Annotated[float, typer.Option("--shot-s", help="Seconds a shot takes.")] = 0.0,
    warm_up_s: Annotated[
        float, typer.Option("--warm-up-s", help="Seconds before the first circuit runs.")
    ] = 0.0,
    grace_s: Annotated[
        float, typer.Option("--grace-s", min=0, help="Seconds to finish in when it is stopped.")
    ] = 30.0,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", help="PEM chain.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="PEM key.")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Plain HTTP beyond this machine.")
    ] = False,
    log_level: LogLevel = None,
) -> None:
    """Serve a virtual QPU until SIGTERM or Ctrl-C; prints its name and url as a line of JSON."""
    from quanopy.cli.output import emit
    from quanopy.domain.errors import Invalid
    from quanopy.providers.sdk import require
    from quanopy.providers.secrets import Secret

    if device not in ("cpu", "gpu"):
        raise Invalid(f"no device {device!r}", where="--device", hint="cpu or gpu.")
    if (tls_cert is None) != (tls_key is None):
        raise Invalid("a certificate and its key go together", where="--tls-cert, --tls-key")
    if device == "gpu":
        require("qiskit-aer-gpu", "0.15", instead_of="qiskit-aer")
    else:
        require("qiskit-aer", "0.15", extra="aer")
    require("uvicorn", "0.30", extra="server")
    from quanopy.server.settings import Settings
    from quanopy.vqpu.machine import Pace, build
    from quanopy.vqpu.noise import Parameters
    from quanopy.vqpu.service import Service
    from quanopy.vqpu.service import serve as run

    machine = build(
        name=name,
        qubits=qubits,
        gates=[one.strip() for one in (gates or "").split(",") if one.strip()],
        like=like,
        snapshot=snapshot,
        noise=Parameters(
            depolarising=depolarising,
            depolarising_2q=depolarising_2q,
            readout=readout,
            t1_s=t1,
            t2_s=t2,
        ),
        method=method,
        gpu=device == "gpu",
        threads=threads,
        memory_bytes=memory_mb and memory_mb * 2**20,
        pace=Pace(shot_s=shot_s, warm_up_s=warm_up_s, lanes=lanes),
    )
    with named_as_options({"port": port, "log_level": log_level}):
        settings = Settings(
            host=host,
            port=port,
            tls_cert=tls_cert,
            tls_key=tls_key,
            insecure=insecure,
            log_level=log_level or "info",
        )
    secret = None if token is None else Secret(token)
    if secret is not None:
        secret.reveal()  # Where there is none, nobody could get in: it is said now.
    service = Service(
        machine=machine,
        settings=settings,
        secret=None if secret is None else secret.reveal,
        register=register,
        advertised=url,
        ready_file=ready_file,
        grace_s=grace_s,
    )
    run(service, lambda told: emit(told))
