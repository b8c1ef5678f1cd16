"""Results as objects, files and Qiskit's types."""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit.primitives import BitArray

import quanopy
from quanopy.client.results import Result, result_of
from quanopy.domain.errors import Invalid, NotFound, NotReady
from quanopy.domain.ids import new_id
from quanopy.wire.jobs import ResultOut

TWO = [{"name": "a", "bits": 2}, {"name": "b", "bits": 1}]


def result(
    kind: str, *pubs: dict[str, Any] | None, missing: list[int] | None = None
) -> Result[Any]:
    return result_of(
        ResultOut.model_validate(
            {
                "job_id": new_id("job"),
                "kind": kind,
                "resource": "aer",
                "state": "completed",
                "pubs": list(pubs),
                "missing": missing or [],
            }
        )
    )


def counted(counts: list[dict[str, int]], **more: Any) -> dict[str, Any]:
    return {"shape": [], "shots": 10, "registers": TWO, "counts": counts, **more}


def test_counts_are_bitstrings_of_all_registers() -> None:
    pub = result("sample", counted([{"0x0": 4, "0x6": 6}]))[0]
    assert pub.counts == {"000": 4, "110": 6}
    assert pub.of_register("a") == {"00": 4, "10": 6}
    assert pub.of_register("b") == {"0": 4, "1": 6}
    with pytest.raises(Invalid, match="a, b"):
        pub.of_register("c")


def test_parameter_sets_are_told_apart_by_index() -> None:
    pub = result("sample", counted([{"0x0": 10}, {"0x1": 10}], shape=[2]))[0]
    assert pub.at(1) == {"001": 10}
    assert pub.counts == {"000": 10, "001": 10}
    with pytest.raises(Invalid):
        pub.at(2)


def test_bit_arrays_are_joint_across_registers() -> None:
    found = result("sample", counted([{"0x0": 4, "0x6": 6}])).to_primitive_result()
    data = found[0].data
    assert data.a.get_counts() == {"00": 4, "10": 6}
    assert data.b.get_counts() == {"0": 4, "1": 6}
    assert found[0].join_data().get_counts() == {"000": 4, "110": 6}
    assert found.metadata["resource"] == "aer"


def test_wide_registers_and_arrays_of_parameters_keep_their_shape() -> None:
    wide = [{"name": "meas", "bits": 100}]
    top = hex(1 << 99)
    pub = counted([{top: 3, "0x1": 7}] * 6, shape=[2, 3], registers=wide)
    bits = result("sample", pub).to_primitive_result()[0].data.meas
    assert isinstance(bits, BitArray)
    assert (bits.shape, bits.num_shots, bits.num_bits) == ((2, 3), 10, 100)
    assert bits.get_counts((1, 2)) == {"1" + "0" * 99: 3, "0" * 99 + "1": 7}


def test_shots_are_in_no_telling_order_yet_the_same_each_time() -> None:
    pub = {**counted([{"0x0": 5000, "0x1": 5000}]), "shots": 10_000}
    answer = result("sample", pub)
    first = answer.to_primitive_result()[0].data.a
    again = answer.to_primitive_result()[0].data.a
    assert np.array_equal(first.array, again.array)
    half = first.slice_shots(range(5000)).get_counts()
    assert 2300 < half["00"] < 2700


def test_memory_keeps_the_order_of_shots() -> None:
    pub = counted([{"0x1": 1, "0x2": 2}], memory=[["0x2", "0x1", "0x2"]])
    assert result("sample", pub).to_primitive_result()[0].data.a.get_bitstrings() == [
        *("10", "01", "10")
    ]


def test_expectation_values_have_the_shape_of_the_pub() -> None:
    raw = {"shape": [2, 2], "evs": [1, 2, 3, None], "stds": [0, 0, 0, 0], "precision": 0.0}
    answer = result("estimate", raw, {"shape": [], "evs": [0.5], "stds": [0.1]})
    assert answer[0].evs[0] == [1.0, 2.0]
    assert math.isnan(answer[0].evs[1][1])
    assert answer[1].evs == 0.5
    found = answer.to_primitive_result()
    assert found[0].data.evs.shape == (2, 2)
    assert found[1].data.stds.shape == ()


def test_a_missing_part_is_not_ready() -> None:
    answer = result("sample", counted([{"0x0": 10}]), None, missing=[1])
    assert answer[0].shots == 10
    with pytest.raises(NotReady):
        answer[1]


def test_a_saved_result_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    saved = result("sample", counted([{"0x0": 4, "0x6": 6}]))
    saved.save(path)
    assert json.loads(path.read_text())["format"] == "quanopy.result/1"
    loaded = quanopy.load(path)
    assert (loaded.job_id, loaded[0].counts) == (saved.job_id, saved[0].counts)


def test_saving_replaces_whole_files_and_leaves_nothing_beside_them(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("before")
    umask = os.umask(0o027)
    try:
        result("sample").save(path)
    finally:
        os.umask(umask)
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_save_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    target.mkdir()  # a folder cannot be replaced by a file
    with pytest.raises(Invalid, match=r"result\.json"):
        result("sample").save(target)
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]
    with pytest.raises(Invalid):
        result("sample").save(tmp_path / "nowhere" / "result.json")


@pytest.mark.parametrize(
    "text",
    ["", "[", "[]", "{}", '{"format": "quanopy.result/2"}', '{"format": "quanopy.result/1"}'],
)
def test_files_that_are_no_results_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(Invalid, match=r"x\.json"):
        quanopy.load(path)


def test_a_result_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"none\.json"):
        quanopy.load(tmp_path / "none.json")
