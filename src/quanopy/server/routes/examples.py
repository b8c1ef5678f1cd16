"""Examples in the API's description; a test holds them against the models."""

JOB_ID = "job_019a9e3c5b7c7a1e8f2d4c6b8a0e1f23"
BELL = (
    'OPENQASM 3.0; include "stdgates.inc"; qubit[2] q; bit[2] c; '
    "h q[0]; cx q[0], q[1]; c = measure q;"
)
JOB_IN = {
    "kind": "sample",
    "resource": "aer",
    "programs": [{"format": "openqasm3", "text": BELL}],
    "options": {"shots": 1000},
    "name": "bell",
}
JOB = {
    "id": JOB_ID,
    "kind": "sample",
    "resource": "aer",
    "state": "queued",
    "account": "ada",
    "name": "bell",
    "tags": [],
    "priority": 0,
    "pubs": 1,
    "shots": 1000,
    "tasks": 1,
    "created_at": "2026-01-31T12:00:00Z",
}
JOBS = {"jobs": [JOB]}
DETAIL = JOB | {
    "state": "completed",
    "parts": [
        {
            "id": "task_019a9e3c5b7c7a1e8f2d4c6b8a0e1f24",
            "state": "completed",
            "first_pub": 0,
            "pubs": 1,
            "attempt": 1,
        }
    ],
    "executions": [],
    "submitted_at_key": "pending/2026/01/31/3a7b….tar",
}
RESULT = {
    "job_id": JOB_ID,
    "kind": "sample",
    "resource": "aer",
    "state": "completed",
    "pubs": [
        {
            "shape": [],
            "shots": 1000,
            "registers": [{"name": "c", "bits": 2}],
            "counts": [{"0x0": 497, "0x3": 503}],
        }
    ],
    "missing": [],
}
SUBMITTED = {
    "job_id": JOB_ID,
    "programs": [{"format": "openqasm3", "digest": "sha256:5f1c…", "text": BELL}],
    "pubs": [{"program": 0, "circuit": 0, "shots": 1000}],
    "options": {"shots": 1000},
}
COMPILED = {
    "job_id": JOB_ID,
    "programs": [
        {
            "program": 0,
            "part": 0,
            "execution_id": "exec_019a9e3c5b7c7a1e8f2d4c6b8a0e1f26",
            "qpy": "UUlTS0lUDwI…",
            "changed": True,
            "compiler": "qiskit 2.1.0",
            "level": 1,
            "seed": 0,
            "target": "sha256:9c1d…",
        }
    ],
    "options": {"shots": 1000},
}
GROUP_ID = "group_019a9e3c5b7c7a1e8f2d4c6b8a0e1f28"
GROUP = {
    "id": GROUP_ID,
    "name": "ising",
    "account": "ada",
    "state": "running",
    "resource": "aer",
    "policy": {"order": "sequential", "max_in_flight": 2, "gap": 600.0},
    "size": 20,
    "progress": {"blocked": 7, "running": 1, "completed": 12, "shots": 48000},
    "usage": {"seconds": 3.5, "shots": 48000.0},
    "created_at": "2026-01-31T12:00:00Z",
    "started_at": "2026-01-31T12:00:01Z",
    "next_at": "2026-01-31T14:00:00Z",
}
EVENTS = {
    "events": [
        {
            "id": "1042.7",
            "at": "2026-01-31T12:00:00Z",
            "subject": JOB_ID,
            "kind": "job.queued",
            "after": "queued",
            "actor": "ada",
            "job_id": JOB_ID,
        }
    ],
    "position": "1042.7",
}
RESOURCE = {
    "name": "aer",
    "provider": "aer",
    "description": "Noiseless emulator",
    "state": "online",
    "kinds": ["sample", "estimate", "run"],
    "limits": {"qubits": 29},
    "queued": 0,
    "active": 0,
    "wait_s": 0.0,
    "workers": 1,
}
SNAPSHOT = {
    "digest": "sha256:3a7b…",
    "resource": "acme-7",
    "format": "acme-calibration/1",
    "calibrated_at": "2026-01-31T08:00:00Z",
    "seen_from": "2026-01-31T08:04:10Z",
    "seen_until": "2026-01-31T12:00:00Z",
    "age_s": 14400.0,
    "count": 2,
    "metrics": {"T1": {"0": {"value": 9.1e-05, "unit": "s"}, "1": {"value": 1.2e-04, "unit": "s"}}},
}
CALIBRATION = {
    "resource": "acme-7",
    "published": True,
    "asked_at": "2026-01-31T12:00:00Z",
    "snapshot": SNAPSHOT,
}
REGISTERS = {
    "name": "vq1",
    "url": "http://10.1.0.7:40411",
    "target": {
        "format": "quanopy.target/1",
        "qubits": 2,
        "dt": None,
        "instructions": {
            "rx": {"parameters": 1, "qubits": None},
            "ry": {"parameters": 1, "qubits": None},
            "cz": {"parameters": 0, "qubits": None},
            "measure": {"parameters": 0, "qubits": None},
        },
    },
}
REGISTRATION = {
    "id": "registration_019a9e3c5b7c7a1e8f2d4c6b8a0e1f28",
    "name": "vq1",
    "token": "qnv_…",
    "ttl_s": 15.0,
}
MATCH = {
    "policy": "least-busy",
    "resources": [
        {"name": "aer", "provider": "aer", "rank": 1, "qubits": 29, "wait_s": 0.0},
        {
            "name": "acme-7",
            "provider": "acme",
            "reasons": ["too few qubits: 7, 20 are needed"],
            "simulator": False,
            "qubits": 7,
            "wait_s": 12.5,
        },
    ],
}
EXECUTION = {
    "id": "exec_019a9e3c5b7c7a1e8f2d4c6b8a0e1f26",
    "provider": "acme",
    "state": "stranded",
    "created_at": "2026-01-31T12:00:00Z",
    "problem": {
        "type": "OutcomeUnknown",
        "message": "the provider may or may not have accepted it",
    },
    "resource": "acme-7",
    "account": "ada",
    "tasks": ["task_019a9e3c5b7c7a1e8f2d4c6b8a0e1f27"],
}
ADOPTION = {
    "provider": "acme",
    "id": "d1a2",
    "account": "ada",
    "job_id": JOB_ID,
    "asked_at": "2026-01-31T12:00:00Z",
}
TARGET = {
    "format": "quanopy.target/1",
    "qubits": 2,
    "dt": 2.2e-10,
    "instructions": {
        "sx": {"parameters": 0, "qubits": [[0], [1]], "errors": [2e-4, 3e-4]},
        "cx": {"parameters": 0, "qubits": [[0, 1]], "durations_s": [3e-7]},
    },
}
WEBHOOK_IN = {
    "url": "https://lab.example/quanopy",
    "kinds": ["job.completed", "job.failed"],
    "label": "lab notebook",
}
WEBHOOK = WEBHOOK_IN | {
    "id": "hook_019a9e3c5b7c7a1e8f2d4c6b8a0e1f29",
    "account": "ada",
    "state": "active",
    "position": "1042.7",
    "created_at": "2026-01-31T12:00:00Z",
}
WEBHOOK_SECRET = {"id": WEBHOOK["id"], "secret": "whsec_…"}
TOKEN = {
    "id": "token_019a9e3c5b7c7a1e8f2d4c6b8a0e1f25",
    "account": "ada",
    "scope": "user",
    "label": "laptop",
    "created_at": "2026-01-31T12:00:00Z",
}
IMPORTING = """event: progress
data: {"step":"check","done":500,"of":10000}

event: done
data: {"receipt":"sha256:5f1c…","broker":"https://broker.example","new":["job_019a…"],"known":[]}

"""
RECEIPT = {
    "receipt": "sha256:5f1c…",
    "broker": "https://broker.example",
    "exported_at": "2026-01-31T12:00:00Z",
    "new": [JOB_ID],
    "known": [],
    "left_out": [],
}
