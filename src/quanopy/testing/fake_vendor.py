"""A quantum cloud that is not there: a small HTTP service that misbehaves on request.

``python -m quanopy.testing.fake_vendor FILE --port N`` keeps all state in a SQLite file, so that
it survives its own restarts, and counts every execution it has accepted. Its behaviour is a
:class:`Script`, set by ``PUT /script``. Results are all zeros and need no simulator.
"""

import argparse
import json
import os
import random
import sqlite3
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

from quanopy.testing.vendors.faults import STATUSES, Fault, linger, spoilt

TOKEN = "fake-vendor-key"

_KNOWN = frozenset(Fault)
_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS executions (
    id TEXT PRIMARY KEY, key TEXT NOT NULL, works TEXT NOT NULL, accepted_at REAL NOT NULL,
    stopped_at REAL, forgotten INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS by_key ON executions (key);
CREATE TABLE IF NOT EXISTS calibrations (at REAL NOT NULL, text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS script (one INTEGER PRIMARY KEY, text TEXT NOT NULL);
"""
_BY_ID = "SELECT * FROM executions WHERE id IN (SELECT value FROM json_each(?))"
_BY_KEY = "SELECT * FROM executions WHERE key IN (SELECT value FROM json_each(?))"
_FORGET = "UPDATE executions SET forgotten = 1 WHERE id IN (SELECT value FROM json_each(?))"
_CALIBRATION_AT = "SELECT text FROM calibrations WHERE at <= ? ORDER BY at DESC LIMIT 1"
_STOP = "UPDATE executions SET stopped_at = ? WHERE id IN (SELECT value FROM json_each(?))"


@dataclass(slots=True, kw_only=True)
class Script:
    """How the vendor behaves.

    Faults by route (``start``, ``poll``, ``result``, ``stop``, ``find``, ``calibration``): those of
    :class:`quanopy.testing.vendors.faults.Fault`, and ``twice`` (accepted twice), ``early``
    (a result that is not ready), ``crash`` (the process ends).
    """

    queue_s: float = 0.0
    run_s: float = 0.0
    latency_s: float = 0.0
    visible_after_s: float = 0.0
    """How long ``find`` does not see what was accepted."""
    idempotent: bool = True
    """Whether a key that was sent before gives the execution of then."""
    retry_after_s: float = 0.05
    slow_s: float = 60.0
    """How late an answer with the fault ``slow`` comes, to whoever still waits for it."""
    fail: bool = False
    """Every execution ends in an error."""
    calibration: dict[str, Any] = field(default_factory=dict)
    """What is published: ``id`` and ``at`` (ISO 8601) if any, and ``t1_us`` by qubit; empty: none.
    Setting another calibrates the machine anew."""
    names_calibration: bool = False
    """Whether a result names the calibration that its execution began under."""
    next: dict[str, list[str]] = field(default_factory=dict)
    """Faults of a route's next requests, used up one by one (``""``: none)."""
    rates: dict[str, dict[str, float]] = field(default_factory=dict)
    """Faults of a route by probability."""
    seed: int = 0


class Refused(Exception):
    """Answer with this status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Cut(Exception):
    """Close the connection without an answer."""


class Vendor:
    """The state behind the service; safe from several threads."""

    def __init__(self, path: str) -> None:
        self._lock = Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.executescript(_SCHEMA)
        row = self._db.execute("SELECT text FROM script").fetchone()
        self.script = Script(**json.loads(row[0])) if row else Script()
        self._random = random.Random(self.script.seed)

    def set_script(self, values: Mapping[str, Any]) -> None:
        """Behave like this from now on, also after a restart."""
        with self._lock:
            before = self.script.calibration
            self.script = Script(**values)
            if self.script.calibration != before:
                self._db.execute(
                    "INSERT INTO calibrations VALUES (?, ?)",
                    (time.time(), json.dumps(self.script.calibration)),
                )
            self._random = random.Random(self.script.seed)
            self._keep_script()

    def fault(self, route: str) -> str:
        """What goes wrong with this request."""
        with self._lock:
            waiting = self.script.next.get(route)
            if waiting:
                fault = waiting.pop(0)
                self._keep_script()
                return fault
            draw = self._random.random()
            for fault, rate in self.script.rates.get(route, {}).items():
                draw -= rate
                if draw < 0:
                    return fault
            return ""

    def start(self, body: Mapping[str, Any], fault: str) -> object:
        """Accept orders."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            answers = [self._accept(order, fault) for order in body["orders"]]
            self._db.execute("COMMIT")
        return {"answers": answers}

    def poll(self, body: Mapping[str, Any], fault: str) -> object:
        """Statuses by id; unknown ids are left out."""
        if fault == "vanished":
            self._change(_FORGET, (), body["ids"])
        now = time.time()
        rows = self._rows(_BY_ID, body["ids"])
        return {
            "reports": {
                row["id"]: "RECALIBRATING" if fault == "unseen" else self._status(row, now)
                for row in rows
                if not row["forgotten"]
            }
        }

    def result(self, body: Mapping[str, Any], fault: str) -> object:
        """Counts of an execution that is done."""
        rows = self._rows(_BY_ID, [body["id"]])
        if not rows or rows[0]["forgotten"]:
            raise Refused(404, "no such execution")
        if fault == "early" or self._status(rows[0], time.time()) != "DONE":
            raise Refused(409, "not done")
        told = self._told(rows[0])
        return {"outcomes": [_outcome(work) | told for work in json.loads(rows[0]["works"])]}

    def _told(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """When it ran, and under which calibration, if that is told."""
        if not self.script.names_calibration:
            return {}
        begins = row["accepted_at"] + self.script.queue_s
        with self._lock:
            (found,) = self._query(_CALIBRATION_AT, (begins,)) or [{"text": "{}"}]
        name = json.loads(found["text"]).get("id")
        return {"calibration": name, "began": begins, "ended": begins + self.script.run_s}

    def calibration(self, body: Mapping[str, Any], fault: str) -> object:
        """What is published of the machine now."""
        return {"calibration": self.script.calibration or None}

    def stop(self, body: Mapping[str, Any], fault: str) -> object:
        """End executions that are not done."""
        now = time.time()
        rows = self._rows(_BY_ID, body["ids"])
        going = [row["id"] for row in rows if self._status(row, now) in ("QUEUED", "RUNNING")]
        self._change(_STOP, (now,), going)
        return {}

    def find(self, body: Mapping[str, Any], fault: str) -> object:
        """Ids by key, of what can be seen by now."""
        seen = time.time() - self.script.visible_after_s
        rows = self._rows(_BY_KEY, body["keys"])
        return {"ids": {row["key"]: row["id"] for row in rows if row["accepted_at"] <= seen}}

    def key(self, body: Mapping[str, Any], fault: str) -> object:
        """With which key an execution was sent."""
        rows = self._rows(_BY_ID, [body["id"]])
        if not rows:
            raise Refused(404, "no such execution")
        return {"key": rows[0]["key"]}

    def counts(self) -> object:
        """What was accepted: executions by key, and how often each task."""
        keys: dict[str, int] = {}
        tasks: dict[str, int] = {}
        done: dict[str, int] = {}
        now = time.time()
        with self._lock:
            rows = self._query("SELECT * FROM executions", ())
        for row in rows:
            keys[row["key"]] = keys.get(row["key"], 0) + 1
            for work in json.loads(row["works"]):
                tasks[work["task"]] = tasks.get(work["task"], 0) + 1
                if self._status(row, now) == "DONE":
                    done[work["task"]] = done.get(work["task"], 0) + 1
        return {"executions": len(rows), "keys": keys, "accepted": tasks, "done": done}

    def _accept(self, order: Mapping[str, Any], fault: str) -> dict[str, str]:
        if fault == "reject":
            return {"error": "the machine does not take this program"}
        before = self._query(_BY_KEY, (json.dumps([order["key"]]),))
        if before and self.script.idempotent:
            return {"id": str(before[0]["id"])}
        for _ in range(2 if fault == "twice" else 1):
            name = uuid.uuid4().hex
            self._db.execute(
                "INSERT INTO executions (id, key, works, accepted_at) VALUES (?, ?, ?, ?)",
                (name, order["key"], json.dumps(order["works"]), time.time()),
            )
        return {"id": name}

    def _status(self, row: Mapping[str, Any], now: float) -> str:
        begins = row["accepted_at"] + self.script.queue_s
        ends = begins + self.script.run_s
        if row["stopped_at"] is not None and row["stopped_at"] < ends:
            return "CANCELLED"
        if now >= ends:
            return "ERROR" if self.script.fail else "DONE"
        return "RUNNING" if now >= begins else "QUEUED"

    def _rows(self, statement: str, values: Sequence[str]) -> list[dict[str, Any]]:
        with self._lock:
            return self._query(statement, (json.dumps(values),))

    def _query(self, statement: str, values: Sequence[object]) -> list[dict[str, Any]]:
        cursor = self._db.execute(statement, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def _change(self, statement: str, values: Sequence[object], ids: Sequence[str]) -> None:
        with self._lock:
            self._db.execute(statement, (*values, json.dumps(ids)))

    def _keep_script(self) -> None:
        text = json.dumps(asdict(self.script))
        self._db.execute("INSERT OR REPLACE INTO script VALUES (1, ?)", (text,))


def _outcome(work: Mapping[str, Any]) -> dict[str, Any]:
    pubs = [
        _estimated(pub) if work["kind"] == "estimate" else _sampled(pub) for pub in work["pubs"]
    ]
    shots = sum(pub.get("shots") or 0 for pub in work["pubs"])
    return {"pubs": pubs, "usage": {"seconds": 0.001 * len(pubs), "shots": shots}}


def _sampled(pub: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "shape": [],
        "shots": pub["shots"],
        "registers": [{"name": "c", "bits": 1}],
        "counts": [{"0x0": pub["shots"]}],
    }


def _estimated(pub: Mapping[str, Any]) -> dict[str, Any]:
    return {"shape": [], "evs": [0.0], "stds": [0.0], "precision": pub["precision"]}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, vendor: Vendor) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.vendor = vendor


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._answer(200, self.server.vendor.counts() if self.path == "/counts" else {})

    def do_PUT(self) -> None:
        self.server.vendor.set_script(self._body())
        self._answer(200, {})

    def do_POST(self) -> None:
        vendor, route = self.server.vendor, self.path.strip("/")
        routes: dict[str, Callable[[Mapping[str, Any], str], object]] = {
            "start": vendor.start,
            "poll": vendor.poll,
            "result": vendor.result,
            "stop": vendor.stop,
            "find": vendor.find,
            "key": vendor.key,
            "calibration": vendor.calibration,
        }
        body = self._body()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"error": "a wrong key"})
            return
        time.sleep(vendor.script.latency_s)
        try:
            self._serve(routes[route], body, vendor.fault(route))
        except Refused as refused:
            repeated = f"{self.headers}" if str(refused) == Fault.ECHO else ""
            self._answer(refused.status, {"error": f"{refused}{repeated}"})
        except Cut:
            self.close_connection = True

    def _serve(
        self,
        act: Callable[[Mapping[str, Any], str], object],
        body: Mapping[str, Any],
        fault: str,
    ) -> None:
        if fault == "crash":
            os._exit(1)
        known = Fault(fault) if fault in _KNOWN else None
        if known in STATUSES:
            raise Refused(STATUSES[known], fault)
        if known is Fault.CUT:
            raise Cut
        if known is Fault.SLOW:
            linger(self.connection, self.server.vendor.script.slow_s)
        answer = act(body, fault)
        if known is Fault.LOST:
            raise Cut
        data = spoilt(json.dumps(answer).encode(), known)
        self._send(200, data[0], length=data[1])

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")

    def _answer(self, status: int, answer: object) -> None:
        data = json.dumps(answer).encode()
        self._send(status, data, length=len(data))

    def _send(self, status: int, data: bytes, *, length: int) -> None:
        self.close_connection = self.close_connection or length != len(data)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length))
        if status in (429, 503):
            self.send_header("Retry-After", str(self.server.vendor.script.retry_after_s))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: there is a request a poll."""


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="A scriptable vendor for tests.")
    parser.add_argument("file", help="SQLite file that keeps its state")
    parser.add_argument("--port", type=int, required=True, help="TCP port on 127.0.0.1")
    arguments = parser.parse_args()
    _Server(arguments.port, Vendor(arguments.file)).serve_forever()


if __name__ == "__main__":
    main()
