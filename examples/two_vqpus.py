"""Two virtual QPUs, one without noise and one with much, and a circuit on both.

Each is a process of its own that registers itself at the broker, is a resource while it runs, and
leaves the catalogue when it ends. Needs a running broker (``quanopy serve``) with the provider
``vqpu``, which it has by default.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from quanopy import Client

BELL = """
OPENQASM 3.0;
include "stdgates.inc";
qubit[2] q;
bit[2] c;
h q[0];
cx q[0], q[1];
c = measure q;
"""
START_S = 60.0


@contextmanager
def vqpu(name: str, *options: str) -> Iterator[str]:
    """A virtual QPU at the broker, for as long as the block lasts."""
    command = [sys.executable, "-m", "quanopy", "vqpu", "serve", "--register", "--name", name]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if not process.stdout.readline():  # its name and url, once it answers
            raise SystemExit(f"{name} did not start")
        try:
            yield name
        finally:
            process.terminate()


def served(client: Client, name: str) -> bool:
    """Whether a worker has taken notice of it."""
    return any(one.name == name and one.workers for one in client.resources())


with Client() as client, ExitStack() as stack:
    quiet = stack.enter_context(vqpu("vqpu-quiet"))
    noisy = stack.enter_context(
        vqpu("vqpu-noisy", "--depolarising", "0.01", "--readout", "0.05", "--shot-s", "0.001")
    )
    until = time.monotonic() + START_S
    while not (served(client, quiet) and served(client, noisy)) and time.monotonic() < until:
        time.sleep(0.2)
    jobs = [client.submit(BELL, resource=name, shots=1000) for name in (quiet, noisy)]
    for job, name in zip(jobs, (quiet, noisy), strict=True):
        print(name, dict(sorted(job.result(60)[0].counts.items())))
