"""Alice & Bob's Felis on loopback, as QRMI calls it: jobs are made, then given their program in
QIR, and run on Aer. What is read of QIR is the base profile: gates in a row, then measurements.
"""

import re
import uuid
from base64 import b64encode
from collections.abc import Mapping, Sequence
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from quanopy.testing.vendors.base import Vendor
from quanopy.testing.vendors.faults import Fault
from quanopy.testing.vendors.jobs import ENDED, State, VendorJob
from quanopy.testing.vendors.messages import Rejected, Reply, Request, Route, route

TARGET = "EMU:6Q:LOOPBACK"
MACHINE = "ab_emu_6q_loopback"
"""What QRMI calls the target."""
QUBITS = 6
_EVENTS = {
    State.QUEUED: "INPUT_READY",
    State.RUNNING: "EXECUTING",
    State.DONE: "SUCCEEDED",
    State.FAILED: "EXECUTION_FAILED",
    State.CANCELLED: "CANCELLED",
}
_GATES = {
    "cnot": "cx",
    "s__adj": "sdg",
    "t__adj": "tdg",
    **{one: one for one in ("h", "x", "y", "z", "s", "t", "rx", "ry", "rz", "cx", "cz", "swap")},
}
_CALL = re.compile(r"call\s+void\s+@__quantum__qis__(\w+)\((.*)\)")
_ANGLE = re.compile(r"double\s+([-+.0-9eE]+)")
_PLACE = re.compile(r"(?:inttoptr\s*\(i64\s+(\d+)\s+to|(\bnull\b))")
_ID = r"(?P<id>[^/]+)"


