"""``quanopy match``: what is asked, and what is shown."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from quanopy.cli.main import app
from tests.unit.client.stub import Answer, Seen, Stub, document

FOUND: list[dict[str, Any]] = [
    {"name": "aer", "provider": "aer", "rank": 1, "qubits": 29},
    {"name": "qpu", "provider": "lab", "reasons": ["too few qubits: 5, 20 are needed"]},
]


class Broker:
    """Remembers what was asked."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.found: list[dict[str, Any]] = FOUND

    def __call__(self, seen: Seen) -> Answer:
        """The answer to a request."""
        self.asked = json.loads(seen.body)
        return document({"policy": "least-busy", "resources": self.found})


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Broker]:
    broker = Broker()
    with Stub(broker) as stub:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("QUANOPY_URL", stub.url)
        monkeypatch.setenv("QUANOPY_TOKEN", "t")
        yield broker


def run(*arguments: str, ends: int = 0) -> str:
    found = CliRunner().invoke(app, ["match", *arguments])
    assert found.exit_code == ends, found.output
    return found.output


def test_options_become_requirements(broker: Broker) -> None:
    run(
        *("--qubits", "20", "--gate", "cz", "--gate", "rz", "--connectivity", "0-1,1-2"),
        *("--technology", "photonic", "--hardware", "--fidelity", "0.99"),
        *("--at-most", "readout_error=0.02", "--at-least", "T1=1e-4", "--at-most", "T1=1"),
        *("--max-queue", "3", "--max-wait", "2h", "--max-cost", "5", "--policy", "cheapest"),
        *("--max-calibration-age", "1d", "--kind", "sample", "--format", "qpy", "--shots", "100"),
    )
    requires = {name: value for name, value in broker.asked["requires"].items() if value}
    assert requires == {
        "qubits": 20,
        "gates": ["cz", "rz"],
        "connectivity": [[0, 1], [1, 2]],
        "technology": ["photonic"],
        "fidelity": 0.99,
        "metrics": {
            "readout_error": {"most": 0.02},
            "T1": {"least": 1e-4, "most": 1.0},
        },
        "max_queue": 3,
        "max_wait": 7200.0,
        "max_cost": 5.0,
        "max_calibration_age": 86400.0,
        "policy": "cheapest",
    }
    assert broker.asked["requires"]["simulator"] is False
    rest = {name: broker.asked[name] for name in ("kind", "formats", "shots")}
    assert rest == {"kind": "sample", "formats": ["qpy"], "shots": 100}


def test_the_best_is_shown_first_and_the_others_with_reasons(broker: Broker) -> None:
    for shown in (run(), run("--all")):
        lines = [line for line in shown.splitlines() if " aer " in line or "qpu" in line]
        assert lines[0].split()[:2] == ["1", "aer"]
        assert "too few qubits: 5, 20 are needed" in lines[1]
    assert json.loads(run("--json"))["resources"][0]["rank"] == 1


def test_of_many_the_best_are_shown_and_the_rejected_are_counted_by_reason(
    broker: Broker,
) -> None:
    fitting = [{"name": f"fits-{n:02}", "provider": "lab", "rank": n} for n in range(1, 13)]
    small = [f"too few qubits: {n}, 20 are needed" for n in range(6)]
    rejected = [
        *(
            {"name": f"small-{n}", "provider": "lab", "reasons": [why]}
            for n, why in enumerate(small)
        ),
        {"name": "billed", "provider": "lab", "reasons": ["hardware: it may be billed", small[0]]},
    ]
    broker.found = [*fitting, *rejected]
    found = run()
    assert "12 of 19 resources fit; the one that starts soonest first" in found
    assert "fits-10" in found
    assert "fits-11" not in found
    assert "and 2 more that fit: --all" in found
    (few,) = [line for line in found.splitlines() if "too few qubits" in line]
    assert "small-0, small-1, small-2, small-3 and 3 more" in few
    assert few.split()[3] == "7"
    (billed,) = [line for line in found.splitlines() if "hardware" in line]
    assert "--hardware, --technology or --max-cost" in billed
    everything = run("--all")
    assert "fits-12" in everything
    assert "hardware: it may be billed; too few qubits: 0, 20 are needed" in everything


def test_it_is_no_success_where_none_fits(broker: Broker) -> None:
    broker.found = FOUND[1:]
    run(ends=1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--connectivity", "0-x"),
        ("--at-most", "T1"),
        ("--policy", "prettiest"),
        ("--max-wait", "soon"),
    ],
)
def test_what_cannot_be_meant_is_refused(broker: Broker, arguments: tuple[str, ...]) -> None:
    assert "Traceback" not in run(*arguments, ends=65)
    assert broker.asked == {}
