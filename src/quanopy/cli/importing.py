"""``quanopy resources import``: QRMI's configuration as a table of quanopy.toml."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from quanopy.cli.arguments import AsJson
from quanopy.cli.exits import guarded

_BYTES = 16 * 1024 * 1024
_OLD = {"qiskit-runtime-service": "ibm-quantum-compute-service"}
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_VARIABLE = re.compile(r"[^A-Za-z0-9_]+")

Config = Annotated[
    Path, typer.Argument(help="QRMI's configuration.", metavar="QRMI_CONFIG.JSON", exists=True)
]
Table = Annotated[str, typer.Option("--name", help="Name of the provider's table.")]


@guarded
def import_resources(config: Config, name: Table = "qrmi", as_json: AsJson = False) -> None:
    """Print QRMI's resources as a provider's table; credentials become references."""
    machines, needed, skipped = read_config(_document(config))
    for reason in skipped:
        typer.echo(reason, err=True)
    if as_json:
        typer.echo(json.dumps({"machines": machines, "environment": needed, "skipped": skipped}))
        return
    typer.echo(as_toml(name, machines), nl=False)
    if needed:
        typer.echo(f"Set where its workers run: {', '.join(needed)}", err=True)


def _document(config: Path) -> Any:
    from quanopy.domain.errors import Invalid

    with config.open("rb") as file:
        data = file.read(_BYTES + 1)
    if len(data) > _BYTES:
        raise Invalid(f"{config} is larger than {_BYTES} bytes")
    try:
        document = json.loads(data)
        json.dumps(document, ensure_ascii=False).encode()  # half a surrogate pair is no text
        return document
    except (ValueError, RecursionError):
        # What is near the mistake may be a credential: it is not quoted.
        raise Invalid(f"{config} is no JSON") from None


def read_config(document: Any) -> tuple[dict[str, dict[str, str | bool]], list[str], list[str]]:
    """The machines' tables by QRMI's names, the variables in which their credentials are looked
    for, and why other resources are left out. Raises :class:`Invalid` for what is no
    configuration of QRMI's."""
    from quanopy.domain.errors import Invalid

    listed = document.get("resources") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise Invalid("not QRMI's configuration", where="resources", hint="It is a list.")
    machines: dict[str, dict[str, str | bool]] = {}
    needed: list[str] = []
    skipped: list[str] = []
    for place, one in enumerate(listed):
        where = f"resources[{place}]"
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            raise Invalid("a resource has a name and a type", where=where)
        reason = _left_out(one, machines)
        if reason is not None:
            skipped.append(reason)
            continue
        machines[one["name"]] = _table(one, needed, where)
    return machines, needed, skipped


def _left_out(one: Mapping[str, Any], machines: Mapping[str, Any]) -> str | None:
    from quanopy.providers.qrmi.machines import DYNAMIC, TYPES

    name = one["name"]
    if name in machines:
        return f"{name} is left out: there is one of this name already"
    kind = one.get("type")
    if not isinstance(kind, str) or kind not in TYPES:
        return f"{name} is left out: its type is not served ({', '.join(TYPES)} are)"
    if one.get("is_dynamic") and kind not in DYNAMIC:
        return f"{name} is left out: QRMI lists no machines of {kind}, so name each as a resource"
    return None


def _table(one: Mapping[str, Any], needed: list[str], where: str) -> dict[str, str | bool]:
    from quanopy.domain.errors import Invalid
    from quanopy.providers.qrmi.machines import is_credential

    environment = one.get("environment", {})
    if not isinstance(environment, dict):
        raise Invalid("an object of variables is needed", where=f"{where}.environment")
    table: dict[str, str | bool] = {"type": _OLD.get(one["type"], one["type"])}
    if one.get("is_dynamic"):
        table["is_dynamic"] = True
    for key, value in environment.items():
        if not isinstance(value, str | int | float | bool):
            raise Invalid("is no text", where=f"{where}.environment.{key}")
        name = key.removeprefix(f"{one['name']}_")
        if not is_credential(name):
            table[name] = str(value).lower() if isinstance(value, bool) else str(value)
            continue
        variable = _VARIABLE.sub("_", f"{one['name']}_{name}")
        table[name] = f"env:{variable}"
        needed.append(variable)
    return table


def as_toml(name: str, machines: Mapping[str, Mapping[str, str | bool]]) -> str:
    """The provider's table, ready for quanopy.toml."""
    head = f"[providers.{_key(name)}]\n" + ("" if name == "qrmi" else 'plugin = "qrmi"\n')
    parts = [head]
    for machine, table in machines.items():
        lines = "".join(f"{_key(key)} = {json.dumps(value)}\n" for key, value in table.items())
        parts.append(f"[providers.{_key(name)}.machines.{_key(machine)}]\n{lines}")
    return "\n".join(parts)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name)