class FelisVendor(Vendor):
    """One target; the key is a user and a password, as they are written in Basic authentication."""

    name = "felis"
    provider = "qrmi"
    secret = b64encode(b"loopback-user:loopback-felis-password").decode()

    def routes(self) -> Sequence[Route]:
        """What QRMI 0.26 calls."""
        job = f"/v1/jobs/{_ID}"
        return [
            self._admitted("GET", "/v1/targets/", "target", self._targets),
            self._admitted("POST", "/v1/jobs/", "start", self._create),
            self._admitted("POST", f"{job}/input", "upload", self._input),
            self._admitted("GET", job, "poll", self._job),
            self._admitted("DELETE", job, "stop", self._cancel),
            self._admitted("GET", f"{job}/output", "result", self._output),
        ]

    def refuse(self, status: int, message: str) -> Reply:
        """As the API says it."""
        return Reply(status=status, body={"detail": message})

    def environment(self) -> Mapping[str, str]:
        """For the provider, and for QRMI."""
        told = {f"{MACHINE}_{name}": value for name, value in self.variables().items()}
        return {**super().environment(), **told}

    def options(self) -> Mapping[str, Any]:
        """The target, as QRMI's provider has it."""
        key = {"QRMI_AB_FELIS_API_KEY": f"env:{self._variable}"}
        return {"machines": {MACHINE: {"type": "alice-bob-felis", **self.variables(), **key}}}

    def variables(self) -> Mapping[str, str]:
        """For QRMI, without the machine's name before them."""
        return {"QRMI_AB_FELIS_BASE_ENDPOINT": self.url, "QRMI_AB_FELIS_API_KEY": self.secret}

    def run(self, job: VendorJob) -> str:
        """The histogram of the bits that are measured."""
        from qiskit_aer import AerSimulator

        circuit = circuit_of(job.payload["input"])
        shots = int(job.payload["inputParams"]["nbShots"])
        counts = AerSimulator(max_parallel_threads=1).run(circuit, shots=shots).result()
        return "".join(f"{bits},{number}\n" for bits, number in counts.get_counts().items())

    # -- routes -------------------------------------------------------------------------------
    def _admitted(self, method: str, pattern: str, about: str, handle: Any) -> Route:
        def checked(request: Request) -> Reply:
            if request.headers.get("authorization") != f"Basic {self.secret}":
                return self.refuse(401, "the key is not valid")
            reply: Reply = handle(request)
            return reply

        return route(method, pattern, about, checked)

    def _targets(self, request: Request) -> Reply:
        gates = [f"__quantum__qis__{name}__body:void (%Qubit*)" for name in _GATES]
        shots = {"required": True, "type": "int", "default": 1000, "constraints": []}
        return Reply(
            body=[
                {
                    "name": TARGET,
                    "numQubits": QUBITS,
                    "instructions": [{"signature": gate} for gate in gates],
                    "inputParams": {"nbShots": shots},
                }
            ]
        )

    def _create(self, request: Request) -> Reply:
        told = request.json()
        if request.fault is Fault.REJECT or told.get("target") != TARGET:
            return self.refuse(422, "there is no such target")
        job = VendorJob(
            id=str(uuid.uuid4()), key=None, payload={**told, "input": None}, created_at=self.now()
        )
        with self.lock:
            self.jobs[job.id] = job
        return Reply(status=201, body=self._row(job))

    def _input(self, request: Request) -> Reply:
        job = self.find(request.names["id"])
        if job is None:
            return self.refuse(404, "no such job")
        job.payload["input"] = _uploaded(request)
        self._runners.submit(self._run, job)
        return Reply(body={})

    def _job(self, request: Request) -> Reply:
        job = self.find(request.names["id"])
        if job is not None and request.fault is Fault.VANISHED:
            job.forgotten = True
        if job is None or job.forgotten:
            return self.refuse(404, "no such job")
        return Reply(body=self._row(job, unseen=request.fault is Fault.UNSEEN))

    def _cancel(self, request: Request) -> Reply:
        job = self.find(request.names["id"])
        if job is None:
            return self.refuse(404, "no such job")
        if job.state in ENDED:
            return self.refuse(409, "the job has ended")
        self.cancel(job)
        return Reply(body=self._row(job))

    def _output(self, request: Request) -> Reply:
        job = self.find(request.names["id"])
        if job is None or job.state is not State.DONE:
            return self.refuse(404, "there is no output")
        return Reply(body=str(job.result).encode(), headers={"Content-Type": "text/plain"})

    def _row(self, job: VendorJob, *, unseen: bool = False) -> dict[str, Any]:
        empty = job.state is State.QUEUED and job.payload["input"] is None
        event = "CREATED" if empty else _EVENTS[job.state]
        told = {name: one for name, one in job.payload.items() if name != "input"}
        return {
            **told,
            "id": job.id,
            "userName": "loopback",
            "userId": "loopback",
            "organizationName": "loopback",
            "events": [
                {
                    "type": "WARMING_UP" if unseen else event,
                    "createdAt": job.created_at.isoformat(),
                }
            ],
            "errors": [{"content": {"message": job.error}}] if job.error else [],
        }


def circuit_of(text: str) -> Any:
    """A circuit from QIR; raises :class:`Rejected` for what is not of the base profile."""
    from qiskit import QuantumCircuit

    circuit = QuantumCircuit(QUBITS)
    results: list[int] = []
    for name, inside in _CALL.findall(text):
        gate = name.removesuffix("__body")
        places = [int(number or 0) for number, _ in _PLACE.findall(inside)]
        angles = [float(one) for one in _ANGLE.findall(inside)]
        if gate in ("mz", "m"):
            results.append(places[0])
        elif gate in _GATES:
            getattr(circuit, _GATES[gate])(*angles, *places)
        else:
            raise Rejected(f"there is no instruction {name}")
    if not results:
        raise Rejected("nothing is measured")
    measured = QuantumCircuit(QUBITS, len(results))
    measured.compose(circuit, inplace=True)
    measured.measure(results, range(len(results)))
    return measured


def _uploaded(request: Request) -> str:
    """The one part of a form."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    (part,) = BytesParser(policy=HTTP).parsebytes(head + request.body).iter_parts()
    data: bytes = part.get_payload(decode=True)  # type: ignore[assignment]
    return data.decode()
