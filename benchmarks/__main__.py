"""``python -m benchmarks [NAME …]``: run benchmarks one after another, keep and show the figures.

Each runs in a process of its own with one OpenMP thread and leaves ``results/NAME.json``.
"""

import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

import benchmarks

RESULTS = Path(__file__).parent / "results"
NOT_BENCHMARKS = {"__main__", "measure", "peer", "serving", "vendor_pairs"}
LIMIT_S = 900
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}


def names() -> list[str]:
    """Every benchmark there is."""
    found = {module.name for module in pkgutil.iter_modules(benchmarks.__path__)}
    return sorted(found - NOT_BENCHMARKS)


def run(name: str) -> dict[str, list[dict[str, object]]]:
    """Run one benchmark and keep what it prints."""
    finished = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}"],
        stdout=subprocess.PIPE,
        env=os.environ | ONE_THREAD,
        timeout=LIMIT_S,
        check=True,
    )
    document: dict[str, list[dict[str, object]]] = json.loads(finished.stdout)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")
    return document


def add_rows(table: Table, document: dict[str, list[dict[str, object]]]) -> None:
    """Show each measure of a document as a row."""
    for measure in document["measures"]:
        peer = measure["peer"]
        table.add_row(
            str(measure["measure"]),
            f"{measure['value']:.4g} {measure['unit']}",
            "" if peer is None else f"{peer:.4g} {measure['unit']}",
            str(measure["goal"]),
            "[green]holds[/]" if measure["holds"] else "[red]falls short[/]",
        )


def main(chosen: list[str]) -> int:
    """Run the chosen benchmarks, or all; 1 if one of them could not run."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    table = Table("measure", "value", "peer", "goal", "")
    broken = []
    for name in chosen or names():
        console.print(f"running {name} …", style="dim")
        try:
            add_rows(table, run(name))
        except (subprocess.SubprocessError, ValueError) as error:
            broken.append(name)
            console.print(f"{name}: {error}", style="red")
    console.print(table)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
