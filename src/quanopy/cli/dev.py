"""Commands for those who test: loopback servers of vendors."""

import json
import signal
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quanopy.cli.arguments import AsJson
from quanopy.cli.exits import guarded
from quanopy.cli.signals import CAUGHT
from quanopy.cli.subcommands import Subcommands

if TYPE_CHECKING:
    from quanopy.testing.vendors.base import Vendor

app = typer.Typer(
    cls=Subcommands, help="Tools for testing programs and providers.", rich_markup_mode=None
)


@app.callback()
def dev() -> None:
    """Tools for testing programs and providers."""


@app.command("vendors")
@guarded
def vendors(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME[=PORT]]...", help="Which, and on which port; default: all."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve vendors' protocols on 127.0.0.1 until SIGTERM or Ctrl-C; jobs run on emulators.

    No account is needed, and a vendor's own client works with them. POST to /quanopy/fault and its
    like to have them misbehave."""
    from quanopy.testing.vendors.registry import SERVICES, build

    ended = threading.Event()
    for number in CAUGHT:
        signal.signal(number, lambda *_: ended.set())
    with ExitStack() as stack:
        served = [
            stack.enter_context(build(name, port=port))
            for name, port in map(_name_and_port, names or SERVICES)
        ]
        _show(served, as_json=as_json)
        ended.wait()


def _name_and_port(text: str) -> tuple[str, int]:
    from quanopy.domain.errors import Invalid

    name, equals, port = text.partition("=")
    if equals and not (port.isascii() and port.isdigit() and int(port) < 2**16):
        raise Invalid(f"{port!r} is no port", where=text, hint="Use NAME=PORT, such as ibm=9001.")
    return name, int(port or 0)


def _show(served: "Sequence[Vendor]", *, as_json: bool) -> None:
    from quanopy.cli.output import emit, show_table

    environment = {key: text for one in served for key, text in one.environment().items()}
    toml = "\n".join(_table(one) for one in served)
    if as_json:
        urls = [
            {
                "name": one.name,
                "provider": one.provider,
                "url": one.url,
                "options": dict(one.options()),
            }
            for one in served
        ]
        emit({"vendors": urls, "environment": environment, "toml": toml})
        return
    show_table(("vendor", "url"), ((one.name, one.url) for one in served))
    typer.echo("# for the environment of the broker")
    for key, text in environment.items():
        typer.echo(f"export {key}='{text}'")
    typer.echo("\n# for its file of settings; where any table is, Aer wants one: [providers.aer]")
    typer.echo(toml)


def _table(vendor: "Vendor") -> str:
    """A provider's options as TOML."""
    return _toml(f"providers.{vendor.provider}", vendor.options())


def _toml(path: str, options: Mapping[str, Any]) -> str:
    """A table, and after it those within: JSON's texts, numbers and lists are TOML's, too."""
    tables = {key: value for key, value in options.items() if isinstance(value, dict)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in options.items() if key not in tables]
    own = ["\n".join([f"[{path}]", *lines, ""])] if lines or not tables else []
    return "\n".join([*own, *(_toml(f"{path}.{key}", tables[key]) for key in tables)])
