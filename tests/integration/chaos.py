"""Processes that are killed at random and started again, a submitter and a follower that go on."""

import contextlib
import json
import random
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx

from quanopy.client.streams import parse
from tests.servers.process import KeptPort, ServerProcess

BELL = (
    'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[2] q;\nbit[2] c;\n'
    "h q[0];\ncx q[0], q[1];\nc = measure q;\n"
)
PROVIDER = "quanopy.testing.fake_provider:FakeProvider"
START_S = 60.0
PATIENCE_S = 20.0
"""With one answer: it comes at once, or the connection breaks off."""


class Broker:
    """A server process and worker processes on one catalogue."""

    def __init__(
        self,
        folder: Path,
        database: str,
        *,
        workers: int,
        options: Mapping[str, object],
        worker_ttl_s: float = 2.0,
    ) -> None:
        self._kept = KeptPort()
        self.port = self._kept.number
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        config = folder / "quanopy.toml"
        config.write_text(_toml(folder / "data", database, options, worker_ttl_s))
        quanopy = [Path(sys.executable).with_name("quanopy")]
        serve = ["serve", "--no-worker", "--port", str(self.port), "--config", str(config)]
        work = ["worker", "--providers", "fake", "--config", str(config)]
        self._commands: dict[str, Sequence[str | Path]] = {"server": [*quanopy, *serve]}
        self._commands |= {f"worker{n}": [*quanopy, *work] for n in range(workers)}
        self._running: dict[str, ServerProcess] = {}
        self.kills = 0

    @property
    def token(self) -> str:
        """The owner's token."""
        return (self._folder / "data" / "token").read_text().strip()

    def start(self, *names: str) -> None:
        """Start these, or all."""
        for name in names or self._commands:
            log = self._folder / f"{name}.log"
            self._running[name] = ServerProcess(self._commands[name], log=log)

    def wait_ready(self) -> None:
        """Until the server answers."""
        self._running["server"].wait_until(self._answers, timeout_s=START_S)

    def kill_at_random(self, dice: random.Random, times: int, *, pause_s: float) -> None:
        """SIGKILL one of them, start it again at once, and let them work for a while."""
        for _ in range(times):
            name = dice.choice(sorted(self._commands))
            self._running[name].kill()
            self.start(name)
            self.kills += 1
            time.sleep(dice.uniform(0.5, 1.5) * pause_s)

    def stop(self) -> None:
        """End everything."""
        for process in self._running.values():
            process.kill()
        self._kept.close()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/v1/ready", timeout=PATIENCE_S, trust_env=False).is_success
        except httpx.HTTPError:
            return False


def _toml(data: Path, database: str, options: Mapping[str, object], worker_ttl_s: float) -> str:
    lines = [
        f'data = "{data}"',
        f'database = "{database}"',
        f"worker_ttl_s = {worker_ttl_s}",
        'log_format = "json"',
        "[providers.fake]",
        f'plugin = "{PROVIDER}"',
        *(f"{name} = {json.dumps(value)}" for name, value in options.items()),
    ]
    return "\n".join(lines) + "\n"


class Submitter(Thread):
    """Submits jobs in batches, each under its Idempotency-Key, until the server has taken it."""

    def __init__(self, broker: Broker, *, jobs: int, batch: int) -> None:
        super().__init__(name="submitter", daemon=True)
        self.ids: list[str] = []
        self.failure: str | None = None
        self.repeats = 0
        self._broker = broker
        self._sizes = [batch] * (jobs // batch)

    def run(self) -> None:
        """Submit everything."""
        headers = {"Authorization": f"Bearer {self._broker.token}"}
        with httpx.Client(
            base_url=self._broker.url, headers=headers, timeout=PATIENCE_S, trust_env=False
        ) as http:
            for number, size in enumerate(self._sizes):
                self._submit(http, number, size)

    def _submit(self, http: httpx.Client, number: int, size: int) -> None:
        program = {"format": "openqasm3", "text": BELL}
        job = {"resource": "fake", "programs": [program], "options": {"shots": 10}}
        body = {"jobs": [job | {"name": f"{number}-{i}"} for i in range(size)]}
        while True:
            try:
                response = http.post(
                    "/v1/jobs/batch", json=body, headers={"Idempotency-Key": f"batch-{number}"}
                )
            except httpx.HTTPError:
                self.repeats += 1
                time.sleep(0.1)
                continue
            if response.is_success:
                self.ids += [job["id"] for job in response.json()["jobs"]]
                return
            if response.status_code < 500:
                self.failure = response.text
                raise RuntimeError(response.text)
            self.repeats += 1
            time.sleep(0.1)


class Follower(Thread):
    """Reads the event stream, and comes back where it was whenever the stream breaks off."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(name="follower", daemon=True)
        self.seen: list[str] = []
        self.reconnects = 0
        self._broker = broker
        self._stop = Event()

    def run(self) -> None:
        """Follow until stopped."""
        while not self._stop.is_set():
            with contextlib.suppress(httpx.HTTPError):
                self._follow()
            self.reconnects += 1
            self._stop.wait(0.05)

    def stop(self) -> None:
        """End at the next event, or soon."""
        self._stop.set()

    def _follow(self) -> None:
        headers = {
            "Authorization": f"Bearer {self._broker.token}",
            "Last-Event-ID": self.seen[-1] if self.seen else "0.0",
        }
        with httpx.stream(
            "GET",
            f"{self._broker.url}/v1/events/stream",
            headers=headers,
            timeout=PATIENCE_S,
            trust_env=False,
        ) as response:
            response.raise_for_status()
            for position, event in parse(response.iter_lines()):
                if event is not None:
                    self.seen.append(position)
                if self._stop.is_set():
                    return


def all_events(broker: Broker) -> list[dict[str, Any]]:
    """Every event of the account, page by page."""
    found: list[dict[str, Any]] = []
    position = "0.0"
    headers = {"Authorization": f"Bearer {broker.token}"}
    while True:
        page = httpx.get(
            f"{broker.url}/v1/events",
            params={"after": position, "limit": 1000},
            headers=headers,
            timeout=PATIENCE_S,
            trust_env=False,
        ).json()
        if not page["events"]:
            return found
        found += page["events"]
        position = page["position"]
