"""The vQPU's interface: what each request is answered."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from qiskit_aer import AerSimulator

from quanopy.domain.errors import Unavailable
from quanopy.vqpu.api import Answer, Api
from quanopy.vqpu.device import Device
from quanopy.vqpu.machine import Pace, build

TOKEN = "the-token-of-this-vqpu"
CIRCUIT = {
    "command": "circuit",
    "settings": {"shots": 20, "results": "normal"},
    "init": [],
    "circuit": ["Rx(q[0],3.141592653589793)", "CZ(q[0],q[1])"],
    "measure": [[0, 0], [1, 1]],
}


class Asking:
    """Requests to an interface."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def __call__(
        self, method: str, path: str, body: Any = None, *, token: str = TOKEN, **headers: str
    ) -> Answer:
        sent = {"authorization": f"Bearer {token}"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        return self.api.answer(method, f"/api/v1/{path}", sent, json.dumps(body).encode())

    def submit(self, body: Any = CIRCUIT, **how: Any) -> str:
        made: Any = self("POST", "circuits", body, **how)
        assert made.status == 200, made
        return str(made.body["id"])

    def result(self, id: str) -> Answer:
        """Polled until it has ended."""
        deadline = time.monotonic() + 60
        while (told := self("GET", f"circuits/{id}")).status == 425:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return told


@pytest.fixture(scope="module")
def device() -> Iterator[Device]:
    device = Device(build(name="vq", qubits=3, memory_bytes=2**28, pace=Pace(lanes=2)))
    yield device
    device.close()


@pytest.fixture
def ask(device: Device) -> Iterator[Asking]:
    device.hold(False)
    yield Asking(Api(device, lambda: TOKEN))
    device.hold(False)


def test_a_circuit_is_answered_shot_by_shot(ask: Asking) -> None:
    told: Any = ask.result(ask.submit())
    assert told.status == 200
    assert told.body["data"] == [[1, 0]] * 20


def test_it_says_too_early_until_it_has_ended(ask: Asking, device: Device) -> None:
    device.hold(True)
    made = ask.submit()
    assert ask("GET", f"circuits/{made}").status == 425
    device.hold(False)
    assert ask.result(made).status == 200


def test_its_gates_are_listed_as_the_contract_writes_them(ask: Asking) -> None:
    assert set(ask("GET", "native-gates").body) == {"Rx", "Ry", "Rz", "CZ"}


def test_a_token_is_needed_and_has_to_be_right(ask: Asking) -> None:
    assert ask("GET", "native-gates", token="wrong").status == 401
    assert ask.api.answer("GET", "/api/v1/native-gates", {}, b"").status == 403
    basic = {"authorization": "Basic abc"}
    assert ask.api.answer("GET", "/api/v1/native-gates", basic, b"").status == 403
    health: Any = ask.api.answer("GET", "/health", {}, b"")
    assert (health.status, health.body["status"]) == (200, "ready")


@pytest.mark.parametrize(
    ("change", "status", "where"),
    [
        ({"command": "dance"}, 404, "command"),
        ({"command": None}, 404, "command"),
        ({"circuit": ["H(q[0])"]}, 400, "circuit[0]"),
        ({"circuit": ["Rx(q[0])"]}, 400, "circuit[0]"),
        ({"circuit": ["Rx(q[9],1)"]}, 400, "circuit[0]"),
        ({"circuit": "Rx(q[0],1)"}, 400, "circuit"),
        ({"measure": []}, 400, "measure"),
        ({"measure": [[0, 5]]}, 400, "measure[0]"),
        ({"measure": [[0, 0], [1, 0]]}, 400, "measure[1]"),
        ({"settings": {"shots": 0}}, 400, "shots"),
        ({"settings": {"shots": True}}, 400, "shots"),
        ({"settings": {"shots": 10**12}}, 400, "shots"),
        ({"settings": 7}, 400, "settings"),
        ({"settings": {"shots": 1, "results": "raw"}}, 400, "settings.results"),
        ({"command": "circuits", "circuits": []}, 400, "circuits"),
        ({"format": "qpy", "program": "x"}, 400, "format"),
        ({"format": "openqasm3", "program": ""}, 400, "program"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(
    ask: Asking, change: dict[str, Any], status: int, where: str
) -> None:
    told: Any = ask("POST", "circuits", CIRCUIT | change)
    assert (told.status, told.body["where"]) == (status, where)


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"7", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(ask: Asking, body: bytes) -> None:
    headers = {"authorization": f"Bearer {TOKEN}"}
    assert ask.api.answer("POST", "/api/v1/circuits", headers, body).status == 400


def test_a_program_that_cannot_be_read_fails_alone(ask: Asking) -> None:
    rows = [
        {"format": "openqasm3", "program": "this is no program"},
        {"circuit": CIRCUIT["circuit"], "measure": CIRCUIT["measure"]},
        {"format": "openqasm3", "program": 'include "/etc/passwd"; qubit q;'},
    ]
    body = {
        "command": "circuits",
        "settings": {"shots": 5, "results": "counts"},
        "circuits": rows,
    }
    told: Any = ask.result(ask.submit(body))
    assert told.body["data"] == [None, {"0x1": 5}, None]
    assert set(told.body["errors"]) == {"0", "2"}
    alone: Any = ask.result(
        ask.submit({"format": "openqasm3", "program": "nothing", "settings": {"shots": 1}})
    )
    assert alone.status == 500
    assert alone.body["message"]


def test_a_key_stands_for_one_submission(ask: Asking, device: Device) -> None:
    first = ask.submit(idempotency_key="k1")
    assert ask.submit(idempotency_key="k1") == first
    assert device.accepted("k1") == 1
    other = CIRCUIT | {"settings": {"shots": 21}}
    assert ask("POST", "circuits", other, idempotency_key="k1").status == 409


def test_many_at_once_are_asked_for_and_cancelled(ask: Asking, device: Device) -> None:
    device.hold(True)
    ids = [ask.submit() for _ in range(3)]
    told: Any = ask("POST", "circuits/status", {"ids": [*ids, "unknown"]})
    assert {one: row["state"] for one, row in told.body["circuits"].items()} == dict.fromkeys(
        ids, "queued"
    )
    assert ask("POST", "circuits/cancel", {"ids": [ids[0], "unknown"]}).status == 200
    assert ask("DELETE", f"circuits/{ids[1]}").status == 200
    device.hold(False)
    assert [ask.result(one).status for one in ids] == [410, 410, 200]
    assert ask("GET", "circuits/unknown").status == 404
    assert ask("POST", "circuits/status", {"ids": 7}).status == 400
    assert ask("POST", "circuits/status", {"ids": ["x"] * 1001}).status == 413


def test_a_reservation_is_for_one_token_alone(ask: Asking) -> None:
    mine = "a-token-of-my-own"
    assert ask("PUT", "reservations", {"token": mine, "seconds": 60}).status == 200
    refused = ask("POST", "circuits", CIRCUIT)
    assert refused.status == 503
    assert 0 < float(refused.headers["Retry-After"]) <= 60
    assert ask("PUT", "reservations", {"seconds": 5}).status == 503
    assert ask("POST", "circuits", CIRCUIT, token=mine).status == 200
    assert ask("DELETE", "reservations").status == 503
    assert ask("DELETE", "reservations", token=mine).status == 200
    assert ask("POST", "circuits", CIRCUIT).status == 200
    assert ask("POST", "circuits", CIRCUIT, token=mine).status == 401


def test_a_reservation_ends_by_itself(ask: Asking) -> None:
    assert ask("PUT", "reservations", {"token": "of-somebody", "seconds": 0.05}).status == 200
    time.sleep(0.06)
    assert ask("POST", "circuits", CIRCUIT).status == 200


def test_shots_take_their_time(ask: Asking, device: Device) -> None:
    quick = device.machine
    ask.result(ask.submit())
    device.machine = replace(quick, pace=Pace(shot_s=0.01, lanes=2))
    try:
        told: Any = ask.result(ask.submit())
    finally:
        device.machine = quick
    assert told.body["seconds"] >= 0.2


def test_lanes_run_at_once_until_they_are_cancelled(ask: Asking, device: Device) -> None:
    quick = device.machine
    device.machine = replace(quick, pace=Pace(shot_s=600.0, lanes=2))
    try:
        ids = [ask.submit() for _ in range(2)]
        while device.busy != (0, 2):
            time.sleep(0.01)
        for one in ids:
            ask("DELETE", f"circuits/{one}")
        while device.busy != (0, 0):
            time.sleep(0.01)
    finally:
        device.machine = quick
    assert [ask.result(one).status for one in ids] == [410, 410]


class Clock:
    """Stands still, and says when it was read."""

    def __init__(self) -> None:
        self.now = 0.0
        self.read = threading.Event()

    def __call__(self) -> float:
        self.read.set()
        return self.now


def test_nothing_runs_before_it_is_warm(device: Device) -> None:
    clock = Clock()
    cold = Device(replace(device.machine, pace=Pace(warm_up_s=600.0)), clock=clock)
    try:
        ask = Asking(Api(cold, lambda: TOKEN))
        clock.now = 599.0
        made = ask.submit()
        health: Any = ask.api.answer("GET", "/health", {}, b"")
        assert health.body["status"] == "warming"
        clock.read.clear()
        cold.hold(False)
        assert clock.read.wait(60), "its lane has not looked at what waits"
        assert cold.busy == (1, 0)
        clock.now = 600.0
        cold.hold(False)
        assert ask.result(made).status == 200
    finally:
        cold.close()


def test_when_it_ends_it_takes_nothing_and_lets_results_be_fetched(device: Device) -> None:
    ending = Device(device.machine)
    ask = Asking(Api(ending, lambda: TOKEN))
    made = ask.submit()
    drained = threading.Thread(target=ending.drain, args=(60.0, 60.0))
    drained.start()
    while not ending.draining:
        time.sleep(0.001)
    assert ask("POST", "circuits", CIRCUIT).status == 503
    assert ask.result(made).status == 200
    drained.join(60)
    assert not drained.is_alive()
    ending.close()
    ending.close()


def test_an_emulator_that_cannot_run_is_told_before_it_is_served(device: Device) -> None:
    device.probe()
    if "GPU" in AerSimulator().available_devices():
        pytest.skip("there is a GPU")
    without = Device(replace(device.machine, gpu=True))
    try:
        with pytest.raises(Unavailable, match="does not run"):
            without.probe()
    finally:
        without.close()
