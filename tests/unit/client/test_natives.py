"""Vendors' own programs are recognised, as text and as objects of their packages."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from quanopy.client import drafts
from quanopy.client.natives import format_of, native_program
from quanopy.client.programs import program_of
from quanopy.domain.errors import Invalid, Unsupported
from quanopy.domain.jobs import JobKind
from quanopy.domain.programs import (
    BRAKET_AHS,
    BRAKET_IR,
    IQM,
    PERCEVAL,
    PULSER,
    QIR,
    QRMI_PAYLOAD,
    Program,
)

IQM_CIRCUIT = {"name": "bell", "instructions": [{"name": "prx", "locus": ["QB1"], "args": {}}]}


QIR_MODULE = """; ModuleID = 'a'
define void @main() {
  call void @__quantum__qis__x__body(ptr null)
}"""


def braket(name: str) -> dict[str, Any]:
    return {"braketSchemaHeader": {"name": name, "version": "1"}}


@pytest.mark.parametrize(
    ("text", "format"),
    [
        (
            QIR_MODULE,
            QIR,
        ),
        (":PCVL:Experiment:AAAA", PERCEVAL),
        (json.dumps(braket("braket.ir.ahs.program")), BRAKET_AHS),
        (json.dumps(braket("braket.ir.openqasm.program")), BRAKET_IR),
        (json.dumps(braket("braket.ir.jaqcd.program")), BRAKET_IR),
        (json.dumps(IQM_CIRCUIT), IQM),
        (json.dumps([IQM_CIRCUIT]), IQM),
        (json.dumps({"circuits": [IQM_CIRCUIT], "shots": 1}), IQM),
        (
            json.dumps(dict.fromkeys(("version", "device", "register", "channels", "operations"))),
            PULSER,
        ),
        (json.dumps({"program_id": "sampler", "parameters": {}}), QRMI_PAYLOAD),
        ('{"program_id": "sampler", cut', QRMI_PAYLOAD),
    ],
)
def test_a_text_is_recognised_by_how_it_begins(tmp_path: Path, text: str, format: str) -> None:
    file = tmp_path / "program"
    file.write_text(text)
    assert program_of(file) == program_of(text) == Program(format=format, data=text.encode())


@pytest.mark.parametrize("text", ["[]", "[1]", "[" * 100_000, "{}", '{"braketSchemaHeader": 1}'])
def test_other_json_is_of_no_vendor(text: str) -> None:
    assert format_of(text) is None


def test_a_list_that_is_no_program_is_not_supported() -> None:
    with pytest.raises(Unsupported):
        program_of(b"[1, 2]")


def test_a_vendor_s_program_is_run() -> None:
    text = json.dumps(braket("braket.ir.ahs.program"))
    assert drafts.programs(text).kind is JobKind.RUN
    assert drafts.programs([text, text]).kind is JobKind.RUN
    assert drafts.programs(text, kind="sample").kind is JobKind.SAMPLE


def test_a_payload_and_a_vendor_s_program_are_two_jobs() -> None:
    payload = json.dumps({"program_id": "sampler", "parameters": {}})
    with pytest.raises(Invalid):
        drafts.programs([payload, json.dumps(braket("braket.ir.ahs.program"))])


def test_no_vendor_s_package_is_imported() -> None:
    code = (
        "import sys; import quanopy.client.natives as n; assert not n.is_native(object());"
        "assert not {'braket', 'bloqade', 'pulser', 'perceval', 'iqm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def only(draft: drafts.Draft) -> tuple[str, str]:
    (program,) = draft.programs
    assert draft.kind is JobKind.RUN
    return program.format, program.text or ""


def test_braket_s_circuits_and_programs_are_taken() -> None:
    circuits = pytest.importorskip("braket.circuits")
    circuit = circuits.Circuit().h(0).cnot(0, 1).measure([0, 1])
    kind, text = only(drafts.programs(circuit))
    assert kind == BRAKET_IR
    assert "cnot q[0], q[1]" in json.loads(text)["source"]
    serialization = pytest.importorskip("braket.circuits.serialization")
    assert only(drafts.programs([circuit.to_ir(serialization.IRType.OPENQASM)])) == (kind, text)


def test_atoms_of_braket_and_bloqade_are_the_same_program() -> None:
    pytest.importorskip("bloqade.analog")
    from bloqade.analog import start
    from braket.ahs import AnalogHamiltonianSimulation, AtomArrangement, DrivingField
    from braket.timings import TimeSeries

    pair = start.add_position([(0.0, 0.0), (0.0, 5.5)])
    pulse = pair.rydberg.rabi.amplitude.uniform.piecewise_linear([0.1, 0.2], [0.0, 7.5, 0.0])
    complete = pulse.rydberg.detuning.uniform.constant(0.0, 0.3)
    kind, text = only(drafts.programs(complete))
    assert kind == BRAKET_AHS

    def series(*points: tuple[float, float]) -> TimeSeries:
        made = TimeSeries()
        for time, value in points:
            made.put(time, value)
        return made

    register = AtomArrangement().add((0.0, 0.0)).add((0.0, 5.5e-6))
    still = series((0.0, 0.0), (3e-7, 0.0))
    drive = DrivingField(
        amplitude=series((0.0, 0.0), (1e-7, 7.5e6), (3e-7, 0.0)), phase=still, detuning=still
    )
    ahs = AnalogHamiltonianSimulation(register=register, hamiltonian=drive)
    ours, theirs = json.loads(only(drafts.programs(ahs))[1]), json.loads(text)
    assert sites(ours) == pytest.approx(sites(theirs))
    assert amplitude(ours) == pytest.approx(amplitude(theirs))
    assert native_program(ahs.to_ir()) == native_program(ahs)


def sites(program: Any) -> list[float]:
    return [float(one) for site in program["setup"]["ahs_register"]["sites"] for one in site]


def amplitude(program: Any) -> list[float]:
    series = program["hamiltonian"]["drivingFields"][0]["amplitude"]["time_series"]
    return [float(one) for one in (*series["times"], *series["values"])]


def test_what_stands_for_several_programs_is_refused() -> None:
    pytest.importorskip("bloqade.analog")
    from bloqade.analog import start

    pair = start.add_position([(0.0, 0.0)])
    pulse = pair.rydberg.rabi.amplitude.uniform.piecewise_linear([0.1, "t", 0.1], [0, 7.5, 7.5, 0])
    with pytest.raises(Invalid, match="2 programs"):
        drafts.programs(pulse.batch_assign(t=[0.1, 0.2]))


def test_pulser_s_sequences_are_taken() -> None:
    pulser = pytest.importorskip("pulser")
    sequence = pulser.Sequence(
        pulser.Register.rectangle(1, 2, spacing=6, prefix="atom"), pulser.AnalogDevice
    )
    sequence.declare_channel("both", "rydberg_global")
    sequence.add(pulser.Pulse.ConstantPulse(100, 1.0, 0, 0), "both")
    assert only(drafts.programs(sequence))[0] == PULSER


def test_perceval_s_experiments_and_processors_are_taken() -> None:
    perceval = pytest.importorskip("perceval")
    experiment = perceval.Experiment(perceval.BS())
    experiment.with_input(perceval.BasicState([1, 1]))
    kind, text = only(drafts.programs(experiment))
    assert kind == PERCEVAL
    assert text.startswith(":PCVL:")
    processor = perceval.Processor("SLOS", perceval.BS())
    assert only(drafts.programs(processor))[0] == PERCEVAL
